"""What is learned: data sets, their pictures, labels and measures, and the conditions that are made of them."""

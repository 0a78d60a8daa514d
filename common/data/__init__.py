"""Data sets: pictures, labels and measures, and the conditions that are made of labels and measures."""

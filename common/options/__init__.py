"""The options of every script: their ranges, network sizes, training recipes, and the command line that reads them."""

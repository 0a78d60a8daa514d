"""The options of every script: their ranges, the networks' sizes, the recipes, and the command line that reads them."""

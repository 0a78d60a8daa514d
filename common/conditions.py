"""What a digit is asked to be: y, its class and its measured attributes, any of which may be left open.

y (N, 1 + A) float32 holds the class, then each attribute that the model knows, in units of its spread over the training
set; NaN where nothing is asked for.
"""
import numpy as np

UNITS = {"thickness": "pixels", "slant": "degrees", "width": "pixels"}
PERCENTILES = 1, 2, 5, 50, 95, 98, 99  # of the training digits, what a model remembers of each attribute


def quantiles_of(attributes, labels):
    """The values at PERCENTILES of attributes {name: (N,)}: {name: a row per class that is there, and one of all}."""
    every = np.full(len(labels), True)
    chosen = [labels == label if label in labels else every for label in range(labels.max() + 1)] + [every]
    rows = lambda x: [np.nanpercentile(x[which], PERCENTILES).round(3).tolist() for which in chosen]
    return {name: rows(x) for name, x in attributes.items()}


def at(quantiles, name, percentile, digit=None):
    """An attribute's value at one of PERCENTILES, of a digit, or of all (None, or one that training did not see)."""
    *rows, of_all = quantiles[name]
    row = rows[digit] if digit is not None and digit < len(rows) else of_all
    return row[PERCENTILES.index(percentile)]


def conditions(labels, attributes, quantiles):
    """y of samples: labels (N,), attributes {name: a number or (N,)}; what is missing or NaN is not asked for.

    quantiles {name: rows}: of the attributes that the model knows, in its order. An attribute's zero is the median, its
    unit half the way from the 5th to the 95th percentile.
    """
    columns = [labels]
    for name in quantiles:
        low, middle, high = (at(quantiles, name, percentile) for percentile in (5, 50, 95))
        columns.append((np.asarray(attributes.get(name, np.nan)) - middle) / ((high - low) / 2))
    return np.stack([np.broadcast_to(column, len(labels)) for column in columns], axis=1).astype(np.float32)

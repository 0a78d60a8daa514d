"""What a data set is, in a few numbers: its Spec, which every checkpoint carries.

From it follow the networks' channels and classes, and y, the conditioning vector: the class, then the measures."""
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field, model_validator

from common.options.fields import Finite, Size, options_class

PERCENTILES = 1, 2, 5, 50, 95, 98, 99  # of the training images, what a model remembers of each measure
Row = Annotated[tuple[Finite, ...], Field(min_length=len(PERCENTILES), max_length=len(PERCENTILES))]


@options_class
class Measure:
    """A number that was measured of every picture, and how it is distributed over the training images."""

    unit: str
    rows: Annotated[tuple[Row, ...], Field(min_length=1)]
    """Its values at PERCENTILES: a row for each class, then one for all of them."""

    def at(self, percentile, label=None):
        """Its value at one of PERCENTILES among the training images of a class (None: of all)."""
        return self.rows[-1 if label is None else label][PERCENTILES.index(percentile)]

    def standardized(self, values):
        """(values - median) / spread, the spread being half the distance of the 5th and the 95th percentile; 1 if that
        is 0."""
        low, middle, high = (self.at(percentile) for percentile in (5, 50, 95))
        return (np.asarray(values) - middle) / ((high - low) / 2 or 1.0)


@options_class
class Spec:
    """A data set: its name, the shape of its images, its classes, and the measures that a model is conditioned on."""

    name: str
    shape: tuple[Annotated[int, Field(ge=1, le=4)], Size, Size]
    """(channels, height, width)."""
    classes: Annotated[tuple[str, ...], Field(min_length=1, max_length=4096)]
    """Their names, in the order of the labels."""
    measures: dict[str, Measure] = Field(default_factory=dict)
    digest: str
    """A hash of the source's files."""
    source: Path | None = None
    """Where its files were when it was last read (None: the repository's MNIST)."""

    @model_validator(mode="after")
    def check(self):
        if any(len(measure.rows) != len(self.classes) + 1 for measure in self.measures.values()):
            raise ValueError("measures: a row of percentiles for each class, and one for all")
        return self

    def conditions(self, labels, values=()):
        """y (N, 1 + A) float32 of labels (N,) and values {measure: a number or (N,)}; NaN: unconditional.

        Column 0 is the class, the others are the measures in the Spec's order, standardised. What values lack is NaN.
        """
        values = dict(values)
        columns = [labels, *(m.standardized(values.get(name, np.nan)) for name, m in self.measures.items())]
        return np.stack([np.broadcast_to(column, len(labels)) for column in columns], axis=1).astype(np.float32)


def measured(unit, values, labels, classes):
    """The Measure of values (N,) of images with these labels (N,), NaN where there is none; None where all are NaN.

    A class without a value gets the row of all of them."""
    if np.isnan(values).all():
        return None
    row = lambda chosen: tuple(np.nanpercentile(chosen, PERCENTILES).round(3).tolist())
    of_all = row(values)
    each = [values[labels == label] for label in range(classes)]
    return Measure(unit=unit, rows=(*(of_all if np.isnan(x).all() else row(x) for x in each), of_all))

"""The Spec: a short description of a data set, stored in every checkpoint.

It determines the networks' channels and classes, and the conditioning vector y: the class, then the measures."""
import math
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field, model_validator

from common.data.pictures import Preprocessing
from common.options.fields import Finite, Size, options_class

MNIST = "649ad68afef80c09"  # digest of the repository's MNIST
PERCENTILES = 1, 2, 5, 50, 95, 98, 99  # of each measure over the training images, stored in a Spec
Row = Annotated[tuple[Finite, ...], Field(min_length=len(PERCENTILES), max_length=len(PERCENTILES))]


@options_class
class Measure:
    """The unit of a measure, and its distribution over the training images."""

    unit: str
    rows: Annotated[tuple[Row, ...], Field(min_length=1)]
    """Values at PERCENTILES: a row per class, then one for all images."""

    def at(self, percentile, label=None):
        """One of PERCENTILES of the measure over the training images of a class (None: of all)."""
        return self.rows[-1 if label is None else label][PERCENTILES.index(percentile)]

    def standardized(self, values):
        """(values - median) / spread, where spread is half the distance from the 5th to the 95th percentile, or 1 if
        that is 0."""
        low, middle, high = (self.at(percentile) for percentile in (5, 50, 95))
        return (np.asarray(values) - middle) / ((high - low) / 2 or 1.0)


@options_class
class Spec:
    """A data set: its name, the shape of its images, its classes, and the measures that a model is conditioned on."""

    name: str
    shape: tuple[Annotated[int, Field(ge=1, le=4)], Size, Size]
    """(channels, height, width)."""
    classes: Annotated[tuple[str, ...], Field(min_length=1, max_length=4096)]
    """Class names, in the order of the labels."""
    measures: dict[str, Measure] = Field(default_factory=dict)
    digest: str
    """A hash of the source's files."""
    source: Path | None = None
    """Where its files were when it was last read (None: the repository's MNIST)."""
    preprocessing: Preprocessing = Preprocessing()
    """How its pictures were resized to these images."""

    @model_validator(mode="after")
    def check(self):
        if any(len(measure.rows) != len(self.classes) + 1 for measure in self.measures.values()):
            raise ValueError("measures: one row of percentiles is needed for each class, and one for all images")
        return self

    @property
    def few_classes(self):
        """The names of the classes, or of the first ones, for a message."""
        return ", ".join(self.classes[:10]) + (f", ... {self.classes[-1]}" if len(self.classes) > 10 else "")

    def conditions(self, labels, values=()):
        """The conditioning vector y (N, 1 + measures) float32 of labels (N,) and values {measure: number or (N,)}.

        Column 0 is the class, the others are the standardised measures in the Spec's order. NaN means unconditional.
        """
        values = dict(values)
        columns = [labels, *(m.standardized(values.get(name, np.nan)) for name, m in self.measures.items())]
        return np.stack([np.broadcast_to(column, len(labels)) for column in columns], axis=1).astype(np.float32)


def measured(unit, values, labels, classes):
    """The Measure of values (N,), NaN where missing, of images with labels (N,); None if all values are missing.

    A class without values gets the row of all images."""
    if np.isnan(values).all():
        return None
    low, high = np.nanpercentile(values, (5, 95))
    decimals = max(3, math.ceil(2 - math.log10(high - low))) if high > low else 6
    row = lambda chosen: tuple(np.nanpercentile(chosen, PERCENTILES).round(decimals).tolist())
    of_all = row(values)
    each = [values[labels == label] for label in range(classes)]
    return Measure(unit=unit, rows=(*(of_all if np.isnan(x).all() else row(x) for x in each), of_all))

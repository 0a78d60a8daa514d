"""The progress of training in steps, epochs and seconds."""
import time
from typing import Annotated

from pydantic import Field

from common.options.fields import Finite, NotNegative, options_class


@options_class
class Progress:
    """The progress of a run, as a checkpoint stores it."""

    step: Annotated[int, Field(ge=0)] = 0
    epoch: NotNegative = 0.0
    seconds: NotNegative = 0.0
    loss: Finite | None = None
    """The loss of the last step, which tells whether a metrics.csv belongs to this run."""


class Clock:
    """Counts training steps from `progress` on, until the epochs or the minutes are over; either may be None. Minutes
    are wall-clock time, including previews and checkpoints, but not the first step, in which kernels are compiled."""

    def __init__(self, epochs, minutes, epoch_steps, progress):
        self.total = epochs and epochs * epoch_steps
        self.minutes, self.epoch_steps = minutes, epoch_steps
        self.step, self.seconds, self.loss = progress.step, progress.seconds, progress.loss
        self.first = self.step
        self.start = time.perf_counter() - self.seconds

    @property
    def done(self):
        """The fraction of training that is over, by epochs or minutes: 0 to 1."""
        steps = self.step / self.total if self.total else 0
        return min(1.0, max(steps, self.seconds / (60 * self.minutes) if self.minutes else 0))

    @property
    def epoch(self):
        return self.step / self.epoch_steps

    def part(self, epochs):
        """The index of the current part of training, of `epochs` epochs each (None: a tenth, at least 100 steps)."""
        return self.step // (epochs * self.epoch_steps) if epochs else min(int(10 * self.done), self.step // 100)

    @property
    def progress(self):
        return Progress(step=self.step, epoch=self.epoch, seconds=self.seconds, loss=self.loss)

    def lap(self):
        """Seconds since the last step was counted."""
        return time.perf_counter() - self.start - self.seconds

    def advance(self, seconds, loss=None):
        """Count a step that took this many seconds, and had this loss."""
        if self.step == self.first:
            self.start = time.perf_counter() - self.seconds
        else:
            self.seconds += seconds
        self.step, self.loss = self.step + 1, loss

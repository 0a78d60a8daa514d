"""How far a training is: in steps, in epochs and in seconds."""
import time
from typing import Annotated

from pydantic import Field

from common.options.fields import NotNegative, options_class


@options_class
class Progress:
    """How far a run has come."""

    step: Annotated[int, Field(ge=0)] = 0
    epoch: NotNegative = 0.0
    seconds: NotNegative = 0.0


class Clock:
    """Counts training steps from `progress` on, until the epochs or minutes are spent: wall-clock time, with previews
    and checkpoints, without the first step, which compiles kernels."""

    def __init__(self, epochs, minutes, epoch_steps, progress):
        self.total, self.minutes, self.epoch_steps = epochs * epoch_steps, minutes, epoch_steps
        self.step, self.seconds = progress.step, progress.seconds
        self.first = self.step
        self.start = time.perf_counter() - self.seconds

    @property
    def done(self):
        """The part of the epochs or of the minutes that is spent, in [0, 1]."""
        return max(self.step / self.total, self.seconds / (60 * self.minutes) if self.minutes else 0)

    @property
    def epoch(self):
        return self.step / self.epoch_steps

    @property
    def progress(self):
        return Progress(step=self.step, epoch=self.epoch, seconds=self.seconds)

    def lap(self):
        """Seconds since the last step was counted."""
        return time.perf_counter() - self.start - self.seconds

    def advance(self, seconds):
        """Count a step that took so many seconds."""
        if self.step == self.first:
            self.start += seconds
        else:
            self.seconds += seconds
        self.step += 1

"""Which samples each step of a training takes."""
import math
from dataclasses import dataclass

import numpy as np

from common.diffusion.noise import StepNoise, data_order


@dataclass(frozen=True)
class Batch:
    """This process's part of a step's batch. The mean of weight * loss over processes is the batch's loss."""

    indices: np.ndarray  # of its samples
    noise: StepNoise  # for them
    weight: float  # of its loss
    size: int  # of the whole batch


class Batches:
    """The batches of a training on samples 0 to count - 1, each a function of (seed, step); an epoch has each sample
    once. Of each batch, process k takes the samples k, k + processes, and so on."""

    def __init__(self, seed, count, batch_size, process=0, processes=1):
        self.seed, self.count, self.batch_size = seed, count, batch_size
        self.process, self.processes = process, processes
        self.epoch_steps = math.ceil(count / batch_size)
        self.epoch, self.order = None, None  # of the last step

    def __getitem__(self, step):
        epoch, position = divmod(step, self.epoch_steps)
        if epoch != self.epoch:
            self.epoch, self.order = epoch, data_order(self.seed, epoch, self.count)
        batch = self.order[position * self.batch_size : (position + 1) * self.batch_size]
        part = slice(self.process, None, self.processes)
        weight = len(batch[part]) * self.processes / len(batch)
        if weight == 0:
            part = slice(0, 1)  # fewer samples than processes: any of them, at no weight
        return Batch(batch[part], StepNoise(self.seed, step, len(batch), part), weight, len(batch))

"""The samples of each training step."""
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from common.diffusion.noise import StepNoise, data_order


@dataclass(frozen=True)
class Batch:
    """This process's part of a batch. The mean loss of this part times `weight`, averaged over the processes, is the
    mean over the whole batch: for the VAE, which looks at half of each part at half the scale, if parts are even; for
    distillation, which looks at a quarter for consistency, if they are multiples of 4."""

    indices: np.ndarray  # of this part's samples
    noise: StepNoise  # for this part's samples
    weight: float  # of this part's loss
    size: int  # samples in the whole batch


class Batches:
    """The batches of training on samples 0 to count - 1, a function of (seed, step); each sample occurs once per epoch.
    Of each batch, process k takes samples k, k + processes, and so on."""

    def __init__(self, seed, count, batch_size, process=0, processes=1):
        self.seed, self.batch_size = seed, batch_size
        self.process, self.processes = process, processes
        self.epoch_steps = math.ceil(count / batch_size)
        self.order = lru_cache(1)(lambda epoch: data_order(seed, epoch, count))  # of the last epoch

    def __getitem__(self, step):
        epoch, position = divmod(step, self.epoch_steps)
        batch = self.order(epoch)[position * self.batch_size : (position + 1) * self.batch_size]
        part = slice(self.process, None, self.processes)
        weight = len(batch[part]) * self.processes / len(batch)
        if weight == 0:
            part = slice(0, 1)  # fewer samples than processes: any sample, with weight 0
        return Batch(batch[part], StepNoise(self.seed, step, len(batch), part), weight, len(batch))

"""Random numbers from numpy, the same in both frameworks, as functions of a seed: no state to save for --resume."""
import numpy as np


class SampleNoise:
    """Noise for sampling: that of sample i depends on (seed, i) alone, not on batch size or number of processes."""

    def __init__(self, seed, indices, shape):
        self.shape = shape
        self.streams = [np.random.default_rng((seed, int(i))) for i in indices]

    def __call__(self):
        """The next standard normal noise of each sample, (len(indices), *shape) float32."""
        return np.stack([stream.standard_normal(self.shape, dtype=np.float32) for stream in self.streams])


def random_picks(seed, indices, count):
    """A random integer below `count` for each sample i, a function of (seed, i): (len(indices),) int64."""
    return np.array([np.random.default_rng((seed, int(i), 2)).integers(count) for i in indices])  # 2: apart from noise


class StepNoise:
    """Random numbers for the batch of a training step, functions of (seed, step). part: this process's images."""

    def __init__(self, seed, step, batch_size, part=slice(None)):
        self.generator = np.random.default_rng((seed, step, 1))  # 1: independent of the data order
        self.batch_size, self.part = batch_size, part

    def normal(self, *shape):
        """Standard normal noise, (images of the part, *shape) float32."""
        return self.generator.standard_normal((self.batch_size, *shape), dtype=np.float32)[self.part]

    def integers(self, high):
        """Uniform integers in 0..high - 1, (images of the part,) int64."""
        return self.generator.integers(0, high, self.batch_size)[self.part]

    def drop(self, y, probability, complete=0.0):
        """Condition dropout for classifier-free guidance: y (images, 1 + measures) with dropped entries NaN.

        probability: of dropping the class. complete: the fraction of images that keep all measures. Half of the others
        lose all; the rest lose each measure at a rate drawn per image, uniform in [0, 1]."""
        random = lambda columns: self.generator.random((self.batch_size, columns))[self.part]
        classes, shares, each = random(1), random(1), random(y.shape[1] - 1)
        rates = 2 * (shares - complete) / (1 - complete)
        return np.where(np.hstack([classes < probability, each < rates]), np.float32(np.nan), y)


def data_order(seed, epoch, count):
    """The random order of an epoch: a permutation (count,) int64."""
    return np.random.default_rng((seed, epoch)).permutation(count)

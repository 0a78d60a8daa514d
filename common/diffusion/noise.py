"""Random numbers for both frameworks, from numpy's PCG64: the same in each, and nothing to save for a resume."""
import numpy as np


class SampleNoise:
    """Noise of samples: stream i is a function of (seed, i) alone, for any batch size and number of processes."""

    def __init__(self, seed, indices, shape):
        self.shape = shape
        self.streams = [np.random.default_rng((seed, int(i))) for i in indices]

    def __call__(self):
        """The next standard normal draw of each stream, (len(indices), *shape) float32."""
        return np.stack([stream.standard_normal(self.shape, dtype=np.float32) for stream in self.streams])


def random_picks(seed, indices, count):
    """One of `count` things for each sample, (len(indices),) int64: a function of (seed, i) alone."""
    return np.array([np.random.default_rng((seed, int(i), 2)).integers(count) for i in indices])  # 2: a stream apart


class StepNoise:
    """Draws of one training step for a batch of images: a function of (seed, step). A process uses its part of them."""

    def __init__(self, seed, step, batch_size, part=slice(None)):
        self.generator = np.random.default_rng((seed, step, 1))  # 1: a stream apart from the data order's
        self.batch_size, self.part = batch_size, part

    def normal(self, *shape):
        """Standard normal, (images of the part, *shape) float32."""
        return self.generator.standard_normal((self.batch_size, *shape), dtype=np.float32)[self.part]

    def integers(self, high):
        """Uniform in 0..high - 1, (images of the part,) int64."""
        return self.generator.integers(0, high, self.batch_size)[self.part]

    def drop(self, y, probability):
        """Condition dropout for classifier-free guidance: y (images of the part, 1 + A) with some entries NaN.

        Drops the class with this probability; the measures all in half of the images, else each with a probability
        drawn per image, uniform in [0, 1]."""
        classes, shares, each = (
            self.generator.random((self.batch_size, n))[self.part] for n in (1, 1, y.shape[1] - 1)
        )
        return np.where(np.hstack([classes < probability, each < 2 * shares]), np.float32(np.nan), y)


def data_order(seed, epoch, count):
    """The permutation of an epoch, (count,) int64: each image once."""
    return np.random.default_rng((seed, epoch)).permutation(count)

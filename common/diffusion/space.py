"""The space of x_0, the variable that is diffused: pixels or VAE latents; common/pipeline.py chooses which.

Images are tensors (N, C, H, W) of either framework in [-1, 1], x_0 is a tensor (N, *shape); device is the tree's."""
import numpy as np

from common.batching import in_batches


def from_uint8(images):
    """uint8 0..255 -> float32 in [-1, 1]."""
    return images.astype(np.float32) / 127.5 - 1


class Pixels:
    """x_0 is the image itself. Estimates of it are clipped to [-1, 1]."""

    clip, vae = True, None

    def __init__(self, shape):
        self.shape = shape

    def encode(self, images):
        return images

    def decode(self, x_0):
        return x_0

    def batches(self, images, device):
        """For images (N, C, H, W) uint8, a function indices -> x_0, a tensor."""
        return lambda indices: device.tensor(from_uint8(images[indices]))

    def tensors(self, device):
        """What a checkpoint keeps of it, {name: array}."""
        return {}


class Latents:
    """x_0 is the mean of the VAE's posterior, normalised by the training set's mean and std, tensors (1, C, 1, 1)."""

    clip = False

    def __init__(self, vae, mean, std):
        self.vae, self.mean, self.std, self.shape = vae, mean, std, vae.latent_shape

    def encode(self, images):
        return self.normalize(self.vae.encode(images).mean)

    def normalize(self, mean):
        return (mean - self.mean) / self.std

    def decode(self, x_0):
        return self.vae.decode(x_0 * self.std + self.mean)

    def batches(self, images, device):
        """For images (N, C, H, W) uint8, encoded here once, a function indices -> x_0, a tensor."""
        return self.batches_of(posterior_means(self.vae, images, device), device)

    def batches_of(self, means, device):
        return lambda indices: self.normalize(device.tensor(means[indices]))

    def tensors(self, device):
        """What a checkpoint keeps of it, {name: array}."""
        weights = {f"vae.{name}": array for name, array in device.arrays(self.vae).items()}
        statistics = {"latent.mean": self.mean, "latent.std": self.std}
        return weights | {name: device.array(tensor).ravel() for name, tensor in statistics.items()}


def latents(vae, mean, std, device):
    """Latents of a VAE and the statistics mean, std (C,), arrays."""
    return Latents(vae, *(device.tensor(array.reshape(1, -1, 1, 1)) for array in (mean, std)))


def fit_latents(vae, images, device):
    """Latents normalised over images (N, C, H, W) uint8, and a function indices -> x_0 for them."""
    means = posterior_means(vae, images, device)
    space = latents(vae, means.mean(axis=(0, 2, 3)), means.std(axis=(0, 2, 3)), device)
    return space, space.batches_of(means, device)


def posterior_means(vae, images, device, batch_size=500):
    """The VAE's posterior means of images (N, C, H, W) uint8, in float32: (N, *latent_shape)."""
    with device.inference(exact=True):
        encode = lambda indices: device.array(vae.encode(device.tensor(from_uint8(images[indices]))).mean)
        return in_batches(encode, len(images), batch_size, "encoding")


def reconstruct(space, images, device, batch_size=500):
    """Images (N, C, H, W) uint8 through a space and back, float32: the best that a model in it can draw."""
    with device.inference():
        there_and_back = lambda x: device.array(space.decode(space.encode(device.tensor(from_uint8(x)))))
        return in_batches(lambda indices: there_and_back(images[indices]), len(images), batch_size, "reconstructing")

"""The space of x_0, the variable that is diffused: pixels or VAE latents; common/pipeline.py chooses which.

Images are tensors (N, C, H, W) in [-1, 1], x_0 is a tensor (N, *shape), of either framework; device: the tree's."""
import numpy as np

from common.batching import in_batches
from common.data.augment import augmented


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

    def batches(self, images, device, training):
        """A function Batch -> x_0, a tensor, for images (N, C, H, W) uint8, augmented by the Training options."""
        return lambda batch: device.tensor(from_uint8(augmented(images[batch.indices], batch.noise, training)))

    def tensors(self, device):
        """The tensors that a checkpoint stores of this space, {name: array}."""
        return {}


class Latents:
    """x_0 is the mean of the VAE's posterior, minus `mean`, over `std`: tensors (1, C, 1, 1), per channel over the
    training set. With the defaults, 0 and 1, it is left as it is."""

    clip = False

    def __init__(self, vae, mean=0.0, std=1.0):
        self.vae, self.mean, self.std, self.shape = vae, mean, std, vae.latent_shape

    def encode(self, images):
        return self.normalize(self.vae.encode(images).mean)

    def normalize(self, mean):
        return (mean - self.mean) / self.std

    def decode(self, x_0):
        return self.vae.decode(x_0 * self.std + self.mean).clamp(-1, 1)  # blacker than black was no error in training

    def batches(self, images, device, training, means=None):
        """A function Batch -> x_0, a tensor, for images (N, C, H, W) uint8: encoded batch by batch if augmented, else
        once, or not at all if their posterior means are given."""
        if training.augments:
            images_of = Pixels(images.shape[1:]).batches(images, device, training)

            def encode(batch):
                with device.inference(exact=True):
                    return self.encode(images_of(batch))

            return encode
        means = posterior_means(self.vae, images, device) if means is None else means
        return lambda batch: self.normalize(device.tensor(means[batch.indices]))

    def tensors(self, device):
        """The tensors that a checkpoint stores of this space, {name: array}."""
        weights = {f"vae.{name}": array for name, array in device.arrays(self.vae).items()}
        statistics = {"latent.mean": self.mean, "latent.std": self.std}
        return weights | {name: device.array(tensor).ravel() for name, tensor in statistics.items()}


def latents(vae, mean, std, device):
    """The Latents of a VAE with the statistics mean and std, arrays (C,)."""
    tensor = lambda array: device.tensor(array.reshape(1, -1, 1, 1))
    return Latents(vae, tensor(mean), tensor(std))


def fit_latents(vae, images, device, training):
    """Latents normalised over images (N, C, H, W) uint8, and their function Batch -> x_0."""
    means = posterior_means(vae, images, device)
    space = latents(vae, means.mean(axis=(0, 2, 3)), means.std(axis=(0, 2, 3)), device)
    return space, space.batches(images, device, training, means)


def posterior_means(vae, images, device):
    """The VAE's posterior means of images (N, C, H, W) uint8, in float32: (N, *latent_shape)."""
    def encode(indices):
        return device.array(vae.encode(device.tensor(from_uint8(images[indices]))).mean)

    with device.inference(exact=True):
        return in_batches(encode, len(images), 500, "encoding")


def reconstruct(space, images, device, batch_size=500, convert=lambda decoded: decoded):
    """Encode and decode images (N, C, H, W) uint8, to float32 or what convert() makes of each batch: the best that a
    model in this space could sample."""
    def there_and_back(indices):
        x = device.tensor(from_uint8(images[indices]))
        return convert(device.array(space.decode(space.encode(x))))

    with device.inference():
        return in_batches(there_and_back, len(images), batch_size, "reconstructing")

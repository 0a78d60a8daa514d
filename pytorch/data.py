"""MNIST at 32x32, read once through torchvision, and its latents."""
import numpy as np
import torch
from torchvision.datasets import MNIST
from torchvision.transforms import Resize

from common.images import from_uint8
from common.mnist import check_mnist
from common.paths import DATA
from device import to_array, to_tensor


def load_mnist(train, limit=None, root=DATA):
    """Images (N, 1, 32, 32) uint8 and labels (N,) int64 of the training or the test set, or the first `limit`.

    root holds MNIST/raw/*.gz. UserError where a file is missing, cut short or altered.
    """
    check_mnist(root / "MNIST" / "raw")
    dataset = MNIST(root, train=train, transform=Resize((32, 32)), download=True)  # unpacks, downloads nothing
    count = min(limit or len(dataset), len(dataset))
    images = np.stack([np.asarray(dataset[i][0]) for i in range(count)])[:, None]
    return images, dataset.targets.numpy()[:count]


def encode_latents(vae, images, device):
    """Posterior means of images (N, 1, 32, 32) uint8, (N, C, 8, 8) float32: what LatentSpace normalises."""
    latents = []
    with torch.no_grad():
        for i in range(0, len(images), 500):
            x = to_tensor(from_uint8(images[i : i + 500]), device)
            latents.append(to_array(vae.encode(x).mean))
    return np.concatenate(latents)

"""MNIST at 32x32, read once through jittor.dataset, and its latents."""
import numpy as np

from common.images import from_uint8
from common.mnist import check_mnist
from common.paths import DATA
from device import jt, to_array, to_tensor


def load_mnist(train, limit=None, root=DATA):
    """Images (N, 1, 32, 32) uint8 and labels (N,) int64 of the training or the test set, or the first `limit`.

    root holds MNIST/raw/*.gz. UserError where a file is missing, cut short or altered.
    """
    check_mnist(root / "MNIST" / "raw")
    raw = f"{root / 'MNIST' / 'raw'}/"
    dataset = jt.dataset.MNIST(raw, train=train, transform=jt.transform.Resize((32, 32)), download=False)
    count = min(limit or dataset.total_len, dataset.total_len)
    images = np.stack([dataset[i][0][:1] for i in range(count)])  # in [0, 1]; the other two channels are the same
    return np.round(images * 255).astype(np.uint8), dataset.mnist["labels"][:count].astype(np.int64)


def encode_latents(vae, images, device):
    """Posterior means of images (N, 1, 32, 32) uint8, (N, C, 8, 8) float32: what LatentSpace normalises."""
    latents = []
    with jt.no_grad():
        for i in range(0, len(images), 500):
            x = to_tensor(from_uint8(images[i : i + 500]), device)
            latents.append(to_array(vae.encode(x).mean))
    return np.concatenate(latents)

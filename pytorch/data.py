"""What a latent model trains on."""
import numpy as np
import torch

from common.images import from_uint8
from device import to_array, to_tensor


def encode_latents(vae, images, device):
    """Posterior means of images (N, 1, 32, 32) uint8, (N, C, 8, 8) float32: what LatentSpace normalises."""
    latents = []
    with torch.no_grad():
        for i in range(0, len(images), 500):
            x = to_tensor(from_uint8(images[i : i + 500]), device)
            latents.append(to_array(vae.encode(x).mean))
    return np.concatenate(latents)

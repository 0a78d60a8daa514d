"""Data augmentation: training images mirrored and shifted at random, for --mirror and --shift-pixels."""
import numpy as np


def augmented(images, noise, training):
    """Images (N, C, H, W) uint8, mirrored with probability 1/2 and shifted by up to training.shift_pixels in each
    direction, edge pixels repeated. noise: the StepNoise of the batch."""
    if training.mirror:
        mirrored = noise.integers(2)[:, None, None, None] == 1
        images = np.where(mirrored, images[..., ::-1], images)
    if most := training.shift_pixels:
        height, width = images.shape[2:]
        wide = np.pad(images, ((0, 0), (0, 0), (most, most), (most, most)), mode="edge")
        corners = zip(wide, noise.integers(2 * most + 1), noise.integers(2 * most + 1))
        images = np.stack([image[:, top : top + height, left : left + width] for image, top, left in corners])
    return images

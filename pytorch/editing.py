"""What people do with a diffusion model once it draws: repaint a part, vary the whole, morph from one digit to another.

Each takes a Pipeline and images (N, 1, 32, 32) uint8, and gives images (N, 1, 32, 32) float32 in [-1, 1]. y (N, 1 + A):
the conditions; sample i of a seed has its own noise.
"""
from itertools import pairwise

import numpy as np
import torch

from common.images import from_uint8
from common.noise import SampleNoise
from device import to_array


def repaint(pipeline, images, mask, timesteps, seed, indices, y):
    """Images whose part outside the mask, bool (1, 32, 32), is drawn anew over timesteps, which may rise again.

    Every estimate of x_0 has the kept pixels put in (Wang et al. 2023, DDNM, equation 10, A the mask), so that what the
    sampler goes on from agrees with them; of latents, in its decoded picture, which is then encoded again.
    """
    known = pipeline.tensor(from_uint8(images))
    mask = pipeline.tensor(np.broadcast_to(mask, images.shape).astype(np.float32))

    def put_in(x_0):
        return pipeline.encode(mask * known + (1 - mask) * pipeline.pixels(x_0))

    with torch.no_grad(), pipeline.accelerator.autocast():
        x_0 = pipeline.last(pipeline.trajectory(seed, indices, y, timesteps=timesteps, change=put_in))
        return to_array(mask * known + (1 - mask) * pipeline.pixels(x_0))


def vary(pipeline, images, strength, seed, indices, y):
    """Images noised for the share `strength` of the time steps, then denoised (Meng et al. 2022, SDEdit, algorithm 1).

    0 changes nothing (but for the VAE), 1 all of it.
    """
    start = round(strength * pipeline.ddpm.config.timesteps) - 1
    timesteps = [start, *(t for t in pipeline.timesteps() if t < start)]
    with torch.no_grad(), pipeline.accelerator.autocast():
        x_0 = pipeline.encode(pipeline.tensor(from_uint8(images)))
        eps = pipeline.tensor(SampleNoise(seed, indices, pipeline.shape)())
        x_t = pipeline.ddpm.q_sample(x_0, start, eps)
        x_0 = pipeline.last(pipeline.trajectory(seed, indices, y, x_t, timesteps))
        return pipeline.decode(x_0)


def invert(pipeline, images, y):
    """The noise (N, *shape) from which deterministic sampling draws these images (Song et al. 2021, section 4.3)."""
    *timesteps, _ = pipeline.timesteps()
    with torch.no_grad(), pipeline.accelerator.autocast():
        x_0 = pipeline.encode(pipeline.tensor(from_uint8(images)))
        x_t = pipeline.last(pipeline.trajectory(0, range(len(images)), y, x_0, [0, *reversed(timesteps)]))
        return to_array(x_t)


def draw_from(pipeline, noise, y):
    """What deterministic sampling draws from noise (N, *shape)."""
    with torch.no_grad(), pipeline.accelerator.autocast():
        x_0 = pipeline.last(pipeline.trajectory(0, range(len(noise)), y, pipeline.tensor(noise)))
        return pipeline.decode(x_0)


def slerp(a, b, share):
    """From noise a to noise b (*shape) along a great circle: the share of the way in 0..1 (Shoemake 1985)."""
    angle = np.arccos(np.clip((a * b).sum() / np.linalg.norm(a) / np.linalg.norm(b), -1, 1))
    if angle == 0:
        return a
    return ((np.sin((1 - share) * angle) * a + np.sin(share * angle) * b) / np.sin(angle)).astype(np.float32)


def morph(pipeline, images, frames):
    """From each image to the next in so many frames, (N - 1, frames, 1, 32, 32); nothing is asked for on the way."""
    nothing = lambda count: pipeline.conditions(np.full(count, np.nan))
    noise, shares = invert(pipeline, images, nothing(len(images))), np.linspace(0, 1, frames)
    ways = [np.stack([slerp(a, b, share) for share in shares]) for a, b in pairwise(noise)]
    return np.stack([draw_from(pipeline, way, nothing(frames)) for way in ways])

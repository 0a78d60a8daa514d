"""Editing images with a trained diffusion model: repaint a part, vary the whole, morph from one image to another.

images are (N, C, H, W) uint8, results float32 in [-1, 1]; y (N, 1 + measures) are conditions."""
from itertools import pairwise

import numpy as np

from common.diffusion.noise import SampleNoise
from common.diffusion.samplers import last
from common.diffusion.schedule import sampler_timesteps
from common.diffusion.space import from_uint8


def repaint(model, sampler, images, kept, timesteps, seed, indices, y):
    """Resample the pixels where `kept`, bool (1, H, W), is False, over timesteps that may rise again (RePaint): the
    sampler must be ancestral (ddpm), which adds noise there.

    Every estimate of x_0 gets the known pixels where `kept` is True (Wang et al. 2023, DDNM, equation 13, with the mask
    as A); a latent estimate is decoded for this and then encoded again."""
    known = model.device.tensor(from_uint8(images))
    mask = model.device.tensor(np.broadcast_to(kept, images.shape).astype(np.float32))

    def with_known(x_0):
        return mask * known + (1 - mask) * model.space.decode(x_0)

    with model.device.inference():
        change = lambda x_0: model.space.encode(with_known(x_0))
        x_0 = last(model.trajectory(sampler, seed, indices, y, timesteps=timesteps, change=change))
        return model.device.array(with_known(x_0))


def vary(model, sampler, images, strength, seed, indices, y):
    """Add the noise of time step strength * timesteps to images, then denoise them (Meng et al. 2022, SDEdit, section
    3): strength 0 returns the images (through the VAE, if any), 1 new ones."""
    start = round(strength * model.timesteps) - 1
    timesteps = [start, *(t for t in sampler_timesteps(model.timesteps, sampler) if t < start)]
    with model.device.inference():
        x_0 = model.space.encode(model.device.tensor(from_uint8(images)))
        eps = model.device.tensor(SampleNoise(seed, indices, model.space.shape)())
        x_t = model.diffusion.q_sample(x_0, start, eps)
        return model.decode(last(model.trajectory(sampler, seed, indices, y, x_t, timesteps)))


def invert(model, sampler, images, y):
    """The noise (N, *shape) from which DDIM with eta 0 draws these images (Song et al. 2021, section 4.3). In pixels
    its std is about 0.4, as black areas need no noise."""
    *timesteps, _ = sampler_timesteps(model.timesteps, sampler)
    with model.device.inference():
        x_0 = model.space.encode(model.device.tensor(from_uint8(images)))
        x_t = last(model.trajectory(sampler, 0, range(len(images)), y, x_0, [0, *reversed(timesteps)]))
        return model.device.array(x_t)


def draw_from(model, sampler, noise, y):
    """The images that DDIM with eta 0 draws from noise (N, *shape)."""
    with model.device.inference():
        return model.decode(last(model.trajectory(sampler, 0, range(len(noise)), y, model.device.tensor(noise))))


def slerp(a, b, share):
    """Spherical interpolation between noise a (share 0) and noise b (share 1), both (*shape) (Shoemake 1985)."""
    angle = np.arccos(np.clip((a * b).sum() / np.linalg.norm(a) / np.linalg.norm(b), -1, 1))
    if angle == 0:
        return a
    return ((np.sin((1 - share) * angle) * a + np.sin(share * angle) * b) / np.sin(angle)).astype(np.float32)


def morph(model, sampler, images, frames):
    """Interpolate from each image to the next in `frames` frames, unconditionally: (N - 1, frames, C, H, W)."""
    unconditional = lambda count: model.conditions(np.full(count, np.nan))
    noise = invert(model, sampler, images, unconditional(len(images)))
    ways = [np.stack([slerp(a, b, share) for share in np.linspace(0, 1, frames)]) for a, b in pairwise(noise)]
    return np.stack([draw_from(model, sampler, way, unconditional(frames)) for way in ways])

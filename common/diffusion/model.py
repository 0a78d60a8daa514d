"""A trained diffusion model, which turns noise and conditions into images by a given sampler."""
from dataclasses import dataclass
from typing import Any

import numpy as np

from common.data.spec import Spec
from common.diffusion.noise import SampleNoise
from common.diffusion.samplers import SAMPLERS, last
from common.diffusion.schedule import sampler_timesteps
from common.errors import UserError
from common.options.networks import SamplerConfig


@dataclass(frozen=True)
class Model:
    """A diffusion model of either framework, ready to sample images (N, C, H, W) float32 in [-1, 1]."""

    device: Any  # the tree's Device
    network: Any  # the tree's ConditionalUNet
    diffusion: Any  # the tree's GaussianDiffusion
    space: Any  # Pixels or Latents
    spec: Spec  # of the training data
    recipe: Any  # the options of its training
    checkpoint: Any = None  # the Checkpoint that it was loaded from, if any

    @property
    def sampler(self):
        """The model's own sampler."""
        return self.recipe.sampler

    @property
    def timesteps(self):
        """The number of time steps of the schedule."""
        return self.diffusion.config.timesteps

    def choose_sampler(self, options):
        """The model's own sampler, changed by SamplerOptions; UserError for guidance that the model cannot use."""
        chosen = options.over(self.sampler)
        self.check_guidance(chosen)
        return chosen

    def check_guidance(self, sampler):
        """UserError if a sampler uses guidance and the model was trained without label dropout."""
        if sampler.guidance != 1:
            self.check_null_label("guidance needs: leave out --guidance")

    def check_null_label(self, purpose):
        """UserError, which names the purpose, if the model was trained without label dropout."""
        if not self.recipe.label_dropout:
            name = self.checkpoint.path if self.checkpoint else "this model"
            raise UserError(f"{name} was trained without label dropout, which {purpose}")

    def conditions(self, labels, values=()):
        """Conditions y (N, 1 + measures) of labels (N,), NaN for none, and values {measure: number or (N,)}."""
        if np.isnan(labels).any():
            self.check_null_label("sampling without a class needs: choose another --checkpoint")
        return self.spec.conditions(labels, values)

    def trajectory(self, sampler, seed, indices, y, x_t=None, timesteps=None, change=lambda x_0: x_0):
        """Yield x_t (N, *shape) of the samples at these indices: the noise, then each step's result.

        x_t, timesteps: another start and other steps; change(x_0) replaces each estimate of x_0."""
        noise = SampleNoise(seed, indices, self.space.shape)
        draw_noise = lambda: self.device.tensor(noise())
        denoiser = self.diffusion.denoiser(self.network, self.device.tensor(y), sampler.guidance)
        denoise = lambda x_t, t: change(denoiser(x_t, t))
        eta = {"eta": sampler.eta} if sampler.name == "ddim" else {}
        eps = draw_noise()  # drawn even if x_t is given: x_t was made with it, so no later step may use it
        x_t = eps if x_t is None else x_t
        timesteps = timesteps or sampler_timesteps(self.timesteps, sampler)
        yield x_t
        yield from SAMPLERS[sampler.name](denoise, x_t, self.diffusion.alphas_cumprod, timesteps, draw_noise, **eta)

    def decode(self, x_t):
        """Decode x_t to images, a numpy array."""
        return self.device.array(self.space.decode(x_t))

    def sample(self, sampler: SamplerConfig, seed, indices, y):
        """Sample the images with these indices and this seed, under conditions y (N, 1 + measures)."""
        with self.device.inference():
            return self.decode(last(self.trajectory(sampler, seed, indices, y)))

    def denoising(self, sampler: SamplerConfig, seed, indices, y, count):
        """Like sample(), but up to `count` evenly spaced states from noise to image, decoded: a list of arrays."""
        with self.device.inference():
            shown = np.linspace(0, sampler.steps, min(count, sampler.steps + 1)).round()
            states = enumerate(self.trajectory(sampler, seed, indices, y))
            return [self.decode(x_t) for i, x_t in states if i in shown]

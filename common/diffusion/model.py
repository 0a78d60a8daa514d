"""A trained model: from noise and conditions to images, by a sampler that is an argument."""
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
    """A diffusion model, of either framework, ready to draw images (N, C, H, W) float32 in [-1, 1]."""

    device: Any  # the tree's Device
    network: Any  # the tree's ConditionalUNet
    diffusion: Any  # the tree's GaussianDiffusion
    space: Any  # Pixels or Latents
    spec: Spec  # of the data that it was trained on
    recipe: Any  # the options that it was trained by
    checkpoint: Any = None  # that it was loaded from

    @property
    def sampler(self):
        """The sampler that it draws by, unless another is named."""
        return self.recipe.sampler

    @property
    def timesteps(self):
        """Of the schedule."""
        return self.diffusion.config.timesteps

    def choose_sampler(self, options):
        """Its own sampler, changed where SamplerOptions say so; UserError for guidance that it cannot have."""
        chosen = options.over(self.sampler)
        self.check_guidance(chosen)
        return chosen

    def check_guidance(self, sampler):
        """UserError where a sampler asks for guidance of a model that never saw a null label."""
        if sampler.guidance != 1:
            self.check_null_label("guidance needs: leave out --guidance")

    def check_null_label(self, purpose):
        """UserError where training never left out the label."""
        if not self.recipe.label_dropout:
            name = self.checkpoint.path if self.checkpoint else "this model"
            raise UserError(f"{name} never saw a null label, which {purpose}")

    def conditions(self, labels, values=()):
        """y (N, 1 + A) of labels (N,), NaN for none, and of values {measure: a number or (N,)}."""
        if np.isnan(labels).any():
            self.check_null_label("a digit of no class needs: name the digit, or another --checkpoint")
        return self.spec.conditions(labels, values)

    def trajectory(self, sampler, seed, indices, y, x_t=None, timesteps=None, change=lambda x_0: x_0):
        """x_t of these samples of a seed, (N, *shape) each: the noise, then the result of every step. y (N, 1 + A).

        x_t, timesteps: where to start and which steps, if given; change(x_0) replaces each estimate of x_0."""
        noise = SampleNoise(seed, indices, self.space.shape)
        draw_noise = lambda: self.device.tensor(noise())
        denoiser = self.diffusion.denoiser(self.network, self.device.tensor(y), sampler.guidance)
        denoise = lambda x_t, t: change(denoiser(x_t, t))
        eta = {"eta": sampler.eta} if sampler.name == "ddim" else {}
        eps = draw_noise()  # x_T, or the noise already in a given x_t: drawn anyway, so as not to reuse it
        x_t = eps if x_t is None else x_t
        timesteps = timesteps or sampler_timesteps(self.timesteps, sampler)
        yield x_t
        yield from SAMPLERS[sampler.name](denoise, x_t, self.diffusion.alphas_cumprod, timesteps, draw_noise, **eta)

    def decode(self, x_t):
        """x_t as images, an array."""
        return self.device.array(self.space.decode(x_t))

    def sample(self, sampler: SamplerConfig, seed, indices, y):
        """The images with these indices of a seed, under conditions y (N, 1 + A)."""
        with self.device.inference():
            return self.decode(last(self.trajectory(sampler, seed, indices, y)))

    def denoising(self, sampler: SamplerConfig, seed, indices, y, count):
        """The same images on their way from noise, at most `count` states of it, evenly spaced: a list of arrays."""
        with self.device.inference():
            states = list(self.trajectory(sampler, seed, indices, y))
            shown = np.linspace(0, len(states) - 1, min(count, len(states))).round().astype(int)
            return [self.decode(states[i]) for i in shown]

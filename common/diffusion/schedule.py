"""The numbers of diffusion that no framework is needed for, in float64."""
import math
from itertools import pairwise

import numpy as np

from common.errors import UserError
from common.options.networks import DiffusionConfig, SamplerConfig


def betas(config: DiffusionConfig):
    """beta_t of the forward process, (timesteps,) float64 in (0, 1)."""
    if config.schedule == "linear":  # Ho et al. 2020, section 4, for 1,000 steps; fewer are larger, to end in noise too
        return np.minimum(1000 / config.timesteps * np.linspace(1e-4, 0.02, config.timesteps), 0.999)
    # Nichol and Dhariwal 2021, equation 17; betas are held below 0.999 against a singularity at the end.
    t = np.arange(config.timesteps + 1) / config.timesteps
    alphas_cumprod = np.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2
    return np.minimum(1 - alphas_cumprod[1:] / alphas_cumprod[:-1], 0.999)


def alphas_cumprod(config: DiffusionConfig):
    """alpha_bar_t, (timesteps + 1,) float64; the last entry, also index -1, is 1: the clean image."""
    return np.append(np.cumprod(1 - betas(config)), 1.0)


def sampler_timesteps(timesteps, sampler: SamplerConfig):
    """Where a sampler calls the network, then -1, the clean image: a list of steps + 1 integers.

    Trailing spacing (Lin et al. 2024, Common Diffusion Noise Schedules and Sample Steps are Flawed, table 2): the
    first call is always at the last time step, where training saw pure noise. A shift of more than 1 moves the others
    towards the noise (Esser et al. 2024, Scaling Rectified Flow Transformers, equation 23): what is drawn is decided
    where there is much of it. UserError for steps it does not have."""
    steps, shift = sampler.steps, sampler.shift
    if not 1 <= steps <= timesteps:
        raise UserError(f"--steps {steps}: the model's schedule allows 1 to {timesteps}")
    left = np.arange(steps, 0, -1)  # calls from this one on
    even = left / steps
    calls = np.round(timesteps * shift * even / (1 + (shift - 1) * even)).astype(int) - 1
    calls = np.minimum.accumulate(calls - left) + left  # no time step twice,
    return [*np.maximum(calls, left - 1).tolist(), -1]  # and one left for each call


def resampled(timesteps, times):
    """The time steps with each step but the last repeated `times` times: denoise, add noise back, denoise again
    (Lugmayr et al. 2022, RePaint, algorithm 1)."""
    result = timesteps[:1]
    for t, s in pairwise(timesteps):
        result += [s, t] * (times - 1 if s >= 0 else 0) + [s]
    return result


def lognormal_timesteps(normal, alphas_cumprod, mean, std):
    """Time steps whose log(sigma_t / alpha_t) is nearly mean + std * normal: normal (N,) -> (N,) int64."""
    levels = 0.5 * np.log(1 / alphas_cumprod[:-1] - 1)  # rising with t
    return np.searchsorted(levels, mean + std * normal).clip(0, len(levels) - 1)


def learning_rate(options, step, done):
    """Linear warm-up, the peak, then a cosine to 0; done in [0, 1]: the part of the epochs or of the minutes spent."""
    warmup = min(1.0, (step + 1) / (options.warmup + 1))
    lowered = (min(done, 1.0) - options.hold) / (1 - options.hold)
    return options.learning_rate * warmup * 0.5 * (1 + math.cos(math.pi * max(lowered, 0.0)))


def ema_decay(options, step):
    """Decay of the averaged weights, smaller at first: else they stay near the initial ones for 1 / (1 - decay)."""
    return min(options.ema_decay, (1 + step) / (10 + step))

"""Noise schedules, the samplers' time steps, and training schedules, in float64."""
import math
from itertools import pairwise

import numpy as np

from common.errors import UserError
from common.options.networks import DiffusionConfig, SamplerConfig


def betas(config: DiffusionConfig):
    """beta_t of the forward process, (timesteps,) float64 in (0, 1)."""
    if config.schedule == "linear":  # Ho et al. 2020, section 4; fewer than 1000 steps are larger, to end in noise
        return np.minimum(1000 / config.timesteps * np.linspace(1e-4, 0.02, config.timesteps), 0.999)
    t = np.arange(config.timesteps + 1) / config.timesteps
    if config.schedule == "flow":  # (1 - t) x_0 + t eps (Lipman et al. 2023), scaled to a variance of 1
        alphas_cumprod = (1 - t) ** 2 / ((1 - t) ** 2 + t**2)
    else:  # Nichol and Dhariwal 2021, equation 17
        alphas_cumprod = np.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2
    return np.minimum(1 - alphas_cumprod[1:] / alphas_cumprod[:-1], 0.999)  # 1 is a singularity at the end


def alphas_cumprod(config: DiffusionConfig):
    """alpha_bar_t, (timesteps + 1,) float64; the last entry, which index -1 finds, is 1: the clean image."""
    return np.append(np.cumprod(1 - betas(config)), 1.0)


def sampler_timesteps(timesteps, sampler: SamplerConfig):
    """The time steps at which a sampler calls the network, then -1, the clean image: a list of steps + 1 integers.

    Trailing spacing (Lin et al. 2024, Common Diffusion Noise Schedules and Sample Steps are Flawed, table 2): the
    first call is at the last time step, pure noise. A shift above 1 moves the others towards the noise (Esser et al.
    2024, Scaling Rectified Flow Transformers, equation 23), where an image's content is decided. An end below 1 moves
    the last call towards the clean image, and the others evenly with it: the last estimate of x_0 is a mean, which
    lacks the detail that the noise still hides. UserError if the schedule has too few steps."""
    steps, shift, end = sampler.steps, sampler.shift, sampler.end
    if not 1 <= steps <= timesteps:
        raise UserError(f"--steps {steps}: the model's schedule allows 1 to {timesteps}")
    left = np.arange(steps, 0, -1)  # calls from this one on, itself included
    even = (left - (1 - end) * (steps - left) / max(steps - 1, 1)) / steps
    calls = np.round(timesteps * shift * even / (1 + (shift - 1) * even)).astype(int) - 1
    calls = np.minimum.accumulate(calls - left) + left  # no time step occurs twice,
    return [*np.maximum(calls, left - 1).tolist(), -1]  # and one remains for each later call


def resampled(timesteps, times):
    """The time steps with each step but the last repeated `times` times: denoise, add noise back, denoise again
    (Lugmayr et al. 2022, RePaint, algorithm 1)."""
    result = timesteps[:1]
    for t, s in pairwise(timesteps):
        result += [s, t] * (times - 1 if s >= 0 else 0) + [s]
    return result


def lognormal_timesteps(normal, alphas_cumprod, mean, std):
    """Random time steps whose noise level log(sigma_t / alpha_t) is normal with this mean and std: for each standard
    normal number the first step at least that noisy, else the last. normal (N,) -> (N,) int64."""
    levels = 0.5 * np.log(1 / alphas_cumprod[:-1] - 1)  # log(sigma_t / alpha_t), rising with t
    return np.searchsorted(levels, mean + std * normal).clip(0, len(levels) - 1)


def less_noisy(t, timesteps):
    """The time steps that consistency training compares t (N,) with: 1/125 of the schedule less noisy, at least -1, the
    clean image. At still closer ones the outputs differ so little that bf16 rounds the difference away."""
    return np.maximum(t - math.ceil(timesteps / 125), -1)


def learning_rate(options, step, done):
    """The learning rate: linear warm-up over at most a tenth of training, the peak, then a cosine to 0. done: the
    fraction of training that is over, in [0, 1]."""
    warmup = min(1.0, max((step + 1) / (options.warmup + 1), 10 * done))
    decayed = (done - options.hold) / (1 - options.hold)
    return options.learning_rate * warmup * 0.5 * (1 + math.cos(math.pi * max(decayed, 0.0)))


def ema_decay(options, step):
    """Decay of the averaged weights, smaller at first, or they would stay near the initial weights for long."""
    return min(options.ema_decay, (1 + step) / (10 + step))

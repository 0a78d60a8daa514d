"""The samplers: generators of x_t, from the result of the first step to the clean image.

denoise(x_t, t) estimates x_0 at time step t, an integer; x_t (B, C, H, W) is standard normal noise at first;
alphas_cumprod (T + 1,) is alpha_bar_t, and 1 at index -1; timesteps is a list of integers, falling to -1, the clean
image, unless a docstring says otherwise; noise() returns standard normal noise of x_t's shape."""
import math
from collections import deque
from itertools import pairwise

import numpy as np


def sample_ddpm(denoise, x_t, alphas_cumprod, timesteps, noise):
    """Ancestral sampling (Ho et al. 2020, algorithm 2) from q(x_s | x_t, x_0), equations 6 and 7; s > t adds noise."""
    for t, s in pairwise(timesteps):
        abar_t, abar_s = float(alphas_cumprod[t]), float(alphas_cumprod[s])
        if s > t:  # back towards the noise (Lugmayr et al. 2022, RePaint, algorithm 1, line 10)
            x_t = math.sqrt(abar_s / abar_t) * x_t + math.sqrt(1 - abar_s / abar_t) * noise()
            yield x_t
            continue
        alpha_step, beta = abar_t / abar_s, 1 - abar_t / abar_s  # Ho's alpha_t and beta_t, for any step
        mean = (
            math.sqrt(abar_s) * beta / (1 - abar_t) * denoise(x_t, t)
            + math.sqrt(alpha_step) * (1 - abar_s) / (1 - abar_t) * x_t
        )
        variance = (1 - abar_s) / (1 - abar_t) * beta  # 0 at the last step
        x_t = mean + math.sqrt(variance) * noise() if s >= 0 else mean
        yield x_t


def sample_ddim(denoise, x_t, alphas_cumprod, timesteps, noise, eta=0.0):
    """DDIM (Song et al. 2021, Denoising Diffusion Implicit Models, equations 12 and 16).

    With eta 0 and rising timesteps it inverts sampling: from an image to the noise that yields it (section 4.3).
    """
    for t, s in pairwise(timesteps):
        abar_t, abar_s = float(alphas_cumprod[t]), float(alphas_cumprod[s])
        x_0 = denoise(x_t, t)
        eps = (x_t - math.sqrt(abar_t) * x_0) / math.sqrt(1 - abar_t)
        variance = eta**2 * (1 - abar_s) / (1 - abar_t) * (1 - abar_t / abar_s)
        x_t = math.sqrt(abar_s) * x_0 + math.sqrt(1 - abar_s - variance) * eps
        if variance > 0:
            x_t = x_t + math.sqrt(variance) * noise()
        yield x_t


def sample_dpmpp_2m(denoise, x_t, alphas_cumprod, timesteps, noise):
    """DPM-Solver++(2M) (Lu et al. 2022, DPM-Solver++, algorithm 2), with first-order first and last steps."""
    lambdas = 0.5 * np.log(alphas_cumprod[:-1] / (1 - alphas_cumprod[:-1]))  # log(alpha_t / sigma_t)
    previous, previous_h = None, None
    for t, s in pairwise(timesteps):
        x_0 = denoise(x_t, t)
        if s < 0:  # sigma_s = 0: the step's limit is x_0
            yield x_0
            return
        h = float(lambdas[s] - lambdas[t])
        d = x_0 if previous is None else x_0 + h / (2 * previous_h) * (x_0 - previous)
        sigma_ratio = math.sqrt((1 - alphas_cumprod[s]) / (1 - alphas_cumprod[t]))
        x_t = sigma_ratio * x_t - math.sqrt(alphas_cumprod[s]) * math.expm1(-h) * d
        previous, previous_h = x_0, h
        yield x_t


def sample_consistency(denoise, x_t, alphas_cumprod, timesteps, noise):
    """Multistep consistency sampling (Song et al. 2023, Consistency Models, algorithm 1): each estimate of x_0 gets the
    noise of the next time step."""
    for t, s in pairwise(timesteps):
        x_0 = denoise(x_t, t)
        abar_s = float(alphas_cumprod[s])
        x_t = math.sqrt(abar_s) * x_0 + math.sqrt(1 - abar_s) * noise() if s >= 0 else x_0
        yield x_t


SAMPLERS = {
    "ddpm": sample_ddpm, "ddim": sample_ddim, "dpmpp_2m": sample_dpmpp_2m, "consistency": sample_consistency,
}  # fmt: skip


def last(trajectory):
    """The last x_t of a trajectory, without keeping the others in memory."""
    return deque(trajectory, maxlen=1).pop()

"""The noise scheduler: the forward process, the training loss, and three samplers.

In the symbols of Ho et al. 2020, Denoising Diffusion Probabilistic Models, alpha_bar_t = prod_{i<=t} (1 - beta_i) and
    q(x_t | x_0) = N(sqrt(alpha_bar_t) x_0, (1 - alpha_bar_t) I).
In those of the later papers, alpha_t = sqrt(alpha_bar_t), sigma_t = sqrt(1 - alpha_bar_t).
"""
import math
from itertools import pairwise

import numpy as np

from common.networks import Diffusion
from common.schedule import alphas_cumprod
from device import jt


class DDPM:
    """The forward process. Time steps t are integers in 0..timesteps - 1; -1 is the clean image."""

    def __init__(self, config: Diffusion):
        self.config = config
        self.alphas_cumprod = alphas_cumprod(config)  # (timesteps + 1,) float64, 1 at index -1

    def alpha_sigma(self, t, like):
        """alpha_t and sigma_t of integers t (B,) as two tensors (B, 1, 1, 1)."""
        alpha = np.sqrt(self.alphas_cumprod[t]).reshape(-1, 1, 1, 1)
        sigma = np.sqrt(1 - self.alphas_cumprod[t]).reshape(-1, 1, 1, 1)
        return (jt.array(a.astype(np.float32)) for a in (alpha, sigma))

    def q_sample(self, x_0, t, eps):
        """x_t = alpha_t x_0 + sigma_t eps (DDPM, equation 4). x_0, eps (B, C, H, W); t (B,) integers of numpy."""
        alpha, sigma = self.alpha_sigma(t, x_0)
        return alpha * x_0 + sigma * eps

    def loss(self, network, x_0, t, eps):
        """Mean squared error of the network's output (DDPM, equation 14): a scalar.

        The target is eps or, for v prediction, v = alpha_t eps - sigma_t x_0 (Salimans and Ho 2022, appendix D).
        """
        alpha, sigma = self.alpha_sigma(t, x_0)
        target = eps if self.config.prediction == "epsilon" else alpha * eps - sigma * x_0
        output = network(self.q_sample(x_0, t, eps), jt.array(t))
        return ((output - target) ** 2).mean(dims=[1, 2, 3]).mean()

    def distillation_loss(self, student, teacher, x_0, times, eps):
        """Mean squared error of the student's v: a scalar (Salimans and Ho 2022, algorithm 2, with SNR + 1 weighting).

        The student learns to reach by one step of DDIM, from times[0] to times[-1], what the teacher reaches through
        all of times (K + 1, B), integers of numpy, falling. Both predict v.
        """
        x_t = x = self.q_sample(x_0, times[0], eps)
        with jt.no_grad():
            for t, s in pairwise(times):
                (alpha_t, sigma_t), (alpha_s, sigma_s) = self.alpha_sigma(t, x), self.alpha_sigma(s, x)
                v = teacher(x, jt.array(t))
                x = alpha_s * (alpha_t * x - sigma_t * v) + sigma_s * (sigma_t * x + alpha_t * v)  # x_0 and eps
            alpha_t, sigma_t = self.alpha_sigma(times[0], x)  # the v whose one step ends at x:
            target = ((alpha_s * alpha_t + sigma_s * sigma_t) * x_t - x) / (alpha_s * sigma_t - sigma_s * alpha_t)
        output = student(x_t, jt.array(times[0]))
        return ((output - target) ** 2).mean(dims=[1, 2, 3]).mean()

    def predict_x_0(self, output, x_t, t):
        """The clean image that the network's output at time step t (one integer) speaks for."""
        alpha, sigma = math.sqrt(self.alphas_cumprod[t]), math.sqrt(1 - self.alphas_cumprod[t])
        x_0 = (x_t - sigma * output) / alpha if self.config.prediction == "epsilon" else alpha * x_t - sigma * output
        return x_0.clamp(-1, 1) if self.config.clip else x_0


# The samplers. Each is a generator of x_t, from the first step's result to the clean image.
#   denoise(x_t, t) estimates x_0;  x_t (B, C, H, W) starts as standard normal noise;
#   timesteps fall, and end with -1;  noise() draws standard normal noise of x_t's shape.


def sample_ddpm(denoise, x_t, alphas_cumprod, timesteps, noise):
    """Ancestral sampling (DDPM, algorithm 2) from the posterior q(x_s | x_t, x_0) (equations 6 and 7), s < t."""
    for t, s in pairwise(timesteps):
        abar_t, abar_s = float(alphas_cumprod[t]), float(alphas_cumprod[s])
        alpha, beta = abar_t / abar_s, 1 - abar_t / abar_s  # of the step from s to t
        mean = (
            math.sqrt(abar_s) * beta / (1 - abar_t) * denoise(x_t, t)
            + math.sqrt(alpha) * (1 - abar_s) / (1 - abar_t) * x_t
        )
        variance = (1 - abar_s) / (1 - abar_t) * beta  # 0 at the last step
        x_t = mean + math.sqrt(variance) * noise() if s >= 0 else mean
        yield x_t


def sample_ddim(denoise, x_t, alphas_cumprod, timesteps, noise, eta=0.0):
    """DDIM (Song et al. 2021, Denoising Diffusion Implicit Models, equations 12 and 16)."""
    for t, s in pairwise(timesteps):
        abar_t, abar_s = float(alphas_cumprod[t]), float(alphas_cumprod[s])
        x_0 = denoise(x_t, t)
        eps = (x_t - math.sqrt(abar_t) * x_0) / math.sqrt(1 - abar_t)
        std = eta * math.sqrt((1 - abar_s) / (1 - abar_t) * (1 - abar_t / abar_s))
        x_t = math.sqrt(abar_s) * x_0 + math.sqrt(1 - abar_s - std**2) * eps
        if std > 0:
            x_t = x_t + std * noise()
        yield x_t


def sample_dpmpp_2m(denoise, x_t, alphas_cumprod, timesteps, noise):
    """DPM-Solver++(2M) (Lu et al. 2022, DPM-Solver++, algorithm 2), of first order at its first and last step."""
    lambdas = 0.5 * np.log(alphas_cumprod[:-1] / (1 - alphas_cumprod[:-1]))  # log(alpha_t / sigma_t)
    previous, previous_h = None, None
    for t, s in pairwise(timesteps):
        x_0 = denoise(x_t, t)
        if s < 0:  # sigma_s = 0: the step's limit
            yield x_0
            return
        h = float(lambdas[s] - lambdas[t])
        d = x_0 if previous is None else x_0 + h / (2 * previous_h) * (x_0 - previous)
        sigma_ratio = math.sqrt((1 - alphas_cumprod[s]) / (1 - alphas_cumprod[t]))
        x_t = sigma_ratio * x_t - math.sqrt(alphas_cumprod[s]) * math.expm1(-h) * d
        previous, previous_h = x_0, h
        yield x_t


SAMPLERS = {"ddpm": sample_ddpm, "ddim": sample_ddim, "dpmpp_2m": sample_dpmpp_2m}

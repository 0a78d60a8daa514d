"""Gaussian diffusion: the forward process, the training loss, and the denoiser with guidance.

In the symbols of Ho et al. 2020, Denoising Diffusion Probabilistic Models, alpha_bar_t = prod_{i<=t} (1 - beta_i) and
    q(x_t | x_0) = N(sqrt(alpha_bar_t) x_0, (1 - alpha_bar_t) I).
Here, as in later papers, alpha_t = sqrt(alpha_bar_t) and sigma_t = sqrt(1 - alpha_bar_t)."""
import math

import numpy as np
import torch

from common.diffusion.schedule import alphas_cumprod
from common.options.networks import DiffusionConfig


class GaussianDiffusion:
    """The forward process q, the loss, and conversions between x_0, eps and v. Time steps t are numpy integers in
    0..timesteps - 1, or -1, the clean image. clip: whether estimates of x_0 are clipped to [-1, 1]."""

    def __init__(self, config: DiffusionConfig, clip):
        self.config, self.clip = config, clip
        self.alphas_cumprod = alphas_cumprod(config)  # (timesteps + 1,) float64, 1 at index -1

    def alpha_sigma(self, t, like):
        """alpha_t and sigma_t as tensors (1 or B, 1, 1, 1); t is one integer or (B,)."""
        alpha_bar = self.alphas_cumprod[t].reshape(-1, 1, 1, 1)
        tensor = lambda array: torch.tensor(array, dtype=like.dtype, device=like.device)
        return tensor(np.sqrt(alpha_bar)), tensor(np.sqrt(1 - alpha_bar))

    def q_sample(self, x_0, t, eps):
        """x_t = alpha_t x_0 + sigma_t eps (DDPM, equation 4). x_0, eps (B, C, H, W); t one integer or (B,)."""
        alpha, sigma = self.alpha_sigma(t, x_0)
        return alpha * x_0 + sigma * eps

    def predict_x_0(self, output, x_t, t):
        """The estimate of x_0 from the network's output, eps or v, at x_t and t (Salimans and Ho 2022, appendix D)."""
        alpha, sigma = self.alpha_sigma(t, x_t)
        x_0 = (x_t - sigma * output) / alpha if self.config.prediction == "epsilon" else alpha * x_t - sigma * output
        return x_0.clamp(-1, 1) if self.clip else x_0

    def loss(self, unet, x_0, t, eps, y):
        """Mean squared error of the network's output (DDPM, equation 14): a scalar. t (B,), y (B, 1 + measures).

        The target is eps, or for v-prediction v = alpha_t eps - sigma_t x_0 (Salimans and Ho 2022, appendix D)."""
        alpha, sigma = self.alpha_sigma(t, x_0)
        target = eps if self.config.prediction == "epsilon" else alpha * eps - sigma * x_0
        output = unet(self.q_sample(x_0, t, eps), torch.tensor(t, device=x_0.device), y)
        return ((output - target) ** 2).mean(dim=(1, 2, 3)).mean()

    def denoiser(self, unet, y, guidance=1.0):
        """A function denoise(x_t, t) -> estimate of x_0 under conditions y (B, 1 + measures); t is one integer or (B,).

        guidance: scale of classifier-free guidance (Ho and Salimans 2022, equation 6, guidance = 1 + w). The output is
        f(x_t, t, null) + guidance (f(x_t, t, y) - f(x_t, t, null)); 1 is no guidance, 0 is unconditional."""
        null = torch.full_like(y, math.nan)

        def denoise(x_t, t):
            t_batch = torch.tensor(np.broadcast_to(t, len(x_t)), device=x_t.device)
            if guidance in (0, 1):
                output = unet(x_t, t_batch, y if guidance else null)
            else:
                both = unet(torch.cat([x_t, x_t]), torch.cat([t_batch, t_batch]), torch.cat([y, null]))
                conditional, unconditional = both.chunk(2)
                output = unconditional + guidance * (conditional - unconditional)
            return self.predict_x_0(output, x_t, t)

        return denoise

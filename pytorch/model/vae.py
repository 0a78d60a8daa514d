"""The KL-regularised autoencoder (Kingma and Welling 2014, Auto-Encoding Variational Bayes; Rombach et al. 2022,
section 3.1): images to latents of fewer pixels, and back."""
import math
from itertools import pairwise

import torch
from torch import nn
from torch.nn import GroupNorm

from common.diffusion.patches import pixel_shuffle, pixel_unshuffle
from common.options.networks import VAEConfig
from model.blocks import GROUPS, ResidualBlock, Upsample


class Encoder(nn.Module):
    """x (B, channels, H, W) -> mean and log-variance of the posterior, stacked (B, 2 * latent_channels, h, w)."""

    def __init__(self, config: VAEConfig, channels):
        super().__init__()
        widths = [config.base_channels * mult for mult in config.channel_mults]
        layers = [nn.Conv2d(channels * config.patch_size**2, widths[0], 3, padding=1)]
        for width, wider in pairwise(widths):
            layers += [ResidualBlock(width, width), nn.Conv2d(width, wider, 3, stride=2, padding=1)]
        layers += [ResidualBlock(widths[-1], widths[-1]), GroupNorm(GROUPS, widths[-1]), nn.SiLU()]
        layers += [nn.Conv2d(widths[-1], 2 * config.latent_channels, 3, padding=1)]
        self.patch_size = config.patch_size
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return self.layers(pixel_unshuffle(x, self.patch_size))


class Decoder(nn.Module):
    """z (B, latent_channels, h, w) -> image (B, channels, H, W)."""

    def __init__(self, config: VAEConfig, channels):
        super().__init__()
        widths = [config.base_channels * mult for mult in reversed(config.channel_mults)]
        layers = [nn.Conv2d(config.latent_channels, widths[0], 3, padding=1), ResidualBlock(widths[0], widths[0])]
        for width, narrower in pairwise(widths):
            layers += [Upsample(width, narrower), ResidualBlock(narrower, narrower)]
        layers += [GroupNorm(GROUPS, widths[-1]), nn.SiLU()]
        layers += [nn.Conv2d(widths[-1], channels * config.patch_size**2, 3, padding=1)]
        self.patch_size = config.patch_size
        self.layers = nn.Sequential(*layers)

    def forward(self, z):
        return pixel_shuffle(self.layers(z), self.patch_size)


class DiagonalGaussian:
    """The posterior q(z | x) = N(mean, diag(exp(logvar))). parameters (B, 2 C, H, W): C means, then C log-variances."""

    def __init__(self, parameters):
        self.mean, logvar = parameters.float().chunk(2, dim=1)
        self.logvar = logvar.clamp(-30, 20)

    def sample(self, eps):
        """mean + std * eps, for standard normal eps (B, C, H, W) (Kingma and Welling 2014, section 2.4)."""
        return self.mean + torch.exp(0.5 * self.logvar) * eps

    def kl(self):
        """KL(q(z | x) || N(0, I)) of each image in nats, (B,) (Kingma and Welling 2014, appendix B)."""
        return 0.5 * (self.mean**2 + torch.exp(self.logvar) - 1 - self.logvar).sum(dim=(1, 2, 3))


class VAE(nn.Module):
    """Images (B, *shape) in [-1, 1] to latents (B, *latent_shape) and back. shape: (channels, height, width)."""

    def __init__(self, config: VAEConfig, shape):
        super().__init__()
        self.config, self.latent_shape = config, config.latent_shape(shape)
        self.encoder = Encoder(config, shape[0])
        self.decoder = Decoder(config, shape[0])

    def encode(self, x):
        return DiagonalGaussian(self.encoder(x))

    def decode(self, z):
        return self.decoder(z)

    def forward(self, x, eps):
        """x decoded from one draw of its posterior, and the posterior; eps (B, *latent_shape)."""
        posterior = self.encode(x)
        return self.decode(posterior.sample(eps)), posterior


def vae_loss(vae, x, eps, kl_weight):
    """Mean squared error per pixel + kl_weight * KL(q(z | x) || N(0, I)) in nats per latent element, and the two parts.

    x (B, channels, H, W), eps (B, *latent_shape)."""
    reconstruction, posterior = vae(x, eps)
    squared_error = ((reconstruction.float() - x) ** 2).mean(dim=(1, 2, 3))  # (B,)
    kl = posterior.kl() / math.prod(posterior.mean.shape[1:])
    return (squared_error + kl_weight * kl).mean(), {"reconstruction": squared_error.mean(), "kl": kl.mean()}

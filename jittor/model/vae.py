"""The KL-regularised autoencoder (Kingma and Welling 2014, Auto-Encoding Variational Bayes; Rombach et al. 2022,
section 3.1): from images to smaller latents and back."""
import math
from itertools import pairwise

from common.diffusion.patches import detail, halved, pixel_shuffle, pixel_unshuffle
from common.options.networks import VAEConfig
from environment import jt, nn
from model.blocks import GROUPS, ResidualBlock, Upsample
from ops import Conv2d, GroupNorm


class Encoder(nn.Module):
    """x (B, channels, H, W) -> mean and log-variance of the posterior, stacked (B, 2 * latent_channels, h, w)."""

    def __init__(self, config: VAEConfig, channels):
        super().__init__()
        widths = [config.base_channels * mult for mult in config.channel_mults]
        layers = [Conv2d(channels * config.patch_size**2, widths[0], 3, padding=1)]
        for width, wider in pairwise(widths):
            layers += [ResidualBlock(width, width), Conv2d(width, wider, 3, stride=2, padding=1)]
        layers += [ResidualBlock(widths[-1], widths[-1]), GroupNorm(GROUPS, widths[-1]), nn.SiLU()]
        layers += [Conv2d(widths[-1], 2 * config.latent_channels, 3, padding=1)]
        self.patch_size = config.patch_size
        self.layers = nn.Sequential(*layers)

    def execute(self, x):
        return self.layers(pixel_unshuffle(x, self.patch_size))


class Decoder(nn.Module):
    """z (B, latent_channels, h, w) -> image (B, channels, H, W)."""

    def __init__(self, config: VAEConfig, channels):
        super().__init__()
        widths = [config.base_channels * mult for mult in reversed(config.channel_mults)]
        layers = [Conv2d(config.latent_channels, widths[0], 3, padding=1), ResidualBlock(widths[0], widths[0])]
        for width, narrower in pairwise(widths):
            layers += [Upsample(width, narrower), ResidualBlock(narrower, narrower)]
        layers += [GroupNorm(GROUPS, widths[-1]), nn.SiLU()]
        layers += [Conv2d(widths[-1], channels * config.patch_size**2, 3, padding=1)]
        self.patch_size = config.patch_size
        self.layers = nn.Sequential(*layers)

    def execute(self, z):
        return pixel_shuffle(self.layers(z), self.patch_size)


class DiagonalGaussian:
    """The posterior q(z | x) = N(mean, diag(exp(logvar))). parameters (B, 2 C, H, W): C means, then C log-variances."""

    def __init__(self, parameters):
        self.mean, logvar = parameters.chunk(2, dim=1)
        self.logvar = logvar.clamp(-30, 20)

    def sample(self, eps):
        """mean + std * eps, for standard normal eps (B, C, H, W) (Kingma and Welling 2014, section 2.4)."""
        return self.mean + jt.exp(0.5 * self.logvar) * eps

    def kl(self):
        """KL(q(z | x) || N(0, I)) of each image in nats, (B,) (Kingma and Welling 2014, appendix B)."""
        return 0.5 * (self.mean**2 + jt.exp(self.logvar) - 1 - self.logvar).sum(dims=[1, 2, 3])


class VAE(nn.Module):
    """Images (B, *shape) in [-1, 1] to latents (B, *latent_shape) and back. shape: (channels, height, width)."""

    def __init__(self, config: VAEConfig, shape):
        super().__init__()
        self.config = config = config.fitted(shape)
        self.latent_shape = config.latent_shape(shape)
        self.encoder = Encoder(config, shape[0])
        self.decoder = Decoder(config, shape[0])

    def encode(self, x):
        return DiagonalGaussian(self.encoder(x))

    def decode(self, z):
        return self.decoder(z)

    def execute(self, x, eps):
        """Encode images x, sample latents with noise eps (B, *latent_shape), and decode them.

        Returns the decoded images, the posterior, and for the first half of the batch images at half the scale, decoded
        from its latents averaged over 2x2 (None if they have one row or column)."""
        posterior = self.encode(x)
        z = posterior.sample(eps)
        small = self.decode(halved(z[: math.ceil(len(z) / 2)])) if min(z.shape[2:]) > 1 else None
        return self.decode(z), posterior, small


def squared_errors(decoded, x):
    """Mean squared errors (B,) of decoded images against x (B, C, H, W): of pixels, and of differences of neighbouring
    pixels (Mathieu et al. 2016, Deep Multi-Scale Video Prediction, section 3.3, but with their signs). Where x is black
    (white), decoding it blacker (whiter) is no error: pictures are clipped."""
    error = decoded - x
    beyond = ((x <= -1) & (error < 0)) | ((x >= 1) & (error > 0))
    error = jt.where(beyond, jt.zeros_like(error), error)
    down, right = error[:, :, 1:] - error[:, :, :-1], error[:, :, :, 1:] - error[:, :, :, :-1]
    mean_square = lambda part: (part**2).mean(dims=[1, 2, 3])
    return mean_square(error), mean_square(down) + mean_square(right)


def vae_losses(vae, x, eps):
    """The terms of the VAE's loss, {name: scalar}: the squared_errors() of a reconstruction, the squared error of its
    detail(), KL(q(z | x) || N(0, I)) in nats per latent element, and the squared error at half the scale, against x
    averaged over 2x2 pixels (scale equivariance: Kouzelis et al. 2025, EQ-VAE, section 3). x (B, channels, H, W), eps
    (B, *latent_shape)."""
    decoded, posterior, small = vae(x, eps)
    pixels, edges = squared_errors(decoded, x)
    kl = posterior.kl() / math.prod(posterior.mean.shape[1:])
    losses = {"reconstruction": pixels.mean(), "edges": edges.mean(), "kl": kl.mean()}
    if min(x.shape[2:]) >= 6:
        losses["detail"] = ((detail(decoded.clamp(-1, 1)) - detail(x)) ** 2).mean(dims=[1, 2, 3]).mean()
    if small is not None:
        half = halved(x[: len(small)])[:, :, : small.shape[2], : small.shape[3]]  # cropped if the latents' side is odd
        losses["half_scale"] = squared_errors(small, half)[0].mean()
    return losses

"""The discriminator, heads on features of the teacher's network (Sauer et al. 2024, Latent Adversarial Diffusion
Distillation), and the adversarial losses (Huang et al. 2024, A Modern GAN Baseline, R3GAN, section 2; the gradient
penalty: Lin et al. 2025, Diffusion Adversarial Post-Training, APT, section 3)."""
import torch
from torch import nn
from torch.nn import Conv2d, GroupNorm
from torch.nn.functional import silu, softplus

from common.options.networks import UNetConfig
from model.blocks import GROUPS

WIDTH = 64  # channels of a head
PENALTY_STD = 0.1  # of the noise added to x_0 for the finite-difference gradient penalty (APT, section 3.4)
PENALTY_WEIGHT = 10  # of the squared change in the logits


class Head(nn.Module):
    """A logit, how real an image looks, from one feature map: (B, channels, H, W) -> (B,)."""

    def __init__(self, channels):
        super().__init__()
        self.norm = GroupNorm(GROUPS, channels)
        self.conv1 = Conv2d(channels, WIDTH, 3, padding=1)
        self.conv2 = Conv2d(WIDTH, WIDTH, 3, padding=1)
        self.out = Conv2d(WIDTH, 1, 1)

    def forward(self, x):
        return self.out(silu(self.conv2(silu(self.conv1(self.norm(x)))))).float().mean(dim=(1, 2, 3))


class Discriminator(nn.Module):
    """The sum of the logits of one head per block of a UNet: features, a list of (B, C, H, W), -> (B,)."""

    def __init__(self, config: UNetConfig):
        super().__init__()
        widths = [config.base_channels * mult for mult in config.channel_mults for _ in range(config.blocks)]
        self.heads = nn.ModuleList([Head(width) for width in (*widths, widths[-1], widths[-1], *reversed(widths))])

    def forward(self, features):
        return sum(head(x) for head, x in zip(self.heads, features))


def adversarial_losses(discriminator, features, real, fake, noise):
    """(generator's loss, with a gradient to fake; discriminator's loss, with a gradient to its weights), scalars.

    features(x_0): input of the discriminator; noise (n, C, H, W): for the gradient penalty on the first n images. The
    losses are relativistic (R3GAN, equation 2); finite differences replace the penalties R1 and R2 (APT, equation 5).
    """
    n = len(noise)
    with torch.no_grad():
        real_features, noisy_real = features(real), features(real[:n] + PENALTY_STD * noise)
        noisy_fake = features(fake[:n] + PENALTY_STD * noise)
    fake_features = features(fake)
    real_logits, fake_logits = discriminator(real_features), discriminator([x.detach() for x in fake_features])
    r1 = ((real_logits[:n] - discriminator(noisy_real)) ** 2).mean()
    r2 = ((fake_logits[:n] - discriminator(noisy_fake)) ** 2).mean()
    generator = softplus(real_logits.detach() - discriminator(fake_features)).mean()
    return generator, softplus(fake_logits - real_logits).mean() + PENALTY_WEIGHT * (r1 + r2)

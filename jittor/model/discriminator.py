"""The discriminator, heads on the features of the teacher's network, and both networks' losses (Sauer et
al. 2024, Latent Adversarial Diffusion Distillation; Huang et al. 2024, A Modern GAN Baseline, R3GAN, section 2; for the
penalty Lin et al. 2025, Diffusion Adversarial Post-Training, APT, section 3)."""
from common.options.networks import UNetConfig
from environment import jt, nn, silu, softplus
from model.blocks import GROUPS
from ops import GroupNorm

WIDTH = 64
NEARBY = 0.1  # standard deviation of what is added to x_0 where the gradient is estimated (APT, section 3.4)
PENALTY = 10  # weight of the squared change in the logits


class Head(nn.Module):
    """How real a feature looks: (B, channels, H, W) -> (B,)."""

    def __init__(self, channels):
        super().__init__()
        self.norm = GroupNorm(GROUPS, channels)
        self.conv1 = nn.Conv2d(channels, WIDTH, 3, padding=1)
        self.conv2 = nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
        self.out = nn.Conv2d(WIDTH, 1, 1)

    def execute(self, x):
        return self.out(silu(self.conv2(silu(self.conv1(self.norm(x)))))).mean(dims=[1, 2, 3])


class Discriminator(nn.Module):
    """The sum of a head for each block of a UNet of this config: features, a list of (B, C, H, W), -> (B,)."""

    def __init__(self, config: UNetConfig):
        super().__init__()
        widths = [config.base_channels * mult for mult in config.channel_mults for _ in range(config.blocks)]
        self.heads = nn.ModuleList([Head(width) for width in (*widths, widths[-1], widths[-1], *reversed(widths))])

    def execute(self, features):
        return sum(head(x) for head, x in zip(self.heads, features))


def adversarial_losses(discriminator, features, real, fake, noise):
    """The generator's loss, with a gradient to fake, and the discriminator's, with one to its weights: scalars.

    features(images): the discriminator's input; noise (n, C, H, W): for the penalty on the first n images. The losses
    are relativistic (R3GAN, equation 2); a finite difference stands for the squared gradients R1 and R2 (APT, eq. 5).
    """
    with jt.no_grad():
        near = [x_0[: len(noise)] + NEARBY * noise for x_0 in (real, fake)]
        seen = [features(x_0) for x_0 in (real, *near)]
    seen_fake = features(fake)
    real_logits, *near_logits = (discriminator(x) for x in seen)
    fake_logits = discriminator([x.detach() for x in seen_fake])
    smoothness = sum(((a[: len(b)] - b) ** 2).mean() for a, b in zip((real_logits, fake_logits), near_logits))
    generator = softplus(real_logits.detach() - discriminator(seen_fake)).mean()
    return generator, softplus(fake_logits - real_logits).mean() + PENALTY * smoothness

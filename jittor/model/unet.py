"""The UNet: what it predicts from (x_t, t), or from (x_t, t, y) with a class y, is the scheduler's choice (ddpm.py).

Ho et al. 2020, Denoising Diffusion Probabilistic Models, appendix B;
Rombach et al. 2022, High-Resolution Image Synthesis with Latent Diffusion Models, section 3.3.
"""
import math

import numpy as np

from common.options.networks import UNetConfig
from environment import jt, nn, silu
from model.blocks import GROUPS, Attention, ResidualBlock, Upsample, pixel_shuffle, pixel_unshuffle
from ops import GroupNorm


def timestep_embedding(t, dim):
    """Sinusoids of the time step (Vaswani et al. 2017, section 3.5). t (B,) integers -> (B, dim)."""
    frequencies = np.exp(-math.log(10_000) * np.arange(dim // 2) / (dim // 2)).astype(np.float32)
    angles = t.float32()[:, None] * jt.array(frequencies)[None, :]
    return jt.concat([jt.cos(angles), jt.sin(angles)], dim=1)


class UNetBlock(nn.Module):
    """A residual block, then self-attention and cross-attention where the level has them.

    x (B, in_channels, H, W), time (B, time_dim), context (B, L, context_dim) or None -> (B, out_channels, H, W).
    """

    def __init__(self, in_channels, out_channels, time_dim, attention, config):
        super().__init__()
        self.residual = ResidualBlock(in_channels, out_channels, time_dim)
        self.self_attention = Attention(out_channels, config.head_dim) if attention else None
        cross = attention and config.context_dim > 0
        self.cross_attention = Attention(out_channels, config.head_dim, config.context_dim) if cross else None

    def execute(self, x, time, context):
        x = self.residual(x, time)
        if self.self_attention is not None:
            x = self.self_attention(x)
        if self.cross_attention is not None:
            x = self.cross_attention(x, context)
        return x


class UNet(nn.Module):
    """x_t (B, in_channels, H, W), t (B,) integers, context (B, L, context_dim) -> (B, in_channels, H, W).

    H and W are multiples of patch_size * 2 ** (levels - 1). Without config.context_dim there is no context.
    """

    def __init__(self, config: UNetConfig):
        super().__init__()
        self.config = config
        widths = [config.base_channels * mult for mult in config.channel_mults]
        time_dim = 4 * config.base_channels
        in_channels = config.in_channels * config.patch_size**2
        attention = [level in config.attention_levels for level in range(len(widths))]

        self.time = nn.Sequential(nn.Linear(config.base_channels, time_dim), nn.SiLU(), nn.Linear(time_dim, time_dim))
        self.stem = nn.Conv2d(in_channels, widths[0], 3, padding=1)

        self.down, self.downsample = nn.ModuleList(), nn.ModuleList()
        channels, skips = widths[0], []
        for level, width in enumerate(widths):
            self.down.append(nn.ModuleList())
            for _ in range(config.blocks):
                self.down[-1].append(UNetBlock(channels, width, time_dim, attention[level], config))
                channels = width
                skips.append(channels)
            last = level == len(widths) - 1
            self.downsample.append(nn.Identity() if last else nn.Conv2d(width, width, 3, stride=2, padding=1))

        self.middle = nn.ModuleList([UNetBlock(channels, channels, time_dim, i == 0, config) for i in range(2)])

        self.up, self.upsample = nn.ModuleList(), nn.ModuleList()
        for level, width in reversed(list(enumerate(widths))):
            self.upsample.append(Upsample(channels, width) if level < len(widths) - 1 else nn.Identity())
            channels = width
            self.up.append(nn.ModuleList())
            for _ in range(config.blocks):
                self.up[-1].append(UNetBlock(channels + skips.pop(), width, time_dim, attention[level], config))

        self.norm = GroupNorm(GROUPS, widths[0])
        self.head = nn.Conv2d(widths[0], in_channels, 3, padding=1)
        nn.init.zero_(self.head.weight)

    def execute(self, x, t, context=None):
        time = silu(self.time(timestep_embedding(t, self.config.base_channels)))  # (B, time_dim)
        x = self.stem(pixel_unshuffle(x, self.config.patch_size))  # (B, base_channels, H / patch, W / patch)
        skips = []
        for blocks, downsample in zip(self.down, self.downsample):
            for block in blocks:
                x = block(x, time, context)
                skips.append(x)
            x = downsample(x)
        for block in self.middle:
            x = block(x, time, context)
        for blocks, upsample in zip(self.up, self.upsample):
            x = upsample(x)
            for block in blocks:
                x = block(jt.concat([x, skips.pop()], dim=1), time, context)
        return pixel_shuffle(self.head(silu(self.norm(x))), self.config.patch_size)


class ConditionalUNet(nn.Module):
    """The UNet of (x_t, t, tau_theta(y)) (Rombach et al. 2022, equation 3): y is a class, tau_theta a table of tokens.

    x_t (B, in_channels, H, W), t (B,) integers, labels (B,) integers in 0..num_classes, of which num_classes is the
    null label, no class -> (B, in_channels, H, W).
    """

    def __init__(self, config: UNetConfig):
        super().__init__()
        self.config = config
        self.context = nn.Embedding(config.num_classes + 1, config.context_tokens * config.context_dim)
        self.unet = UNet(config)

    def execute(self, x, t, labels):
        context = self.context(labels).reshape(len(labels), self.config.context_tokens, self.config.context_dim)
        return self.unet(x, t, context)

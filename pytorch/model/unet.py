"""The UNet that predicts noise: eps_theta(x_t, t) of DDPM, and eps_theta(z_t, t, y) of latent diffusion.

Ho et al. 2020, Denoising Diffusion Probabilistic Models, appendix B (residual blocks, self-attention);
Rombach et al. 2022, High-Resolution Image Synthesis with Latent Diffusion Models, section 3.3 (cross-attention).
"""
import math

import numpy as np
import torch
from torch import nn
from torch.nn import GroupNorm
from torch.nn.functional import interpolate, silu, softmax

from common.networks import UNetConfig

GROUPS = 8  # of every GroupNorm; each width is a multiple of it


def timestep_embedding(t, dim):
    """Sinusoids of the time step (Vaswani et al. 2017, section 3.5). t (B,) integers -> (B, dim)."""
    frequencies = np.exp(-math.log(10_000) * np.arange(dim // 2) / (dim // 2)).astype(np.float32)
    angles = t.float()[:, None] * torch.tensor(frequencies, device=t.device)[None, :]
    return torch.cat([torch.cos(angles), torch.sin(angles)], dim=1)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around the time embedding. x (B, in, H, W), time (B, time_dim) -> (B, out, H, W)."""

    def __init__(self, in_channels, out_channels, time_dim):
        super().__init__()
        self.norm1 = GroupNorm(GROUPS, in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.time = nn.Linear(time_dim, out_channels)
        self.norm2 = GroupNorm(GROUPS, out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.skip = nn.Identity() if in_channels == out_channels else nn.Conv2d(in_channels, out_channels, 1)
        nn.init.zeros_(self.conv2.weight)  # the block starts as the identity

    def forward(self, x, time):
        h = self.conv1(silu(self.norm1(x)))
        h = h + self.time(time)[:, :, None, None]
        h = self.conv2(silu(self.norm2(h)))
        return self.skip(x) + h


class Attention(nn.Module):
    """softmax(Q K^T / sqrt(d)) V over the pixels (self) or over the context's tokens (cross).

    x (B, C, H, W), context (B, L, context_dim) or None for self-attention -> (B, C, H, W).
    """

    def __init__(self, channels, head_dim, context_dim=None):
        super().__init__()
        self.heads = channels // head_dim
        self.norm = GroupNorm(GROUPS, channels)
        self.query = nn.Linear(channels, channels, bias=False)
        self.key = nn.Linear(context_dim or channels, channels, bias=False)
        self.value = nn.Linear(context_dim or channels, channels, bias=False)
        self.out = nn.Linear(channels, channels)
        nn.init.zeros_(self.out.weight)

    def split(self, x):
        """(B, L, C) -> (B, heads, L, C / heads)."""
        batch, length, channels = x.shape
        return x.reshape(batch, length, self.heads, channels // self.heads).permute(0, 2, 1, 3)

    def forward(self, x, context=None):
        batch, channels, height, width = x.shape
        tokens = self.norm(x).reshape(batch, channels, height * width).permute(0, 2, 1)  # (B, HW, C)
        context = tokens if context is None else context
        q, k, v = self.split(self.query(tokens)), self.split(self.key(context)), self.split(self.value(context))
        scores = q @ k.permute(0, 1, 3, 2) / math.sqrt(channels // self.heads)  # (B, heads, HW, L)
        h = (softmax(scores, dim=-1) @ v).permute(0, 2, 1, 3)  # (B, HW, heads, C / heads)
        h = self.out(h.reshape(batch, height * width, channels))
        return x + h.permute(0, 2, 1).reshape(batch, channels, height, width)


class UNetBlock(nn.Module):
    """A residual block, then self-attention and cross-attention where the level has them."""

    def __init__(self, in_channels, out_channels, time_dim, attention, config):
        super().__init__()
        self.residual = ResidualBlock(in_channels, out_channels, time_dim)
        self.self_attention = Attention(out_channels, config.head_dim) if attention else None
        cross = attention and config.context_dim > 0
        self.cross_attention = Attention(out_channels, config.head_dim, config.context_dim) if cross else None

    def forward(self, x, time, context):
        x = self.residual(x, time)
        if self.self_attention is not None:
            x = self.self_attention(x)
        if self.cross_attention is not None:
            x = self.cross_attention(x, context)
        return x


def fold(x, side):
    """Squares of side x side pixels to channels. (B, C, H, W) -> (B, C side^2, H / side, W / side)."""
    batch, channels, height, width = x.shape
    x = x.reshape(batch, channels, height // side, side, width // side, side).permute(0, 1, 3, 5, 2, 4)
    return x.reshape(batch, channels * side * side, height // side, width // side)


def unfold(x, side):
    """The inverse of fold. (B, C side^2, H, W) -> (B, C, side H, side W)."""
    batch, channels, height, width = x.shape
    x = x.reshape(batch, channels // side**2, side, side, height, width).permute(0, 1, 4, 2, 5, 3)
    return x.reshape(batch, channels // side**2, side * height, side * width)


class Upsample(nn.Module):
    """Nearest-neighbour doubling and a 3x3 convolution. (B, in, H, W) -> (B, out, 2H, 2W)."""

    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1)

    def forward(self, x):
        return self.conv(interpolate(x, scale_factor=2, mode="nearest"))


class UNet(nn.Module):
    """eps_theta(x_t, t) or, with config.context_dim, eps_theta(x_t, t, context).

    x_t (B, in_channels, H, W), t (B,) integers in 0..999, context (B, L, context_dim) -> (B, in_channels, H, W).
    H and W are multiples of patch_size * 2 ** (levels - 1).
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
        nn.init.zeros_(self.head.weight)

    def forward(self, x, t, context=None):
        time = silu(self.time(timestep_embedding(t, self.config.base_channels)))  # (B, time_dim)
        x = self.stem(fold(x, self.config.patch_size))
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
                x = block(torch.cat([x, skips.pop()], dim=1), time, context)
        return unfold(self.head(silu(self.norm(x))), self.config.patch_size)


class ConditionalUNet(nn.Module):
    """eps_theta(x_t, t, tau_theta(y)) of latent diffusion (equation 3): y is a class, tau_theta a table of tokens.

    x_t (B, in_channels, H, W), t (B,), labels (B,) integers in 0..num_classes; num_classes is the null label, no class.
    """

    def __init__(self, config: UNetConfig):
        super().__init__()
        self.config = config
        self.context = nn.Embedding(config.num_classes + 1, config.context_tokens * config.context_dim)
        self.unet = UNet(config)

    def forward(self, x, t, labels):
        context = self.context(labels).reshape(len(labels), self.config.context_tokens, self.config.context_dim)
        return self.unet(x, t, context)

"""The UNet predicts v or the noise from x_t, t and conditions y (Ho et al. 2020, appendix B; Rombach et al. 2022,
High-Resolution Image Synthesis with Latent Diffusion Models, section 3.3)."""
import math

import numpy as np
import torch
from torch import nn
from torch.nn import Conv2d, GroupNorm, Linear
from torch.nn.functional import silu

from common.diffusion.patches import pixel_shuffle, pixel_unshuffle
from common.options.networks import UNetConfig
from model.blocks import GROUPS, Attention, ResidualBlock, Upsample


def sinusoids(x, dim):
    """Sinusoidal embedding of time steps or values (Vaswani et al. 2017, section 3.5). x (...) -> (..., dim)."""
    frequencies = np.exp(-math.log(10_000) * np.arange(dim // 2) / (dim // 2)).astype(np.float32)
    angles = x.float().unsqueeze(-1) * torch.tensor(frequencies, device=x.device)
    return torch.cat([torch.cos(angles), torch.sin(angles)], dim=-1)


class UNetBlock(nn.Module):
    """A residual block, then self- and cross-attention if the level has attention: x (B, in_channels, H, W),
    time (B, time_dim), context (B, L, context_dim) -> (B, out_channels, H, W)."""

    def __init__(self, in_channels, out_channels, time_dim, attention, config):
        super().__init__()
        self.residual = ResidualBlock(in_channels, out_channels, time_dim)
        self.self_attention = Attention(out_channels, config.head_dim) if attention else None
        self.cross_attention = Attention(out_channels, config.head_dim, config.context_dim) if attention else None

    def forward(self, x, time, context):
        x = self.residual(x, time)
        if self.self_attention is not None:
            x = self.cross_attention(self.self_attention(x), context)
        return x


class UNet(nn.Module):
    """features(): x_t (B, channels, H, W), t (B,) integers, context (B, L, context_dim) -> a list of feature maps, last
    the output (B, channels, H, W). H and W are multiples of patch_size * 2 ** (levels - 1)."""

    def __init__(self, config: UNetConfig, channels):
        super().__init__()
        self.config = config
        widths = [config.base_channels * mult for mult in config.channel_mults]
        time_dim = 4 * config.base_channels
        in_channels = channels * config.patch_size**2
        attention = [level in config.attention_levels for level in range(len(widths))]

        self.time = nn.Sequential(Linear(config.base_channels, time_dim), nn.SiLU(), Linear(time_dim, time_dim))
        self.stem = Conv2d(in_channels, widths[0], 3, padding=1)

        self.down, self.downsample = nn.ModuleList(), nn.ModuleList()
        channels, skips = widths[0], []
        for level, width in enumerate(widths):
            self.down.append(nn.ModuleList())
            for _ in range(config.blocks):
                self.down[-1].append(UNetBlock(channels, width, time_dim, attention[level], config))
                channels = width
                skips.append(channels)
            last = level == len(widths) - 1
            self.downsample.append(nn.Identity() if last else Conv2d(width, width, 3, stride=2, padding=1))

        self.middle = nn.ModuleList([UNetBlock(channels, channels, time_dim, i == 0, config) for i in range(2)])

        self.up, self.upsample = nn.ModuleList(), nn.ModuleList()
        for level, width in reversed(list(enumerate(widths))):
            self.upsample.append(Upsample(channels, width) if level < len(widths) - 1 else nn.Identity())
            channels = width
            self.up.append(nn.ModuleList())
            for _ in range(config.blocks):
                self.up[-1].append(UNetBlock(channels + skips.pop(), width, time_dim, attention[level], config))

        self.norm = GroupNorm(GROUPS, widths[0])
        self.head = Conv2d(widths[0], in_channels, 3, padding=1)
        nn.init.zeros_(self.head.weight)

    def features(self, x, t, context):
        """The output of each block, from the finest level down and up again, then the network's: (B, C, H, W) each."""
        time = silu(self.time(sinusoids(t, self.config.base_channels)))  # (B, time_dim)
        x = self.stem(pixel_unshuffle(x, self.config.patch_size))  # (B, base_channels, H / patch, W / patch)
        features, skips = [], []
        for blocks, downsample in zip(self.down, self.downsample):
            for block in blocks:
                x = block(x, time, context)
                features.append(x)
                skips.append(x)
            x = downsample(x)
        for block in self.middle:
            x = block(x, time, context)
            features.append(x)
        for blocks, upsample in zip(self.up, self.upsample):
            x = upsample(x)
            for block in blocks:
                x = block(torch.cat([x, skips.pop()], dim=1), time, context)
                features.append(x)
        return [*features, pixel_shuffle(self.head(silu(self.norm(x))), self.config.patch_size)]


class Measures(nn.Module):
    """A token per measure: a learned name vector + an embedding of the value, or a learned null vector if the value is
    NaN. values (B, measures) -> (B, measures, context_dim)."""

    def __init__(self, count, context_dim):
        super().__init__()
        self.name, self.null = nn.Embedding(count, context_dim), nn.Embedding(count, context_dim)
        self.value = nn.Sequential(Linear(context_dim, context_dim), nn.SiLU(), Linear(context_dim, context_dim))

    def forward(self, values):
        missing = torch.isnan(values)
        values = torch.where(missing, torch.zeros_like(values), values)
        # values are O(1), time steps up to 1000: without the 10 all sinusoids but the fastest would hardly vary
        tokens = self.name.weight + self.value(sinusoids(10 * values, self.name.weight.shape[1]))
        return torch.where(missing.unsqueeze(-1), self.null.weight, tokens)


class ConditionalUNet(nn.Module):
    """The UNet with tau_theta, which turns conditions y into tokens (Rombach et al. 2022, equation 3).

    x_t (B, *shape), t (B,) integers, y (B, 1 + measures): class and measures, NaN if not given -> (B, *shape)."""

    def __init__(self, config: UNetConfig, shape, classes, measures):
        super().__init__()
        config = config.fitted(shape)
        config.check_data(shape, classes)
        self.config, self.classes = config, classes
        self.context = nn.Embedding(classes + 1, config.context_tokens * config.context_dim)  # last: the null label
        self.attributes = Measures(measures, config.context_dim) if measures else None
        self.unet = UNet(config, shape[0])

    def forward(self, x, t, y):
        return self.features(x, t, y)[-1].float()

    def features(self, x, t, y):
        return self.unet.features(x, t, self.tokens(y))

    def tokens(self, y):
        """tau_theta(y): the tokens for cross-attention, (B, L, context_dim)."""
        labels = torch.where(torch.isnan(y[:, 0]), torch.full_like(y[:, 0], self.classes), y[:, 0])
        tokens = self.context(labels.long()).reshape(-1, self.config.context_tokens, self.config.context_dim)
        return tokens if self.attributes is None else torch.cat([tokens, self.attributes(y[:, 1:])], dim=1)

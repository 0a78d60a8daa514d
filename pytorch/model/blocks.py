"""What the networks are made of (Ho et al. 2020, appendix B; cross-attention: Rombach et al. 2022, section 3.3)."""
import math

from torch import nn
from torch.nn import GroupNorm
from torch.nn.functional import interpolate, silu, softmax

GROUPS = 8  # of every GroupNorm; the number of channels is a multiple of it


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions, the time embedding between: x (B, in_channels, H, W), time (B, time_dim) or None -> x."""

    def __init__(self, in_channels, out_channels, time_dim=None):
        super().__init__()
        self.norm1 = GroupNorm(GROUPS, in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.time = nn.Linear(time_dim, out_channels) if time_dim else None
        self.norm2 = GroupNorm(GROUPS, out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.skip = nn.Identity() if in_channels == out_channels else nn.Conv2d(in_channels, out_channels, 1)
        nn.init.zeros_(self.conv2.weight)  # the block starts as its skip, but for a bias

    def forward(self, x, time=None):
        h = self.conv1(silu(self.norm1(x)))
        if self.time is not None:
            h = h + self.time(time)[:, :, None, None]
        h = self.conv2(silu(self.norm2(h)))
        return self.skip(x) + h


class Attention(nn.Module):
    """softmax(Q K^T / sqrt(d)) V over the pixels, or over the tokens of a context: x (B, C, H, W), context
    (B, L, context_dim) or None for self-attention -> (B, C, H, W)."""

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


class Upsample(nn.Module):
    """Nearest-neighbour doubling and a 3x3 convolution. (B, in, H, W) -> (B, out, 2H, 2W)."""

    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1)

    def forward(self, x):
        return self.conv(interpolate(x, scale_factor=2, mode="nearest"))

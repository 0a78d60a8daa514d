"""The networks' building blocks (Ho et al. 2020, appendix B; cross-attention: Rombach et al. 2022, section 3.3)."""
import math

from environment import jt, nn, softmax
from ops import LARGEST_HEAD, Attend, Conv2d, GroupNorm, Linear, doubled

GROUPS = 8  # in every GroupNorm; must divide its channels


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a skip: x (B, in, H, W), time embedding (B, time_dim) or None -> (B, out, H, W)."""

    def __init__(self, in_channels, out_channels, time_dim=None):
        super().__init__()
        self.norm1 = GroupNorm(GROUPS, in_channels)
        self.conv1 = Conv2d(in_channels, out_channels, 3, padding=1)
        self.time = Linear(time_dim, out_channels) if time_dim else None
        self.norm2 = GroupNorm(GROUPS, out_channels)
        self.conv2 = Conv2d(out_channels, out_channels, 3, padding=1)
        self.skip = nn.Identity() if in_channels == out_channels else Conv2d(in_channels, out_channels, 1)
        nn.init.zero_(self.conv2.weight)  # the block starts as its skip, up to a bias

    def execute(self, x, time=None):
        h = self.conv1(self.norm1.silu(x))
        if self.time is not None:
            h = h + self.time(time)[:, :, None, None]
        h = self.conv2(self.norm2.silu(h))
        return self.skip(x) + h


def attend(q, k, v, heads):
    """Multi-head softmax(Q K^T / sqrt(d)) V, d channels per head: q (B, N, C), k, v (B, L, C) -> (B, N, C)."""
    if not jt.flags.use_cuda and k.shape[1] * k.shape[2] <= heads * LARGEST_HEAD:
        return Attend.apply(q, k, v, heads)
    q, k, v = (x.reshape(*x.shape[:2], heads, -1).permute(0, 2, 1, 3) for x in (q, k, v))  # (B, heads, N or L, d)
    scores = q @ k.permute(0, 1, 3, 2) / math.sqrt(q.shape[-1])  # (B, heads, N, L)
    h = (softmax(scores, dim=-1) @ v).permute(0, 2, 1, 3)  # (B, N, heads, d)
    return h.reshape(*h.shape[:2], -1)


class Attention(nn.Module):
    """Self-attention over the pixels, or cross-attention from pixels to context tokens: x (B, C, H, W), context
    (B, L, context_dim) or None for self-attention -> (B, C, H, W)."""

    def __init__(self, channels, head_dim, context_dim=None):
        super().__init__()
        self.heads = channels // head_dim
        self.norm = GroupNorm(GROUPS, channels)
        self.query = Linear(channels, channels, bias=False)
        self.key = Linear(context_dim or channels, channels, bias=False)
        self.value = Linear(context_dim or channels, channels, bias=False)
        self.out = Linear(channels, channels)
        nn.init.zero_(self.out.weight)

    def execute(self, x, context=None):
        batch, channels, height, width = x.shape
        tokens = self.norm(x).reshape(batch, channels, height * width).permute(0, 2, 1)  # (B, HW, C)
        context = tokens if context is None else context
        h = self.out(attend(self.query(tokens), self.key(context), self.value(context), self.heads))  # (B, HW, C)
        return x + h.permute(0, 2, 1).reshape(batch, channels, height, width)


class Upsample(nn.Module):
    """Nearest-neighbour doubling and a 3x3 convolution. (B, in, H, W) -> (B, out, 2H, 2W)."""

    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.conv = Conv2d(in_channels, out_channels, 3, padding=1)

    def execute(self, x):
        return self.conv(doubled(x))

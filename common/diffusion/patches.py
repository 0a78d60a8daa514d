"""Squares of pixels as channels, and back: of tensors of either framework."""


def pixel_unshuffle(x, side):
    """Squares of side x side pixels to channels. (B, C, H, W) -> (B, C side^2, H / side, W / side)."""
    batch, channels, height, width = x.shape
    x = x.reshape(batch, channels, height // side, side, width // side, side).permute(0, 1, 3, 5, 2, 4)
    return x.reshape(batch, channels * side * side, height // side, width // side)


def pixel_shuffle(x, side):
    """The inverse of pixel_unshuffle. (B, C side^2, H, W) -> (B, C, side H, side W)."""
    batch, channels, height, width = x.shape
    x = x.reshape(batch, channels // side**2, side, side, height, width).permute(0, 1, 4, 2, 5, 3)
    return x.reshape(batch, channels // side**2, side * height, side * width)

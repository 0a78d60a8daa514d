"""Pixel unshuffle, its inverse, 2x2 means, and the strength of detail, for tensors of either framework."""


def pixel_unshuffle(x, side):
    """Move squares of side x side pixels to channels. (B, C, H, W) -> (B, C side^2, H / side, W / side)."""
    batch, channels, height, width = x.shape
    x = x.reshape(batch, channels, height // side, side, width // side, side).permute(0, 1, 3, 5, 2, 4)
    return x.reshape(batch, channels * side * side, height // side, width // side)


def pixel_shuffle(x, side):
    """The inverse of pixel_unshuffle. (B, C side^2, H, W) -> (B, C, side H, side W)."""
    batch, channels, height, width = x.shape
    x = x.reshape(batch, channels // side**2, side, side, height, width).permute(0, 1, 4, 2, 5, 3)
    return x.reshape(batch, channels // side**2, side * height, side * width)


def halved(x):
    """Means over 2x2 pixels, without the last row or column if odd. (B, C, H, W) -> (B, C, H // 2, W // 2)."""
    x = x[:, :, : x.shape[2] // 2 * 2, : x.shape[3] // 2 * 2]
    return (x[:, :, ::2, ::2] + x[:, :, ::2, 1::2] + x[:, :, 1::2, ::2] + x[:, :, 1::2, 1::2]) / 4


def detail(x):
    """The strength of fine detail in squares of 4x4 pixels: the root mean square of second differences, taken along
    columns and then along rows. Images (B, C, H, W) -> (B, C, (H - 2) // 4, (W - 2) // 4)."""
    down = 2 * x[:, :, 1:-1] - x[:, :, 2:] - x[:, :, :-2]
    both = 2 * down[:, :, :, 1:-1] - down[:, :, :, 2:] - down[:, :, :, :-2]
    return (halved(halved(both**2)) + 1e-3) ** 0.5  # not 0, where its derivative is infinite

"""Between the models' pixels, float32 in [-1, 1], and the files', uint8 in 0..255."""
import io

import numpy as np
from PIL import Image

from common.checkpoint import write_atomically
from common.cli import UserError


def from_uint8(images):
    """uint8 0..255 -> float32 in [-1, 1]."""
    return images.astype(np.float32) / 127.5 - 1


def to_uint8(images):
    """float in [-1, 1] (clipped) -> uint8 0..255. UserError where a pixel is not finite: no black squares."""
    if not np.isfinite(images).all():
        raise UserError("the model drew pixels that are not finite: try --precision fp32, or train it again")
    return np.round((np.clip(images, -1, 1) + 1) * 127.5).astype(np.uint8)


def grid(images, columns, gap=2):
    """Images (N, 1, H, W) in [-1, 1] -> one picture, uint8, row by row, with a dark gap between."""
    tiles = to_uint8(np.asarray(images))[:, 0]
    count, height, width = tiles.shape
    rows = -(-count // columns)
    picture = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap), 40, np.uint8)
    for i, tile in enumerate(tiles):
        top, left = gap + i // columns * (height + gap), gap + i % columns * (width + gap)
        picture[top : top + height, left : left + width] = tile
    return picture


def pairs(inputs, outputs, columns):
    """Inputs, uint8 (N, 1, H, W), each row of them above its outputs, float in [-1, 1], as one grid."""
    rows = range(0, len(inputs), columns)
    stacked = [part[i : i + columns] for i in rows for part in (from_uint8(inputs), outputs)]
    return grid(np.concatenate(stacked), columns)


def save_png(path, picture, scale=2):
    """Write a grey picture, uint8 (H, W), enlarged by whole pixels."""
    buffer = io.BytesIO()
    Image.fromarray(np.kron(picture, np.ones((scale, scale), np.uint8))).save(buffer, format="PNG")
    write_atomically(path, buffer.getvalue())

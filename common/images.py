"""Between the models' pixels, float32 in [-1, 1], and the files', uint8 in 0..255."""
import io
from pathlib import Path

import numpy as np
from PIL import Image

from common.diffusion.space import from_uint8
from common.errors import UserError
from common.files import damage_told, write_atomically


def to_uint8(images):
    """float in [-1, 1] (clipped) -> uint8 0..255. UserError where a pixel is not finite: no black squares."""
    if not np.isfinite(images).all():
        raise UserError("the model drew pixels that are not finite: try --precision fp32, or train it again")
    return np.round((np.clip(images, -1, 1) + 1) * 127.5).astype(np.uint8)


def grid(images, columns, gap=2):
    """Images (N, 1, H, W) in [-1, 1] -> one picture, uint8, row by row, with a dark gap between."""
    from skimage.util import montage  # slow to import

    rows = -(-len(images) // columns)
    return montage(to_uint8(np.asarray(images))[:, 0], fill=40, padding_width=gap, grid_shape=(rows, columns))


def pairs(inputs, outputs, columns):
    """Inputs, uint8 (N, 1, H, W), each row of them above its outputs, float in [-1, 1], as one grid."""
    missing = (0, -len(inputs) % columns), (0, 0), (0, 0), (0, 0)  # of the last row
    whole = (np.pad(part, missing, constant_values=-1) for part in (from_uint8(inputs), outputs))
    rows = np.stack([part.reshape(-1, columns, *part.shape[1:]) for part in whole], axis=1)
    return grid(rows.reshape(-1, *inputs.shape[1:]), columns)


def enlarged(picture, scale):
    """A picture, uint8 (H, W), each pixel of it as scale x scale ones, for Pillow."""
    image = Image.fromarray(picture)
    return image.resize((scale * image.width, scale * image.height), Image.Resampling.NEAREST)


def save_png(path, picture, scale=2, durable=True):
    """Write a picture, uint8 (H, W), enlarged by whole pixels."""
    buffer = io.BytesIO()
    enlarged(picture, scale).save(buffer, format="PNG")
    write_atomically(path, buffer.getvalue(), durable)


def save_gif(path, pictures, held=(0, -1), scale=2):
    """Write an animation of pictures, uint8 (H, W), enlarged; those numbered in `held` stay for a second."""
    frames = [enlarged(picture, scale) for picture in pictures]
    buffer, times = io.BytesIO(), np.full(len(frames), 100)  # milliseconds
    times[list(held)] = 1000
    frames[0].save(buffer, format="GIF", save_all=True, append_images=frames[1:], duration=times.tolist(), loop=0)
    write_atomically(path, buffer.getvalue())


def image_path(folder, index):
    """Where image number `index` of a fake/ or real/ folder is."""
    return folder / f"{index:05d}.png"


def write_images(folder, indices, images):
    """Write images, uint8 (N, 1, H, W), as PNGs named by their indices."""
    for index, image in zip(indices, images):
        save_png(image_path(folder, index), image[0], scale=1, durable=False)


def read_images(folder, shape):
    """The PNGs of a folder in the order of their names, (N, *shape) uint8; colours become grey.

    shape: (1, height, width). UserError where there are fewer than 2, or one is of another size or has more than 8 bits
    per colour."""
    folder, (_, height, width) = Path(folder), shape
    files = sorted(folder.glob("*.png"))
    if len(files) < 2:
        raise UserError(f"{folder} holds {len(files)} PNGs: at least 2 are needed, right inside the folder")
    images = np.empty((len(files), *shape), np.uint8)
    for image, file in zip(images, files):
        with damage_told(file, "delete it or draw it again"), Image.open(file) as opened:
            if opened.size != (width, height):
                raise UserError(f"{file} is {opened.width}x{opened.height}: images of {width}x{height} are compared")
            if opened.mode.startswith("I"):  # Pillow would cut its values off at 255
                raise UserError(f"{file} has 16 bits per pixel: save it with 8")
            image[0] = opened.convert("L")
    return images

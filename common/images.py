"""Conversion between the models' pixels, float32 in [-1, 1], and those of files, uint8 in 0..255."""
import io
import math

import numpy as np
from PIL import Image

from common.data.pictures import is_grey
from common.diffusion.space import from_uint8
from common.errors import UserError
from common.files import catch_damage, write_atomically

PICTURES = ".bmp", ".jpg", ".jpeg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"  # which pytorch-fid reads


def to_uint8(images):
    """float in [-1, 1] (clipped) -> uint8 0..255. UserError if a pixel is not finite; it would look black."""
    if not np.isfinite(images).all():
        raise UserError("the model drew pixels that are not finite: try --precision fp32, or train the model again")
    return np.round((np.clip(images, -1, 1) + 1) * 127.5).astype(np.uint8)


def grid(images, columns, gap=2):
    """Arrange images (N, C, H, W) in [-1, 1] row by row in one picture, with dark gaps: uint8, grey (H, W) or colour
    (H, W, 3)."""
    from skimage.util import montage  # slow to import

    channels_last = to_uint8(np.asarray(images)).transpose(0, 2, 3, 1)
    layout = {"padding_width": gap, "grid_shape": (math.ceil(len(images) / columns), columns), "channel_axis": 3}
    return pixels_of(montage(channels_last, fill=[40] * channels_last.shape[3], **layout).transpose(2, 0, 1))


def pixels_of(image):
    """An image (C, H, W) in Pillow's layout: grey (H, W), or colour (H, W, 3)."""
    return image[0] if len(image) == 1 else image.transpose(1, 2, 0)


def pairs(inputs, outputs, columns):
    """A grid of inputs, uint8 (N, C, H, W), each row of them above the row of its outputs, float in [-1, 1]."""
    missing = (0, -len(inputs) % columns), (0, 0), (0, 0), (0, 0)  # to fill the last row
    whole = (np.pad(part, missing, constant_values=-1) for part in (from_uint8(inputs), outputs))
    rows = np.stack([part.reshape(-1, columns, *part.shape[1:]) for part in whole], axis=1)
    return grid(rows.reshape(-1, *inputs.shape[1:]), columns)


def enlarged(picture, scale):
    """A picture, uint8 (H, W) or (H, W, 3), as Pillow's image with each pixel repeated scale x scale times."""
    image = Image.fromarray(picture)
    return image.resize((scale * image.width, scale * image.height), Image.Resampling.NEAREST)


def save_png(path, picture, scale=2, durable=True):
    """Write a picture, uint8 (H, W) or (H, W, 3), enlarged."""
    buffer = io.BytesIO()
    enlarged(picture, scale).save(buffer, format="PNG")
    write_atomically(path, buffer.getvalue(), durable)


def save_gif(path, pictures, held=(0, -1), scale=2):
    """Write an animation of pictures, uint8 (H, W) or (H, W, 3), enlarged; frames in `held` last a second."""
    frames = [enlarged(picture, scale) for picture in pictures]
    buffer, times = io.BytesIO(), np.full(len(frames), 100)  # milliseconds
    times[list(held)] = 1000
    frames[0].save(buffer, format="GIF", save_all=True, append_images=frames[1:], duration=times.tolist(), loop=0)
    write_atomically(path, buffer.getvalue())


def image_path(folder, index):
    """The path of image number `index` in a fake/ or real/ folder."""
    return folder / f"{index:05d}.png"


def write_images(folder, indices, images):
    """Write images, uint8 (N, C, H, W), as PNGs named by their indices."""
    for index, image in zip(indices, images):
        save_png(image_path(folder, index), pixels_of(image), scale=1, durable=False)


def read_images(folder, shape):
    """Read the PNGs of a folder in the order of their names: (N, *shape) uint8, shape (channels, height, width).

    UserError if there are fewer than 2, or pictures of another kind; if one has another size, more than 8 bits,
    transparent pixels, or colours although shape is grey; if all are grey although shape is in colour. If shape is
    grey, a PNG in colour may have grey pixels.
    """
    channels, height, width = shape
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder: check the path")
    files = sorted(folder.glob("*.png"))
    if others := [path for path in folder.glob("*") if path.suffix.lower() in PICTURES and path.suffix != ".png"]:
        raise UserError(f"{folder} holds {len(others)} pictures of other kinds, as {others[0].name}: save all as .png")
    if len(files) < 2:
        raise UserError(f"{folder} holds {len(files)} PNGs: put at least 2 directly into the folder")
    images, modes = np.empty((len(files), *shape), np.uint8), set()
    for image, file in zip(images, files):
        with catch_damage(file, "delete it, or draw it again"), Image.open(file) as opened:
            if opened.size != (width, height):
                expected = f"resize it to {width}x{height}, or give its --size or --data"
                raise UserError(f"{file} is {opened.width}x{opened.height}: {expected}")
            if opened.mode.startswith("I"):  # Pillow would cut its values off at 255
                raise UserError(f"{file} has 16 bits per pixel: save it with 8 bits")
            if opened.has_transparency_data and opened.convert("RGBA").getextrema()[3][0] < 255:  # FID ignores it
                raise UserError(f"{file} is transparent in places: save it on white, as data sets are read")
            modes.add(opened.mode)
            pixels = np.asarray(opened.convert("L" if opened.mode in ("1", "L") else "RGB"))
        if channels == 1 and not is_grey(pixels):
            raise UserError(f"{file} is in colour, but the data is grey: choose other --data, or --channels 3")
        image[:] = np.atleast_3d(pixels)[..., :channels].transpose(2, 0, 1)
    if channels == 3 and modes <= {"1", "L"}:
        raise UserError(f"{folder} has grey pictures, but the data is in colour: choose other --data, or --channels 1")
    return images

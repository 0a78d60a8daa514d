"""What edit_mnist.py does: read images and masks, edit, write grids and animations."""
from dataclasses import replace

import numpy as np
from PIL import Image

from common.batching import in_batches
from common.data.dataset import data_of
from common.data.pictures import fitted, opened
from common.data.spec import MNIST
from common.diffusion import edit
from common.diffusion.schedule import resampled, sampler_timesteps
from common.draw import chosen_conditions, output_folder
from common.errors import UserError
from common.files import catch_damage
from common.images import from_uint8, grid, save_gif, save_png
from common.options.editing import Morph, Repaint, Vary

PARTS = ("left", "right", "top", "bottom", "centre")  # names of masks


def open_grey(path, cure="choose another picture", paper="white"):
    """Read a picture as grey levels, uint8 (H, W), with paper of this colour behind it. UserError if it is no picture.
    """
    with catch_damage(path, cure):
        return np.asarray(opened(path, paper=paper).convert("L"))


def read_picture(path, spec):
    """Read a picture, uint8 of the Spec's shape, preprocessed as its data's pictures were, but more than 8 bits by the
    picture's own range."""
    if spec.digest == MNIST:
        return np.repeat(read_digit(path, spec.shape), spec.shape[0], axis=0)
    with catch_damage(path, "choose another picture"):
        return fitted(opened(path), replace(spec.preprocessing, channels=spec.shape[0]))


def read_digit(path, shape):
    """Read a picture of a digit, uint8 (1, H, W), preprocessed like MNIST (LeCun et al. 1998, section III.A).

    Light on dark; scaled to fit 20x20 pixels, proportions kept; centre of mass at pixel 14, 14 of 28x28; resized to
    `shape` (C, H, W). UserError if nothing stands out from the background."""
    from scipy.ndimage import center_of_mass  # slow to import

    ink = ink_of(max((open_grey(path, paper=paper) for paper in ("white", "black")), key=np.std))
    if ink is None:
        raise UserError(f"{path} shows no digit that stands out from its background: draw it darker, or with a margin")
    digit = Image.fromarray(ink)
    digit = digit.crop(digit.getbbox())
    scale = 20 / max(digit.size)
    small = np.asarray(digit.resize([max(1, round(side * scale)) for side in digit.size], Image.Resampling.LANCZOS))
    if small.max() < 10:
        raise UserError(f"{path} shows only specks, no digit: choose another picture")
    small = small.clip(0) * (255 / small.max())  # thin strokes became grey
    top, left = (np.clip(round(14 - at), 0, 28 - side) for at, side in zip(center_of_mass(small), small.shape))
    whole = np.zeros((28, 28), np.uint8)
    whole[top : top + small.shape[0], left : left + small.shape[1]] = small.round()
    return np.asarray(Image.fromarray(whole).resize((shape[2], shape[1]), Image.Resampling.BILINEAR))[None]


def ink_of(grey):
    """How much each pixel of a picture (H, W) differs from the paper: float32, 0 to 255, 0 where that is noise. None if
    nothing stands out. The paper's brightness, which shadows change, is fitted as a quadratic polynomial."""
    from skimage.filters import apply_hysteresis_threshold  # slow to import

    image = Image.fromarray(grey)
    image.thumbnail((400, 400), Image.Resampling.LANCZOS)
    grey = np.asarray(image, np.float32)
    if min(grey.shape) < 3:
        return None
    y, x = np.meshgrid(*(np.linspace(-1, 1, side, dtype=np.float32) for side in grey.shape), indexing="ij")
    terms = np.stack([x**0, x, y, x * x, x * y, y * y], axis=-1)
    paper = np.pad(np.zeros((grey.shape[0] - 2, grey.shape[1] - 2), bool), 1, constant_values=True)
    for _ in range(5):  # first the border, then all pixels near the last fit
        known = terms[paper]
        ink = np.abs(grey - terms @ np.linalg.lstsq(known.T @ known, known.T @ grey[paper], rcond=None)[0])
        chance = 4 * np.median(ink[paper]) + 3
        paper = ink < chance
    if ink.max() < 50 or (ink > 0.3 * ink.max()).mean() > 0.6:
        return None
    strokes = apply_hysteresis_threshold(ink, max(0.2 * ink.max(), chance), 0.5 * ink.max())
    return np.where(strokes, ink, 0) * (255 / ink.max())


def digits_of(model, options):
    """The images to edit, uint8 (N, C, H, W), and their classes (N,), NaN if unknown: test images of the model's data,
    or the user's picture."""
    image = getattr(options, "drawing", None) and options.drawing.image
    if image:
        return read_picture(image, model.spec)[None], np.full(1, np.nan)
    test, index = data_of(model.checkpoint, options.which.data).test, options.which.index
    if not index or max(index) >= len(test.labels):
        raise UserError(f"--index: give one or more numbers from 0 to {len(test.labels) - 1}")
    return test.images[list(index)], test.labels[list(index)].astype(np.float32)


def read_mask(name, shape):
    """The mask of images (C, H, W): bool (1, H, W), True where pixels are kept; UserError if it is not a mask, or keeps
    all or nothing."""
    height, width = shape[1:]
    y, x = np.ogrid[:height, :width]
    if name in PARTS:
        centre = (abs(2 * x + 1 - width) <= width / 2) & (abs(2 * y + 1 - height) <= height / 2)
        region = (2 * x < width, 2 * x >= width, 2 * y < height, 2 * y >= height, centre)[PARTS.index(name)]
        return ~np.broadcast_to(region, (1, height, width))
    grey = open_grey(name, f"--mask takes {', '.join(PARTS)}, or a PNG")
    if grey.shape != (height, width):
        raise UserError(f"--mask {name} is {grey.shape[1]}x{grey.shape[0]}: resize it to {width}x{height} pixels")
    if ((grey > 32) & (grey < 224)).mean() > 0.1:  # soft edges aside
        raise UserError(f"--mask {name} is grey, neither black (kept) nor white (repainted): paint it in these two")
    kept = grey < 128
    if kept.all() or not kept.any():
        raise UserError(f"--mask {name} is all {'black' if kept.all() else 'white'}: white is repainted, black is kept")
    return kept[None]


def edited(model, draw, images, labels, options):
    """Call draw(images, seed, indices, y) in batches for `num` samples per image: (N, num, C, H, W) in [-1, 1]."""
    label, values = chosen_conditions(model, options.ask)
    num, drawing = options.drawing.num, options.drawing
    classes = np.repeat(labels if label is None else np.full(len(labels), label), num)
    if np.isnan(classes).any():
        model.check_null_label("editing without a class needs: give --label, or choose another --checkpoint")
    y, repeated = model.conditions(classes, values), np.repeat(images, num, axis=0)
    draw_part = lambda part: draw(repeated[part], drawing.seed, part, y[part])
    drawn = in_batches(draw_part, len(repeated), drawing.batch_size, "drawing")
    return drawn.reshape(len(images), num, *drawn.shape[1:])


def repainted(model, images, labels, kept, options):
    """Images repainted where `kept`, bool (1, H, W), is False: (N, num, C, H, W) in [-1, 1]."""
    timesteps = resampled(sampler_timesteps(model.timesteps, options.sampler), options.resample)
    draw = lambda x, seed, indices, y: edit.repaint(model, options.sampler, x, kept, timesteps, seed, indices, y)
    return edited(model, draw, images, labels, options)


def repaint(model, options):
    """A row per image: the image, its kept part, and its completions."""
    images, labels = digits_of(model, options)
    kept = read_mask(options.mask, model.spec.shape)
    inputs = [from_uint8(images), np.where(kept, from_uint8(images), -0.5)]
    return np.concatenate([np.stack(inputs, axis=1), repainted(model, images, labels, kept, options)], axis=1)


def vary(model, options):
    """A row per image: the image and its variations."""
    images, labels = digits_of(model, options)
    draw = lambda x, seed, indices, y: edit.vary(model, options.sampler, x, options.strength, seed, indices, y)
    return np.concatenate([from_uint8(images)[:, None], edited(model, draw, images, labels, options)], axis=1)


def morph(model, options):
    """A row per pair of neighbouring images: the frames from one to the other."""
    images, _ = digits_of(model, options)
    if len(images) < 2:
        raise UserError("morph needs images to go between: give two or more with --index")
    return edit.morph(model, options.sampler, images, options.num)


EDITS = {Repaint: repaint, Vary: vary, Morph: morph}


def write_edit(model, options):
    """Edit as the options say, write a grid, and print its path."""
    model.check_guidance(options.sampler)
    folder = output_folder(options.which.out, model.device.tree, f"edits-{model.recipe.kind}")
    rows = EDITS[type(options)](model, options)
    name = type(options).__name__.lower()
    save_png(folder / f"{name}.png", grid(rows.reshape(-1, *model.spec.shape), rows.shape[1]))
    print(f"{folder / f'{name}.png'}: {len(rows)} rows of {rows.shape[1]} images")
    if isinstance(options, Morph) and options.gif:
        last = rows.shape[1] - 1
        there_and_back = [*range(last), *range(last, 0, -1)]
        save_gif(folder / f"{name}.gif", [grid(rows[:, i], len(rows)) for i in there_and_back], held=(0, last))
        print(f"{folder / f'{name}.gif'}: the same as an animation")

"""The work of edit_mnist.py but for the networks: digits and masks in, grids and animations out."""
import numpy as np
from PIL import Image, ImageOps

from common.batching import in_batches
from common.data.dataset import data_of
from common.diffusion import edit
from common.diffusion.schedule import resampled, sampler_timesteps
from common.draw import asked_for, output_folder
from common.errors import UserError
from common.files import damage_told
from common.images import from_uint8, grid, save_gif, save_png
from common.options.editing import Morph, Repaint, Vary

PARTS = ("left", "right", "top", "bottom", "centre")  # that can be drawn anew


def open_grey(path, cure="name another picture"):
    """A picture as grey levels, uint8 (H, W), what is transparent white; UserError where it is none."""
    with damage_told(path, cure), Image.open(path) as opened:
        rgba = ImageOps.exif_transpose(opened).convert("RGBA")  # a phone's picture may lie on its side
        return np.asarray(Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("L"))


def read_digit(path, shape):
    """A picture of a digit, uint8 of this shape (1, H, W), made as MNIST's were (LeCun et al. 1998, section III.A).

    Light on dark; fitted into 20x20 pixels, its proportions kept; centre of mass at pixel 14, 14 of 28x28; resized.
    UserError where nothing stands out from the background."""
    grey = open_grey(path).astype(np.float32)
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    ink = np.abs(grey - np.median(border))
    if ink.max() < 50 or (ink > 0.3 * ink.max()).mean() > 0.6:
        raise UserError(f"{path} shows no digit that stands out from its background: draw it darker, or with a margin")
    ink = np.where(ink < 0.2 * ink.max(), 0, ink) * (255 / ink.max())
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    digit = Image.fromarray(ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.uint8))
    scale = 20 / max(digit.size)
    small = np.asarray(digit.resize([max(1, round(side * scale)) for side in digit.size], Image.Resampling.LANCZOS))
    if not small.any():
        raise UserError(f"{path} shows specks, but no digit: name another picture")
    centre = [(small.sum(axis=1 - axis) @ np.arange(small.shape[axis])) / small.sum() for axis in (0, 1)]
    top, left = (np.clip(round(14 - at), 0, 28 - side) for at, side in zip(centre, small.shape))
    whole = np.zeros((28, 28), np.uint8)
    whole[top : top + small.shape[0], left : left + small.shape[1]] = small
    return np.asarray(Image.fromarray(whole).resize(shape[:0:-1], Image.Resampling.BILINEAR))[None]


def digits_of(model, options):
    """The digits to edit, uint8 (N, C, H, W), and their classes (N,), NaN where not known: test images of the model's
    own data, or a picture."""
    image = getattr(options, "drawing", None) and options.drawing.image
    if image:
        return read_digit(image, model.spec.shape)[None], np.full(1, np.nan)
    test, index = data_of(model.checkpoint, options.which.data).test, options.which.index
    if not index or max(index) >= len(test.labels):
        raise UserError(f"--index: name one or more of 0 to {len(test.labels) - 1}")
    return test.first(max(index) + 1).images[list(index)], test.labels[list(index)].astype(np.float32)


def read_mask(name, shape):
    """What is kept of images (C, H, W), bool (1, H, W); UserError where the mask is none, or leaves nothing to keep or
    to draw."""
    height, width = shape[1:]
    y, x = np.ogrid[:height, :width]
    if name in PARTS:
        centre = (abs(2 * x + 1 - width) <= width / 2) & (abs(2 * y + 1 - height) <= height / 2)
        anew = (2 * x < width, 2 * x >= width, 2 * y < height, 2 * y >= height, centre)[PARTS.index(name)]
        return ~np.broadcast_to(anew, (1, height, width))
    grey = open_grey(name, f"--mask takes {', '.join(PARTS)}, or a PNG")
    if grey.shape != (height, width):
        raise UserError(f"--mask {name} is {grey.shape[1]}x{grey.shape[0]}: {width}x{height} pixels are needed")
    kept = grey < 128
    if kept.all() or not kept.any():
        raise UserError(f"--mask {name} is all {'black' if kept.all() else 'white'}: what is white is drawn anew")
    return kept[None]


def edited(model, draw, images, labels, options):
    """draw(images, seed, indices, y) for `num` samples of each image: (N, num, C, H, W) in [-1, 1]."""
    label, values = asked_for(model, options.ask)
    num, drawing = options.drawing.num, options.drawing
    classes = np.repeat(labels if label is None else np.full(len(labels), label), num)
    y, repeated = model.conditions(classes, values), np.repeat(images, num, axis=0)
    draw_part = lambda part: draw(repeated[part], drawing.seed, part, y[part])
    drawn = in_batches(draw_part, len(repeated), drawing.batch_size, "drawing")
    return drawn.reshape(len(images), num, *drawn.shape[1:])


def repainted(model, images, labels, kept, options):
    """The completions of images whose part outside `kept`, bool (1, H, W), is drawn anew: (N, num, C, H, W)."""
    timesteps = resampled(sampler_timesteps(model.timesteps, options.sampler), options.resample)
    draw = lambda x, *which: edit.repaint(model, options.sampler, x, kept, timesteps, *which)
    return edited(model, draw, images, labels, options)


def repaint(model, options):
    """A row per digit: itself, what is kept of it, and its completions."""
    images, labels = digits_of(model, options)
    kept = read_mask(options.mask, model.spec.shape)
    inputs = [from_uint8(images), np.where(kept, from_uint8(images), -0.5)]
    return np.concatenate([np.stack(inputs, axis=1), repainted(model, images, labels, kept, options)], axis=1)


def vary(model, options):
    """A row per digit: itself, and its variations."""
    images, labels = digits_of(model, options)
    draw = lambda x, *which: edit.vary(model, options.sampler, x, options.strength, *which)
    return np.concatenate([from_uint8(images)[:, None], edited(model, draw, images, labels, options)], axis=1)


def morph(model, options):
    """A row per pair of neighbours: the frames from one to the other."""
    images, _ = digits_of(model, options)
    if len(images) < 2:
        raise UserError("morph goes from one digit to another: name two or more with --index")
    return edit.morph(model, options.sampler, images, options.num)


WAYS = {Repaint: repaint, Vary: vary, Morph: morph}


def write_edit(model, options):
    """Do what the options say; write a grid, and say where it is."""
    model.check_guidance(options.sampler)
    rows = WAYS[type(options)](model, options)
    name = type(options).__name__.lower()
    folder = output_folder(options.which.out, model.device.tree, f"edits-{model.recipe.kind}")
    save_png(folder / f"{name}.png", grid(rows.reshape(-1, *model.spec.shape), rows.shape[1]))
    print(f"{folder / f'{name}.png'}: {len(rows)} rows of {rows.shape[1]}")
    if isinstance(options, Morph) and options.gif:
        last = rows.shape[1] - 1
        there_and_back = [*range(last), *range(last, 0, -1)]
        save_gif(folder / f"{name}.gif", [grid(rows[:, i], len(rows)) for i in there_and_back], held=(0, last))
        print(f"{folder / f'{name}.gif'}: the same, moving")

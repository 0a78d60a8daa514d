"""The work of edit_mnist.py but for the networks: digits and masks in, grids and animations out."""
import numpy as np
from PIL import Image, ImageOps

from common import SIZE
from common.draw import asked_for, batches_of, output_folder
from common.errors import UserError
from common.files import damage_told
from common.images import from_uint8, grid, save_gif, save_png
from common.mnist import load_mnist
from common.options.editing import Morph, Repaint, Vary
from common.schedule import resampled

HALF, QUARTER = SIZE // 2, SIZE // 4
PARTS = {  # what is drawn anew: rows, columns
    "left": np.s_[:, :HALF], "right": np.s_[:, HALF:], "top": np.s_[:HALF], "bottom": np.s_[HALF:],
    "centre": np.s_[QUARTER:-QUARTER, QUARTER:-QUARTER],
}  # fmt: skip


def open_grey(path, cure="name another picture"):
    """A picture as grey levels, uint8 (H, W), what is transparent white; UserError where it is none."""
    with damage_told(path, cure), Image.open(path) as opened:
        rgba = ImageOps.exif_transpose(opened).convert("RGBA")  # a phone's picture may lie on its side
        return np.asarray(Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("L"))


def read_digit(path):
    """A picture of a digit, uint8 (1, 32, 32), made as MNIST's were (LeCun et al. 1998, section III.A).

    Light on dark; fitted into 20x20 pixels, its proportions kept; centre of mass at pixel 14, 14 of 28x28; resized to
    32x32. UserError where nothing stands out from the background.
    """
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
    return np.asarray(Image.fromarray(whole).resize((SIZE, SIZE), Image.Resampling.BILINEAR))[None]


def read_digits(options):
    """The digits to edit, uint8 (N, 1, 32, 32), and their classes (N,), NaN where not known."""
    if options.image:
        return read_digit(options.image)[None], np.full(1, np.nan)
    return chosen_digits(options.index)


def chosen_digits(index):
    """Test digits by their numbers, uint8 (N, 1, 32, 32), and their classes (N,)."""
    images, labels = load_mnist(train=False)
    if not index or max(index) >= len(images):
        raise UserError(f"--index: name one or more of 0 to {len(images) - 1}")
    return images[list(index)], labels[list(index)].astype(np.float32)


def read_mask(name):
    """What is kept, bool (1, 32, 32); UserError where the mask is none, or leaves nothing to keep or to draw."""
    kept = np.full((SIZE, SIZE), True)
    if name in PARTS:
        kept[PARTS[name]] = False
        return kept[None]
    grey = open_grey(name, f"--mask takes {', '.join(PARTS)}, or a PNG")
    if grey.shape != kept.shape:
        raise UserError(f"--mask {name} is {grey.shape[1]}x{grey.shape[0]}: {SIZE}x{SIZE} pixels are needed")
    kept = grey < 128
    if kept.all() or not kept.any():
        raise UserError(f"--mask {name} is all {'black' if kept.all() else 'white'}: what is white is drawn anew")
    return kept[None]


def edited(pipeline, draw, images, labels, options):
    """draw(images, indices, y) for `num` samples of each image: (N, num, 1, 32, 32) in [-1, 1]."""
    digit, values = asked_for(pipeline, options)
    classes = np.repeat(labels if digit is None else np.full(len(labels), digit), options.num)
    y, repeated = pipeline.conditions(classes, values), np.repeat(images, options.num, axis=0)
    parts = batches_of(len(repeated), options.batch_size)
    drawn = np.concatenate([draw(repeated[indices], indices, y[indices]) for indices in parts])
    return drawn.reshape(len(images), options.num, *drawn.shape[1:])


def repaint(pipeline, editing, options):
    """A row per digit: itself, what is kept of it, and its completions."""
    images, labels = read_digits(options)
    kept, times = read_mask(options.mask), resampled(pipeline.timesteps(), options.resample)

    def draw(x, indices, y):
        return editing.repaint(pipeline, x, kept, times, options.seed, indices, y)

    inputs = [from_uint8(images), np.where(kept, from_uint8(images), -0.5)]
    return np.concatenate([np.stack(inputs, axis=1), edited(pipeline, draw, images, labels, options)], axis=1)


def vary(pipeline, editing, options):
    """A row per digit: itself, and its variations."""
    images, labels = read_digits(options)

    def draw(x, indices, y):
        return editing.vary(pipeline, x, options.strength, options.seed, indices, y)

    return np.concatenate([from_uint8(images)[:, None], edited(pipeline, draw, images, labels, options)], axis=1)


def morph(pipeline, editing, options):
    """A row per pair of neighbours: the frames from one to the other."""
    images, _ = chosen_digits(options.index)
    if len(images) < 2:
        raise UserError("morph goes from one digit to another: name two or more with --index")
    return editing.morph(pipeline, images, options.num)


WAYS = {Repaint: repaint, Vary: vary, Morph: morph}


def write_edit(pipeline, editing, options):
    """Do what the options say with the tree's module `editing`; write a grid, and say where it is."""
    rows = WAYS[type(options)](pipeline, editing, options)
    name = type(options).__name__.lower()
    folder = output_folder(options, pipeline.tree, "edits")
    save_png(folder / f"{name}.png", grid(rows.reshape(-1, 1, SIZE, SIZE), rows.shape[1]))
    print(f"{folder / f'{name}.png'}: {len(rows)} rows of {rows.shape[1]}")
    if isinstance(options, Morph) and options.gif:
        last = rows.shape[1] - 1
        there_and_back = [*range(last), *range(last, 0, -1)]
        save_gif(folder / f"{name}.gif", [grid(rows[:, i], len(rows)) for i in there_and_back], held=(0, last))
        print(f"{folder / f'{name}.gif'}: the same, moving")

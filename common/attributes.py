"""Thickness, slant and width of a digit, as Morpho-MNIST defines them (Castro et al. 2019, Morpho-MNIST, section 3)."""
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import numpy as np
from filelock import FileLock
from PIL import Image
from safetensors.numpy import load_file, save
from tqdm import tqdm

from common.conditions import UNITS, conditions, quantiles_of
from common.files import DATA, damage_told, digest, run_folder, write_atomically
from common.machine import cores
from common.mnist import check_labels, idx_path, load_mnist

SCALE = 4  # by which a picture is enlarged before it is cut into stroke and background
PIECE = 100  # pictures measured at once


def strokes(image):
    """Where a picture, enlarged, is brighter than the middle of its range: uint8 (H, W) -> bool (4 H, 4 W)."""
    height, width = image.shape
    enlarged = Image.fromarray(image).resize((SCALE * width, SCALE * height), Image.Resampling.BILINEAR)
    return np.asarray(enlarged) > (int(image.min()) + int(image.max())) / 2


def slant_and_width(mask):
    """Of strokes (4 H, 4 W): degrees, to the right above 0, and pixels. NaN where there are none."""
    y, x = (axis / SCALE for axis in np.nonzero(mask))
    if not x.size or not y.var():
        return np.nan, np.nan
    shear = -np.cov(x, y, bias=True)[0, 1] / y.var()  # x + shear y does not depend on y any more
    left, right = np.quantile(x + shear * y, (0.01, 0.99))
    return np.degrees(np.arctan(shear)), right - left


def measure_piece(images):
    """Thickness, slant and width of images (N, 1, H, W) uint8: (N, 3).

    Thickness: twice the mean distance to the background along the skeleton, in pixels. Slant: the angle whose tangent
    is the horizontal shear, in degrees. Width: of the sheared box that leaves out 2 % of the strokes, in pixels. Ties
    among the skeleton's pixels are broken by their place in the piece, which moves some thicknesses by 1 or 2 in 100.
    """
    from skimage.morphology import medial_axis  # slow to import, and needed here alone

    masks = np.stack([np.pad(strokes(image[0]), 1) for image in images])
    strip = np.concatenate(masks, axis=1)  # side by side: a call costs as much as ten pictures
    skeleton, distance = medial_axis(strip, return_distance=True, rng=0)
    count, height, width = masks.shape
    skeleton, distance = (part.reshape(height, count, width) for part in (skeleton, distance))
    with np.errstate(invalid="ignore"):
        thickness = 2 / SCALE * (distance * skeleton).sum(axis=(0, 2)) / skeleton.sum(axis=(0, 2))
    return np.column_stack([thickness, [slant_and_width(mask) for mask in masks]])


def measure(images, description="measuring"):
    """The attributes of images (N, 1, H, W) uint8, {name: (N,) float64}; NaN of a picture without strokes."""
    pieces = [images[i : i + PIECE] for i in range(0, len(images), PIECE)]
    with ProcessPoolExecutor(cores(), get_context("spawn")) as pool:
        bar = {"total": len(pieces), "desc": description, "unit_scale": PIECE, "unit": "img", "dynamic_ncols": True}
        table = np.concatenate(list(tqdm(pool.map(measure_piece, pieces), **bar)))
    return dict(zip(UNITS, table.T))


def table_path(train, data, folder):
    """Where the attributes of a training or test set lie: MNIST's beside it, those of other data in `folder`."""
    stem = f"{'train' if train else 'test'}-attributes"
    place = folder / f"{stem}-{digest(idx_path(train, data, 'images-idx3'))}" if data else DATA.parent / stem
    return place.with_suffix(".safetensors")


def write_table(path, train, data):
    """Measure a data set and keep its attributes, in half precision."""
    found = measure(load_mnist(train, data)[0], path.name)
    write_atomically(path, save({name: x.astype(np.float16) for name, x in found.items()}))


def load_attributes(train, data, folder):
    """Measured attributes of the training or the test set, {name: (N,) float32}.

    Where they are not kept yet, in two minutes they are: those of other data (a folder) in `folder`.
    """
    path = table_path(train, data, folder)
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):  # one process measures, the others wait
            if not path.is_file():
                write_table(path, train, data)
    with damage_told(path, "delete it, and it is measured again"):
        table = load_file(path)
        return {name: table[name].astype(np.float32) for name in UNITS}


def training_set(options, tree):
    """What a diffusion model is trained on: images (N, 1, 32, 32) uint8 and y (N, 1 + A), as its UNet takes it; and the
    options, with the quantiles of the attributes if they had none. UserError where there are too many classes.
    """
    images, labels = load_mnist(True, options.data, options.limit)
    known = options.unet.num_classes
    check_labels(labels, known, options.data, "fetch it again, or raise --unet.num-classes")
    if not options.unet.attributes:
        return images, conditions(labels, {}, {}), options
    found = load_attributes(True, options.data, options.out or run_folder(tree, options.kind))
    chosen = {name: found[name][: len(labels)] for name in options.unet.attributes}
    options = replace(options, quantiles=options.quantiles or quantiles_of(chosen, labels))
    return images, conditions(labels, chosen, options.quantiles), options

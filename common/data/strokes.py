"""Thickness, slant and width of a digit, as Morpho-MNIST defines them (Castro et al. 2019, Morpho-MNIST, section 3)."""
import numpy as np
from PIL import Image
from tqdm import tqdm

SCALE = 4  # enlargement of a picture before it is thresholded into stroke and background
PIECE = 100  # pictures measured per call
PROCESSES = -1  # that measure: as many as there are cores


def strokes(image):
    """Enlarge a picture and threshold it at the middle of its range: uint8 (H, W) -> bool (4 H, 4 W)."""
    height, width = image.shape
    enlarged = Image.fromarray(image).resize((SCALE * width, SCALE * height), Image.Resampling.BILINEAR)
    return np.asarray(enlarged) > (int(image.min()) + int(image.max())) / 2


def slant_and_width(mask):
    """Slant in degrees, positive to the right, and width in pixels, of strokes (4 H, 4 W); NaN if there are none."""
    y, x = (axis / SCALE for axis in np.nonzero(mask))
    if not x.size or not y.var():
        return np.nan, np.nan
    shear = -np.cov(x, y, bias=True)[0, 1] / y.var()  # makes x + shear y uncorrelated with y
    left, right = np.quantile(x + shear * y, (0.01, 0.99))
    return np.degrees(np.arctan(shear)), right - left


def measure_piece(images):
    """The measures of images (N, 1, H, W) uint8, {name: (N,)}.

    Thickness: twice the mean distance to the background along the skeleton, in pixels. Slant: the angle whose tangent
    is the horizontal shear, in degrees. Width: of the sheared box that leaves out 2 % of the strokes, in pixels. The
    skeleton breaks ties by a pixel's place in the strip, which changes some thicknesses by 1 or 2 %.
    """
    from skimage.morphology import medial_axis  # slow to import, and needed only here

    masks = np.stack([np.pad(strokes(image[0]), 1) for image in images])
    strip = np.concatenate(masks, axis=1)  # one strip for one call, which costs as much as ten pictures
    skeleton, distance = medial_axis(strip, return_distance=True, rng=0)
    count, height, width = masks.shape
    skeleton, distance = (part.reshape(height, count, width) for part in (skeleton, distance))
    with np.errstate(invalid="ignore"):
        thickness = 2 / SCALE * (distance * skeleton).sum(axis=(0, 2)) / skeleton.sum(axis=(0, 2))
    slant, width = np.transpose([slant_and_width(mask) for mask in masks])
    return {"thickness": thickness, "slant": slant, "width": width}


def measure_strokes(images, description="measuring"):
    """The measures of images (N, 1, H, W) uint8, {name: (N,) float64}; NaN for a picture without strokes."""
    from joblib import Parallel, delayed  # its processes do not run the main program again, as multiprocessing's do

    pieces = [images[i : i + PIECE] for i in range(0, len(images), PIECE)]
    work = Parallel(PROCESSES, return_as="generator")(map(delayed(measure_piece), pieces))
    bar = {"total": len(pieces), "desc": description, "unit_scale": PIECE, "unit": "img", "dynamic_ncols": True}
    found = list(tqdm(work, **bar))
    return {name: np.concatenate([piece[name] for piece in found]) for name in found[0]}

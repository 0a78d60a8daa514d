"""A check of the offline metric: its values for real images with known corruptions.

    python -m publish.trust     # takes minutes; writes asset/metric.md, or with --data X asset/metric-X.md"""
import sys
from dataclasses import field
from functools import reduce
from itertools import combinations
from pathlib import Path
from typing import Literal

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.stats import spearmanr
from tqdm import tqdm

from common.data.dataset import open_dataset
from common.data.pictures import Preprocessing
from common.diffusion.space import Latents, reconstruct
from common.files import ROOT, digest, shipped_weights
from common.images import read_images, to_uint8
from common.options.command_line import run
from common.options.fields import options_class
from common.options.where import Flat, Where
from publish import table
from publish.results import ASSET
from scoring.classifiers import NAMES, classes
from scoring.metric import distances, floor, moments_by, over_floor, real_picks, some
from scoring.texture import texture

COUNT, SEED = 10_000, 100  # training images to damage; their seed is not one of the floor
SAMPLES = 5  # samples of undamaged images
HEAD = """\
# What the offline metric sees: {name}

Each classifier's distance over its floor, and the mean of the three, of {count:,} training images, corrupted in
known ways, against {reals:,} {part} images. Then their texture: the band of the spectrum that differs most
(log2 of the ratio of power), the distance between the histograms of grey levels, and for grey images, light on
dark, the fraction in more than one piece. Half a pixel of shift or of stroke width also blurs.
Rank correlations of the classifiers: {ranks}.

"""
DRAWN = """
## Generated images

The same for samples of one model with several settings. Rank correlations of the classifiers: {ranks}.

"""
HEADER = ("images", *NAMES, "mean", "band", "levels", "pieces")


def moved(images, right, down=0.0):
    """Images shifted by this many pixels with linear interpolation, cyclically."""
    for axis, step in ((3, right), (2, down)):
        whole, part = int(np.floor(step)), np.float32(step - np.floor(step))
        images = (1 - part) * np.roll(images, whole, axis) + part * np.roll(images, whole + 1, axis)
    return images


def thickened(images, width):
    """Images with strokes `width` pixels wider (below 0: narrower): each edge moves by half of it, in 16 directions."""
    angles = np.arange(16) * np.pi / 8
    copies = (moved(images, width / 2 * np.cos(angle), width / 2 * np.sin(angle)) for angle in angles)
    return reduce(np.maximum if width > 0 else np.minimum, copies, images.astype(np.float32))


def blurred(images, sigma):
    return gaussian_filter(images.astype(np.float32), (0, 0, sigma, sigma))


def replaced(images, chosen, share, others=None):
    """Images with a share of those at indices `chosen` replaced by others (None: by copies of the remaining ones)."""
    rng, result = np.random.default_rng(SEED), images.copy()
    chosen = rng.permutation(chosen)[: round(share * len(chosen))]
    others = np.delete(images, chosen, axis=0) if others is None else others
    result[chosen] = rng.choice(others, len(chosen), replace=len(chosen) > len(others))
    return result


def without(images, share, data, exclude):
    """Images with a share of the middle class (for digits the 5) replaced by training images of other classes."""
    seen, others = classes(images, data), data.train.sample(COUNT, SEED + SAMPLES, exclude=exclude)
    middle = (seen.max() + 1) // 2
    return replaced(images, np.flatnonzero(seen == middle), share, others[classes(others, data) != middle])


DAMAGES = {  # {name: (function(images, strength, data, exclude), strengths)}
    "blurred, sigma {} pixels": (lambda x, sigma, *_: blurred(x, sigma), 0.4, 0.6),
    "sharpened by {}": (lambda x, s, *_: x + s * (x.astype(np.float32) - blurred(x, 1)), 0.1, 0.2, 0.4),
    "black raised by {} levels": (lambda x, level, *_: np.maximum(x, level), 2),
    "strokes {} pixels wider": (lambda x, width, *_: thickened(x, width), 0.25, 0.5, 1.0),
    "strokes {} pixels narrower": (lambda x, width, *_: thickened(x, -width), 0.25, 0.5, 1.0),
    "{} pixels to the right": (lambda x, right, *_: moved(x, right), 0.5, 1.0, 2.0),
    "noise of {} grey levels": (lambda x, s, *_: x + np.random.default_rng(SEED).normal(0, s, x.shape), 4, 8, 16),
    "of one class, {} missing": (without, 0.25, 0.5, 1.0),
    "{} of them copies of others": (lambda x, share, *_: replaced(x, np.arange(len(x)), share), 0.1, 0.2, 0.5),
}


def damaged(images, damage, strength, data, exclude=()):
    """Apply a damage to images (N, C, H, W) uint8; returns uint8."""
    return np.round(np.clip(damage(images, strength, data, exclude), 0, 255)).astype(np.uint8)


def through_vae(images, path):
    """(what it is, with the hash of the checkpoint; images encoded and decoded by this PyTorch VAE, uint8)."""
    sys.path.insert(0, str(ROOT / "pytorch"))
    from device import Device
    from pipeline import pipeline

    device = Device(Where())
    vae, checkpoint = pipeline.load_vae(path, device)
    decoded = reconstruct(Latents(vae), images, device, convert=to_uint8)
    return f"through the VAE {digest(checkpoint.path)[:6]}", decoded


def damaged_sets(data, count, exclude, vae):
    """Yield (name of a damage, `count` training images with it, (N, C, H, W) uint8); never images in `exclude`."""
    images, *others = (data.train.sample(count, SEED + i, exclude=exclude) for i in range(SAMPLES))
    for i, sample in enumerate((images, *others)):
        yield f"none, sample {i + 1}", sample
    if vae:
        yield through_vae(images, vae)
    for text, (damage, *strengths) in DAMAGES.items():
        for strength in strengths:
            yield text.format(strength), damaged(images, damage, strength, data, exclude)


@options_class
class Trust:
    """Measure how the offline metric reacts to known corruptions, and write a table."""

    data: Path | None = None
    """Data set (None: MNIST)."""
    preprocessing: Flat[Preprocessing] = Preprocessing()
    part: Literal["test", "train"] = "test"
    """Part that corrupted images are compared with; the test part of small data sets is too small."""
    drawn: list[Path] = field(default_factory=list)
    """Output folders of scoring scripts whose fake/ images are measured too, in a table of their own."""
    vae: Path | None = None
    """Run folder or checkpoint of a PyTorch VAE to reconstruct images with (None: the shipped one for MNIST)."""


def measured(sets, real, data, part):
    """(Markdown table of the scores of sets (name, images (N, C, H, W) uint8) against real images of a part, text with
    Spearman's rank correlations between the classifiers over the sets)."""
    rows, each, of_real = [], [], moments_by(real, data)
    for text, images in sets:
        floors = floor((len(images), COUNT), data, part)
        images, floors = some(images, floors["counts"][0]), floors["fd"]  # distances of other counts cannot be compared
        found, seen = distances(moments_by(images, data), of_real), texture(images, real)
        each.append([found[name] / floors[name] for name in NAMES])
        cells = (f"{distance:.2f}" for distance in (*each[-1], over_floor(found, floors)))
        pieces = f"{seen['pieces']:.3f}" if "pieces" in seen else ""
        rows.append((text, *cells, f"{seen['texture']:+.2f}", f"{seen['levels']:.3f}", pieces))
    pairs = combinations(zip(NAMES, zip(*each)), 2)
    ranks = ", ".join(f"{a} and {b} {spearmanr(x, y).statistic:.3f}" for (a, x), (b, y) in pairs)
    return table(rows, HEADER), ranks


def main(options: Trust):
    data = open_dataset(options.data, options.preprocessing)
    parts = 2 if options.part == "test" else 4  # with 2, all samples would be the half that `real` is not from
    count = min(COUNT, len(data.train.labels) // parts)
    split, picks = real_picks(COUNT, data, options.part)
    real, exclude = split.images[picks], picks if options.part == "train" else ()
    vae = options.vae or (None if options.data else shipped_weights(ROOT / "pytorch", "vae"))
    damages = tqdm(damaged_sets(data, count, exclude, vae), unit="damage", dynamic_ncols=True)
    rows, ranks = measured(damages, real, data, options.part)
    part = "test" if options.part == "test" else "other training"
    head = HEAD.format(name=data.spec.name, count=count, reals=len(real), part=part, ranks=ranks)
    text = head + rows
    if options.drawn:
        drawn = ((folder.name, read_images(folder / "fake", data.spec.shape)) for folder in options.drawn)
        rows, ranks = measured(drawn, real, data, options.part)
        text += DRAWN.format(ranks=ranks) + rows
    path = ASSET / ("metric.md" if options.data is None else f"metric-{data.spec.name}.md")
    path.write_text(text)
    print(path)


if __name__ == "__main__":
    run(main, Trust)

"""Whether the offline metric deserves trust: what it says of damaged real digits.

    python -m publish.trust     # some minutes; writes asset/metric.md"""
from functools import reduce

import numpy as np
from scipy.ndimage import gaussian_filter
from tqdm import tqdm

from common.data.dataset import open_dataset
from common.options.command_line import run
from common.options.fields import options_class
from publish import table
from publish.report import ASSET
from scoring.classifiers import NAMES, classify
from scoring.metric import floor, mnist_fd, over_floor

COUNT, SEED = 10_000, 100  # training digits that are damaged, others than the floor's
SAMPLES = 5  # of undamaged ones
HEAD = f"""\
# What the offline metric sees

Each classifier's distance over its floor, and the mean of the three, of {COUNT:,} real training digits, damaged in
known ways, against the test digits. Half a pixel to the right, or of stroke, also blurs.
How the classifiers rank drawn digits is in [results.md](results.md#classifier-beside-classifier).

"""


def moved(images, right, down=0.0):
    """Images moved by so many pixels, linearly between them; what leaves at one side, black, comes in at the other."""
    for axis, step in ((3, right), (2, down)):
        whole, part = int(np.floor(step)), np.float32(step - np.floor(step))
        images = (1 - part) * np.roll(images, whole, axis) + part * np.roll(images, whole + 1, axis)
    return images


def thickened(images, width):
    """Strokes so many pixels wider (below 0: narrower): each edge moves by half of it, in 16 directions."""
    angles = np.arange(16) * np.pi / 8
    copies = (moved(images, width / 2 * np.cos(angle), width / 2 * np.sin(angle)) for angle in angles)
    return reduce(np.maximum if width > 0 else np.minimum, copies, images.astype(np.float32))


def replaced(images, chosen, share, others=None):
    """This share of the chosen images (numbers) replaced by others (None: by copies of those that stay)."""
    rng, result = np.random.default_rng(SEED), images.copy()
    chosen = rng.permutation(chosen)[: round(share * len(chosen))]
    others = np.delete(images, chosen, axis=0) if others is None else others
    result[chosen] = rng.choice(others, len(chosen), replace=False)
    return result


def without(images, share):
    """This share of the digits 5 replaced by other training digits, which are of the other classes."""
    train = open_dataset().train
    fives = np.flatnonzero(classify(NAMES[0], images)[1].argmax(axis=1) == 5)
    return replaced(images, fives, share, train.images[train.labels != 5])


DAMAGES = {  # how, with which strengths
    "blurred, sigma {} pixels": (lambda x, s: gaussian_filter(x.astype(np.float32), (0, 0, s, s)), 0.4, 0.6),
    "strokes {} pixels wider": (thickened, 0.25, 0.5, 1.0),
    "strokes {} pixels narrower": (lambda x, width: thickened(x, -width), 0.25, 0.5, 1.0),
    "{} pixels to the right": (moved, 0.5, 1.0, 2.0),
    "noise of {} grey levels": (lambda x, sigma: x + np.random.default_rng(SEED).normal(0, sigma, x.shape), 4, 8, 16),
    "of the digits 5, {} missing": (without, 0.25, 0.5, 1.0),
    "{} of them copies of others": (lambda x, share: replaced(x, np.arange(len(x)), share), 0.1, 0.2, 0.5),
}


def damaged(images, damage, strength):
    """Images (N, 1, 32, 32) uint8, damaged, uint8."""
    return np.round(np.clip(damage(images, strength), 0, 255)).astype(np.uint8)


@options_class
class Trust:
    """Measure what the offline metric sees, and write asset/metric.md."""


def main(options: Trust):
    data = open_dataset()
    real, floors = data.test.sample(COUNT), floor(COUNT, data)["mnist_fd"]
    sets = [(f"none, sample {i + 1}", data.train.sample(COUNT, SEED + i)) for i in range(SAMPLES)]
    images, rows = sets[0][1], []
    for text, (damage, *strengths) in DAMAGES.items():
        sets += [(text.format(strength), damaged(images, damage, strength)) for strength in strengths]
    for text, pictures in tqdm(sets, unit="damage", dynamic_ncols=True):
        found = mnist_fd(pictures, real)
        distances = [*(found[name] / floors[name] for name in NAMES), over_floor(found, floors)]
        rows.append((text, *(f"{distance:.2f}" for distance in distances)))
    (ASSET / "metric.md").write_text(HEAD + table(rows, ("damage", *NAMES, "mean")))
    print(ASSET / "metric.md")


if __name__ == "__main__":
    run(main, Trust)

"""Whether the offline metric deserves trust: what it says of damaged real digits.

    python -m publish.trust     # some minutes; writes asset/metric.md
"""
import numpy as np
from scipy.ndimage import gaussian_filter
from tqdm import tqdm

from common.mnist import load_mnist, random_images
from common.options.command_line import run
from common.options.fields import options_class
from publish.report import ASSET
from publish.speed import table
from scoring.classifiers import NAMES, classify
from scoring.metric import floor, mnist_fd, over_floor

COUNT, SEED = 10_000, 100  # training digits that are damaged, others than the floor's
SAMPLES = 5  # of undamaged ones


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
    furthest, best = (np.maximum if width > 0 else np.minimum), images.astype(np.float32)
    for copy in copies:
        best = furthest(best, copy)
    return best


def without(images, share):
    """This share of the digits 5 replaced by other training digits, which are of the other classes."""
    rng, (others, labels) = np.random.default_rng(SEED), load_mnist(train=True)
    fives = np.flatnonzero(classify(NAMES[0], images)[1].argmax(axis=1) == 5)
    fives = rng.permutation(fives)[: round(share * len(fives))]
    result = images.copy()
    result[fives] = others[rng.choice(np.flatnonzero(labels != 5), len(fives), replace=False)]
    return result


def duplicated(images, share):
    """This share of the images replaced by copies of others."""
    rng, result = np.random.default_rng(SEED), images.copy()
    chosen = rng.permutation(len(images))[: round(share * len(images))]
    kept = np.setdiff1d(np.arange(len(images)), chosen)
    result[chosen] = images[rng.choice(kept, len(chosen), replace=False)]
    return result


DAMAGES = {  # how, with which strengths
    "blurred, sigma {} pixels": (lambda x, s: gaussian_filter(x.astype(np.float32), (0, 0, s, s)), 0.4, 0.6),
    "strokes {} pixels wider": (thickened, 0.25, 0.5, 1.0),
    "strokes {} pixels narrower": (lambda x, width: thickened(x, -width), 0.25, 0.5, 1.0),
    "{} pixels to the right": (moved, 0.5, 1.0, 2.0),
    "noise of {} grey levels": (lambda x, sigma: x + np.random.default_rng(SEED).normal(0, sigma, x.shape), 4, 8, 16),
    "of the digits 5, {} missing": (without, 0.25, 0.5, 1.0),
    "{} of them copies of others": (duplicated, 0.1, 0.2, 0.5),
}


def damaged(images, damage, strength):
    """Images (N, 1, 32, 32) uint8, damaged, uint8."""
    return np.round(np.clip(damage(images, strength), 0, 255)).astype(np.uint8)


def distances_of(images):
    """Each classifier's distance of as many images to the test digits over its floor, and their mean."""
    found, floors = mnist_fd(images, random_images(False, COUNT)), floor(COUNT)["mnist_fd"]
    return [*(found[name] / floors[name] for name in NAMES), over_floor(found, floors)]


def damages():
    """What the metric says of undamaged digits, of several samples, and of damaged ones, as Markdown."""
    rows = [(f"none, sample {i + 1}", random_images(True, COUNT, seed=SEED + i)) for i in range(SAMPLES)]
    images, cells = rows[0][1], []
    for text, (damage, *strengths) in DAMAGES.items():
        rows += [(text.format(strength), damaged(images, damage, strength)) for strength in strengths]
    for text, pictures in tqdm(rows, unit="damage", dynamic_ncols=True):
        cells.append((text, *(f"{value:.2f}" for value in distances_of(pictures))))
    return table(cells, ("damage", *NAMES, "mean"))


@options_class
class Trust:
    """Measure what the offline metric sees, and write asset/metric.md."""


def main(options: Trust):
    text = f"""\
# What the offline metric sees

Each classifier's distance over its floor, and the mean of the three, of {COUNT:,} real training digits, damaged in
known ways, against the test digits. Half a pixel to the right, or of stroke, also blurs.
How the classifiers rank drawn digits is in [results.md](results.md#classifier-beside-classifier).

{damages()}"""
    (ASSET / "metric.md").write_text(text)
    print(ASSET / "metric.md")


if __name__ == "__main__":
    run(main)

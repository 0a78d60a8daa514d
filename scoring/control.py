"""How well a model draws the thickness, slant and width that it is asked for: asked for as test digits have them."""
import numpy as np

from common.data.strokes import measure
from common.diffusion.space import reconstruct
from common.draw import batches_of
from common.images import to_uint8
from scoring.classifiers import classes


def requests(num, test):
    """Classes (num,) and values {measure: (num,)} of the test images, in their order, from the first one again."""
    chosen = np.arange(num) % len(test.labels)
    return test.labels[chosen], {name: values[chosen] for name, values in test.values.items()}


def following(labels, asked, measured):
    """How measured values follow those asked for, both {measure: (N,)}, of digits that have all of them.

    `r`, Pearson's; `error`, the mean absolute error over the standard deviation of what was asked for; `partial`, a row
    per measure asked for, a column per one measured: their correlation where the others asked for, and the class, are
    held fixed by linear regression. Off the diagonal it is how asking for one moves another.
    """
    whole = np.isfinite([*asked.values(), *measured.values()]).all(axis=0)
    asked, measured = ({name: x[whole].astype(np.float64) for name, x in found.items()} for found in (asked, measured))
    one_hot = np.eye(labels.max() + 1)[labels[whole]]
    partial = []
    for name in asked:
        held = np.column_stack([one_hot, *(x for other, x in asked.items() if other != name)])
        found = np.column_stack([asked[name], *measured.values()])
        residuals = found - held @ np.linalg.lstsq(held, found, rcond=None)[0]
        partial.append(np.corrcoef(residuals, rowvar=False)[0, 1:].tolist())
    return {
        "r": {name: float(np.corrcoef(asked[name], measured[name])[0, 1]) for name in asked},
        "error": {name: float(np.abs(asked[name] - measured[name]).mean() / asked[name].std()) for name in asked},
        "partial": partial,
    }


def control(model, images, test):
    """following() of images (N, 1, 32, 32) uint8 drawn as requests() asks, and `accuracy`, the share of them whose
    class is the one asked for; the same of the `ceiling`, the test images through the model's space and back; and
    `shuffled`, the images against requests in another order.
    """
    labels, asked = requests(len(images), test)
    real = test.images[: len(images)]
    parts = batches_of(len(real), 500)
    best = np.concatenate([to_uint8(reconstruct(model.space, real[part], model.device)) for part in parts])
    measured, of_best = ({name: found[name] for name in asked} for found in map(measure, (images, best)))
    order = np.random.default_rng(0).permutation(len(images))
    return {
        **following(labels, asked, measured),
        "accuracy": float((classes(images) == labels).mean()),
        "ceiling": following(labels[: len(best)], {name: x[: len(best)] for name, x in asked.items()}, of_best),
        "shuffled": following(labels[order], {name: x[order] for name, x in asked.items()}, measured),
    }


def print_control(found):
    """A line per measure: r and error beside the ceiling's and those of shuffled requests, and the partial row."""
    print(f"class accuracy {100 * found['accuracy']:.2f} %; measures: drawn (ceiling, shuffled requests)")
    parts = found, found["ceiling"], found["shuffled"]
    for name, row in zip(found["r"], found["partial"]):
        r, error = ("{:.3f} ({:.3f}, {:.3f})".format(*(part[key][name] for part in parts)) for key in ("r", "error"))
        moves = ", ".join(f"{other} {value:+.3f}" for other, value in zip(found["r"], row))
        print(f"{name:9} r {r}, error {error}; moves {moves}")

"""The digit classifiers whose features the offline metric compares: python -m scoring.classifiers trains them anew."""
import json

import numpy as np
from safetensors.numpy import save

from common.data.dataset import open_dataset
from common.files import ROOT, digest, write_atomically
from common.options.command_line import run
from common.options.fields import options_class

NAMES = ("pooled", "residual", "patches")  # of scoring.networks
WEIGHTS = ROOT / "scoring" / "weights"
FLOORS = WEIGHTS / "floors.json"  # what real digits reach by these classifiers
RECIPE = {"epochs": 12, "batch_size": 128, "learning_rate": 3e-3}  # the peak, which decays along a cosine to 0


def classify(name, images):
    """By a classifier, of images (N, 1, 32, 32) uint8: rescaled features (N, D), the classes' probabilities (N, 10)."""
    from scoring.networks import run_network, trained  # torch is imported where it is needed

    network, mean, matrix = trained(WEIGHTS / f"{name}.safetensors")
    features, probabilities = run_network(network, images)
    return (features - mean) @ matrix, probabilities


def classes(images):
    """The class that the classifiers together see in each of images (N, 1, 32, 32) uint8, (N,)."""
    return sum(classify(name, images)[1] for name in NAMES).argmax(axis=1)


def rescaling(features):
    """The mean (D,) and the map (D, D) after which each principal direction's variance is the root of what it was.

    As they are, 128 features have an effective dimension of 7, and the differences between classes drown all others;
    of the same variance in each direction, noise drowns a class that is missing."""
    values, vectors = np.linalg.eigh(np.cov(features, rowvar=False))
    return features.mean(axis=0), vectors / values**0.25


@options_class
class TrainClassifiers:
    """Train the classifiers of the offline metric and write them to scoring/weights/."""


def main(options: TrainClassifiers):
    """Train on the training digits, rescale the features, write in half precision, test; forget the others' floors."""
    from scoring.networks import run_network, train

    digits, test = open_dataset().train, open_dataset().test
    for name in NAMES:
        network = train(name, digits.images, digits.labels, **RECIPE)
        mean, matrix = rescaling(run_network(network, digits.images)[0])
        parts = {**network.cpu().state_dict(), "rescale.mean": mean, "rescale.map": matrix}
        halves = {key: np.asarray(part).astype(np.float16, order="C") for key, part in parts.items()}  # for safetensors
        path = WEIGHTS / f"{name}.safetensors"
        write_atomically(path, save(halves, metadata={"recipe": json.dumps(RECIPE)}))
        right = (classify(name, test.images)[1].argmax(axis=1) == test.labels).mean()
        print(f"{path}: {100 * right:.2f} % of the test digits, {path.stat().st_size / 1e6:.2f} MB, {digest(path)}")
    FLOORS.unlink(missing_ok=True)


if __name__ == "__main__":
    run(main, TrainClassifiers)

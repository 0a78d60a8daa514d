"""The digit classifiers whose features the offline metric compares: python -m scoring.classifiers trains them anew.

Torch is imported where it is needed, not with the module.
"""
import json
import math
from functools import cache

import numpy as np
from safetensors.numpy import load_file, save
from tqdm import tqdm

from common.data.dataset import open_dataset
from common.files import ROOT, damage_told, digest, write_atomically
from common.images import from_uint8
from common.options.command_line import run
from common.options.fields import options_class

NAMES = ("pooled", "residual", "patches")  # of scoring.networks
WEIGHTS = ROOT / "scoring" / "weights"
FLOORS = WEIGHTS / "floors.json"  # what real digits reach by these classifiers
RECIPE = {"epochs": 12, "batch_size": 128, "learning_rate": 3e-3}  # the peak, which decays along a cosine to 0


@cache
def trained(name):
    """A shipped network, ready to use, and the rescaling of its features: mean (D,), map (D, D). UserError without."""
    import torch

    from scoring.networks import BUILDS

    path = WEIGHTS / f"{name}.safetensors"
    with damage_told(path):
        tensors = load_file(path)
        mean, matrix = (tensors.pop(part).astype(np.float64) for part in ("rescale.mean", "rescale.map"))
    network = BUILDS[name]()
    network.load_state_dict({key: torch.from_numpy(array) for key, array in tensors.items()})
    return network.float().eval(), mean, matrix


def run_network(network, images, batch_size=500):
    """What a network holds before its last layer (N, D), and the classes' probabilities (N, 10), float64."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    network.to(device).eval()
    features, probabilities = [], []
    with torch.no_grad():
        for i in range(0, len(images), batch_size):
            found = network[:-1](torch.from_numpy(from_uint8(images[i : i + batch_size])).to(device))
            features.append(found.double().cpu().numpy())
            probabilities.append(network[-1](found).double().softmax(dim=1).cpu().numpy())
    return np.concatenate(features), np.concatenate(probabilities)


def classify(name, images):
    """By a classifier, of images (N, 1, 32, 32) uint8: rescaled features (N, D), the classes' probabilities (N, 10)."""
    network, mean, matrix = trained(name)
    features, probabilities = run_network(network, images)
    return (features - mean) @ matrix, probabilities


def classes(images):
    """The class that the classifiers together see in each of images (N, 1, 32, 32) uint8, (N,)."""
    return sum(classify(name, images)[1] for name in NAMES).argmax(axis=1)


def rescaling(features):
    """The mean (D,) and the map (D, D) after which each principal direction's variance is the root of what it was.

    As they are, 128 features have an effective dimension of 7, and the differences between classes drown all others;
    of the same variance in each direction, noise drowns a class that is missing.
    """
    values, vectors = np.linalg.eigh(np.cov(features, rowvar=False))
    return features.mean(axis=0), vectors / values**0.25


@options_class
class TrainClassifiers:
    """Train the classifiers of the offline metric and write them to scoring/weights/."""


def train(name, images, labels, epochs, batch_size, learning_rate):
    """A network trained on distorted images (N, 1, 32, 32) uint8."""
    import torch
    from torch.nn.functional import cross_entropy

    from scoring.networks import BUILDS, distort

    torch.manual_seed(NAMES.index(name))
    images, labels = torch.from_numpy(from_uint8(images)), torch.from_numpy(labels)
    network = BUILDS[name]()
    optimizer = torch.optim.AdamW(network.parameters(), lr=learning_rate, weight_decay=0.05)
    total = epochs * math.ceil(len(images) / batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total)
    for epoch in range(epochs):
        batches, title = torch.randperm(len(images)).split(batch_size), f"{name} {epoch + 1}/{epochs}"
        for indices in tqdm(batches, desc=title, unit="step", dynamic_ncols=True):
            loss = cross_entropy(network(distort(images[indices])), labels[indices])
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
    return network


def main(options: TrainClassifiers):
    """Train on the training digits, rescale the features, write in half precision, test; forget the others' floors."""
    digits, test = open_dataset().train, open_dataset().test
    for name in NAMES:
        network = train(name, digits.images, digits.labels, **RECIPE)
        parts = dict(zip(("rescale.mean", "rescale.map"), rescaling(run_network(network, digits.images)[0])))
        tensors = {key: value.cpu().numpy() for key, value in network.state_dict().items()} | parts
        path = WEIGHTS / f"{name}.safetensors"
        path.parent.mkdir(exist_ok=True)
        halves = {key: array.astype(np.float16, order="C") for key, array in tensors.items()}  # as safetensors takes it
        write_atomically(path, save(halves, metadata={"recipe": json.dumps(RECIPE)}))
        right = (classify(name, test.images)[1].argmax(axis=1) == test.labels).mean()
        print(f"{path}: {100 * right:.2f} % of the test digits, {path.stat().st_size / 1e6:.2f} MB, {digest(path)}")
    FLOORS.unlink(missing_ok=True)


if __name__ == "__main__":
    run(main, TrainClassifiers)

"""The digit classifier whose features the offline metric compares: python -m scoring.classifier trains it anew.

A small convolutional network; the 128 numbers before its last layer are what the Frechet distance, precision and recall
see. It scores pictures and takes no part in drawing them. Torch is imported where it is needed, not with the module.
"""
import hashlib
import json
import math
from functools import cache

import numpy as np
from safetensors.numpy import load_file, save
from tqdm import tqdm

from common.errors import UserError
from common.files import ROOT, write_atomically
from common.images import from_uint8
from common.mnist import load_mnist
from common.options.command_line import run
from common.options.fields import Count, Positive, Seed, options_class

WEIGHTS = ROOT / "scoring" / "classifier.safetensors"
FEATURES = 128


def build():
    """The network: images (B, 1, 32, 32) in [-1, 1] -> logits (B, 10); all but its last layer -> features (B, 128)."""
    from torch import nn

    def block(in_channels, out_channels, size=3, stride=1):
        convolution = nn.Conv2d(in_channels, out_channels, size, stride, padding=size // 2)
        return convolution, nn.BatchNorm2d(out_channels), nn.ReLU()

    return nn.Sequential(
        *block(1, 32, size=5, stride=2), *block(32, 48), nn.MaxPool2d(2),  # (B, 48, 8, 8)
        *block(48, 96), *block(96, FEATURES), nn.AdaptiveAvgPool2d(1), nn.Flatten(),  # (B, 128)
        nn.Linear(FEATURES, 10),
    )  # fmt: skip


@cache
def trained_network():
    """The shipped network, ready to use. UserError where its file is not whole."""
    import torch

    if not WEIGHTS.is_file():
        raise UserError(f"{WEIGHTS} is missing: `git checkout -- {WEIGHTS}` restores it")
    network = build()
    network.load_state_dict({name: torch.from_numpy(array) for name, array in load_file(WEIGHTS).items()})
    return network.eval()


def classify(images, batch_size=500):
    """The features (N, 128) and the classes' probabilities (N, 10) of images (N, 1, 32, 32) uint8, float64."""
    import torch

    network = trained_network()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network.to(device)
    features, probabilities = [], []
    with torch.no_grad():
        for i in range(0, len(images), batch_size):
            found = network[:-1](torch.from_numpy(from_uint8(images[i : i + batch_size])).to(device))
            features.append(found.double().cpu().numpy())
            probabilities.append(network[-1](found).double().softmax(dim=1).cpu().numpy())
    return np.concatenate(features), np.concatenate(probabilities)


def distort(x):
    """Each image moved by up to 2.4 pixels, turned by up to 11 degrees, scaled by up to 10 %. x (B, 1, 32, 32)."""
    import torch
    from torch.nn.functional import affine_grid, grid_sample

    angle, scale = 0.2 * (2 * torch.rand(len(x)) - 1), 1 + 0.1 * (2 * torch.rand(len(x)) - 1)
    cos, sin = scale * torch.cos(angle), scale * torch.sin(angle)
    shift = 0.15 * (2 * torch.rand(len(x), 2) - 1)  # in half widths
    theta = torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1), shift], 2)  # (B, 2, 3)
    return grid_sample(x, affine_grid(theta, x.shape, align_corners=False), padding_mode="border", align_corners=False)


@options_class
class TrainClassifier:
    """Train the classifier of the offline metric and write it to scoring/classifier.safetensors."""

    epochs: Count = 12
    """Passes over the training set."""
    batch_size: Count = 128
    """Images per step."""
    learning_rate: Positive = 3e-3
    """Peak learning rate of AdamW; it decays along a cosine to 0."""
    seed: Seed = 0
    """Of the initial weights, the data order and the distortions."""


def main(options: TrainClassifier):
    """Train on distorted training digits, test, write."""
    import torch
    from torch.nn.functional import cross_entropy

    torch.manual_seed(options.seed)
    images, labels = load_mnist(train=True)
    images, labels = torch.from_numpy(from_uint8(images)), torch.from_numpy(labels)
    network = build()
    optimizer = torch.optim.AdamW(network.parameters(), lr=options.learning_rate, weight_decay=0.05)
    total = options.epochs * math.ceil(len(images) / options.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, options.learning_rate, total)
    for epoch in range(options.epochs):
        batches = torch.randperm(len(images)).split(options.batch_size)
        for indices in tqdm(batches, desc=f"epoch {epoch + 1} of {options.epochs}", unit="step", dynamic_ncols=True):
            logits = network(distort(images[indices]))
            loss = cross_entropy(logits, labels[indices])
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
    tensors = {name: value.numpy() for name, value in network.state_dict().items()}
    content = save(tensors, metadata={"recipe": json.dumps(vars(options))})
    write_atomically(WEIGHTS, content)
    images, labels = load_mnist(train=False)
    test = (classify(images)[1].argmax(axis=1) == labels).mean()
    print(f"{WEIGHTS}: {100 * test:.2f} % of the test digits, {len(content) / 1e6:.2f} MB,", end=" ")
    print(f"sha256 {hashlib.sha256(content).hexdigest()[:16]}")


if __name__ == "__main__":
    run(main)

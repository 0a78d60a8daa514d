"""The networks of the offline metric's classifiers, in PyTorch. They score pictures and take no part in drawing them.

One pools over the whole picture, two keep where a stroke lies; one sees patches of 9x9 pixels first."""
import math
from functools import cache

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn.functional import affine_grid, cross_entropy, grid_sample
from tqdm import tqdm

from common.files import damage_told
from common.images import from_uint8


class Residual(nn.Sequential):
    """x + f(x)."""

    def forward(self, x):
        return x + super().forward(x)


def conv(in_channels, out_channels, size=3, stride=1):
    return nn.Conv2d(in_channels, out_channels, size, stride, size // 2, bias=False), nn.BatchNorm2d(out_channels)


def block(*args, **kwargs):
    return *conv(*args, **kwargs), nn.ReLU()


def head(channels, grid):
    """From channels to a grid of cells of them, the features, and from there to logits (B, 10)."""
    count = channels * grid**2
    return nn.AdaptiveAvgPool2d(grid), nn.Flatten(), nn.BatchNorm1d(count, affine=False), nn.Linear(count, 10)


def pooled():
    return nn.Sequential(
        *block(1, 32, size=5, stride=2), *block(32, 48), nn.MaxPool2d(2),  # (B, 48, 8, 8)
        *block(48, 96), *block(96, 128), *head(128, grid=1),
    )  # fmt: skip


def residual():
    return nn.Sequential(
        *block(1, 16, stride=2), *block(16, 64, stride=2),  # (B, 64, 8, 8)
        Residual(*block(64, 64), *conv(64, 64)), *block(64, 96, stride=2),  # (B, 96, 4, 4)
        Residual(*block(96, 96), *conv(96, 96)), *block(96, 48, size=1), *head(48, grid=2),
    )  # fmt: skip


def patches():
    return nn.Sequential(
        *block(1, 32, size=9, stride=4), *block(32, 64, size=5),  # (B, 64, 8, 8)
        *block(64, 96, size=5, stride=2), *block(96, 96), *block(96, 12, size=1), *head(12, grid=4),
    )  # fmt: skip


BUILDS = {"pooled": pooled, "residual": residual, "patches": patches}


@cache
def trained(path):
    """The network that a file holds, and the rescaling of its features: mean (D,), map (D, D). UserError without."""
    with damage_told(path):
        tensors = load_file(path)
        mean, matrix = (tensors.pop(part).double().numpy() for part in ("rescale.mean", "rescale.map"))
    network = BUILDS[path.stem]()
    network.load_state_dict(tensors)
    return network, mean, matrix


@torch.no_grad()
def run_network(network, images, batch_size=500):
    """Of images (N, 1, 32, 32) uint8 the features (N, D) and the classes' probabilities (N, 10), float64."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network.to(device).eval()
    batches = (torch.from_numpy(from_uint8(images[i : i + batch_size])) for i in range(0, len(images), batch_size))
    features = torch.cat([network[:-1](x.to(device)) for x in batches])
    probabilities = network[-1](features).double().softmax(dim=1)
    return features.double().cpu().numpy(), probabilities.cpu().numpy()


def distort(x):
    """Each image moved by up to 1.6 pixels, turned by up to 11 degrees, scaled by up to 10 %. x (B, 1, 32, 32)."""
    angle, scale = 0.2 * (2 * torch.rand(len(x)) - 1), 1 + 0.1 * (2 * torch.rand(len(x)) - 1)
    cos, sin = scale * torch.cos(angle), scale * torch.sin(angle)
    shift = 0.1 * (2 * torch.rand(len(x), 2) - 1)  # in half widths
    theta = torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1), shift], 2)  # (B, 2, 3)
    return grid_sample(x, affine_grid(theta, x.shape, align_corners=False), padding_mode="border", align_corners=False)


def train(name, images, labels, epochs, batch_size, learning_rate):
    """A network trained on distorted images (N, 1, 32, 32) uint8."""
    torch.manual_seed(list(BUILDS).index(name))
    images, labels = torch.from_numpy(from_uint8(images)), torch.from_numpy(labels)
    network = BUILDS[name]()
    optimizer = torch.optim.AdamW(network.parameters(), lr=learning_rate, weight_decay=0.05)
    total = epochs * math.ceil(len(images) / batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total)
    for epoch in range(epochs):
        batches = torch.randperm(len(images)).split(batch_size)
        for indices in tqdm(batches, desc=f"{name} {epoch + 1}/{epochs}", unit="step", dynamic_ncols=True):
            loss = cross_entropy(network(distort(images[indices])), labels[indices])
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
    return network

"""The networks of the offline metric's classifiers, in PyTorch. They only score images and are not used to make them.

`pooled` averages features over the whole image; `residual` and `patches` keep positions; `patches` begins with 9x9
patches. Their input is 32x32, to which other images are resized."""
from functools import cache

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn.functional import affine_grid, cross_entropy, grid_sample, interpolate
from tqdm import tqdm

from common.files import catch_damage
from common.images import from_uint8

SIZE = 32  # side of the networks' input in pixels
torch.backends.cudnn.allow_tf32 = False  # as in pytorch/device.py: whichever program scores, by the same numbers


class Residual(nn.Sequential):
    """x + f(x)."""

    def forward(self, x):
        return x + super().forward(x)


def conv(in_channels, out_channels, size=3, stride=1):
    return nn.Conv2d(in_channels, out_channels, size, stride, size // 2, bias=False), nn.BatchNorm2d(out_channels)


def block(*args, **kwargs):
    return *conv(*args, **kwargs), nn.ReLU()


def head(channels, grid, classes):
    """Pool feature maps to grid x grid cells, the features, then a linear layer to logits (B, classes)."""
    count = channels * grid**2
    return nn.AdaptiveAvgPool2d(grid), nn.Flatten(), nn.BatchNorm1d(count, affine=False), nn.Linear(count, classes)


def pooled(channels, classes):
    return nn.Sequential(
        *block(channels, 32, size=5, stride=2), *block(32, 48), nn.MaxPool2d(2),  # (B, 48, 8, 8)
        *block(48, 96), *block(96, 128), *head(128, grid=1, classes=classes),
    )  # fmt: skip


def residual(channels, classes):
    return nn.Sequential(
        *block(channels, 16, stride=2), *block(16, 64, stride=2),  # (B, 64, 8, 8)
        Residual(*block(64, 64), *conv(64, 64)), *block(64, 96, stride=2),  # (B, 96, 4, 4)
        Residual(*block(96, 96), *conv(96, 96)), *block(96, 48, size=1), *head(48, grid=2, classes=classes),
    )  # fmt: skip


def patches(channels, classes):
    return nn.Sequential(
        *block(channels, 32, size=9, stride=4), *block(32, 64, size=5),  # (B, 64, 8, 8)
        *block(64, 96, size=5, stride=2), *block(96, 96), *block(96, 12, size=1), *head(12, grid=4, classes=classes),
    )  # fmt: skip


BUILDS = {"pooled": pooled, "residual": residual, "patches": patches}


def preprocess(images):
    """Images (N, C, H, W) uint8 as input of the networks: (N, C, 32, 32) float32 in [-1, 1]."""
    x = torch.from_numpy(from_uint8(images))
    if images.shape[2:] != (SIZE, SIZE):
        x = interpolate(x, (SIZE, SIZE), mode="bilinear", antialias=True)
    return x.contiguous(memory_format=torch.channels_last)  # faster


@cache
def load_classifier(path, cure):
    """Load (network, mean (D,), matrix (D, D)), of which the last two rescale its features. UserError, with this cure,
    if the file is damaged."""
    with catch_damage(path, cure):
        tensors = load_file(path)
        mean, matrix = (tensors.pop(part).double().numpy() for part in ("rescale.mean", "rescale.map"))
        (classes,) = (len(tensor) for tensor in tensors.values() if tensor.ndim == 2)  # from the last layer
        network = BUILDS[path.stem](tensors["0.weight"].shape[1], classes)
    network.load_state_dict(tensors)
    return network.to(memory_format=torch.channels_last), mean, matrix


@torch.no_grad()
def run_network(network, images, batch_size=500):
    """(features (N, D), class probabilities (N, classes)), float64, of images (N, C, H, W) uint8."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network.to(device).eval()
    batches = (preprocess(images[i : i + batch_size]) for i in range(0, len(images), batch_size))
    features = torch.cat([network[:-1](x.to(device)) for x in batches])
    probabilities = network[-1](features).double().softmax(dim=1)
    return features.double().cpu().numpy(), probabilities.cpu().numpy()


def distort(x):
    """Randomly shift by up to 1.6 pixels, rotate by up to 11 degrees, scale by up to 10 %. x (B, C, 32, 32)."""
    angle, scale = 0.2 * (2 * torch.rand(len(x)) - 1), 1 + 0.1 * (2 * torch.rand(len(x)) - 1)
    cos, sin = scale * torch.cos(angle), scale * torch.sin(angle)
    shift = 0.1 * (2 * torch.rand(len(x), 2) - 1)  # in half widths
    theta = torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1), shift], 2)  # (B, 2, 3)
    return grid_sample(x, affine_grid(theta, x.shape, align_corners=False), padding_mode="border", align_corners=False)


def train(name, images, labels, classes, epochs, batch_size, learning_rate, most):
    """Train a network on distorted images (N, C, H, W) uint8 with labels (N,) in 0..classes - 1; most: the most
    images, repeats counted."""
    torch.manual_seed(list(BUILDS).index(name))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = BUILDS[name](images.shape[1], classes).to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), lr=learning_rate, weight_decay=0.05)
    order = torch.cat([torch.randperm(len(images)) for _ in range(epochs)])[:most]
    batches = order[: len(order) // batch_size * batch_size].split(batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, len(batches))
    for indices in tqdm(batches, desc=f"classifier {name}", unit="step", dynamic_ncols=True):
        x, targets = distort(preprocess(images[indices.numpy()])), torch.from_numpy(labels[indices.numpy()])
        loss = cross_entropy(network(x.to(device)), targets.to(device))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
    return network

"""The four files of MNIST, or of a data set in its format, read into arrays."""
import gzip
import math
from functools import cache

import numpy as np
from PIL import Image

from common import SIZE
from common.errors import UserError
from common.files import DATA, damage_told

LARGEST = 2**31  # bytes of a file unpacked, and of its images resized: what is read is what its header claims


def load_mnist(train, folder=None, limit=None):
    """Images (N, 1, 32, 32) uint8 and labels (N,) int64 of the training or the test set, or the first `limit`.

    folder holds the four files train-images-idx3-ubyte.gz and so on; None: the repository's MNIST. Images of another
    size are resized. UserError that names the file and the cure where one is missing, cut short or altered.
    """
    folder, part = folder or DATA, "train" if train else "t10k"
    images = read_idx(idx_path(train, folder, "images-idx3"), axes=3)
    labels = load_labels(train, folder)
    if len(images) != len(labels):
        raise UserError(f"{folder} has {len(images)} {part} images and {len(labels)} labels: fetch it again")
    pictures = (Image.fromarray(image) for image in images[:limit])
    resized = [np.asarray(picture.resize((SIZE, SIZE), Image.Resampling.BILINEAR)) for picture in pictures]
    return np.stack(resized)[:, None], labels[:limit]


def idx_path(train, folder, part):
    """The file of the training or the test set's "images-idx3" or "labels-idx1"."""
    return folder / f"{'train' if train else 't10k'}-{part}-ubyte.gz"


def load_labels(train, folder=None):
    """The labels of the training or the test set, (N,) int64."""
    return read_idx(idx_path(train, folder or DATA, "labels-idx1"), axes=1).astype(np.int64)


def check_labels(labels, known, folder, cure):
    """UserError where a label is none of the classes 0 to known - 1."""
    if labels.max() >= known:
        raise UserError(f"{folder or DATA} has the label {labels.max()}, the model {known} classes: {cure}")


@cache
def random_images(train, count=None, folder=None, seed=0):
    """All images of the training or the test set, or `count` of them at random, a seed's: (N, 1, 32, 32) uint8.

    Not every n-th: the digits' order has a period, and every 6th image is 4 times as far from the test set as others.
    """
    if count is None:
        return load_mnist(train, folder)[0]
    images = random_images(train, folder=folder)  # read once
    return images[np.sort(np.random.default_rng(seed).permutation(len(images))[:count])]


def read_idx(path, axes):
    """The bytes of a gzipped IDX file as an array of so many axes (LeCun, http://yann.lecun.com/exdb/mnist)."""
    with damage_told(path, None if path.parent == DATA else "fetch it again"), gzip.open(path) as file:
        if file.read(4) != bytes([0, 0, 8, axes]):  # 8: unsigned bytes
            raise ValueError("no IDX file")
        shape = np.frombuffer(file.read(4 * axes), ">u4", axes).tolist()
        if not 0 < math.prod(shape) <= LARGEST or shape[0] * SIZE**2 > LARGEST:
            raise ValueError(f"it claims {' x '.join(map(str, shape))} bytes")
        content = file.read(math.prod(shape) + 1)  # one more: the end, and with it the checksum, is read too
        return np.frombuffer(content, np.uint8).reshape(shape)

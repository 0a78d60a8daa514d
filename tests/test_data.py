"""MNIST: the pixels that reach a model, and what a damaged file leads to."""
import hashlib
import shutil

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import MNIST

from common.cli import UserError
from common.images import from_uint8, grid, pairs, to_uint8
from common.mnist import MD5
from common.paths import DATA

MNIST_RAW = DATA / "MNIST" / "raw"


def test_files_are_the_official_ones():
    for name, md5 in MD5.items():
        assert hashlib.md5((MNIST_RAW / name).read_bytes()).hexdigest() == md5


def test_images_are_mnist_resized(tree):
    images, labels = tree.data.load_mnist(train=False)
    assert images.shape == (10_000, 1, 32, 32) and images.dtype == np.uint8 and images.max() == 255
    assert np.bincount(labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]  # as published
    first = MNIST(DATA, train=False).data[0].numpy()
    resized = Image.fromarray(first).resize((32, 32), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(images[0, 0], np.asarray(resized))
    few, few_labels = tree.data.load_mnist(train=True, limit=7)
    assert few.shape == (7, 1, 32, 32) and few_labels.tolist() == [5, 0, 4, 1, 9, 2, 1]


@pytest.fixture
def copy(tmp_path):
    shutil.copytree(DATA, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*-ubyte"))
    return tmp_path


def flip_byte(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", MD5)
@pytest.mark.parametrize("damage", ["missing", "cut short", "altered"])
def test_damaged_file(tree, copy, name, damage):
    path = copy / "MNIST" / "raw" / name
    if damage == "missing":
        path.unlink()
    elif damage == "cut short":
        path.write_bytes(path.read_bytes()[:-1])
    else:
        flip_byte(path)
    with pytest.raises(UserError, match=f"{name}.* is .*{damage}.*git checkout"):
        tree.data.load_mnist(train=True, limit=1, root=copy)


def test_damaged_unpacked_file(tree, copy):
    tree.data.load_mnist(train=True, limit=1, root=copy)
    unpacked = copy / "MNIST" / "raw" / "train-images-idx3-ubyte"
    if not unpacked.exists():
        return  # this tree reads the packed files
    flip_byte(unpacked)
    with pytest.raises(UserError, match="ubyte is cut short or altered: delete it"):
        tree.data.load_mnist(train=True, limit=1, root=copy)


def test_pixels_travel_without_loss():
    pixels = np.arange(256, dtype=np.uint8)
    floats = from_uint8(pixels)
    assert floats.dtype == np.float32 and floats.min() == -1 and floats.max() == 1
    np.testing.assert_array_equal(to_uint8(floats), pixels)
    np.testing.assert_array_equal(to_uint8(np.array([-7, 7.0])), [0, 255])
    with pytest.raises(UserError, match="not finite"):
        to_uint8(np.array([0, np.nan]))


def test_grid_places_images():
    images = np.linspace(-1, 1, 5).reshape(5, 1, 1, 1) * np.ones((5, 1, 4, 4))
    picture = grid(images, columns=3, gap=1)
    assert picture.shape == (11, 16)
    assert [picture[2, 2], picture[2, 7], picture[2, 12], picture[7, 2], picture[7, 7]] == [0, 64, 128, 191, 255]
    stacked = pairs(to_uint8(images), -images, columns=3)
    assert stacked.shape == (4 * 6 + 2, 3 * 6 + 2)

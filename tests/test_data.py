"""Data: the pixels that reach a model, what a damaged file leads to, and data sets of other classes than MNIST's."""
import gzip
import hashlib
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torchvision
from conftest import TREES, assert_picture, run_script

from common.checkpoint import Checkpoint, load_checkpoint
from common.data.dataset import TABLES, data_of, open_dataset
from common.draw import labels_of
from common.errors import UserError
from common.files import DATA
from common.images import from_uint8, grid, pairs, to_uint8
from common.options.recipes import TrainVAE

MD5 = {  # as published with the data set
    "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
}


def load(train, folder=None, limit=None):
    """The images and the labels of a data set's training or test part, or the first of them."""
    data = open_dataset(folder)
    split = replace(data.train if train else data.test, limit=limit)
    return split.images, split.labels


def test_files_are_the_official_ones():
    for name, md5 in MD5.items():
        assert hashlib.md5((DATA / name).read_bytes()).hexdigest() == md5


def test_images_are_mnist_resized():
    images, labels = load(train=False)
    assert images.shape == (10_000, 1, 32, 32) and images.dtype == np.uint8 and images.max() == 255
    assert np.bincount(labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]  # as published
    few, few_labels = load(train=True, limit=7)
    assert few.shape == (7, 1, 32, 32) and few_labels.tolist() == [5, 0, 4, 1, 9, 2, 1]


@pytest.mark.parametrize("train", [True, False])
def test_the_frameworks_read_the_same(trees, tmp_path, train):
    images, labels = load(train, limit=500)
    shutil.copytree(DATA, tmp_path / "MNIST" / "raw")
    theirs = torchvision.datasets.MNIST(tmp_path, train, torchvision.transforms.Resize((32, 32)), download=True)
    np.testing.assert_array_equal(images[:, 0], [np.asarray(theirs[i][0]) for i in range(500)])
    np.testing.assert_array_equal(labels, theirs.targets[:500])
    jt = trees["jittor"].device.jt
    theirs = jt.dataset.MNIST(f"{DATA}/", train, transform=jt.transform.Resize((32, 32)), download=False)
    np.testing.assert_array_equal(images[:, 0], [np.round(theirs[i][0][0] * 255) for i in range(500)])
    np.testing.assert_array_equal(labels, theirs.mnist["labels"][:500])


@pytest.fixture
def copy(tmp_path):
    return shutil.copytree(DATA, tmp_path / "copy")


def flip_byte(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", MD5)
@pytest.mark.parametrize("damage", ["missing", "cut short", "altered", "not gzip", "another's"])
def test_damaged_file(copy, name, damage):
    path = copy / name
    if damage == "missing":
        path.unlink()
    elif damage == "cut short":
        path.write_bytes(path.read_bytes()[:-1])
    elif damage == "altered":
        flip_byte(path)
    elif damage == "not gzip":
        path.write_bytes(gzip.decompress(path.read_bytes()))
    else:
        path.write_bytes(gzip.compress(bytes([0, 0, 8, 2]) + bytes(100)))
    with pytest.raises(UserError, match=rf"{name} is damaged or gone \(.+\): fetch it again"):
        load("train" in name, copy)


def test_the_repository_s_own_file_is_restored_by_git(copy, monkeypatch):
    monkeypatch.setattr("common.data.dataset.DATA", copy)
    (copy / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(UserError, match=r"labels-idx1-ubyte\.gz is damaged or gone .*: `git checkout"):
        load(train=False)


def idx(*shape, content):
    return gzip.compress(bytes([0, 0, 8, len(shape)]) + b"".join(n.to_bytes(4, "big") for n in shape) + content)


@pytest.mark.parametrize("shape, content", [
    ((10, 0, 0), b""), ((2**31, 28, 28), b""), ((2**22, 1, 1), bytes(2**22)), ((3, 2, 2), bytes(10**8)),
])  # fmt: skip
def test_headers_that_lie(copy, shape, content):
    """No pixels, more than memory holds, read or resized, 100 MB of zeros where 12 bytes are told: not unpacked."""
    (copy / "train-images-idx3-ubyte.gz").write_bytes(idx(*shape, content=content))
    with pytest.raises(UserError, match=r"images-idx3-ubyte\.gz is damaged or gone \((it claims|.*of size 13 )"):
        load(True, copy)


def test_of_images_that_are_not_square_the_centre_is_taken(copy, capsys):
    """And it is said. Not squashed: columns 14 to 18 of 32 are as bright as columns 16 to 20 of 36 were."""
    images = np.zeros((2, 32, 36), np.uint8)
    images[:, :, 16:20] = 200
    (copy / "t10k-images-idx3-ubyte.gz").write_bytes(idx(*images.shape, content=images.tobytes()))
    (copy / "t10k-labels-idx1-ubyte.gz").write_bytes(idx(2, content=bytes(2)))
    expected = np.zeros((2, 1, 32, 32), np.uint8)
    expected[..., 14:18] = 200
    np.testing.assert_array_equal(open_dataset(copy).test.images, expected)
    assert f"{copy}: of images of 36x32 the square in the centre is taken" in capsys.readouterr().out


def test_without_measures_nothing_is_measured(few, monkeypatch):
    """Which of 60,000 pictures would take minutes."""
    monkeypatch.setattr("common.data.dataset.load_table", lambda split: pytest.fail("measured"))
    train = open_dataset(few).measured(()).train
    assert train.values == {} and train.conditions.shape == (400, 1)


def test_files_of_two_data_sets(copy):
    shutil.copy(copy / "t10k-labels-idx1-ubyte.gz", copy / "train-labels-idx1-ubyte.gz")
    with pytest.raises(UserError, match="60000 train images and 10000 labels"):
        load(True, copy)


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
    assert stacked[4::6, 4::6].tolist() == [[0, 64, 128], [255, 191, 128], [191, 255, 0], [64, 0, 0]]


SMALL = ("--unet.base-channels", 16, "--unet.context-dim", 16, "--unet.head-dim", 8)
ONE_STEP = ("--limit", 8, "--batch-size", 8, "--epochs", 1, "--precision", "fp32")


@pytest.fixture(scope="module", params=[3, 26])
def classes(request):
    return request.param


@pytest.fixture(scope="module")
def own(classes, tmp_path_factory):
    """A data set of so many classes, 4 training images and a test image of each: the folder of its four files."""
    folder = tmp_path_factory.mktemp(f"letters-of-{classes}-")
    for name, each in (("train", 4), ("t10k", 1)):
        labels, images = np.tile(np.arange(classes, dtype=np.uint8), each), np.zeros((each * classes, 28, 28), np.uint8)
        for image, label, copy in zip(images, labels, np.repeat(range(each), classes)):
            image[4 : 16 + copy, 1 + label] = image[20 - label // 2, 6:22] = 255
        (folder / f"{name}-images-idx3-ubyte.gz").write_bytes(idx(*images.shape, content=images.tobytes()))
        (folder / f"{name}-labels-idx1-ubyte.gz").write_bytes(idx(*labels.shape, content=labels.tobytes()))
    yield folder
    for path in TABLES.glob(f"{open_dataset(folder).spec.digest}-*"):
        path.unlink()


@pytest.fixture(scope="module", params=TREES)
def trained(request, own, tmp_path_factory):
    """A tree's name, and the run of one step that it has trained on that data."""
    out = tmp_path_factory.mktemp("trained")
    arguments = (*SMALL, *ONE_STEP, "--data", own, "--measures", "width", "--out", out)
    result = run_script(request.param, "train_mnist.py", *arguments)
    assert result.returncode == 0, result.stderr
    return request.param, out


def test_data_of_other_classes(own, classes, trained, tmp_path):
    tree, out = trained
    checkpoint, data = load_checkpoint(out, "ddpm"), open_dataset(own)
    spec = checkpoint.spec
    assert checkpoint.progress.step == 1 and list(out.glob("epoch-*.png"))
    assert (spec.name, spec.shape, spec.source, spec.digest) == (own.name, (1, 32, 32), own, data.spec.digest)
    assert spec.classes == data.spec.classes == tuple(str(label) for label in range(classes))
    assert list(spec.measures) == ["width"] and len(spec.measures["width"].rows) == classes + 1
    assert len(checkpoint.tensors["model.context.weight"]) == classes + 1
    np.testing.assert_array_equal(labels_of(np.arange(100), spec), np.arange(100) % classes)

    draw = ("tst_mnist.py", "--checkpoint", out, "--out", tmp_path, "--num", 4, "--process-rows", 2, "--steps", 2)
    result = run_script(tree, *draw, "--digit", classes - 1)
    assert result.returncode == 0 and f"epochs of {own.name}" in result.stdout, result.stderr
    for name in ("samples.png", "process.png", "sweep.png"):
        assert_picture(tmp_path / name)
    with pytest.raises(UserError, match=f"--digit {classes}: {own.name} has the classes 0 to {classes - 1}"):
        labels_of(np.arange(4), spec, classes)


@pytest.mark.parametrize("classes", [3], indirect=True)
def test_a_model_is_distilled_on_its_own_data(own, trained, tmp_path):
    """Where no --data is named, the teacher's."""
    tree, teacher = trained
    result = run_script(tree, "distill_mnist.py", *ONE_STEP, "--teacher", teacher, "--out", tmp_path)
    assert result.returncode == 0, result.stderr
    assert load_checkpoint(tmp_path, "ddpm").spec == load_checkpoint(teacher, "ddpm").spec


def test_the_data_of_a_checkpoint(few, copy, tmp_path):
    """Where it was, or where it was moved to; in one line what is gone, or is another."""
    moved, spec = tmp_path / "moved", open_dataset(copy).spec
    checkpoint = Checkpoint(TrainVAE(), replace(spec, name="mine"), {}, path="model.safetensors")
    assert data_of(checkpoint).spec == checkpoint.spec and data_of(checkpoint).folder == copy
    with pytest.raises(UserError, match=rf"^{few} has the digest .*, and model\.safetensors learned mine, .* --data$"):
        data_of(checkpoint, few)
    copy.rename(moved)
    with pytest.raises(UserError, match=rf"^{copy}, the data of model\.safetensors, is gone: .* --data$"):
        data_of(checkpoint)
    assert data_of(checkpoint, moved).spec == replace(checkpoint.spec, source=moved)
    assert data_of(checkpoint, os.path.relpath(moved)).folder == moved

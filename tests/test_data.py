"""Data: the pixels that reach a model, what a damaged file leads to, and data sets of other classes than MNIST's."""
import gzip
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torchvision
from conftest import SMALL, TREES, assert_picture, run_scripts
from PIL import Image

from common.checkpoint import Checkpoint, load_checkpoint
from common.data import __main__ as look
from common.data import prepared
from common.data.augment import augmented
from common.data.dataset import TABLES, class_names, data_of, open_dataset, read_dataset
from common.data.pictures import Preprocessing
from common.data.prepared import hold_out, mixed
from common.data.spec import Spec
from common.diffusion.noise import StepNoise
from common.draw import class_number, labels_of
from common.errors import UserError
from common.files import DATA, ROOT
from common.images import from_uint8, grid, pairs, to_uint8
from common.options.recipes import Training, TrainVAE
from common.training.batches import Batches
from publish import beside

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


def idx(*shape, content):
    return gzip.compress(bytes([0, 0, 8, len(shape)]) + b"".join(n.to_bytes(4, "big") for n in shape) + content)


def test_of_images_that_are_not_square_the_centre_is_taken(tmp_path):
    """And it is said. Not squashed: columns 14 to 18 of 32 are as bright as columns 16 to 20 of 36 were."""
    images = np.zeros((2, 32, 36), np.uint8)
    images[:, :, 16:20] = 200
    for part in ("train", "t10k"):
        (tmp_path / f"{part}-images-idx3-ubyte.gz").write_bytes(idx(*images.shape, content=images.tobytes()))
        (tmp_path / f"{part}-labels-idx1-ubyte.gz").write_bytes(idx(2, content=bytes(2)))
    expected = np.zeros((2, 1, 32, 32), np.uint8)
    expected[..., 14:18] = 200
    np.testing.assert_array_equal(open_dataset(tmp_path).test.images, expected)
    assert "36x32 -> 32x32, light on dark, cropped to the centre if not square" in str(open_dataset(tmp_path))


def test_mnist_in_colour_has_no_measures_unless_they_are_named():
    data = open_dataset()
    coloured = replace(data, spec=replace(data.spec, shape=(3, 32, 32)))
    assert coloured.measured().spec.measures == {} and len(data.measured().spec.measures) == 3
    with pytest.raises(UserError, match="is not grey with light strokes on dark: leave out thickness, slant, width"):
        coloured.measured(("slant",))


def test_without_measures_nothing_is_measured(few, monkeypatch):
    """Which of 60,000 pictures would take minutes."""
    monkeypatch.setattr("common.data.dataset.load_table", lambda split: pytest.fail("measured"))
    train = open_dataset(few).measured(()).train
    assert train.values == {} and train.conditions.shape == (400, 1)


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


ONE_STEP = ("--limit", 8, "--batch-size", 8, "--epochs", 1, "--precision", "fp32")


CLASSES = 26


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A data set of 26 classes, 4 training images and a test image of each: the folder of its four files."""
    folder = tmp_path_factory.mktemp("letters")
    for name, each in (("train", 4), ("t10k", 1)):
        labels, images = np.tile(np.arange(CLASSES, dtype=np.uint8), each), np.zeros((each * CLASSES, 28, 28), np.uint8)
        for image, label, copy in zip(images, labels, np.repeat(range(each), CLASSES)):
            image[4 : 16 + copy, 1 + label] = image[20 - label // 2, 6:22] = 255
        (folder / f"{name}-images-idx3-ubyte.gz").write_bytes(idx(*images.shape, content=images.tobytes()))
        (folder / f"{name}-labels-idx1-ubyte.gz").write_bytes(idx(*labels.shape, content=labels.tobytes()))
    yield folder
    for path in TABLES.glob(f"{open_dataset(folder).spec.digest}-*"):
        path.unlink()


@pytest.fixture(scope="module", params=TREES)
def trained(request, own, tmp_path_factory):
    """What was trained on that data for one step, drawn of its last class, and distilled: the folders."""
    out, pictures, student = (tmp_path_factory.mktemp(name) for name in ("trained", "pictures", "student"))
    few = (*ONE_STEP[-2:], "--num", 4, "--process-rows", 2, "--steps", 2)
    result = run_scripts(
        request.param,
        ("train_mnist.py", *SMALL, *ONE_STEP, "--data", own, "--measures", "width", "--out", out),
        ("tst_mnist.py", *few, "--checkpoint", out, "--out", pictures, "--label", CLASSES - 1),
        ("distill_mnist.py", *ONE_STEP, "--teacher", out, "--out", student),
    )
    assert result.returncode == 0 and f"epochs of {own.name}" in result.stdout, result.stderr
    return out, pictures, student


def test_data_of_other_classes(own, trained):
    out, pictures, student = trained
    checkpoint, data = load_checkpoint(out, "ddpm"), open_dataset(own)
    spec = checkpoint.spec
    assert checkpoint.progress.step == 1 and list(out.glob("epoch-*.png"))
    assert (spec.name, spec.shape, spec.source, spec.digest) == (own.name, (1, 32, 32), own, data.spec.digest)
    assert spec.classes == data.spec.classes == tuple(str(label) for label in range(CLASSES))
    assert list(spec.measures) == ["width"] and len(spec.measures["width"].rows) == CLASSES + 1
    assert len(checkpoint.tensors["model.context.weight"]) == CLASSES + 1
    np.testing.assert_array_equal(labels_of(np.arange(100), spec), np.arange(100) % CLASSES)
    for name in ("samples.png", "process.png", "sweep.png"):
        assert_picture(pictures / name)
    assert labels_of(np.arange(4), spec, class_number(str(CLASSES - 1), spec)).tolist() == [CLASSES - 1] * 4
    with pytest.raises(UserError, match=f"--label {CLASSES}: {own.name} has the classes 0, 1, "):
        class_number(str(CLASSES), spec)
    assert load_checkpoint(student, "ddpm").spec == spec  # without --data, the teacher's


def test_the_data_of_a_checkpoint(few, tmp_path):
    """Where it was, or where it was moved to; in one line what is gone, or is another."""
    copy, moved = shutil.copytree(few, tmp_path / "copy"), tmp_path / "moved"
    spec = open_dataset(copy).spec
    checkpoint = Checkpoint(TrainVAE(), replace(spec, name="mine"), {}, path="model.safetensors")
    assert data_of(checkpoint).spec == checkpoint.spec and data_of(checkpoint).place == copy
    with pytest.raises(UserError, match=rf"^{DATA} has the digest .*, but model\.safetensors was trained on mine, "):
        data_of(checkpoint, DATA)
    copy.rename(moved)
    read_dataset.cache_clear()  # as in another process
    with pytest.raises(UserError, match=rf"^{copy}, the data of model\.safetensors, is missing: .* --data$"):
        data_of(checkpoint)
    assert data_of(checkpoint, moved).spec == replace(checkpoint.spec, source=moved)
    assert data_of(checkpoint, os.path.relpath(moved)).place == moved


def test_what_is_understood_of_pictures_is_said(birds):
    """In one line; and they are resized, mixed, every 10th held out, whatever their channels and size."""
    data = open_dataset(birds)
    assert str(data) == (
        f"{birds}: 33 training and 3 test images (class folders), 3 classes (duck, night heron, owl), in colour, "
        "20x16 -> 32x32, light on dark, cropped to the centre if not square, "
        "no test part: every 10th picture held out, age of 33 training images, angle of 30 training images, "
        "few pictures: a model may copy them, which training_distance in a score shows"
    )
    spec = data.spec
    assert (spec.name, spec.shape, spec.classes) == ("birds", (3, 32, 32), ("duck", "night heron", "owl"))
    assert data.train.images.shape == (33, 3, 32, 32) and sorted(data.test.rows(".order")) == [11, 23, 35]
    assert np.bincount(data.train.labels).tolist() == [11] * 3 and np.diff(data.train.labels).any()
    for part in (data.train, data.test):
        np.testing.assert_array_equal(part.labels, part.rows(".order") // 12)
    form = Preprocessing(size=16, channels=1, fit="pad")
    small = open_dataset(birds, form)
    assert (small.spec.shape, small.spec.preprocessing, small.spec.digest) == ((1, 16, 16), form, spec.digest)
    assert "grey, 20x16 -> 16x16, light on dark, padded with a margin if not square" in str(small)


def test_measures_of_a_table(birds, tmp_path):
    """All columns, or those named; of pictures that are held out too, NaN where there is none."""
    data = open_dataset(birds).measured()
    assert [(name, m.unit) for name, m in data.spec.measures.items()] == [("age", "years"), ("angle", "")]
    for part in (data.train, data.test):
        label, number = np.divmod(part.rows(".order"), 12)
        np.testing.assert_array_equal(part.values["age"], number + 10 * label)
        np.testing.assert_array_equal(part.values["angle"], np.where(number == 3, np.nan, -5.0 * number))
    assert list(open_dataset(birds).measured(("angle",)).spec.measures) == ["angle"]
    assert open_dataset(birds).measured(()).spec.measures == {}
    with pytest.raises(UserError, match=rf"--measures height: {birds} has age, angle, thickness, slant, width"):
        open_dataset(birds).measured(("age", "height"))
    empty = shutil.copytree(birds, tmp_path / "empty")
    (empty / "measures.csv").write_text("picture,age,height\nduck/0.png,3,\nduck/1.png,4,\n")
    assert list(open_dataset(empty).measured().spec.measures) == ["age"]
    with pytest.raises(UserError, match=r"--measures height: no training image of .*empty has a value of it"):
        open_dataset(empty).measured(("height",))


def write_part(folder, part, labels):
    """IDX files of 2x2 pictures with these labels."""
    (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(idx(len(labels), 2, 2, content=bytes(4 * len(labels))))
    (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(idx(len(labels), content=bytes(labels)))


def test_labels_count_from_0_and_keep_their_names(tmp_path):
    """Letters are labelled 1 to 26; and of numbers some may be missing."""
    write_part(tmp_path, "train", [*range(26, 0, -1)] * 2)
    write_part(tmp_path, "t10k", [26, 3])
    data = open_dataset(tmp_path)
    assert data.spec.classes == tuple(str(label) for label in range(1, 27))
    assert data.train.labels.tolist() == [*range(25, -1, -1)] * 2 and data.test.labels.tolist() == [25, 2]
    assert class_number("26", data.spec) == 25
    with pytest.raises(UserError, match=r"--label 0: .* has the classes 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, \.\.\. 26"):
        class_number("0", data.spec)


@pytest.mark.parametrize("train, test, problem", [
    ([0, 0, 1], [0], "the class 1 has only one training picture"),
    ([0, 0, 2, 2], [0, 1, 2], "test pictures have the label 1, but no training picture has it: leave"),
])  # fmt: skip
def test_classes_that_cannot_be_learned(tmp_path, train, test, problem):
    write_part(tmp_path, "train", train)
    write_part(tmp_path, "t10k", test)
    with pytest.raises(UserError, match=f"^{tmp_path}: {problem}"):
        open_dataset(tmp_path)


def test_names_of_classes_that_are_numbers(tmp_path, monkeypatch):
    """From a classes.txt beside the pictures, which may be of Windows, else from the repository's for this digest."""
    monkeypatch.setattr("common.data.dataset.CLASSES", tmp_path / "known")
    about, names = {"classes": ["0", "7"], "digest": "0123"}, tmp_path / "classes.txt"
    assert class_names(tmp_path, about) == ("0", "7")
    (tmp_path / "known").mkdir()
    (tmp_path / "known" / "0123.txt").write_text("a\nb\n")
    assert class_names(tmp_path, about) == ("a", "b")
    names.write_bytes("\ufeffcat\r\n\r\nnight heron \r\n".encode())
    for place in (tmp_path, tmp_path / "pictures.npz"):
        assert class_names(place, about) == ("cat", "night heron")
    assert class_names(tmp_path, about | {"classes": ["0", "owl"]}) == ("0", "owl")
    for content, told in (
        (b"a", "has 1 names in 1 lines, for 2 classes: "), (b"a\na", "has 1 names in 2 lines, for 2 classes: "),
        (b"a\n\xff", r"is damaged or missing \('utf-8' codec .*: save it as text in UTF-8"),
    ):  # fmt: skip
        names.write_bytes(content)
        with pytest.raises(UserError, match=f"^{names} {told}"):
            class_names(tmp_path, about)


def test_classes_by_name_or_number():
    spec = Spec(name="cards", shape=(1, 32, 32), classes=("King", "king", "ace of spades"), digest="0" * 16)
    names = ("King", "king", "KING", "Ace of Spades", "2", "0", None)
    assert [class_number(name, spec) for name in names] == [0, 1, 0, 2, 2, 0, None]
    for name in ("3", "queen", "-1", ""):
        with pytest.raises(UserError, match=f"^--label {name}: cards has the classes King, king, ace of spades$"):
            class_number(name, spec)


def test_held_out_pictures():
    """Every 10th of those beyond two of each class; of a few the last; of one none can be."""
    labels = np.array([1, 0] * 15 + [2] * 9)
    train, test = hold_out(labels, 39, "here")
    assert test.tolist() == [13, 23, 35] and sorted([*train, *test]) == list(range(39))
    assert [part.tolist() for part in hold_out(None, 4, "here")] == [[0, 1, 2], [3]]
    assert hold_out(None, 25, "here")[1].tolist() == [11, 21]
    for labels in ([0, 0, 0, 1, 1, 1], [0, 0, 2, 2, 1, 1]):  # stored class by class, in any order
        assert mixed(np.arange(6), np.array(labels)).tolist() == [3, 2, 5, 4, 0, 1]
    assert mixed(np.arange(3), np.array([1, 0, 1])).tolist() == mixed(np.arange(3), None).tolist() == [0, 1, 2]
    with pytest.raises(UserError, match="here holds 1 pictures: at least two are needed"):
        hold_out(None, 1, "here")
    assert [part.tolist() for part in hold_out(np.array([0, 0]), 2, "here")] == [[0], [1]]
    with pytest.raises(UserError, match="here: no class has more than two pictures: add a third"):
        hold_out(np.array([0, 0, 1, 1]), 4, "here")


def test_a_kept_data_set_is_opened_without_its_files(birds, few):
    """By another process, as long as these are what they were: their contents are not read again."""
    kept = [open_dataset(place).prepared for place in (birds, few)]
    code = f"""
import sys
opened = []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
sys.path.insert(0, {str(ROOT)!r})
from common.data.dataset import open_dataset
for place in {[str(birds), str(few)]}:
    data = open_dataset(place)
    assert len(data.train.images) == len(data.train.labels) and len(data.test.images)
    print(data.prepared)
print([path for path in opened if path.startswith(({str(birds)!r}, {str(few)!r}))])
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.splitlines() == [*map(str, kept), "[]"], result.stderr


def test_what_a_kept_data_set_is_known_by(birds, few, tmp_path):
    """Its digest by contents, of pictures in folders names too; its place by path, sizes, times and preprocessing."""
    copy = shutil.copytree(birds, tmp_path / "copy")  # with the times
    before, found = open_dataset(birds), [open_dataset(copy)]
    (copy / "owl").rename(copy / "eagle")
    os.utime(copy / "duck" / "0.png")
    shutil.copy(copy / "duck" / "0.png", copy / "duck" / "1.png")
    for form in (Preprocessing(), Preprocessing(size=16)):
        read_dataset.cache_clear()
        found.append(open_dataset(copy, form))
    assert found[0].spec.digest == before.spec.digest != found[1].spec.digest == found[2].spec.digest
    assert len({data.prepared for data in (before, *found)}) == 4
    assert found[1].spec.classes == ("duck", "eagle", "night heron")
    where = np.argsort(found[1].train.rows(".order"))
    np.testing.assert_array_equal(*found[1].train.images[where[:2]])
    moved = shutil.copytree(few, tmp_path / "moved")
    (moved / "train-labels-idx1-ubyte.gz").touch()
    assert open_dataset(moved).spec.digest == open_dataset(few).spec.digest


def test_a_folder_that_cannot_keep_it(birds, monkeypatch, tmp_path):
    """A folder that nobody can write to is no matter of --out; what a killed process left is taken away."""
    monkeypatch.setattr(prepared, "PREPARED", birds / "duck" / "0.png" / "other")
    with pytest.raises(UserError, match=r"other cannot be written \(Not a directory\): .*SIMPLE_LDM_PREPARED"):
        prepared.prepare(birds, Preprocessing())
    monkeypatch.setattr(prepared, "PREPARED", tmp_path)
    left, own = tmp_path / f"{'0123abcd' * 2}.tmp", tmp_path / "own.tmp"
    for folder in (left, own):  # somebody's own folder stays
        folder.mkdir()
    assert prepared.prepare(birds, Preprocessing()).parent == tmp_path and not left.exists() and own.exists()


class Drawn:
    """The StepNoise of two images, whose integers are told."""

    def __init__(self, *drawn):
        self.drawn = list(drawn)

    def integers(self, high):
        found = np.array(self.drawn.pop(0))
        assert len(found) == 2 and (found < high).all()
        return found


@pytest.mark.parametrize("processes", [1, 3])
def test_an_epoch_has_each_sample_once(processes):
    """Whatever the number of processes; the next has another order."""
    batches = [Batches(5, 40, 16, process, processes) for process in range(processes)]
    orders = []
    for epoch in range(2):
        steps = [[each[3 * epoch + step] for each in batches] for step in range(3)]
        indices = [np.concatenate([part.indices for part in parts]) for parts in steps]
        assert [len(each) for each in indices] == [16, 16, 8] == [parts[0].size for parts in steps]
        assert sorted(np.concatenate(indices)) == list(range(40))
        for parts in steps:  # the mean over processes of weight * loss is the batch's
            assert [part.weight for part in parts] == [len(p.indices) * processes / parts[0].size for p in parts]
        orders.append(np.concatenate(indices))
    assert (orders[0] != orders[1]).mean() > 0.5


def test_augmented_images():
    """Mirrored, or shifted by -1 to 1, first down or up, then right or left, the edge repeated."""
    images = np.arange(18, dtype=np.uint8).reshape(2, 1, 3, 3)
    mirrored = augmented(images, Drawn([1, 0]), Training(mirror=True))
    assert mirrored[:, 0].tolist() == [[[2, 1, 0], [5, 4, 3], [8, 7, 6]], images[1, 0].tolist()]
    shifted = augmented(images, Drawn([0, 2], [1, 0]), Training(shift_pixels=1))
    assert shifted[:, 0].tolist() == [[[0, 1, 2], [0, 1, 2], [3, 4, 5]], [[12, 12, 13], [15, 15, 16], [15, 15, 16]]]
    both = augmented(images, Drawn([0, 1], [2, 0], [1, 1]), Training(mirror=True, shift_pixels=1))
    assert both[:, 0].tolist() == [[[3, 4, 5], [6, 7, 8], [6, 7, 8]], [[11, 10, 9], [11, 10, 9], [14, 13, 12]]]


def test_augmentation_is_a_function_of_seed_and_step():
    """The same for any number of processes; and where nothing is asked for, the noise that follows is as before."""
    images, training = open_dataset().train.first(40).images, Training(mirror=True, shift_pixels=2)
    changed = lambda batch: augmented(images[batch.indices], batch.noise, training)
    whole = Batches(5, 40, 16)[1]
    found = changed(whole)
    for part in range(3):
        np.testing.assert_array_equal(changed(Batches(5, 40, 16, part, 3)[1]), found[part::3])
    assert (found != images[whole.indices]).any(axis=(1, 2, 3)).mean() > 0.8
    noise = StepNoise(5, 1, 16)
    assert augmented(images, noise, Training()) is images
    np.testing.assert_array_equal(noise.normal(4), StepNoise(5, 1, 16).normal(4))


@pytest.mark.parametrize("name", TREES)
def test_pictures_of_your_own_in_every_script(name, birds, judged_birds, tmp_path, capsys):
    """In colour, 16x16, with measures: told at first, then known by the models. Small as they are, one process does."""
    folder = lambda kind: tmp_path / kind
    data, exact, out = ("--data", birds, "--size", 16), ("--precision", "fp32"), tmp_path / "out"
    step = (*exact, "--batch-size", 33, "--epochs", 1)
    few = (*exact, "--num", 4, "--steps", 2, "--process-rows", 2, "--out")
    edit = (*exact, "--checkpoint", folder("ldm"), "--index", 0, 1, "--num", 2, "--steps", 2, "--out", out)
    real, pictures = {"pytorch": ("train", 12), "jittor": ("test", 3)}[name]
    score = (*exact, "--num", 12, "--no-fid", "--checkpoint", folder("student"), "--out", tmp_path / "score")
    result = run_scripts(
        name,
        ("train_mnist_vae.py", *data, *step, "--vae.base-channels", 8, "--mirror", "--out", folder("vae")),
        ("train_mnist.py", *data, *step, *SMALL, "--out", folder("ddpm")),
        ("train_mnist.py", *step, *SMALL, "--size", 16, "--epochs", 2, "--resume", "--out", folder("ddpm")),
        ("train_mnist_ldm.py", *step, *SMALL, "--vae-checkpoint", folder("vae"), "--out", folder("ldm")),
        ("distill_mnist_ldm.py", *step, "--teacher", folder("ldm"), "--out", folder("student")),
        ("tst_mnist.py", *few, out / "ddpm", "--checkpoint", folder("ddpm"), "--label", "Night Heron"),
        ("tst_mnist_ldm.py", *few, out, "--checkpoint", folder("ldm"), "--prompt", "an owl of high age", "--ask",
         "angle=-20", "--gif"),
        ("tst_mnist_vae.py", *exact, "--checkpoint", folder("vae"), "--num", 4, "--out", out),
        ("edit_mnist.py", "repaint", *edit, "--resample", 1),
        ("edit_mnist.py", "vary", *edit, "--digit", "owl"),
        ("edit_mnist.py", "morph", *edit),
        ("edit_mnist.py", "score", *exact, "--checkpoint", folder("ldm"), "--num", 20, "--out", out),
        ("tst_mnist_ldm_fid.py", *score, "--real", real, "--labels", "even"),
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert result.stdout.count(str(open_dataset(birds, Preprocessing(size=16)))) == 4  # when it is trained on
    assert load_checkpoint(folder("ddpm")).progress.step == 2
    spec = replace(open_dataset(birds).measured().spec, shape=(3, 16, 16), preprocessing=Preprocessing(size=16))
    for kind in ("vae", "ddpm", "ldm", "student"):
        expected = replace(spec, measures={}) if kind == "vae" else spec
        assert load_checkpoint(folder(kind)).spec == expected
    shapes = {
        "ddpm/samples": (20, 182), "ddpm/process": (38, 56), "samples": (20, 182), "process": (38, 56),
        "sweep": (56, 2 * 146), "reconstructions": (38, 182), "prior": (20, 182), "repaint": (38, 74),
        "vary": (38, 56), "morph": (20, 38),
    }  # fmt: skip
    for picture, (height, width) in shapes.items():
        with Image.open(out / f"{picture}.png") as opened:
            assert (opened.mode, opened.size) == ("RGB", (2 * width, 2 * height)), picture
    with Image.open(out / "process.gif") as opened:
        assert (opened.n_frames, opened.size) == (3, (364, 40))
    assert 0 <= json.loads((out / "edits.json").read_text())["same_class_told"] <= 1
    found = json.loads((tmp_path / "score" / "result.json").read_text())
    assert (found["data"], found["label"], found["num"]) == (spec.digest, None, 12) and found["training_distance"] > 0
    assert found["over_floor"] > 0 and sum(found["classes"]) == 12
    assert found["floor"]["counts"] == [12, pictures] and (found["real"], found["labels"]) == (real, "even")
    assert "FD / floor " in result.stdout and "3 reconstructions: spectrum " in result.stdout
    look.main(look.Look(data=birds, preprocessing=Preprocessing(size=16)))
    beside.main(beside.Beside(checkpoint=folder("ldm"), out=out / "beside.png", each=2))
    said = capsys.readouterr().out
    assert said.startswith(f"{open_dataset(birds, Preprocessing(size=16))}; digest {spec.digest}\n")
    assert said.endswith(f"{out / 'beside.png'}: duck, night heron, owl\n")
    with Image.open(out / "beside.png") as opened:  # three rows of two pictures and two samples
        assert (opened.mode, opened.size) == ("RGB", (74, 56))


def test_the_list_of_emoji(tmp_path):
    """As Unicode writes it: a heading for each group, and what is drawn as a whole, whose name may have a #."""
    spec = importlib.util.spec_from_file_location("emoji", ROOT / "data" / "emoji.py")
    emoji = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(emoji)
    emoji.LIST = tmp_path / "emoji-test.txt"
    emoji.LIST.write_text("""# group: Smileys & Emotion
# subgroup: face-smiling
1F600                     ; fully-qualified     # \U0001F600 E1.0 grinning face
263A                      ; unqualified         # \u263a E0.6 smiling face
# group: Symbols
0023 FE0F 20E3            ; fully-qualified     # #\ufe0f\u20e3 E0.6 keycap: #
""")
    found = [("smileys and emotion", "grinning face", "\U0001F600"), ("symbols", "keycap: #", "#\ufe0f\u20e3")]
    assert list(emoji.emoji()) == found


def test_names_in_the_data_stay_in_their_line():
    data = open_dataset()
    named = replace(data, spec=replace(data.spec, classes=("a\nb", "\x1b[2J")))
    assert r"2 classes (a\nb, \x1b[2J)" in str(named)

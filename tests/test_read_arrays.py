"""numpy's arrays, tables of pixels and MATLAB's files, each as the real data sets have them."""
import gzip
import io
import zipfile

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from common.data import source as sources
from common.data.dataset import open_dataset
from common.data.prepared import recognize
from common.data.readers import arrays, mat, table
from common.errors import UserError

GREY = np.random.default_rng(0).integers(0, 256, (6, 8, 8), np.uint8)  # the last of three classes' two pictures each
GREY[0, 0, 0] = 255
FLAT, TURNED = GREY.reshape(6, 64), GREY.transpose(0, 2, 1).reshape(6, 64)  # by rows; by columns
LABELS = np.array([0, 1, 2, 0, 1, 2])
RISING = np.arange(192).reshape(8, 8, 3) / 2 + np.arange(12)[:, None, None, None]
COLOUR = (RISING + np.array([0, 40, 100])).astype(np.uint8)  # (12, 8, 8, 3)
TENS = np.array([10, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1])  # digits, as MATLAB counts them


def read(place, reader):
    assert recognize(place)[0] is reader
    return reader.read(place, reader.find(place))


def error(place, reader):
    """The one line that reading it ends with, without the folder."""
    with pytest.raises(UserError) as raised:
        reader.read(place, reader.find(place))
    assert "\n" not in str(raised.value)
    return str(raised.value).replace(f"{place}/", "").replace(str(place), place.name)


def assert_is(part, pictures, labels):
    np.testing.assert_array_equal(part.pictures, pictures)
    assert (part.labels is None) if labels is None else part.labels.tolist() == list(labels)
    assert labels is None or part.labels.dtype == np.int64


def save(path, **named):
    np.savez_compressed(path, **named)
    return path


# .npz


@pytest.mark.parametrize("names", [
    ("x_train", "y_train", "x_test", "y_test"), ("X_train", "Y_train", "X_test", "Y_test"),
    ("train_images", "train_labels", "test_images", "test_labels"), ("trainX", "trainY", "testX", "testY"),
    ("training_data", "training_targets", "testing_data", "testing_targets"), ("xtrain", "ytrain", "xtest", "ytest"),
    ("x", "y", "x_val", "y_val"),
])  # fmt: skip
def test_names_of_arrays(tmp_path, names):
    path = save(tmp_path / "test.npz", **dict(zip(names, [GREY, LABELS, GREY[:2], LABELS[:2]])))
    source = read(path, arrays)
    assert_is(source.train, GREY, LABELS)
    assert_is(source.test, GREY[:2], [0, 1])
    assert source.classes is None and source.notes == () and source.kind == "arrays in .npz"
    assert_is(read(tmp_path, arrays).train, GREY, LABELS)


@pytest.mark.parametrize("kind", ["npz", "csv", "mat"])
def test_through_open_dataset(tmp_path, kind):
    large, named = GREY.repeat(4, 1).repeat(4, 2), {}
    for part, rows in {"train": slice(6), "test": slice(2)}.items():
        named |= {f"x_{part}": large[rows], f"y_{part}": LABELS[rows] + 3}
        if kind == "csv":
            write(tmp_path / f"{part}.csv", ["label", *range(1024)], *labelled(LABELS + 3, large.reshape(6, -1))[rows])
    if kind != "csv":
        (save if kind == "npz" else save_mat)(tmp_path / f"a.{kind}", **named)
    data = open_dataset(tmp_path)
    np.testing.assert_array_equal(data.train.images[:, 0, ::4, ::4], GREY)
    np.testing.assert_array_equal(data.test.images[:, 0, ::4, ::4], GREY[:2])
    assert data.train.labels.tolist() == [0, 1, 2, 0, 1, 2] and data.test.labels.tolist() == [0, 1]
    assert data.spec.classes == ("3", "4", "5") and data.spec.shape == (1, 32, 32)
    kinds = {"npz": "arrays in .npz", "csv": "tables in .csv", "mat": "arrays in .mat, flat pictures by columns"}
    assert f"6 training and 2 test images ({kinds[kind]})" in str(data)


def test_medmnist(tmp_path):
    parts = {"train": COLOUR, "val": COLOUR[:3], "test": COLOUR[3:8]}
    named = {f"{part}_images": pictures for part, pictures in parts.items()}
    labels = {f"{part}_labels": np.arange(len(pictures))[:, None] % 3 for part, pictures in parts.items()}
    source = read(save(tmp_path / "bloodmnist.npz", **named, **labels), arrays)
    assert_is(source.train, COLOUR, [0, 1, 2] * 4)
    assert_is(source.test, COLOUR[3:8], [0, 1, 2, 0, 1])
    assert source.notes == ("val_images, val_labels not used",)
    several = save(tmp_path / "chestmnist.npz", train_images=GREY, train_labels=[[0, 1, 1]] * 3 + [[0, 0, 0]] * 3)
    assert error(several, arrays) == (
        "chestmnist.npz (train_labels) has several labels for a picture, or none: give each picture one"
    )
    assert error(tmp_path, arrays) == (
        f"{tmp_path.name} holds bloodmnist.npz (train_images), chestmnist.npz (train_images), and it is "
        "unclear which to use: choose one file, or keep only one"
    )


def test_validation_tests_where_the_test_part_has_no_labels(tmp_path):
    path = save(tmp_path / "a.npz", x_train=GREY, y_train=LABELS, x_test=GREY[:1], x_val=GREY[1:3], y_val=[1, 2])
    source = read(path, arrays)
    assert_is(source.test, GREY[1:3], [1, 2])
    assert source.notes == ("x_test not used",)
    source = read(save(tmp_path / "b.npz", x_train=GREY, y_train=LABELS, x_test=GREY[:1]), arrays)
    assert source.test is None and source.notes == ("x_test not used",)
    source = read(save(tmp_path / "c.npz", x_train=GREY, x_test=GREY[:1]), arrays)
    assert_is(source.train, GREY, None)
    assert_is(source.test, GREY[:1], None)


@pytest.mark.parametrize("first, second", [("kmnist", "k49"), ("k49", "kmnist")])
def test_kmnist(tmp_path, first, second):
    for part, pictures in {"train": GREY, "test": GREY[:3]}.items():
        np.savez_compressed(tmp_path / f"{first}-{part}-imgs.npz", pictures)
        np.savez_compressed(tmp_path / f"{first}-{part}-labels.npz", LABELS[: len(pictures)].astype(np.uint8))
    source = read(tmp_path, arrays)
    assert_is(source.train, GREY, LABELS)
    assert_is(source.test, GREY[:3], LABELS[:3])
    assert_is(read(tmp_path / f"{first}-train-imgs.npz", arrays).train, GREY, None)
    assert "has no training part" in error(tmp_path / f"{first}-test-labels.npz", arrays)
    np.savez(tmp_path / f"{second}-train-imgs.npz", GREY)
    names = ", ".join(sorted(f"{name}-train-imgs.npz" for name in (first, second)))
    assert f"holds {names}, and it is unclear which to use" in error(tmp_path, arrays)


def test_digits_of_scikit_learn(tmp_path):
    bunch = {"data": FLAT / 16, "target": LABELS, "target_names": np.arange(3), "DESCR": "Digits", "frame": None}
    path = save(tmp_path / "digits.npz", **bunch, images=GREY / 16, feature_names=["pixel_0_0"])
    source = read(path, arrays)
    assert_is(source.train, GREY / 16, LABELS)
    assert source.test is None and source.classes is None
    assert source.notes == ("data, target_names, DESCR, ... not used",)
    source = read(save(tmp_path / "flat.npz", data=FLAT, target=LABELS), arrays)
    assert_is(source.train, GREY, LABELS)


def test_one_array(tmp_path):
    for i, (path, pictures) in enumerate([("a.npz", GREY), ("b.npz", COLOUR), ("c.npz", FLAT)]):
        np.savez(tmp_path / path, pictures)
        assert_is(read(tmp_path / path, arrays).train, [GREY, COLOUR, GREY][i], None)
    np.savez(tmp_path / "samples.npz", COLOUR, TENS)  # arr_0, arr_1: as guided-diffusion saves its samples
    assert_is(read(tmp_path / "samples.npz", arrays).train, COLOUR, TENS)
    path = save(tmp_path / "dsprites.npz", imgs=GREY, latents_classes=np.ones((6, 6)), latents_values=np.ones((6, 6)))
    assert_is(read(path, arrays).train, GREY, None)
    assert read(path, arrays).notes == ("latents_classes, latents_values not used",)


def test_layouts(tmp_path):
    assert_is(read(save(tmp_path / "first.npz", x=COLOUR.transpose(0, 3, 1, 2)), arrays).train, COLOUR, None)
    assert_is(read(save(tmp_path / "one.npz", x=GREY[..., None]), arrays).train, GREY, None)


def test_parts_in_files_of_their_own(tmp_path):
    save(tmp_path / "cats_test.npz", x=GREY[:2], y=LABELS[:2])
    save(tmp_path / "cats_train.npz", x=GREY, y=LABELS)
    source = read(tmp_path, arrays)
    assert_is(source.train, GREY, LABELS)
    assert_is(source.test, GREY[:2], LABELS[:2])
    assert_is(read(tmp_path / "cats_test.npz", arrays).train, GREY[:2], LABELS[:2])


def test_names_of_classes(tmp_path):
    text = np.array(["dog", "cat", "big bear"])
    source = read(save(tmp_path / "a.npz", x=GREY, y=text[LABELS]), arrays)
    assert_is(source.train, GREY, [2, 1, 0, 2, 1, 0])
    assert source.classes == {0: "big bear", 1: "cat", 2: "dog"}
    source = read(save(tmp_path / "b.npz", x_train=GREY, y_train=text[LABELS], x_test=GREY[:1], y_test=["dog"]), arrays)
    assert_is(source.test, GREY[:1], [2])
    assert_is(read(save(tmp_path / "c.npz", x=GREY, y=["7", "10", "9"] * 2), arrays).train, GREY, [7, 10, 9] * 2)
    assert_is(read(save(tmp_path / "f.npz", x=GREY, y=np.eye(3)[LABELS]), arrays).train, GREY, LABELS)


@pytest.mark.parametrize("named, expected", [
    ({"x": GREY, "y": LABELS[:5]}, "(y): 6 pictures and 5 labels: give each picture one"),
    ({"x": GREY, "y": LABELS - 1}, "(y) has the label -1: labels must be 0 or more"),
    ({"x": GREY, "y": LABELS / 2}, "(y) has labels that are missing or not whole: give each picture a whole number"),
    ({"x": GREY, "y": [np.nan] * 6}, "(y) has labels that are missing or not whole: give each picture a whole number"),
    ({"x": GREY, "y": ["a", "b", "", "a", "b", "c"]}, "(y) lacks the label of picture 3: add it"),
    ({"x": GREY, "y": LABELS.astype(object)}, "is damaged or missing (Object arrays cannot be loaded when "
     "allow_pickle=False): fetch it again, or save plain numbers or text with numpy.savez or numpy.save"),
    ({"x_train": GREY, "x_test": GREY[:, :7, :7]},
     "(x_train) has pictures of 8x8 and a.npz (x_test) of 7x7: make all the same size"),
    ({"x_train": GREY, "x_test": GREY[:0]},
     "(x_test) has uint8 of shape (0, 8, 8), not pictures: save (N, height, width[, 3])"),
    ({"x": FLAT[:, :60]}, "has uint8 of shape (6, 60), not pictures: save (N, height, width[, 3])"),
    ({"x": COLOUR.reshape(12, 192)}, "has uint8 of shape (12, 192), not pictures: save (N, height, width[, 3])"),
    ({"mu": GREY[0], "sigma": GREY[0]},
     "has no training part: put train into the name of its array or file (x_train, train.csv)"),
    ({"x_val": GREY, "x_test": GREY},
     "has no training part: put train into the name of its array or file (x_train, train.csv)"),
    ({"x_a": GREY, "x_b": GREY}, "holds a.npz (x_a), a.npz (x_b), and it is unclear which to use: choose one file, or "
     "keep only one"),
])  # fmt: skip
def test_errors_of_arrays(tmp_path, named, expected):
    found = error(save(tmp_path / "a.npz", **named), arrays).replace(f"{tmp_path}/", "")
    assert found == f"a.npz {expected}"


def test_damage(tmp_path):
    whole = save(tmp_path / "whole.npz", x=GREY, y=LABELS).read_bytes()
    cure = "fetch it again, or save plain numbers or text with numpy.savez or numpy.save"
    spoilt = bytearray(whole)
    spoilt[150] ^= 255
    for name, content in {"cut": whole[:300], "none": b"", "text": b"x" * 99, "spoilt": spoilt}.items():
        path = tmp_path / f"{name}.npz"
        path.write_bytes(content)
        assert error(path, arrays).startswith(f"{name}.npz is damaged or") and error(path, arrays).endswith(cure)
    np.save(tmp_path / "a.npy", GREY)
    whole = (tmp_path / "a.npy").read_bytes()
    for content in (whole[:-1], whole[:50], whole.replace(b"}", b" ")):
        (tmp_path / "a.npy").write_bytes(content)
        assert error(tmp_path / "a.npy", arrays).startswith("a.npy is damaged or missing (")
    (tmp_path / "a.npy").write_bytes(whole.replace(b"|u1", b"|O8"))
    assert "a.npy is damaged or missing (Array can't be memory-mapped: Python" in error(tmp_path / "a.npy", arrays)


def test_a_claim_of_more_than_memory(tmp_path, monkeypatch):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (10**8, 64, 64)})
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", header.getvalue() + bytes(1000))
    assert error(tmp_path / "a.npz", arrays) == (
        "a.npz (x) claims to hold 381.5 GiB, but at most 8.0 GiB can be read: store pictures as files"
    )
    (tmp_path / "a.npy").write_bytes(header.getvalue() + bytes(1000))
    assert "a.npy is damaged or missing (" in error(tmp_path / "a.npy", arrays)
    monkeypatch.setattr(sources, "LARGEST", 500)
    for name in ("cat", "dog"):
        np.save(tmp_path / f"{name}.npy", GREY)
    (tmp_path / "a.npy").unlink()
    (tmp_path / "a.npz").unlink()
    assert "claims" in error(tmp_path, arrays)


# .npy


def test_npy(tmp_path):
    np.save(tmp_path / "images.npy", GREY)
    assert_is(read(tmp_path / "images.npy", arrays).train, GREY, None)
    np.save(tmp_path / "labels.npy", LABELS)
    assert_is(read(tmp_path, arrays).train, GREY, LABELS)
    assert isinstance(read(tmp_path, arrays).train.pictures.base, np.memmap)


def test_npy_of_parts(tmp_path):
    named = {"x_train": COLOUR, "y_train": TENS, "x_test": COLOUR[:2], "y_test": TENS[:2]}
    for name, array in named.items():
        np.save(tmp_path / f"{name}.npy", array)
    source = read(tmp_path, arrays)
    assert_is(source.train, COLOUR, TENS)
    assert_is(source.test, COLOUR[:2], TENS[:2])
    (tmp_path / "y_train.npy").unlink()
    (tmp_path / "y_test.npy").unlink()
    assert_is(read(tmp_path, arrays).test, COLOUR[:2], None)


@pytest.mark.parametrize("prefix", ["full_numpy_bitmap_", ""])
def test_quickdraw(tmp_path, prefix):
    for name, rows in {"cat": slice(0, 2), "The Eiffel Tower": slice(2, 3), "train": slice(3, 6)}.items():
        np.save(tmp_path / f"{prefix}{name}.npy", FLAT[rows])
    source = read(tmp_path, arrays)
    assert_is(source.train, GREY[[2, 0, 1, 3, 4, 5]], [0, 1, 1, 2, 2, 2])
    assert source.classes == {0: "The Eiffel Tower", 1: "cat", 2: "train"} and source.test is None
    assert_is(read(tmp_path / f"{prefix}cat.npy", arrays).train, GREY[:2], None)
    np.save(tmp_path / f"{prefix}dog.npy", FLAT[:, :49])
    assert "has pictures of 8x8 and" in error(tmp_path, arrays) and "of 7x7: make all" in error(tmp_path, arrays)


@pytest.mark.parametrize("shape, said", [
    ((64, 64, 3), "img_0.npy has the shape (64, 64, 3), one picture's: put all into one (N, height, width, 3)"),
    ((64, 64), "has a picture per file: put the pictures of each class into one (N, height, width)"),
])  # fmt: skip
def test_a_file_for_each_picture(tmp_path, shape, said):
    """Not classes of 64 pictures, 64x3 or 8x8."""
    for i in range(3):
        np.save(tmp_path / f"img_{i}.npy", np.zeros(shape, np.uint8))
    assert error(tmp_path, arrays).endswith(said)
    if shape[2:]:
        assert error(tmp_path / "img_0.npy", arrays).endswith(said)


def test_tables_and_arrays_beside_pictures_are_none_of_pictures(tmp_path):
    for i in range(16):
        Image.fromarray(GREY[i % 6]).save(tmp_path / f"{i}.png")
    np.save(tmp_path / "features.npy", np.ones((16, 64)))
    savemat(tmp_path / "labels.mat", {"labels": LABELS})
    (tmp_path / "features.csv").write_text("\n".join(",".join(["1"] * 64) for _ in range(16)))
    assert recognize(tmp_path)[0].__name__.endswith("folder")


# .csv

HEADER = [f"pixel{i}" for i in range(64)]


def write(path, *rows):
    """A table; rows of cells."""
    text = "".join(",".join(map(str, row)) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def labelled(labels=LABELS, pixels=FLAT):
    return [[label, *row] for label, row in zip(labels, pixels.tolist())]


@pytest.mark.parametrize("name", ["train.csv", "train.csv.gz", "TRAIN.CSV"])
def test_tables(tmp_path, name):
    source = read(write(tmp_path / name, ["label", *HEADER], *labelled()), table)
    assert_is(source.train, GREY, LABELS)
    assert source.train.pictures.dtype == np.uint8
    assert source.test is None and source.classes is None and source.notes == ()


@pytest.mark.parametrize("header, rows, note", [
    (["label", *HEADER], labelled(), ()),
    ([*HEADER, "label"], [[*row, label] for label, *row in labelled()], ()),  # HAM10000's
    (["", "Class", *HEADER], [[i, *row] for i, row in enumerate(labelled())], ()),
    (["file", "target", *HEADER], [[f"{i}.png", *row] for i, row in enumerate(labelled())], ("columns file not used",)),
    (["label", *range(64)], labelled(), ()),
    ([*range(1, 65), "label"], [[*row, label] for label, *row in labelled()], ()),
    (["character", *HEADER], labelled(), ()),
    (["label", "character", *HEADER], [[row[0], "x", *row[1:]] for row in labelled()], ("columns character not used",)),
    (["numeral", *HEADER], labelled(), ("labels in the first column",)),
    (None, [[*row, ""] for row in labelled()], ("labels in the first column",)),  # each row ends in a comma
    (None, labelled(), ("labels in the first column",)),
    (range(65), labelled(), ("labels in the first column",)),  # as pandas writes what had no header
    (["", *range(65)], [[i, *row] for i, row in enumerate(labelled())], ("labels in the first column",)),
    (["0", *[f"0.{i}" for i in range(1, 65)]], labelled(), ("labels in the first column",)),  # of a first row, lost so
    (["5", "0", *[f"0.{i}" for i in range(1, 63)], "18"], labelled(), ("labels in the first column",)),
])  # fmt: skip
def test_columns_of_labels(tmp_path, header, rows, note):
    source = read(write(tmp_path / "a.csv", *([header] if header else []), *rows), table)
    assert_is(source.train, GREY, LABELS)
    assert source.notes == note


def test_labels_last_without_a_header(tmp_path):
    pixels = FLAT.copy()
    pixels[:, 0] = 0  # the corner is black, as in the UCI's digits
    source = read(write(tmp_path / "a.csv", *[[*row, label] for label, *row in labelled(pixels=pixels)]), table)
    assert_is(source.train, pixels.reshape(6, 8, 8), LABELS)
    assert source.notes == ("labels in the last column",)


def test_a_corner_that_is_not_black_is_no_label(tmp_path):
    """Labels come last: each is there twice or more, and a grey level of the first column is there once."""
    pixels, labels = FLAT.copy(), np.repeat([3, 5, 8], 2)
    pixels[0, 0] = 77
    rows = [[*row, label] for label, *row in labelled(labels, pixels)]
    assert_is(read(write(tmp_path / "a.csv", *rows), table).train, pixels.reshape(6, 8, 8), labels)


def test_a_class_with_one_picture_does_not_move_the_label(tmp_path):
    pixels = FLAT.copy()
    pixels[:, -1] = [0, 255, 0, 255, 0, 255]  # as labels of two classes would be
    labels = [3, 3, 3, 5, 5, 8]
    assert_is(read(write(tmp_path / "a.csv", *labelled(labels, pixels)), table).train, pixels.reshape(6, 8, 8), labels)


@pytest.mark.parametrize("text, problem", [
    (";".join(map(str, range(65))), "is not a table of pixels: write a row for each picture, numbers separated by com"),
    (",".join(map(str, [*range(3), *range(80, 144)])), "has 67 numbers per row: a label and a square number of pixels"),
])  # fmt: skip
def test_tables_that_are_not_of_pixels(tmp_path, text, problem):
    (tmp_path / "a.csv").write_text(f"{text}\n" * 4)
    with pytest.raises(UserError, match=problem):
        open_dataset(tmp_path / "a.csv")


def test_a_first_row_of_floats_is_no_header(tmp_path):
    """0.1 stands in it as a pixel; pandas would number repeats: 0, 0.1, 0.2."""
    pixels = np.tile(np.array([0, 0.1, 0.5, 1], np.float32), (6, 16))
    rows = [[label, *row] for label, row in zip("aabbcc", pixels.tolist())]
    train = read(write(tmp_path / "a.csv", *rows), table).train
    assert len(train.pictures) == 6 and list(train.labels) == [0, 0, 1, 1, 2, 2]


def test_parts_in_different_ranges(tmp_path):
    whole = np.tile(np.arange(256, dtype=np.uint8).reshape(1, 16, 16), (6, 1, 1))
    np.savez(tmp_path / "a.npz", x_train=whole / 255.0, y_train=LABELS, x_test=whole, y_test=LABELS)
    with pytest.raises(UserError, match=r"pixels of one part are at most 1, those of the other reach 255: save both"):
        open_dataset(tmp_path / "a.npz")


def test_kinds_of_cells(tmp_path):
    def train(rows, header=("label", *HEADER)):
        return read(write(tmp_path / "a.csv", header, *rows), table).train

    assert_is(train(labelled(pixels=FLAT.astype(int) * 10)), GREY * 10.0, LABELS)
    assert_is(train(labelled(pixels=FLAT - 128.0)), GREY - 128.0, LABELS)
    assert_is(train(labelled(pixels=FLAT / 256)), GREY / 256, LABELS)
    assert_is(train(labelled(LABELS * 1000)), GREY, LABELS * 1000)
    assert_is(train(labelled([1.0, 2.0, 0.0] * 2)), GREY, [1, 2, 0] * 2)
    assert_is(train(FLAT.tolist(), HEADER), GREY, None)  # a test part that is alone
    assert_is(read(write(tmp_path / "b.csv", *FLAT.tolist()), table).train, GREY, None)
    lines = "\ufeff" + (tmp_path / "b.csv").read_text().replace("\n", "\r\n")
    (tmp_path / "c.csv").write_text(lines)  # of a spreadsheet
    assert_is(read(tmp_path / "c.csv", table).train, GREY, None)


def test_labels_that_are_text(tmp_path):
    names = ["dog", '"cat, big"', "鸟"] * 2
    for header in ([["label", *HEADER]], []):
        source = read(write(tmp_path / "a.csv", *header, *labelled(names)), table)
        assert_is(source.train, GREY, [1, 0, 2] * 2)
        assert source.classes == {0: "cat, big", 1: "dog", 2: "鸟"}


@pytest.mark.parametrize("names", [
    ("train", "test"), ("mnist_train", "mnist_test"), ("fashion-mnist_train", "fashion-mnist_test"), ("train", "val"),
])  # fmt: skip
def test_parts_of_tables(tmp_path, names):
    for name, rows in zip(names, (labelled(), labelled()[:2])):
        write(tmp_path / f"{name}.csv", ["label", *HEADER], *rows)
    write(tmp_path / "sample_submission.csv", ["ImageId", "Label"], [1, 0])
    write(tmp_path / "measures.csv", ["index", *HEADER], [0, *FLAT[0]])
    source = read(tmp_path, table)
    assert_is(source.train, GREY, LABELS)
    assert_is(source.test, GREY[:2], LABELS[:2])
    assert source.notes == () and [path.stem for path in table.find(tmp_path)] == sorted(names)
    write(tmp_path / f"{names[1]}.csv", HEADER, *FLAT[:2].tolist())  # Kaggle's has no labels
    source = read(tmp_path, table)
    assert_is(source.train, GREY, LABELS)
    assert source.test is None and source.notes == (f"{names[1]}.csv not used",)
    write(tmp_path / "other.csv", ["label", *HEADER], *labelled())
    both = ", ".join(sorted([f"{names[0]}.csv", "other.csv"]))
    assert f"holds {both}, and it is unclear which to use: choose one file, or keep only one" in error(tmp_path, table)


@pytest.mark.parametrize("header", ["emotion,pixels,Usage", "emotion, Usage, pixels", " pixels, usage,emotion"])
def test_fer2013(tmp_path, header):
    usages, names = ["Training"] * 4 + ["PublicTest", "PrivateTest"], header.lower().replace(" ", "").split(",")
    pixels = [" ".join(map(str, row)) for row in FLAT]
    cells = [dict(zip(("emotion", "pixels", "usage"), row)) for row in zip(LABELS, pixels, usages)]
    path = write(tmp_path / "fer2013.csv", [header], *[[row[name] for name in names] for row in cells])
    source = read(path, table)
    assert_is(source.train, GREY[:4], LABELS[:4])
    assert_is(source.test, GREY[4:], LABELS[4:])
    assert [source.classes[label] for label in range(3)] == ["angry", "disgust", "fear"] and source.notes == ()
    cells[3]["pixels"] += " 7"
    write(path, [header], *[[row[name] for name in names] for row in cells])
    assert error(path, table) == "fer2013.csv: row 5 has 67 cells, others 66: complete or delete it"


def test_columns_that_are_not_used(tmp_path):
    rows = [[30 + i, i % 2, f"{i}.jpg", " ".join(map(str, row))] for i, row in enumerate(FLAT)]  # UTKFace's
    source = read(write(tmp_path / "age_gender.csv", ["age", "gender", "img_name", "pixels"], *rows), table)
    assert_is(source.train, GREY, None)
    assert source.notes == ("columns age, gender, img_name not used",)


def test_a_picture_of_many_pixels_in_a_cell(tmp_path):
    pixels = " ".join(["200"] * 224**2)  # more characters than Python's csv reads unless told
    source = read(write(tmp_path / "a.csv", ["emotion", "pixels"], [0, pixels], [1, pixels]), table)
    assert source.train.pictures.shape == (2, 224, 224) and (source.train.pictures == 200).all()


def test_emnist_in_tables(tmp_path):
    source = read(write(tmp_path / "emnist-letters-train.csv", *labelled(pixels=TURNED)), table)
    assert_is(source.train, GREY, LABELS)
    assert source.notes == ("labels in the first column", "turned upright: EMNIST stores them transposed")


@pytest.mark.parametrize("row, expected", [
    ([1, 2, 3], "a.csv: row 8 has 3 cells, others 65: complete or delete it"),
    ([1] * 66, "a.csv: row 8 has 66 cells, others 65: complete or delete it"),
    ([1, "", *[0] * 63], "a.csv: row 8 has '' instead of a number: correct or delete it"),
    ([1, "grey", *[0] * 63], "a.csv: row 8 has 'grey' instead of a number: correct or delete it"),
    ([1, "nan", *[0] * 63], "a.csv has pixels that are not finite: replace them"),
    ([-1, *[0] * 64], "a.csv has the label -1: labels must be 0 or more"),
    ([1.5, *[0] * 64], "a.csv has labels that are missing or not whole: give each picture a whole number"),
    (["", *[0] * 64], "a.csv lacks the label of picture 7: add it"),
    (["a" * 64, *[0] * 64], "a.csv has a label of 64 characters or more: shorten it"),
])  # fmt: skip
def test_errors_of_rows(tmp_path, row, expected):
    assert error(write(tmp_path / "a.csv", ["label", *HEADER], *labelled(), row), table) == expected


def test_errors_of_tables(tmp_path):
    for name, rows in {"about": [["file_name", "age"], ["a.png", 3]], "none": [], "head": [["label", *HEADER]]}.items():
        path = write(tmp_path / f"{name}.csv", *rows)
        with pytest.raises(UserError, match=r"\.csv is not a table of pixels: write a row for each picture"):
            recognize(path)
    path = write(tmp_path / "a.csv", ["label", "class", *HEADER], *[[2, *row] for row in labelled()])
    assert error(path, table) == "a.csv has several labels for a picture, or none: give each picture one"
    path = write(tmp_path / "a.csv", ["label", *HEADER, "more", "most"], *[[*row, 1, 2] for row in labelled()])
    assert error(path, table).startswith("a.csv has 66 numbers per row: a label and a square number of pixels")
    path = write(tmp_path / "a.csv.gz", ["label", *HEADER], *labelled())
    path.write_bytes(path.read_bytes()[:200])
    assert error(path, table).startswith("a.csv.gz is damaged or missing (")


# .mat


def save_mat(path, **named):
    path.parent.mkdir(exist_ok=True)
    savemat(path, named, do_compression=True)
    return path


def test_svhn(tmp_path):
    for name, rows in {"train": slice(12), "test": slice(11), "extra": slice(12)}.items():
        save_mat(tmp_path / f"{name}_32x32.mat", X=COLOUR[rows].transpose(1, 2, 3, 0), y=TENS[rows, None])
    source = read(tmp_path, mat)
    assert_is(source.train, COLOUR, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1])
    assert_is(source.test, COLOUR[:11], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0])
    assert source.notes == ("extra_32x32.mat not used", "label 10 as digit 0") and source.classes is None
    assert read(tmp_path / "extra_32x32.mat", mat).test is None


def test_emnist(tmp_path):
    def part(rows):
        return {"images": TURNED[rows], "labels": LABELS[rows, None] + 1.0, "writers": LABELS[rows, None]}

    mapping = np.array([[1, 65, 97], [2, 66, 98], [3, 67, 99]])
    struct = {"train": part(slice(6)), "test": part(slice(2)), "mapping": mapping}
    for name in ("emnist-letters.mat", "emnist-mnist.mat"):
        source = read(save_mat(tmp_path / name, dataset=struct), mat)
        assert_is(source.train, GREY, LABELS + 1)
        assert_is(source.test, GREY[:2], [1, 2])
        assert source.classes == {1: "A/a", 2: "B/b", 3: "C/c"}
        assert source.notes == () and source.kind == "EMNIST's .mat"


def test_usps(tmp_path):
    pictures = np.random.default_rng(0).integers(0, 256, (10, 3, 16, 16), np.uint8)  # of 1, 2, ..., 9, 0
    data = pictures.transpose(3, 2, 1, 0).reshape(256, 3, 10)
    source = read(save_mat(tmp_path / "usps_all.mat", data=data), mat)
    assert_is(source.train, pictures.reshape(30, 16, 16), np.repeat([1, 2, 3, 4, 5, 6, 7, 8, 9, 0], 3))
    assert data[1, 0, 0] == pictures[0, 0, 1, 0]  # the second number of a picture is below the first


@pytest.mark.parametrize("named", [
    {"images": GREY, "labels": LABELS[:, None]}, {"images": GREY.transpose(1, 2, 0), "labels": LABELS[None]},
    {"images": TURNED, "labels": LABELS}, {"fea": TURNED, "gnd": LABELS[:, None]}, {"X": TURNED.T, "y": LABELS},
    {"mldata_descr_ordering": "x", "data": FLAT.T, "label": LABELS},
])  # fmt: skip
def test_order_of_axes(tmp_path, named):
    assert_is(read(save_mat(tmp_path / "a.mat", **named), mat).train, GREY, LABELS)


def test_errors_of_mat(tmp_path):
    cure = "fetch it again, or save it in MATLAB as plain arrays with -v7"
    whole = save_mat(tmp_path / "a.mat", X=GREY, y=LABELS).read_bytes()
    for name, content in {"cut": whole[:-40], "none": b"", "text": b"x" * 300}.items():
        path = tmp_path / f"{name}.mat"
        path.write_bytes(content)
        assert error(path, mat).startswith(f"{name}.mat is damaged or missing (") and error(path, mat).endswith(cure)
    head = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM"
    (tmp_path / "new.mat").write_bytes(head.ljust(512, b"\0") + b"\x89HDF\r\n\x1a\n")
    assert "new.mat is damaged or missing (Please use HDF reader" in error(tmp_path / "new.mat", mat)
    assert error(tmp_path / "new.mat", mat).endswith(cure)
    assert error(save_mat(tmp_path / "a.mat", images={"data": GREY}, y=LABELS), mat) == (
        "a.mat (images) has object of shape (1,), not pictures: save (N, height, width[, 3])"
    )
    assert error(save_mat(tmp_path / "a.mat", dataset={"train": GREY}), mat).startswith("a.mat is damaged or missing (")
    assert error(save_mat(tmp_path / "a.mat", faces=GREY), mat) == (
        "a.mat (faces) has no labels, which would show the axis that counts pictures: save it as .npy"
    )
    assert error(save_mat(tmp_path / "a.mat", X=GREY, y=LABELS[:5]), mat) == (
        "a.mat (y): 6 pictures and 5 labels: give each picture one"
    )


def test_a_mat_that_claims_more_than_memory(tmp_path, monkeypatch):
    path = save_mat(tmp_path / "a.mat", X=GREY, y=LABELS)
    monkeypatch.setattr(sources, "LARGEST", 383)
    assert "a.mat (X) claims" in error(path, mat)

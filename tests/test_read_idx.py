"""IDX files, and CIFAR's and STL-10's binary files, each as the real data sets have them."""
import gzip
import pickle
import struct
import zlib

import numpy as np
import pytest

from common.data.dataset import open_dataset
from common.data.prepared import digest
from common.data.readers import binary, idx
from common.errors import UserError
from common.files import DATA

UBYTE = 0x08, "B"
IMAGES = [[[0, 1, 2], [3, 4, 255]], [[6, 7, 8], [9, 10, 11]], [[12, 13, 14], [15, 16, 17]], [[18, 0, 0], [0, 0, 19]],
          [[20, 0, 1], [2, 0, 21]]]  # fmt: skip
LABELS = [3, 1, 3, 1, 1]
TRAIN, TEST, UPRIGHT = np.array(IMAGES[:4]), np.array(IMAGES[4:]), np.array(IMAGES).transpose(0, 2, 1)


def head(code, *shape):
    """How an IDX file begins: two zeros, its type, how many axes, their lengths."""
    return struct.pack(f">4B{len(shape)}I", 0, 0, code, len(shape), *shape)


def packed(numbers, kind=UBYTE):
    """An IDX file's content: its head, and the numbers, big-endian as all of it."""
    numbers, (code, letter) = np.array(numbers), kind
    return head(code, *numbers.shape) + struct.pack(f">{numbers.size}{letter}", *numbers.ravel().tolist())


def write(path, numbers, kind=UBYTE):
    path.parent.mkdir(parents=True, exist_ok=True)
    content = packed(numbers, kind)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def write_set(folder, train="train-", test="t10k-", images="images-idx3-ubyte.gz", labels="labels-idx1-ubyte.gz"):
    """Four training pictures and a test picture."""
    for part, of in ((train, slice(4)), (test, slice(4, 5))):
        write(folder / f"{part}{images}", IMAGES[of])
        write(folder / f"{part}{labels}", LABELS[of])
    return folder


def read(place, reader=idx):
    return reader.read(place, reader.find(place))


def assert_is_the_set(source, classes=None):
    np.testing.assert_array_equal(source.train.pictures, TRAIN)
    np.testing.assert_array_equal(source.test.pictures, TEST)
    assert source.train.labels.tolist() == [3, 1, 3, 1] and source.test.labels.tolist() == [1]
    assert source.train.labels.dtype == np.int64 and source.classes == classes


def error(place, reader=idx):
    """The one line that reading it ends with, without the folder."""
    with pytest.raises(UserError) as raised:
        read(place, reader)
    assert "\n" not in str(raised.value)
    return str(raised.value).replace(f"{place}/", "")


def test_the_repository_s_mnist():
    files = idx.find(DATA)
    assert [path.name for path in files] == idx.MNIST and digest(DATA, idx, files) == "649ad68afef80c09"
    source = idx.read(DATA, files)
    assert source.train.pictures.shape == (60_000, 28, 28) and source.test.pictures.shape == (10_000, 28, 28)
    assert source.train.pictures.dtype == np.uint8 and source.train.pictures.mean().round(3) == 33.318
    assert source.train.labels[:5].tolist() == [5, 0, 4, 1, 9] and source.notes == ()
    assert idx.find(DATA.parent) == idx.find(DATA.parents[1]) == idx.find(DATA / "t10k-labels-idx1-ubyte.gz") == files


@pytest.mark.parametrize("form", ["-idx{}-ubyte.gz", "-idx{}-ubyte", ".idx{}-ubyte", ".idx{}-ubyte.gz"])
def test_names_of_mnist(tmp_path, form):
    write_set(tmp_path, images="images" + form.format(3), labels="labels" + form.format(1))
    (tmp_path / "._train-images-idx3-ubyte").write_bytes(b"of a Mac")
    (tmp_path / "._my-train-images-idx3-ubyte").write_bytes(b"of a Mac")
    assert_is_the_set(read(tmp_path))
    data = open_dataset(tmp_path)
    assert data.spec.classes == ("1", "3") and data.train.labels.tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize("code, letter, values", [
    (0x08, "B", [0, 7, 200, 255]), (0x09, "b", [-128, -1, 0, 127]), (0x0B, "h", [-32768, 1, 258, 32767]),
    (0x0C, "i", [-(2**31), 1, 66051, 2**31 - 1]), (0x0D, "f", [-0.5, 0, 0.25, 1]), (0x0E, "d", [-0.5, 0, 0.1, 1]),
])  # fmt: skip
def test_types(tmp_path, code, letter, values):
    write(tmp_path / "train-images-idx3-ubyte", np.reshape(values, (1, 2, 2)), (code, letter))
    assert read(tmp_path).train.pictures.tolist() == [[values[:2], values[2:]]]


@pytest.mark.parametrize("name", ["train-images-idx4-ubyte", "train-images-idx3-ubyte"])
@pytest.mark.parametrize("shape, expected", [
    ((2, 3, 2, 3), np.arange(36).reshape(2, 3, 2, 3)), ((2, 4, 5, 1), np.arange(40).reshape(2, 4, 5)),
    ((2, 3, 4, 5), np.arange(120).reshape(2, 3, 4, 5).transpose(0, 2, 3, 1)),
])  # fmt: skip
def test_four_axes(tmp_path, name, shape, expected):
    write(tmp_path / name, np.arange(np.prod(shape)).reshape(shape))
    np.testing.assert_array_equal(read(tmp_path).train.pictures, expected)


def write_emnist(folder, name, mapping):
    write_set(folder, f"{name}-train-", f"{name}-test-")
    (folder / f"{name}-mapping.txt").write_text(mapping)


def test_emnist(tmp_path):
    """NIST's gzip.zip, unpacked: pictures stored column by column, letters from 1 on, which may be A or a."""
    write_emnist(tmp_path / "gzip", "emnist-letters", "1 65 97 \r\n2 66 98 \r\n3 67 99\r\n")
    for source in map(read, (tmp_path, tmp_path / "gzip", tmp_path / "gzip" / "emnist-letters")):
        np.testing.assert_array_equal(source.train.pictures, UPRIGHT[:4])
        np.testing.assert_array_equal(source.test.pictures, UPRIGHT[4:])
        assert source.train.labels.tolist() == [3, 1, 3, 1] and source.classes == {1: "A/a", 2: "B/b", 3: "C/c"}
        assert source.notes == ("turned upright: EMNIST stores them transposed",)
    names = [path.name for path in idx.find(tmp_path)]
    assert names[::2] == [f"emnist-letters-{name}" for name in (
        "train-images-idx3-ubyte.gz", "test-images-idx3-ubyte.gz", "mapping.txt",
    )]  # fmt: skip
    (tmp_path / "gzip" / "emnist-letters-mapping.txt").write_text("1 A a")
    assert "mapping.txt is damaged or missing (invalid literal" in error(tmp_path)


def test_one_of_several_sets(tmp_path):
    write_emnist(tmp_path, "emnist-balanced", "0 48\n1 49\n3 51\n")
    write_emnist(tmp_path, "emnist-letters", "1 65 97\n3 67 99\n")
    several = r"holds several data sets (emnist-balanced, emnist-letters): choose one, such as emnist-balanced"
    assert error(tmp_path).endswith(several)
    assert read(tmp_path / "emnist-letters").classes == {1: "A/a", 3: "C/c"}
    assert read(tmp_path / "emnist-balanced-test-labels-idx1-ubyte.gz").classes == {0: "0", 1: "1", 3: "3"}
    write_set(tmp_path)
    assert "(emnist-balanced, emnist-letters, train-images-idx3-ubyte.gz)" in error(tmp_path).replace("t10k", "train")
    assert_is_the_set(read(tmp_path / "train-images-idx3-ubyte.gz"))
    for other in ("qmnist", "emnist", "train", "emnist-letters-mapping.txt", "gone/emnist-letters"):
        assert idx.find(tmp_path / other) is None
    assert open_dataset(tmp_path / "emnist-letters").spec.classes == ("A/a", "C/c")


def test_qmnist(tmp_path):
    """Labels of 8 columns: class, series, writer, number of the writer's digit, NIST's class, number, twice, unused."""
    rows = [[label, 4, 2000 + label, 0, 30 + label, 300_000, 0, 0] for label in LABELS]
    folder = tmp_path / "QMNIST" / "raw"
    for part, of in (("train", slice(4)), ("test", slice(4, 5))):
        write(folder / f"qmnist-{part}-images-idx3-ubyte", IMAGES[of])
        write(folder / f"qmnist-{part}-labels-idx2-int", rows[of], (0x0C, "i"))
    (folder / "qmnist-train-labels.tsv").write_text("not read")
    (folder / "xnist-images-idx3-ubyte.xz").write_bytes(b"not read")
    assert_is_the_set(read(tmp_path))
    (folder / "qmnist-test-labels-idx2-int").unlink()
    assert "qmnist-test-labels-idx2-int is damaged or missing (No such file" in error(tmp_path)


def test_torchvision_s_folder(tmp_path):
    """Where the files lie gzipped and unpacked: the same data set, with the same digest, as the gzipped ones alone."""
    folder = write_set(tmp_path / "FashionMNIST" / "raw")
    write_set(folder, images="images-idx3-ubyte", labels="labels-idx1-ubyte")
    for place in (tmp_path, tmp_path / "FashionMNIST", folder):
        assert [path.name for path in idx.find(place)] == idx.MNIST
        assert_is_the_set(read(place))
    write_set(tmp_path / "MNIST" / "raw")
    several = f"{tmp_path} holds several data sets (FashionMNIST/raw, MNIST/raw): choose one, such as FashionMNIST/raw"
    assert error(tmp_path) == several
    assert_is_the_set(read(tmp_path / "MNIST"))


def test_parts_that_are_missing(tmp_path):
    write_set(tmp_path)
    for kind in ("images-idx3", "labels-idx1"):
        (tmp_path / f"t10k-{kind}-ubyte.gz").unlink()
    source = read(tmp_path)
    assert source.test is None and source.train.labels.tolist() == [3, 1, 3, 1]
    (tmp_path / "train-labels-idx1-ubyte.gz").unlink()
    source = read(tmp_path)
    assert source.test is None and source.train.labels is None and source.train.pictures.tolist() == IMAGES[:4]
    write(tmp_path / "t10k-images-idx3-ubyte.gz", IMAGES)
    assert read(tmp_path).test.labels is None
    (tmp_path / "train-images-idx3-ubyte.gz").unlink()
    assert error(tmp_path).startswith("train-images-idx3-ubyte.gz is damaged or missing (No such file")
    (tmp_path / "t10k-images-idx3-ubyte.gz").rename(tmp_path / "t10k-labels-idx1-ubyte.gz")
    assert idx.find(tmp_path) is None


@pytest.mark.parametrize("name", [
    f"{part}-{what}-ubyte" for part in ("train", "t10k") for what in ("images.idx3", "labels.idx1")
])  # fmt: skip
def test_a_file_that_is_gone_is_named_as_the_others_are(tmp_path, name):
    """A link to nothing is no file either."""
    write_set(tmp_path, images="images.idx3-ubyte", labels="labels.idx1-ubyte")
    gone = f"{name} is damaged or missing (No such file or directory): fetch it again"
    (tmp_path / name).unlink()
    assert error(tmp_path) == gone
    (tmp_path / name).symlink_to("nowhere")
    assert error(tmp_path) == gone


@pytest.mark.parametrize("name", ["train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"])
def test_a_folder_that_has_a_file_s_name(tmp_path, name):
    path = write_set(tmp_path) / f"{name}-ubyte.gz"
    path.unlink()
    path.mkdir()
    with pytest.raises(UserError, match=rf"{path} is damaged or missing \(Is a directory\)"):
        open_dataset(tmp_path)


def test_the_repository_s_files_come_back_by_git(tmp_path, monkeypatch):
    monkeypatch.setattr(idx, "DATA", tmp_path / "gone")
    assert "-ubyte.gz is damaged or missing (No such file or directory): `git checkout -- " in error(idx.DATA)
    write_set(idx.DATA)
    assert_is_the_set(read(idx.DATA))
    (idx.DATA / "t10k-labels-idx1-ubyte.gz").write_bytes(b"")
    assert "no IDX file of 1 or 2 axes: begins with nothing): `git checkout -- " in error(idx.DATA)


@pytest.mark.parametrize("name, content, problem", [
    ("train-images-idx3-ubyte", b"<!DOCTYPE html>", "no IDX file of 3 or 4 axes: begins with 3c 21 44 4f"),
    ("train-images-idx3-ubyte", b"", "no IDX file of 3 or 4 axes: begins with nothing"),
    ("train-images-idx3-ubyte", packed(LABELS), "no IDX file of 3 or 4 axes: begins with 00 00 08 01"),
    ("train-labels-idx1-ubyte", packed(IMAGES), "no IDX file of 1 or 2 axes: begins with 00 00 08 03"),
    ("train-images-idx3-ubyte", packed(IMAGES)[:-1], "cannot reshape array of size 29 into shape (5,2,3)"),
    ("train-images-idx3-ubyte", packed(IMAGES) + b"0", "cannot reshape array of size 31 into shape (5,2,3)"),
    ("train-images-idx3-ubyte.gz", b"<!DOCTYPE html>", "no IDX file of 3 or 4 axes: begins with 3c 21 44 4f"),
    ("train-images-idx3-ubyte", head(14, 2**21, 33, 33), "its header claims 2097152 x 33 x 33 numbers"),
    ("train-images-idx3-ubyte", head(8, 2**21 + 1, 2, 2), "its header claims 2097153 x 2 x 2 numbers"),
    ("train-images-idx3-ubyte", head(8, 9, 0, 28), "its header claims 9 x 0 x 28 numbers"),
    ("train-images-idx3-ubyte.gz", gzip.compress(packed(IMAGES))[:-1], "Compressed file ended before the end-of-stream"
     " marker was reached"),
    ("train-images-idx3-ubyte.gz", gzip.compress(packed(IMAGES))[:-8] + bytes(8), "CRC check failed 0x0 != "
     + hex(zlib.crc32(packed(IMAGES)))),
    ("train-images-idx3-ubyte.gz", gzip.compress(head(8, 3, 2, 2) + bytes(10**6)), "cannot reshape array of size 13 "
     "into shape (3,2,2)"),  # not unpacked to its end
])  # fmt: skip
def test_damage(tmp_path, name, content, problem):
    write(tmp_path / "train-images-idx3-ubyte", IMAGES)
    write(tmp_path / "train-labels-idx1-ubyte", LABELS)
    (tmp_path / name).write_bytes(content)
    assert error(tmp_path) == f"{name} is damaged or missing ({problem}): fetch it again"


@pytest.mark.parametrize("name, content", [("", gzip.compress(packed(IMAGES))), (".gz", packed(IMAGES))])
def test_what_gz_in_its_name_says_wrongly(tmp_path, name, content):
    (tmp_path / f"train-images-idx3-ubyte{name}").write_bytes(content)
    assert read(tmp_path).train.pictures.tolist() == IMAGES


@pytest.mark.parametrize("labels, kind, problem", [
    ([0, 1, 2], UBYTE, "5 pictures and 3 labels: give each picture one"),
    ([0, 1, 2, 0, -1], (0x09, "b"), "has the label -1: labels must be 0 or more"),
    ([0, 1, 2, 0, 0.5], (0x0D, "f"), "has labels that are missing or not whole"),
    ([[1, 0], [1, 0], [1, 1], [1, 0], [0, 1]], UBYTE, "has several labels for a picture"),
])  # fmt: skip
def test_labels_that_are_none(tmp_path, labels, kind, problem):
    write(tmp_path / "train-images-idx3-ubyte", IMAGES)
    write(tmp_path / "train-labels-idx1-ubyte", labels, kind)
    assert problem in error(tmp_path)


def test_labels_with_a_column_for_each_class(tmp_path):
    write(tmp_path / "train-images-idx3-ubyte", IMAGES)
    write(tmp_path / "train-labels-idx2-ubyte", [[1, 0, 0], [0, 0, 1], [0, 1, 0], [0, 0, 1], [1, 0, 0]])
    assert read(tmp_path).train.labels.tolist() == [0, 2, 1, 2, 0]


def cifar(labels, before=()):
    """Rows as CIFAR has them: picture i is i red, 10 + i green and 20 + i blue, but for row 1, column 2, and its labels
    are before them."""
    rows = b""
    for i, label in enumerate(labels):
        planes = np.repeat(np.array([i, 10 + i, 20 + i], np.uint8), 32 * 32).reshape(3, 32 * 32)
        planes[:, 32 + 2] = 101, 102, 103
        rows += bytes([*before, label]) + planes.tobytes()
    return rows


def assert_is_cifar(part, labels):
    expected = np.empty((len(labels), 32, 32, 3), np.uint8)
    for i in range(len(labels)):
        expected[i] = i, 10 + i, 20 + i
    expected[:, 1, 2] = 101, 102, 103
    np.testing.assert_array_equal(part.pictures, expected)
    assert part.labels.tolist() == labels and part.labels.dtype == np.int64


CIFAR_10 = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


@pytest.fixture
def cifar_10(tmp_path):
    """Its folder; each batch has two pictures."""
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    for number in range(1, 6):
        (folder / f"data_batch_{number}.bin").write_bytes(cifar([number, number]))
    (folder / "test_batch.bin").write_bytes(cifar([5, 2]))
    (folder / "batches.meta.txt").write_text("\n".join(CIFAR_10) + "\n\n")
    (folder / "readme.html").write_text("<html>")
    return folder


def test_cifar_10(cifar_10):
    files = binary.find(cifar_10)
    names = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin", "batches.meta.txt"]
    assert [path.name for path in files] == names
    source = binary.read(cifar_10, files)
    assert source.train.labels.tolist() == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5] and len(source.train.pictures) == 10
    assert_is_cifar(source.test, [5, 2])
    assert source.classes == dict(enumerate(CIFAR_10)) and source.notes == ()
    for place in (cifar_10.parent, cifar_10 / "data_batch_2.bin", cifar_10 / "test_batch.bin"):
        assert binary.find(place) == files
    (cifar_10 / "other.bin").touch()
    assert binary.find(cifar_10 / "other.bin") is idx.find(cifar_10) is idx.find(cifar_10.parent) is None
    data = open_dataset(cifar_10.parent)
    assert data.spec.classes == ("automobile", "bird", "cat", "deer", "dog") and data.spec.shape == (3, 32, 32)
    assert data.test.images[1, :, 0, 0].tolist() == [1, 11, 21] and data.test.labels.tolist() == [4, 1]


@pytest.mark.parametrize("name, content, problem", [
    ("data_batch_3.bin", None, "is damaged or missing (No such file or directory): fetch it again"),
    ("data_batch_3.bin", b"", "is damaged or missing (cannot mmap an empty file): fetch it again"),
    ("test_batch.bin", bytes(3074),
     "is damaged or missing (cannot reshape array of size 3074 into shape (3073)): fetch it again"),
    ("batches.meta.txt", b"\xff\n", "is damaged or missing ('utf-8' codec can't decode byte 0xff in position 0: "
                                    "invalid start byte): fetch it again"),
])  # fmt: skip
def test_damaged_cifar(cifar_10, name, content, problem):
    (cifar_10 / name).unlink()
    if content is not None:
        (cifar_10 / name).write_bytes(content)
    assert error(cifar_10, binary) == f"{name} {problem}"


def test_cifar_100(tmp_path):
    """Two labels a picture, the coarse one first, of which the fine one is the class."""
    folder = tmp_path / "cifar-100-binary"
    folder.mkdir()
    (folder / "train.bin").write_bytes(cifar([7, 99], before=[11]))
    (folder / "test.bin").write_bytes(cifar([0], before=[12]))
    names = [f"fine_{number}" for number in range(100)]
    (folder / "fine_label_names.txt").write_text("\n".join(names) + "\n")
    (folder / "coarse_label_names.txt").write_text("\n".join(f"coarse_{number}" for number in range(20)))
    for place in (tmp_path, folder, folder / "train.bin"):
        source = read(place, binary)
        assert_is_cifar(source.train, [7, 99])
        assert_is_cifar(source.test, [0])
        assert source.classes == dict(enumerate(names))
    (folder / "fine_label_names.txt").unlink()
    assert binary.find(folder) is None  # train.bin is many things' name


def stl(*places):
    """Black pictures with a point in red, at (row, column), green one row below it, and blue one column beside it."""
    pictures = np.zeros((len(places), 3, 96 * 96), np.uint8)
    for planes, (row, column) in zip(pictures, places):
        planes[0, 96 * column + row] = 200
        planes[1, 96 * column + row + 1] = 210
        planes[2, 96 * (column + 1) + row] = 220
    return pictures.tobytes()


def test_stl_10(tmp_path):
    folder = tmp_path / "stl10_binary"
    folder.mkdir()
    names = ["airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck"]
    (folder / "class_names.txt").write_text("\n".join(names) + "\n")
    (folder / "fold_indices.txt").write_text("0 1\n")
    for name, content in {
        "train_X": stl((5, 70), (0, 0)), "train_y": bytes([10, 1]), "test_X": stl((1, 2)), "test_y": bytes([2]),
    }.items():  # fmt: skip
        (folder / f"{name}.bin").write_bytes(content)
    source = read(tmp_path, binary)
    expected = np.zeros((2, 96, 96, 3), np.uint8)
    expected[0, 5, 70, 0] = expected[1, 0, 0, 0] = 200
    expected[0, 6, 70, 1] = expected[1, 1, 0, 1] = 210
    expected[0, 5, 71, 2] = expected[1, 0, 1, 2] = 220
    np.testing.assert_array_equal(source.train.pictures, expected)
    assert source.train.labels.tolist() == [10, 1] and source.test.labels.tolist() == [2] and source.notes == ()
    assert source.classes[1] == "airplane" and source.classes[10] == "truck" and len(source.classes) == 10

    (folder / "unlabeled_X.bin").write_bytes(stl((0, 0), (5, 70)))
    alone = read(folder / "unlabeled_X.bin", binary)
    np.testing.assert_array_equal(alone.train.pictures, expected[::-1])
    assert alone.train.labels is alone.test is alone.classes is None and alone.notes == ()

    (folder / "train_y.bin").write_bytes(bytes([1]))
    assert error(folder, binary) == "train_y.bin: 2 pictures and 1 labels: give each picture one"
    (folder / "test_X.bin").write_bytes(bytes(27647))
    (folder / "train_y.bin").write_bytes(bytes([1, 2]))
    assert error(folder, binary).startswith("test_X.bin is damaged or missing (cannot reshape array of size 27647 into")
    (folder / "test_y.bin").unlink()
    assert error(folder, binary).startswith("test_y.bin is damaged or missing (No such file")


@pytest.mark.parametrize("folder, names, told", [
    ("cifar-10-batches-py", ["batches.meta", "data_batch_1", "test_batch", "readme.html"], "batches.meta"),
    ("cifar-100-python", ["file.txt~", "meta", "test", "train"], "meta"),
    ("mine", ["a.pkl", "b.pickle"], "a.pkl"),
    ("mine", ["cifar-10-python.tar.gz"], "cifar-10-python.tar.gz"),
])  # fmt: skip
def test_pickles_are_refused(tmp_path, folder, names, told):
    for name in names:
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / name).write_bytes(pickle.dumps({b"data": np.zeros((1, 3072), np.uint8)}, protocol=2))
    line = rf"^{tmp_path / folder / told} is a Python pickle, which is never loaded, .*: download the binary .*$"
    places = [tmp_path / folder] if folder == "mine" else [tmp_path, tmp_path / folder, tmp_path / folder / told]
    for place in places:
        with pytest.raises(UserError, match=line):
            binary.find(place)


def test_other_folders_are_other_readers_(tmp_path):
    """A pickle or a .bin among pictures, a folder `train`, what does not exist."""
    for name in ("a.png", "b.pkl", "c.bin", "raw/d.png", "train/e.png", "meta/f.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"\x80")
    for place in (tmp_path, tmp_path / "a.png", tmp_path / "c.bin", tmp_path / "gone", tmp_path / "gone" / "gone.bin"):
        assert binary.find(place) is idx.find(place) is None


def test_sets_of_two_kinds(cifar_10):
    write_set(cifar_10.parent / "MNIST" / "raw")
    several = r"holds several data sets (MNIST/raw, cifar-10-batches-bin): choose one, such as MNIST/raw"
    assert error(cifar_10.parent).endswith(several)

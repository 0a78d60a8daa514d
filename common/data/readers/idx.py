"""IDX files (http://yann.lecun.com/exdb/mnist), gzipped or not: MNIST, Fashion-MNIST, K-MNIST, EMNIST, QMNIST."""
import gzip
import math
import re

import numpy as np

from common.data.source import LARGEST, Part, Source, all_there, as_labels, as_pictures, few, folder_below
from common.errors import UserError
from common.files import DATA, catch_damage

NAMES_COUNT = False  # the digest covers only the files' contents
NAME = re.compile(r"(?:([^.].*)-)?(train|t10k|test)-(images|labels)[-.]idx\d-[a-z]+(?:\.gz)?")  # set, part, what
MNIST = [f"{part}-{what}-ubyte.gz" for part in ("train", "t10k") for what in ("images-idx3", "labels-idx1")]
TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}  # by a file's third byte


def find(place):
    """The files of the only set in a folder, of the set that a file belongs to, or of the set whose file names begin
    with the path; UserError if there are several sets, or a file is missing."""
    if place == DATA:
        return all_there([DATA / name for name in MNIST], None)
    folder = place if place.is_dir() else place.parent
    sets = by_set(folder.glob("*"))
    if place.is_dir() and not sets and (below := folder_below(place)):
        folder, sets = below, by_set(below.glob("*"))
    if not place.is_dir():
        sets = {name: found for name, found in sets.items() if name == place.name or place in found.values()}
    if len(sets) > 1:
        names = sorted(name or next(iter(found.values())).name for name, found in sets.items())
        raise UserError(f"{folder} holds several data sets ({few(names)}): choose one, such as {folder / names[0]}")
    return whole(folder, *sets.popitem()) if sets else None


def by_set(paths):
    """{prefix of a data set's file names ("" for MNIST): {("train" or "test", "images" or "labels"): file}}."""
    sets = {}
    named = sorted(path for path in paths if NAME.fullmatch(path.name) and path.is_file())
    for path in named:  # if a file is there gzipped and unpacked, as torchvision leaves it, the gzipped one is taken
        name, part, what = NAME.fullmatch(path.name).groups(default="")
        sets.setdefault(name, {})["train" if part == "train" else "test", what] = path
    return {name: found for name, found in sets.items() if any("images" in key for key in found)}


def whole(folder, name, found):
    """A set's files: training images and labels, test images and labels, EMNIST's table of classes. The test part, or
    all labels, may be missing; UserError if any other file is."""
    parts, kinds = zip(*found, ("train", "images"))
    words, files = {"train": "train-", "test": "test-" if name else "t10k-"}, []
    for part in [part for part in words if part in parts]:
        for what in [what for what in ("images", "labels") if what in kinds]:
            like = next(path.name for key, path in found.items() if what in key)
            expected = re.sub(r"(train|t10k|test)-(?=images|labels)", words[part], like)
            files.append(found.get((part, what)) or folder / expected)
    mapping = folder / f"{name}-mapping.txt"
    return all_there([*files, mapping] if mapping.is_file() else files, "fetch it again")


def read(place, files):
    name, found = by_set(files).popitem()
    classes = read_mapping(files[-1]) if files[-1].suffix == ".txt" else None
    notes = ("turned upright: EMNIST stores them transposed",) if name.startswith("emnist-") else ()
    parts = [read_part(name, found, part) for part in ("train", "test") if (part, "images") in found]
    return Source("IDX files", *parts, classes=classes, notes=notes)


def read_part(name, found, part):
    """The Part of a set: "train" or "test"."""
    path = found[part, "images"]
    images = as_pictures(read_idx(path, (3, 4)), path)
    if name.startswith("emnist-"):
        images = images.swapaxes(1, 2)
    if (part, "labels") not in found:
        return Part(images)
    path = found[part, "labels"]
    labels = read_idx(path, (1, 2))
    if name == "qmnist" and labels.ndim == 2:
        labels = labels[:, 0]  # the other columns say who wrote the digit
    return Part(images, as_labels(labels, len(images), path))


def read_idx(path, axes):
    """The array in an IDX file, big-endian; axes: the two numbers of axes that it may have. UserError if damaged."""
    with catch_damage(path, None if path.parent == DATA else "fetch it again"), open(path, "rb") as stored:
        file = gzip.GzipFile(fileobj=stored) if stored.peek(2)[:2] == b"\x1f\x8b" else stored
        magic = file.read(4)
        if len(magic) < 4 or magic[:2] != bytes(2) or magic[2] not in TYPES or magic[3] not in axes:
            raise ValueError(f"no IDX file of {axes[0]} or {axes[1]} axes: begins with {magic.hex(' ') or 'nothing'}")
        numbers = np.dtype(TYPES[magic[2]])
        shape = np.frombuffer(file.read(4 * magic[3]), ">u4", magic[3]).tolist()
        size = math.prod(shape) * numbers.itemsize
        if not 0 < size <= LARGEST or shape[0] > 2**21:  # so many pictures are 2 GiB once resized
            raise ValueError(f"its header claims {' x '.join(map(str, shape))} numbers")
        content = file.read(size + 1)  # one more: the end, and with it gzip's checksum, is read too
        return np.frombuffer(content, numbers).reshape(shape)


def read_mapping(path):
    """EMNIST's table of classes, lines with a label and its character codes -> {label: "A/a"}."""
    with catch_damage(path, "fetch it again, or delete it to name classes by numbers"):
        rows = [[int(number) for number in line.split()] for line in path.read_text().splitlines() if line.strip()]
        return {label: "/".join(map(chr, codes)) for label, *codes in rows}

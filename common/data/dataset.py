"""A data set: its Spec, and a training and a test part. Today's reader is of the four files that MNIST comes in."""
import gzip
import hashlib
import math
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path

import numpy as np
from filelock import FileLock
from PIL import Image, ImageOps
from safetensors.numpy import load_file, save

from common.data.measures import MEASURES
from common.data.spec import Spec, measured
from common.data.strokes import measure
from common.errors import UserError
from common.files import DATA, ROOT, damage_told, write_atomically

LARGEST = 2**31  # bytes of a file unpacked, and of its images resized: what is read is what its header claims
TABLES = ROOT / "data" / "measures"  # what was measured of each data set, by its digest


@dataclass(frozen=True, eq=False)
class Split:
    """The training or the test part of a data set, read when it is asked for; `limit`: the first so many images."""

    folder: Path
    train: bool
    spec: Spec
    limit: int | None = None

    def first(self, limit):
        """The same, or the first `limit` images of it."""
        return replace(self, limit=limit)

    @cached_property
    def images(self):
        """(N, C, H, W) uint8, resized to the Spec's shape; of what is not square the centre. UserError where a file is
        missing, cut short or altered."""
        raw, side = read_part(self.folder, self.train)[0][: self.limit], self.spec.shape[1]
        if raw.shape[1] != raw.shape[2]:
            print(f"{self.folder}: of images of {raw.shape[2]}x{raw.shape[1]} the square in the centre is taken")
        pictures = (ImageOps.fit(Image.fromarray(image), (side, side), Image.Resampling.BILINEAR) for image in raw)
        return np.stack([np.asarray(picture) for picture in pictures])[:, None]

    @property
    def labels(self):
        """(N,) int64. UserError where one is not below the number of classes, which is the training part's."""
        labels, count = read_part(self.folder, self.train)[1][: self.limit], len(self.spec.classes)
        if labels.max() >= count:
            raise UserError(f"{self.folder} has the label {labels.max()}, and {count} classes: fetch it again")
        return labels

    @cached_property
    def values(self):
        """What was measured of the images, {measure: (N,) float32}, NaN where it has none: the Spec's measures."""
        table = load_table(self) if self.spec.measures else {}
        return {name: table[name][: self.limit] for name in self.spec.measures}

    @property
    def conditions(self):
        """y of each image, (N, 1 + A) float32."""
        return self.spec.conditions(self.labels, self.values)

    def sample(self, count, seed=0):
        """`count` images at random, a seed's, or all if there are fewer. Not every n-th: MNIST's order has a period, by
        which every 6th image is 4 times as far from the test set as others."""
        chosen = np.random.default_rng(seed).permutation(len(self.images))[:count]
        return self.images[np.sort(chosen)] if count < len(self.images) else self.images


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set, of which nothing is read but its digest and its classes until it is asked for."""

    folder: Path
    spec: Spec

    @cached_property
    def train(self):
        return Split(self.folder, True, self.spec)

    @cached_property
    def test(self):
        return Split(self.folder, False, self.spec)

    def measured(self, names):
        """The same with these measures in its Spec, measured first, in minutes, if they are not kept in data/measures/
        yet; one that no training image has is left out."""
        if not names:
            return self
        table, count = load_table(self.train), len(self.spec.classes)
        found = {name: measured(MEASURES[name].unit, table[name], self.train.labels, count) for name in names}
        return replace(self, spec=replace(self.spec, measures={name: m for name, m in found.items() if m}))


def open_dataset(folder=None, size=32):
    """The data set in a folder, its images resized to `size` x `size`; None: the repository's MNIST.

    A folder holds the four files train-images-idx3-ubyte.gz, t10k-labels-idx1-ubyte.gz and so on. UserError that names
    the file and the cure where one is missing, cut short or altered."""
    return read_dataset(Path(folder).resolve() if folder else DATA, size)


@cache
def read_dataset(folder, size):
    paths = [path for train in (True, False) for path in idx_paths(folder, train)]
    whole = hashlib.sha256()
    for path in paths:
        with damage_told(path, cure(path)), open(path, "rb") as file:
            whole.update(hashlib.file_digest(file, "sha256").digest())
    classes = int(read_idx(paths[1], axes=1).max()) + 1
    source = None if folder == DATA else folder
    name = "mnist" if source is None else folder.name.lower()
    names = tuple(str(label) for label in range(classes))
    return Dataset(folder, Spec(
        name=name, shape=(1, size, size), classes=names, digest=whole.hexdigest()[:16], source=source,
    ))  # fmt: skip


@cache
def read_part(folder, train):
    """Images as the files have them, (N, H, W) uint8, and labels (N,) int64, all of the training or the test part."""
    images, labels = (read_idx(path, axes) for path, axes in zip(idx_paths(folder, train), (3, 1)))
    if len(images) != len(labels):
        part = "train" if train else "t10k"
        raise UserError(f"{folder} has {len(images)} {part} images and {len(labels)} labels: fetch it again")
    return images, labels.astype(np.int64)


def data_of(checkpoint, folder=None):
    """The data that a checkpoint's model was trained on, from where it was then or from a folder; UserError where it is
    gone, or is another."""
    spec = checkpoint.spec
    place = folder or spec.source
    if place and not Path(place).is_dir():
        raise UserError(f"{place}, the data of {checkpoint.path}, is gone: name its folder with --data")
    data = open_dataset(place, spec.shape[1])
    if data.spec.digest != spec.digest:
        learned = f"{checkpoint.path} learned {spec.name}, whose digest is {spec.digest}"
        raise UserError(f"{data.folder} has the digest {data.spec.digest}, and {learned}: name that data with --data")
    return replace(data, spec=replace(spec, source=data.spec.source))


def idx_paths(folder, train):
    """The files of the training or the test part: images, labels."""
    return [folder / f"{'train' if train else 't10k'}-{part}-ubyte.gz" for part in ("images-idx3", "labels-idx1")]


def cure(path):
    """What helps where a file is damaged or gone (None: git)."""
    return None if path.parent == DATA else "fetch it again"


def read_idx(path, axes):
    """The bytes of a gzipped IDX file as an array of so many axes (LeCun, http://yann.lecun.com/exdb/mnist)."""
    with damage_told(path, cure(path)), gzip.open(path) as file:
        if file.read(4) != bytes([0, 0, 8, axes]):  # 8: unsigned bytes
            raise ValueError("no IDX file")
        shape = np.frombuffer(file.read(4 * axes), ">u4", axes).tolist()
        if not 0 < math.prod(shape) <= LARGEST or shape[0] * 32**2 > LARGEST:
            raise ValueError(f"it claims {' x '.join(map(str, shape))} bytes")
        content = file.read(math.prod(shape) + 1)  # one more: the end, and with it the checksum, is read too
        return np.frombuffer(content, np.uint8).reshape(shape)


def load_table(split):
    """All that was measured of a part's images, {measure: (N,)}; measured and kept first, where it is not yet."""
    part = "train" if split.train else "test"
    path = TABLES / f"{split.spec.digest}-{part}.safetensors"
    if not path.is_file():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(path.with_suffix(".lock")):  # one process measures, the others wait
                if not path.is_file():
                    found = measure(replace(split, limit=None).images, f"measuring {split.spec.name}, {part}")
                    write_atomically(path, save({name: x.astype(np.float16) for name, x in found.items()}))
        except OSError as error:
            reason = f"what is measured of {split.spec.name} cannot be kept in {TABLES} ({error.strerror})"
            raise UserError(f"{reason}: make that folder writable, or give --measures no names") from error
    with damage_told(path, "delete it, and it is measured again"):
        table = load_file(path)
        return {name: table[name].astype(np.float32) for name in MEASURES}

"""A data set: a Spec, a training part and a test part."""
import os
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path

import numpy as np
from filelock import FileLock
from safetensors.numpy import load_file

from common.data.columns import columns_of, read_columns
from common.data.measures import MEASURES
from common.data.pictures import Preprocessing
from common.data.prepared import HELD_OUT, VERSION, mapped, prepare
from common.data.spec import MNIST, Spec, measured
from common.data.strokes import measure_strokes
from common.errors import Missing, UserError, escaped
from common.files import DATA, ROOT, catch_damage, read_json, write_tensors

CLASSES = ROOT / "data" / "classes"  # class names of known data sets, a file per digest
TABLES = ROOT / "data" / "measures"  # cached stroke measures, files per digest
FEW = 2000  # pictures; a model trained on fewer may memorise them


@dataclass(frozen=True, eq=False)
class Split:
    """The training or test part of a data set, read lazily; limit: how many of its first images to use."""

    place: Path
    prepared: Path
    """Folder of the prepared data set."""
    train: bool
    spec: Spec
    limit: int | None = None

    @property
    def name(self):
        return "train" if self.train else "test"

    def first(self, limit):
        """The same part, cut to its first `limit` images."""
        return replace(self, limit=limit)

    @cached_property
    def images(self):
        """(N, C, H, W) uint8, resized to the Spec's shape, memory-mapped."""
        with catch_damage(self.prepared, f"delete {self.prepared}, and it will be made again"):
            return mapped(self.prepared / f"{self.name}.bin", (len(self.rows("")), *self.spec.shape))[: self.limit]

    def rows(self, what):
        """(N,) int64 for all images: labels (""), or positions in the data set as it is stored (".order")."""
        with catch_damage(self.prepared, f"delete {self.prepared}, and it will be made again"):
            return load_file(self.prepared / "labels.safetensors")[self.name + what]

    @cached_property
    def labels(self):
        """(N,) int64, indices into the Spec's classes."""
        return self.rows("")[: self.limit]

    @cached_property
    def values(self):
        """The images' measures that the Spec lists, {measure: (N,) float32}, NaN if an image has none."""
        table = load_values(self, self.spec.measures)
        return {name: table[name][: self.limit] for name in self.spec.measures}

    @property
    def conditions(self):
        """The conditioning vector y of each image, (N, 1 + measures) float32."""
        return self.spec.conditions(self.labels, self.values)

    def picks(self, count, seed=0, label=None, exclude=()):
        """Sorted indices of `count` random images, or all if there are fewer, without those in `exclude`; of one class
        if a label is given. Not every n-th: a set of every 6th of MNIST is 4 times as far from the test set."""
        pool = np.arange(len(self.images)) if label is None else np.flatnonzero(self.labels == label)
        return np.sort(np.random.default_rng(seed).permutation(np.setdiff1d(pool, exclude))[:count])

    def sample(self, count, seed=0, label=None, exclude=()):
        """The images that picks() chooses."""
        chosen = self.picks(count, seed, label, exclude)
        return self.images[chosen] if len(chosen) < len(self.images) else self.images


@dataclass(frozen=True, eq=False)
class Dataset:
    """A prepared data set and its Spec."""

    place: Path
    prepared: Path
    about: dict  # what prepare() noted
    spec: Spec

    @cached_property
    def train(self):
        return Split(self.place, self.prepared, True, self.spec)

    @cached_property
    def test(self):
        return Split(self.place, self.prepared, False, self.spec)

    def measured(self, names=None):
        """A copy whose Spec has these measures: columns of measures.csv, or MEASURES, which are computed in minutes if
        they are not cached. None: all of measures.csv; for the repository's MNIST in grey, all of MEASURES.

        A measure that no training image has is left out; UserError if it was named, or if a named one is unknown."""
        if names == ():  # even if measures.csv cannot be read
            return replace(self, spec=replace(self.spec, measures={}))
        columns, named = columns_of(self.place), names is not None
        if names is None:
            names = tuple(columns) or (tuple(MEASURES) if (self.spec.digest, self.spec.shape[0]) == (MNIST, 1) else ())
        if unknown := [name for name in names if name not in MEASURES and name not in columns]:
            known = ", ".join([*columns, *MEASURES])
            raise UserError(f"--measures {unknown[0]}: {self.place} has {known}: choose from these")
        if not set(names) <= set(columns) and (self.spec.shape[0] > 1 or self.about["light"] >= 128):
            raise UserError(f"{self.place} is not grey with light strokes on dark: leave out {', '.join(MEASURES)}")
        table, count = load_values(self.train, names), len(self.spec.classes)
        units = {name: columns[name] if name in columns else MEASURES[name].unit for name in names}
        measures = {name: measured(units[name], table[name], self.train.labels, count) for name in names}
        if named and (empty := [name for name, found in measures.items() if not found]):
            raise UserError(f"--measures {empty[0]}: no training image of {self.place} has a value of it: leave it out")
        return replace(self, spec=replace(self.spec, measures={name: m for name, m in measures.items() if m}))

    def __str__(self):
        """What was found in it, in one line."""
        about, spec = self.about, self.spec
        train, test = about["counts"]
        sizes = ["x".join(map(str, size)) for size in about["sizes"]]
        shape = "cropped to the centre" if spec.preprocessing.fit == "crop" else "padded with a margin"
        facts = [
            f"{train:,} training and {test:,} test images ({about['kind']})",
            f"{len(spec.classes)} classes ({spec.few_classes})" if about["labelled"] else "no labels",
            "grey" if spec.shape[0] == 1 else "in colour",
            f"{' to '.join(dict.fromkeys(sizes))} -> {spec.shape[2]}x{spec.shape[1]}",
            "light on dark" if about["light"] < 128 else "dark on light",
        ]
        if not about["square"]:
            facts.append(f"{shape} if not square")
        if about["held_out"]:
            facts.append(f"no test part: every {HELD_OUT}th picture held out")
        try:
            if columns := columns_of(self.place):
                values = load_columns(self.train)
                facts += [f"{name} of {np.isfinite(values[name]).sum():,} training images" for name in columns]
            elif spec.source:
                facts.append("no measures.csv")
        except UserError as error:  # what needs the table ends with it
            facts.append(f"measures.csv cannot be used ({error})")
        if train < FEW:
            facts.append("few pictures: a model may copy them, which training_distance in a score shows")
        return escaped(f"{self.place}: {', '.join([*facts, *about['notes']])}")


def open_dataset(place=None, preprocessing=None):
    """Open and prepare the data set at a path, of any kind that has a reader; None: the repository's MNIST.

    UserError, which names the file and the cure, if there is none or it is damaged."""
    place = Path(os.path.abspath(place)) if place else DATA  # links are not resolved: a reader may need their name
    return read_dataset(DATA if place.resolve() == DATA else place, preprocessing or Preprocessing())


@cache
def read_dataset(place, preprocessing):
    folder, size = prepare(place, preprocessing), preprocessing.size
    about = read_json(folder / "about.json", f"delete {folder}")
    source = None if place == DATA else place
    return Dataset(place, folder, about, Spec(
        name="mnist" if source is None else place.stem.lower(), shape=(about["channels"], size, size),
        classes=class_names(place, about), digest=about["digest"], source=source, preprocessing=preprocessing,
    ))  # fmt: skip


def class_names(place, about):
    """Names of the classes as they are stored. If these are numbers, their names are the lines of a classes.txt beside
    the pictures, or of the repository's file for this digest. UserError if the file has more or fewer lines."""
    if not all(name.isdecimal() for name in about["classes"]):
        return tuple(about["classes"])
    beside = place if place.is_dir() else place.parent
    for path in (beside / "classes.txt", CLASSES / f"{about['digest']}.txt"):
        if path.is_file():
            with catch_damage(path, "save it as text in UTF-8, one line per class"):
                names = path.read_text(encoding="utf-8-sig").split("\n")
            names = tuple(name.strip() for name in names if name.strip())
            if not len(set(names)) == len(names) == len(about["classes"]):
                counted = f"{len(set(names))} names in {len(names)} lines, for {len(about['classes'])} classes"
                raise UserError(f"{path} has {counted}: write one line per class, in the order of the labels")
            return names
    return tuple(about["classes"])


def data_of(checkpoint, place=None):
    """The data that a checkpoint's model was trained on, with the measures and class names of that time; place: its new
    path, if it was moved. UserError if it is missing, or is not the same data."""
    data = data_as_it_is(checkpoint, place, "give that data with --data")
    return replace(data, spec=replace(checkpoint.spec, source=data.spec.source))


def data_as_it_is(checkpoint, place, cure):
    """Like data_of(), with today's class names and no measures. cure: for the message if it is not the same data."""
    spec = checkpoint.spec
    place = place or spec.source
    try:
        data = open_dataset(place, spec.preprocessing)
    except Missing as error:
        raise UserError(f"{place}, the data of {checkpoint.path}, is missing: give its new path with --data") from error
    if data.spec.digest != spec.digest:
        learned = f"{checkpoint.path} was trained on {spec.name}, digest {spec.digest}"
        raise UserError(f"{data.place} has the digest {data.spec.digest}, but {learned}: {cure}")
    return data


def load_values(split, names):
    """These measures of a part's images, {measure: (N,) float32}: columns of measures.csv, else measures of strokes.
    UserError for a column that no longer exists."""
    columns = columns_of(split.place) if names else {}  # measures.csv may be one that cannot be read
    if missing := [name for name in names if name not in columns and name not in MEASURES]:
        raise UserError(f"{split.place} has no measure {missing[0]} any more: restore that column of measures.csv")
    known = load_columns(split) if any(name in columns for name in names) else {}
    strokes = load_table(split) if any(name not in columns for name in names) else {}
    return {name: known[name] if name in columns else strokes[name] for name in names}


def load_columns(split):
    """All columns of measures.csv for a part's images, {measure: (N,) float32}."""
    stored = read_json(split.prepared / "stored.json", f"delete {split.prepared}, and it will be made again")
    return read_columns(split.place, split.rows(".order"), stored["count"], stored["names"])


def load_table(split):
    """The stroke measures of a part's images, {measure: (N,)}; computed and cached the first time."""
    usual = split.spec.digest == MNIST and split.spec.preprocessing == Preprocessing()
    how = split.spec.preprocessing
    made = "" if usual else f"-{VERSION}-{how.size}-{how.fit}"  # images of another size have other measures
    path = TABLES / f"{split.spec.digest}{made}-{split.name}.safetensors"
    if not path.is_file():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(path.with_suffix(".lock")):  # one process measures, the others wait
                if not path.is_file():
                    images = replace(split, limit=None).images
                    found = measure_strokes(images, f"measuring {split.spec.name}, {split.name}")
                    write_tensors(path, {name: x.astype(np.float16) for name, x in found.items()})
        except OSError as error:
            reason = f"the measures of {split.spec.name} cannot be saved in {TABLES} ({error.strerror})"
            raise UserError(f"{reason}: make that folder writable, or write --measures without names") from error
    with catch_damage(path, "delete it, and it will be measured again"):
        table = load_file(path)
        return {name: table[name].astype(np.float32) for name in MEASURES}

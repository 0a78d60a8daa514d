"""Guess from the names of arrays which are pictures, which are labels, and which part they belong to."""
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from common.data.readers.folder import is_picture, walk
from common.data.source import Part, Source, as_labels, as_pictures, by_number, few
from common.errors import UserError

PARTS = "train", "test", "val", "extra"  # of those present the first is for training, the second for testing
PICTURES = "images", "image", "imgs", "img", "x", "data", "fea", "arr_0"  # earlier words take precedence
LABELS = "labels", "label", "targets", "target", "y", "gnd", "arr_1"
WORD = re.compile(r"\w*names|train|test|val(?=id|[xy_]|\b)|[xy](?=train|test|val)|arr_[01]|[a-z]+")
MANY = 16  # a folder with this many picture files is read as a folder of pictures


@dataclass(frozen=True, eq=False)
class Array:
    """An array in a file of a data set; read() returns it."""

    path: Path
    name: str
    read: Callable

    @property
    def words(self):
        return set(WORD.findall(self.name.lower()))

    @property
    def is_labels(self):
        return not self.words.isdisjoint(LABELS)

    def __str__(self):
        return f"{self.path}" if self.name == self.path.stem else f"{self.path} ({self.name})"


def files_of(place, *suffixes):
    """The file at a path, or the files in that folder, with one of these suffixes, sorted by number; [] if the folder
    also holds MANY picture files, which these files may describe."""
    if place.is_file():
        return [place] if place.name.lower().endswith(suffixes) else []
    files = [file for file in place.glob("[!.]*") if file.name.lower().endswith(suffixes) and file.is_file()]
    return [] if files and has_many_pictures(place) else sorted(files, key=lambda file: by_number(file.name))


def has_many_pictures(folder):
    """Whether a folder, with those below it, holds MANY picture files or more."""
    return len([*islice(filter(is_picture, walk(folder)), MANY)]) == MANY


def part_of(*names):
    """The first part's name that occurs in these names, "train" if none does."""
    words = WORD.findall(" ".join(names).lower())
    return next((word for word in words if word in PARTS), "train")


def only(found, place):
    """The only element of a list, None if it is empty; UserError if there are several."""
    if len(found) > 1:
        names = few([*map(str, found)])
        raise UserError(f"{place} holds {names}, and it is unclear which to use: choose one file, or keep only one")
    return found[0] if found else None


def pick(arrays, words, place):
    """The array whose name has one of these words, earlier words first, or None; UserError if several do."""
    for word in words:
        if array := only([array for array in arrays if word in array.words], place):
            return array
    return None


def assemble(place, kind, arrays):
    """A Source of Arrays, by their names. UserError if none, or more than one, is named as training pictures."""
    chosen = {}
    alone = len({array.path for array in arrays}) == 1
    parts = {array: part_of(array.name, "" if alone else array.path.stem) for array in arrays}
    for part in PARTS:
        labels = [array for array in arrays if parts[array] == part and array.is_labels]
        others = [array for array in arrays if parts[array] == part and not array.is_labels]
        pictures = others[0] if len(others) == 1 else pick(others, PICTURES, place)
        if pictures:
            chosen[part] = pictures, pick(labels, LABELS, place)
    used = [chosen[part] for part in used_of({part: labels is not None for part, (_, labels) in chosen.items()}, place)]
    left = [array for array in arrays if not any(array in pair for pair in used)]
    notes = [f"{few(dict.fromkeys(array.name if alone else array.path.name for array in left))} not used"]
    read = [(as_pictures(x.read(), x), labels and labels.read(), x, labels or x) for x, labels in used]
    return source_of(kind, read, notes=notes if left else ())


def used_of(labelled, place):
    """{part: whether it has labels} -> [training part, test part], or [training part]. A test part without labels is
    skipped if the training part has them. UserError if there is no training part among several, or no part."""
    if "train" not in labelled and len(labelled) != 1:
        cure = "put train into the name of its array or file (x_train, train.csv)"
        raise UserError(f"{place} has no training part: {cure}")
    first, *others = (part for part in PARTS if part in labelled)
    return [first, *(part for part in others if labelled[part] >= labelled[first])][:2]


def source_of(kind, parts, classes=None, notes=()):
    """A Source of [(pictures, labels or None, their origin, for messages, and that of labels, if it is another)]: the
    training part, then the test part, if any. Labels may be text. UserError if pictures differ in size."""
    pictures, labels, wheres, *others = zip(*parts)
    check_sizes(pictures, wheres)
    (wheres,) = others or [wheres]
    if labels[0] is None:
        return Source(kind, *map(Part, pictures), notes=tuple(notes))
    labels, texts = numbers_of(labels, wheres)
    made = [Part(part, as_labels(labels[i], len(part), wheres[i])) for i, part in enumerate(pictures)]
    return Source(kind, *made, classes=texts or classes, notes=tuple(notes))


def check_sizes(arrays, wheres):
    """UserError if arrays of pictures differ in the size of a picture."""
    sizes = ["x".join(map(str, array.shape[1:])) for array in arrays]
    for size, where in zip(sizes, wheres):
        if size != sizes[0]:
            raise UserError(f"{wheres[0]} has pictures of {sizes[0]} and {where} of {size}: make all the same size")


def numbers_of(labels, wheres):
    """(arrays of numbers, {number: name} or None) for arrays of labels: text that is not numeric is numbered in
    alphabetical order. UserError if a label is missing."""
    if any(np.asarray(array).dtype.kind != "U" for array in labels):
        return labels, None
    labels = [np.char.strip(array) for array in labels]
    for array, where in zip(labels, wheres):
        if "" in array:
            raise UserError(f"{where} lacks the label of picture {(array == '').argmax() + 1}: add it")
    with suppress(ValueError):
        return [array.astype(np.float64) for array in labels], None
    names = np.unique(np.concatenate(labels))
    return [np.searchsorted(names, array) for array in labels], dict(enumerate(names.tolist()))

"""Parquet files as Hugging Face stores data sets of pictures (https://huggingface.co/docs/datasets/image_dataset).

One column holds encoded pictures: struct<bytes, path>, or bytes alone. The schema's metadata has the class names."""
import json
import re
from contextlib import contextmanager, suppress
from functools import lru_cache, partial
from posixpath import dirname

import numpy as np

from common.data.named import has_many_pictures, numbers_of, used_of
from common.data.readers.folder import walk
from common.data.source import Part, Source, as_labels, by_number, check_size, few
from common.errors import UserError
from common.files import DAMAGE, catch_damage

NAMES_COUNT = False
NAME = re.compile(r"(?<!metadata)\.parquet$")  # metadata.parquet lies in folders of pictures
PICTURES = "image", "img"
LABELS = "label", "labels", "fine_label", "class", "cls"  # CIFAR-100 has fine_label and coarse_label
BINARY = re.compile(r"(struct<.*\bbytes: )?(large_)?binary\b.*")
SPLIT = re.compile(r"(?<![a-z])(?:partial-)?(train|test|val)(?:ing|id|idation)?(?![a-z])")


def find(place):
    if place.is_file():
        return [place] if place.suffix.lower() == ".parquet" else None
    names = [name for name in walk(place) if NAME.search(name)] if place.is_dir() else []
    if names and has_many_pictures(place):  # which these files may describe
        return None
    folders = {SPLIT.sub("", dirname(name).lower()): dirname(name) for name in names}
    if len(folders) > 1:
        raise UserError(f"{place} holds several data sets ({few(sorted(folders.values()))}): choose one folder")
    return [place / name for name in sorted(names, key=by_number)] or None


def read(place, files):
    """The test part is `test`, else `val`, if it has labels; notes list what is left out."""
    splits = by_split(place, files)
    picture, label, names = columns_in(splits.get("train", files)[0])
    pictures = {split: Encoded(paths, picture) for split, paths in splits.items()}
    labels = {split: labels_of(paths, label) for split, paths in splits.items()}
    used = used_of({split: known is not None for split, known in labels.items()}, place)
    notes = [f"classes by {label}"] if label not in (None, "label", "labels") else []
    notes += [f"{len(pictures[split]):,} pictures of {split} not used" for split in splits if split not in used]
    for split in used:
        if (total := re.search(r"-of-(\d+)", splits[split][0].stem)) and int(total[1]) != len(splits[split]):
            notes.append(f"{len(splits[split])} of {int(total[1])} files of {split} found")
    numbers, words = numbers_of([labels[split] for split in used], [place] * len(used))
    numbers = [known if known is None else as_labels(known, len(known), place) for known in numbers]
    parts = [Part(pictures[split], known) for split, known in zip(used, numbers)]
    return Source("Parquet", *parts, classes=words or dict(enumerate(names)) or None, notes=tuple(notes))


def by_split(place, files):
    """{part: its files}, by the names of the files, else of their folders. Files of no known part are "others", and
    become "train" if there is no training part."""
    splits = {}
    for path in files:
        words = SPLIT.findall(" ".join(reversed(path.relative_to(place).parts)).lower())
        splits.setdefault(words[0] if words else "others", []).append(path)
    if "train" not in splits and "others" in splits:
        splits["train"] = splits.pop("others")
    return splits


@contextmanager
def parquet(path):
    """Context manager that gives pyarrow.parquet; errors in reading this file become a UserError."""
    try:
        import pyarrow.parquet
    except ImportError as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f'{path} needs pyarrow ({reason}): pip install "pyarrow<26"') from error
    with catch_damage(path, "fetch it again"):
        yield pyarrow.parquet


def columns_in(path):
    """(column of encoded pictures, column of labels or None, names of labels 0, 1, ...) of a file."""
    with parquet(path) as library:
        schema = library.read_schema(path)
    kinds = {column.name: str(column.type) for column in schema}
    pictures = [name for name, kind in kinds.items() if BINARY.fullmatch(kind)]
    pictures = [name for name in pictures if name in PICTURES] or pictures
    if len(pictures) != 1:
        known = ", ".join(repr(f"{name}: {kind}"[:60]) for name, kind in kinds.items())
        raise UserError(f"{path} has the columns {known}: one, named image, must hold encoded pictures")
    classes = {}
    with suppress(*DAMAGE):  # other programs leave this metadata out, or write their own
        features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
        classes = {name: tuple(features[name]["names"]) for name in kinds if "names" in features.get(name, ())}
    labels = [name for name in LABELS if name in kinds] or (list(classes) if len(classes) == 1 else [None])
    return pictures[0], labels[0], classes.get(labels[0], ())


def labels_of(files, column):
    """The labels in a column of these files, numbers or text; None if there is no column, or all are missing or -1."""
    labels = []
    for path in files if column else ():
        with parquet(path) as library:
            table = library.ParquetFile(path).read(columns=[column])  # a test part may lack the column
            labels += table.column(0).to_pylist() if table.num_columns else [None] * table.num_rows
    if all(label is None or label == -1 for label in labels):
        return None
    if not all(isinstance(label, int | float | str) for label in labels):
        raise UserError(f"{files[0]} has rows with no label, or several, in column {column}: give each row one label")
    return np.array(labels)


def read_group(column, path, number):
    """The cells of a column in one row group of a file."""
    with parquet(path) as library:
        return library.ParquetFile(path).read_row_group(number, [column]).column(0)


class Encoded:
    """A sequence of the encoded pictures in a column. It keeps the last row group that was read, so read pictures in
    their order. ValueError if a picture is missing."""

    def __init__(self, files, column):
        self.rows = []
        for path in files:
            with parquet(path) as library:
                metadata = library.read_metadata(path)
            for number in range(metadata.num_row_groups):
                group = metadata.row_group(number)
                check_size(group.total_byte_size, 1, f"a row group of {path}")
                self.rows += [(path, number, row) for row in range(group.num_rows)]
        self.group = lru_cache(1)(partial(read_group, column))

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        path, number, row = self.rows[i]
        picture = self.group(path, number)[row].as_py()
        picture = picture["bytes"] if isinstance(picture, dict) else picture
        if picture is None:
            raise ValueError("no bytes")
        return picture

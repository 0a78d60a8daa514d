"""Prepare a data set: resize it once per size and colour, into cached files that are mapped into memory."""
import hashlib
import json
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from filelock import FileLock
from PIL import Image
from pydantic_core import to_jsonable_python
from tqdm import tqdm

from common.data.pictures import decoded, fitted, is_grey, opened, rescaled, value_range
from common.data.readers import arrays, binary, folder, idx, mat, parquet, table
from common.data.source import few
from common.errors import Missing, UserError, reason
from common.files import DAMAGE, ROOT, catch_damage, os_errors_about, write_json, write_tensors

PREPARED = Path(os.environ.get("SIMPLE_LDM_PREPARED") or ROOT / "data" / "prepared")
READERS = (idx, binary, parquet, arrays, table, mat, folder)  # folder comes last: it takes any pictures
KINDS = (
    "IDX files (train-images-idx3-ubyte, ...), folders or a zip of pictures, .npz, .npy, .csv, .mat, .parquet, or "
    "CIFAR's and STL's binary files"
)
VERSION = 4  # of the cache: raise it if the same files would now be read or resized differently
MOST_CLASSES = 4096
DARK = 16  # of 255; pictures that were saved with values 0 and 1, or 0 to 16, have no brighter pixel
HELD_OUT = 10  # every 10th picture is held out for testing if a data set has no test part


def prepare(place, preprocessing):
    """The cache folder of the data set at a path, made if it is new: about.json, stored.json, labels.safetensors, and
    train.bin and test.bin, uint8 (N, C, size, size). UserError if the data cannot be read or the folder written."""
    reader, files = recognize(place)
    states = [file.stat() for file in files]
    listing = [(str(file).removeprefix(str(place)), s.st_size, s.st_mtime_ns) for file, s in zip(files, states)]
    key = json.dumps([VERSION, reader.__name__, str(place), listing, to_jsonable_python(preprocessing)])
    folder = PREPARED / hashlib.sha256(os.fsencode(key)).hexdigest()[:16]
    if folder.is_dir():
        return folder
    with locked(PREPARED):
        for left in PREPARED.glob(f"{'[0-9a-f]' * 16}.tmp"):  # left by a process that was killed
            shutil.rmtree(left)
        if not folder.is_dir():
            make(folder, place, reader, files, preprocessing)
    return folder


def locked(folder):
    """Make PREPARED, or a folder in it, and lock it: `with locked(folder):` one process writes, the others wait.
    UserError if the folder cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return FileLock(folder / ".lock").acquire()
    except OSError as error:
        advice = "make it writable, or set another folder in the environment variable SIMPLE_LDM_PREPARED"
        raise UserError(f"{folder} cannot be written ({error.strerror}): {advice}") from error


def recognize(place):
    """(reader, files) of the data set at a path; UserError if no reader takes it."""
    for reader in READERS:
        if files := reader.find(place):
            return reader, files
    if not place.exists():
        raise Missing(f"{place} does not exist: --data takes {KINDS}")
    if place.suffix.lower() in (".csv", ".tsv"):
        raise UserError(f"{place} is not a table of pixels: write a row for each picture, numbers separated by commas")
    raise UserError(f"{place} holds no pictures that can be read: --data takes {KINDS}")


def make(folder, place, reader, files, preprocessing):
    """Prepare a data set in a temporary folder, renamed to `folder` when it is complete."""
    source, temporary = reader.read(place, files), folder.with_suffix(".tmp")
    parts = {"train": source.train, "test": source.test or source.train}
    if source.test is None:
        indices = hold_out(source.train.labels, len(source.train.pictures), place)
    else:
        indices = [np.arange(len(part.pictures)) for part in parts.values()]
    stored = [part for part in (source.train, source.test) if part]
    try:
        temporary.mkdir()
        stored_in = stored_range(stored, place)
        writer, channels = write_parts(temporary, parts, dict(zip(parts, indices)), preprocessing, stored_in)
        kept = {name: np.array(indices, np.int64) for name, indices in writer.kept.items()}
        if empty := [name for name, indices in kept.items() if not len(indices)]:
            what = f"none of its {empty[0]} pictures can be read ({writer.why})"
            raise UserError(f"{place}: {what}: save them as PNG or JPEG")
        for name, part in parts.items():  # resized first: whole files are read faster in the order of their pictures
            order = mixed(np.arange(len(kept[name])), part.labels)
            reorder(temporary / f"{name}.bin", order)
            kept[name] = kept[name][order]
        labels, classes = numbered(source, {name: part.labels for name, part in parts.items()}, kept, place)
        before = {"train": 0, "test": len(source.train.pictures) if source.test else 0}
        order = {f"{name}.order": kept[name] + before[name] for name in parts}
        write_tensors(temporary / "labels.safetensors", labels | order)
        names = [name for part in stored for name in part.names or ()]
        count = sum(len(part.pictures) for part in stored)
        write_json(temporary / "stored.json", {"count": count, "names": names or None})
        write_json(temporary / "about.json", {
            "kind": source.kind, "digest": digest(place, reader, files), "classes": classes, "channels": channels,
            "counts": [len(kept[name]) for name in parts], "labelled": source.train.labels is not None,
            "held_out": source.test is None, "sizes": [min(writer.sizes), max(writer.sizes)],
            "square": all(width == height for width, height in writer.sizes),
            "light": float(np.mean(writer.brightness)), "notes": [*source.notes, *writer.notes(stored_in)],
        })  # fmt: skip
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_parts(folder, parts, chosen, preprocessing, stored_in):
    """Write the chosen pictures of each part, resized, to folder/PART.bin; returns (Writer, channels). Without
    preprocessing.channels, it writes grey, and starts again in colour when it meets a picture in colour."""
    for channels in [preprocessing.channels] if preprocessing.channels else (1, 3):
        form = replace(preprocessing, channels=channels)
        writer = Writer(stops_at_colour=channels == 1 and not preprocessing.channels)
        if all(writer.write(folder, name, part, chosen[name], form, stored_in) for name, part in parts.items()):
            break
    return writer, channels


def hold_out(labels, count, place):
    """(training, test) indices of `count` pictures. The first two of each class are for training. Of the others every
    10th is for testing; if they are fewer than ten, one of the largest class. UserError if there are none."""
    if count < 2:
        raise UserError(f"{place} holds {count} pictures: at least two are needed, one to train on and one to test")
    labels = np.zeros(count, int) if labels is None else labels
    rank = np.empty(count, int)
    for label in np.unique(labels):
        rank[labels == label] = np.arange((labels == label).sum())
    others = np.flatnonzero(rank >= 2)
    if not len(others) and len(np.unique(labels)) > 1:
        raise UserError(f"{place}: no class has more than two pictures: add a third one to a class, to test on")
    test = others[HELD_OUT - 1 :: HELD_OUT] if len(others) >= HELD_OUT else [rank.argmax()]
    return np.delete(np.arange(count), test), np.asarray(test)


def mixed(indices, labels):
    """Indices of pictures, shuffled (always in the same way) if they are stored class by class, else as they are."""
    stored_by_class = labels is not None and np.count_nonzero(np.diff(labels)) < len(np.unique(labels))
    return np.random.default_rng(0).permutation(indices) if stored_by_class else indices


def reorder(path, order):
    """Put the pictures in a prepared file, numbered as they lie there, into this order."""
    if (np.diff(order) == 1).all():
        return
    pictures, new = mapped(path, (len(order), path.stat().st_size // len(order))), path.with_suffix(".new")
    with os_errors_about(PREPARED), open(new, "wb") as file:
        for i in order:
            file.write(pictures[i].tobytes())
    del pictures  # Windows replaces no file that is mapped
    new.replace(path)


def stored_range(parts, place):
    """The value range (low, high) of the stored pixels of all parts; UserError if one part's is far smaller."""
    parts = [extremes for part in parts if (extremes := extremes_of(part.pictures))]
    if not parts:
        return 0, 255
    lows, highs = [min(extremes) for extremes in parts], [max(extremes) for extremes in parts]
    if (high := max(highs)) > DARK * max(1, min(highs)):
        ranges = f"pixels of one part are at most {min(highs):g}, those of the other reach {high:g}"
        raise UserError(f"{place}: {ranges}: save both parts in the same range")
    return value_range(min(lows), high)


def extremes_of(pictures):
    """Smallest and largest pixel values of an array of pictures; of encoded ones, only of those with over 8 bits."""
    if isinstance(pictures, np.ndarray):
        return pictures.min().item(), pictures.max().item()
    extremes = []
    for i in range(len(pictures)):
        if i == 100 and not extremes:  # they have 8 bits, 0..255
            break
        with suppress(*DAMAGE):
            picture = decoded(pictures[i])
            if isinstance(picture, np.ndarray):  # over 8 bits
                extremes += extremes_of(picture)
    return extremes


def mapped(path, shape):
    """The pictures in a file, uint8 of this shape, memory-mapped."""
    return np.asarray(np.memmap(path, np.uint8, "r", shape=shape))


@dataclass
class Writer:
    """Writes resized pictures, and records what it learns about them."""

    kept: dict = field(default_factory=dict)  # {part: the indices of those that could be read}
    sizes: set = field(default_factory=set)  # (width, height) of each
    stops_at_colour: bool = False
    brightness: list = field(default_factory=list)  # the mean of each, 0..255
    brightest: int = 0  # the largest pixel value of all
    unreadable: list = field(default_factory=list)
    why: str = ""  # the first of these could not be read

    def write(self, folder, name, part, indices, preprocessing, stored_in):
        """Write these pictures of a part, resized; record which could be read. False: it stopped at colour."""
        bar = {"desc": f"preparing {name}", "unit": "img", "leave": False, "disable": None, "delay": 1}
        kept = self.kept[name] = []
        with os_errors_about(PREPARED), open(folder / f"{name}.bin", "wb") as file:
            for i in tqdm(indices, **bar):
                try:
                    picture = part.pictures[i]
                    encoded = isinstance(picture, bytes)
                    image = opened(picture, stored_in) if encoded else Image.fromarray(rescaled(picture, stored_in))
                except DAMAGE as error:
                    self.why = self.why or reason(error)
                    self.unreadable.append(part.names[i] if part.names else str(i))
                    continue
                if self.stops_at_colour and not is_grey(image):
                    return False
                self.sizes.add(image.size)
                pixels = fitted(image, preprocessing)
                self.brightness.append(pixels.mean())
                self.brightest = max(self.brightest, int(pixels.max()))
                file.write(pixels.tobytes())
                kept.append(i)
        return True

    def notes(self, stored):
        """Remarks for the user, a list of strings."""
        notes = []
        if stored != (0, 255):
            notes.append(f"values {stored[0]:g} to {stored[1]:g} mapped to 0 to 255")
        if self.brightest <= DARK:
            notes.append(f"nearly black, as no pixel is above {self.brightest} of 255: save them brighter")
        if self.unreadable:
            named = few(sorted(self.unreadable))
            notes.append(f"{len(self.unreadable)} unreadable pictures left out ({named}: {self.why})")
        return notes


def numbered(source, labels, kept, place):
    """Renumber labels {part: (N,) int64} to 0..C - 1, the classes of the training pictures; returns them and C names.

    Without labels there is one class. UserError if a class has only one training picture, or only test pictures."""
    if source.train.labels is None:
        return {name: np.zeros(len(indices), np.int64) for name, indices in kept.items()}, ["picture"]
    labels = {name: labels[name][indices] for name, indices in kept.items()}
    found, counts = np.unique(labels["train"], return_counts=True)
    known = source.classes or {}
    names = [known.get(label, str(label)) for label in found.tolist()]
    if len(names) > MOST_CLASSES:
        raise UserError(f"{place} has {len(names):,} classes, but at most {MOST_CLASSES:,} are allowed: leave some out")
    if counts.min() == 1:
        lone = names[int(counts.argmin())]
        raise UserError(f"{place}: the class {lone} has only one training picture: add others, or leave it out")
    if unknown := set(labels["test"].tolist()) - set(found.tolist()):
        name = known.get(min(unknown), min(unknown))
        raise UserError(f"{place}: test pictures have the label {name}, but no training picture has it: leave them out")
    return {name: np.searchsorted(found, part) for name, part in labels.items()}, names


def digest(place, reader, files):
    """The first 16 digits of a sha256 over the data set's files, and over their names in folders of pictures."""
    whole = hashlib.sha256()
    for path in files:
        with catch_damage(path, "make it readable"), open(path, "rb") as file:
            whole.update(hashlib.file_digest(file, "sha256").digest())
        if reader.NAMES_COUNT:
            whole.update(os.fsencode(path.relative_to(place).as_posix()))
    return whole.hexdigest()[:16]

"""What a reader returns: the pictures of a data set as they are stored, and their labels."""
import math
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from posixpath import normpath
from typing import Any
from zipfile import ZipFile

import numpy as np

from common.errors import UserError
from common.files import catch_damage

LARGEST = 8 * 2**30  # bytes of an array that is read at once; pictures in files of their own are read one by one
BELOW = re.compile(r"raw|gzip|cifar-10-batches-.*|cifar-100-.*|stl10_binary")  # folders made by downloads
DOWNLOADED = re.compile(r".*idx\d-.*|.*\.bin|data_batch_1|meta")


@dataclass(frozen=True, eq=False)
class Part:
    """The training or the test part of a data set.

    pictures: a numeric array (N, H, W) or (N, H, W, 3), or a sequence of N encoded pictures (PNG, JPEG, ...), bytes
    that are read when indexed. labels: (N,) int64, or None. names: the pictures' file names, if they are in files.
    """

    pictures: Any
    labels: np.ndarray | None = None
    names: tuple[str, ...] | None = None


@dataclass(frozen=True, eq=False)
class Source:
    """A data set as it is stored. classes: {label: name}, if classes have names."""

    kind: str
    train: Part
    test: Part | None = None
    classes: dict[int, str] | None = None
    notes: tuple[str, ...] = ()  # remarks for the user on how it was read


def few(names):
    """The first three names, for a message."""
    return ", ".join([*names][:3]) + (", ..." if len(names) > 3 else "")


def by_number(name):
    """A sort key that orders names by the numbers in them: "10" after "2"."""
    return [int(piece) if i % 2 else piece for i, piece in enumerate(re.split(r"(\d+)", name))]


def check_size(count, itemsize, where, cure="store pictures as files"):
    """UserError, with this cure, if `count` numbers of `itemsize` bytes exceed LARGEST. where: the file."""
    if count * itemsize > LARGEST:
        claimed, most = (f"{number / 2**30:,.1f} GiB" for number in (count * itemsize, LARGEST))
        raise UserError(f"{where} claims to hold {claimed}, but at most {most} can be read: {cure}")


def open_zip(path):
    """A ZipFile with slashes in its names. Names that are not marked as UTF-8 may still be UTF-8 (macOS) or GB 2312
    (Chinese Windows); else they are in code page 437, as the format says."""
    for encoding in ("utf-8", "gb2312", None):
        with suppress(UnicodeDecodeError):
            archive = ZipFile(path, metadata_encoding=encoding)
            break
    for member in archive.filelist:
        name = member.filename.replace("\\", "/")
        member.filename = normpath(name) + "/" * name.endswith("/")
    archive.NameToInfo = {member.filename: member for member in archive.filelist}
    archive.filelist = [*archive.NameToInfo.values()]  # of a name stored twice, the last
    return archive


def all_there(files, cure):
    """The files themselves, if all exist; else UserError with this cure (None: git restores them)."""
    for path in files:
        with catch_damage(path, cure):
            path.stat()
            if path.is_dir():
                raise IsADirectoryError("Is a directory")
    return files


def folder_below(place):
    """The subfolder in which a download put IDX or binary files, such as torchvision's MNIST/raw, or None. UserError if
    there are several."""
    folders = [*map(place.joinpath, filter(BELOW.fullmatch, os.listdir(place))), *place.glob("*/raw")]
    found = sorted(path for path in folders if path.is_dir() and any(map(DOWNLOADED.fullmatch, os.listdir(path))))
    if len(found) > 1:
        names = ", ".join(str(folder.relative_to(place)) for folder in found)
        raise UserError(f"{place} holds several data sets ({names}): choose one, such as {found[0]}")
    return found[0] if found else None


def as_pictures(array, where):
    """Pictures (N, H, W), (N, H, W, C), (N, C, H, W), or grey and flat (N, H * H) -> (N, H, W) or (N, H, W, 3).

    UserError for any other array."""
    array = np.asarray(array)
    if array.ndim == 3 and array.shape[2] in (3, 4) and min(array.shape[:2]) >= 16:
        raise UserError(f"{where} has the shape {array.shape}, one picture's: put all into one (N, height, width, 3)")
    side = math.isqrt(array.shape[1]) if array.ndim == 2 else 0
    if side > 1 and side**2 == array.shape[1]:
        array = array.reshape(-1, side, side)
    if array.ndim == 4 and array.shape[1] in (1, 3) and array.shape[3] not in (1, 3):
        array = array.transpose(0, 2, 3, 1)
    if array.ndim == 4 and array.shape[3] == 1:
        array = array[..., 0]
    if array.dtype.kind not in "buif" or array.ndim < 3 or array.shape[3:] not in ((), (3,)) or not array.size:
        raise UserError(f"{where} has {array.dtype} of shape {array.shape}, not pictures: save (N, height, width[, 3])")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise UserError(f"{where} has pixels that are not finite: replace them")
    return array


def as_labels(values, count, where):
    """Labels (N,), (N, 1), or one-hot (N, L) of `count` pictures -> (count,) int64.

    UserError if they are missing, negative, not whole, several per picture, or more or fewer than pictures."""
    values = np.asarray(values)
    if values.dtype.kind not in "buif" or values.ndim not in (1, 2):
        raise UserError(f"{where} has {values.dtype} of shape {values.shape}, not labels: save whole numbers (N,)")
    if values.ndim == 2 and values.shape[1] > 1:
        if (np.abs(values).sum(axis=1) != 1).any():
            raise UserError(f"{where} has several labels for a picture, or none: give each picture one")
        values = values.argmax(axis=1)
    values = values.reshape(-1)
    if len(values) != count:
        raise UserError(f"{where}: {count} pictures and {len(values)} labels: give each picture one")
    if not np.isfinite(values).all() or (values != values.round()).any():
        raise UserError(f"{where} has labels that are missing or not whole: give each picture a whole number")
    if (values < 0).any():
        raise UserError(f"{where} has the label {int(values.min())}: labels must be 0 or more")
    return values.astype(np.int64)

"""Binary versions of CIFAR-10 and CIFAR-100 (https://www.cs.toronto.edu/~kriz/cifar.html) and STL-10
(https://cs.stanford.edu/~acoates/stl10): bytes without a header."""
import os
import re

import numpy as np

from common.data.source import Part, Source, all_there, as_labels, folder_below
from common.errors import UserError
from common.files import catch_damage

NAMES_COUNT = False
SETS = {  # {a file that no other set has: the set's files}
    "batches.meta.txt": [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin", "batches.meta.txt"],
    "fine_label_names.txt": ["train.bin", "test.bin", "fine_label_names.txt"],
    "train_X.bin": ["train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin", "class_names.txt"],
    "unlabeled_X.bin": ["unlabeled_X.bin"],
}
PICKLE = re.compile(r"data_batch_\d|test_batch|(batches\.)?meta|train|test|.*\.(pkl|pickle)|cifar-.*-python\..*")


def find(place):
    """The files of the set in a folder, or that a file belongs to; UserError for pickles, or if a file is missing."""
    if place.is_file():
        refuse_pickles(place.parent, [place.name])
        return in_folder(place.parent, place.name)
    if not place.is_dir():
        return None
    folder = place if in_folder(place) else folder_below(place) or place
    refuse_pickles(folder, os.listdir(folder))
    return in_folder(folder)


def in_folder(folder, name=None):
    """The files of the data set in a folder, if it has a file of this name (None: any), else None."""
    present = os.listdir(folder)
    for mark, files in SETS.items():
        if mark in present and (name is None or name in files):
            return all_there([folder / file for file in files], "fetch it again")
    return None


def refuse_pickles(folder, names):
    """UserError if most of these files in a folder are pickles, as in CIFAR's Python version."""
    pickles = sorted(name for name in names if PICKLE.fullmatch(name) and (folder / name).is_file())
    if len(pickles) > len(names) / 2:
        cure = "download the binary version (https://www.cs.toronto.edu/~kriz/cifar.html), or save its arrays as .npz"
        problem = "is a Python pickle, which is never loaded, because it could run any program"
        raise UserError(f"{folder / pickles[0]} {problem}: {cure}")


def read(place, files):
    stl = files[0].name.endswith("_X.bin")
    tests = [path for path in files if path.name.startswith("test")]
    trains = [path for path in files if path.suffix == ".bin" and path not in tests]
    parts = [read_stl(paths) if stl else read_cifar(paths) for paths in (trains, tests) if paths]
    with catch_damage(files[-1], "fetch it again"):
        classes = dict(enumerate(files[-1].read_text().split(), 1 if stl else 0)) if tests else None
    return Source("STL-10's binary files" if stl else "CIFAR's binary files", *parts, classes=classes)


def read_cifar(paths):
    """The Part in files of rows: the label's byte (CIFAR-100: coarse, fine), then R, G and B, each row by row."""
    before = 2 if paths[0].name in ("train.bin", "test.bin") else 1
    rows = np.concatenate([read_rows(path, before + 3 * 32 * 32) for path in paths])
    labels = as_labels(rows[:, before - 1], len(rows), paths[0])
    return Part(rows[:, before:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), labels)


def read_stl(paths):
    """The Part in a file of pictures (R, G, B, each column by column) and maybe a file of labels from 1 on."""
    pictures = read_rows(paths[0], 3 * 96 * 96).reshape(-1, 3, 96, 96).transpose(0, 3, 2, 1)
    labels = as_labels(read_rows(paths[1], 1), len(pictures), paths[1]) if len(paths) > 1 else None
    return Part(pictures, labels)


def read_rows(path, size):
    """A file as rows of `size` bytes, (N, size) uint8, memory-mapped."""
    with catch_damage(path, "fetch it again"):
        return np.memmap(path, np.uint8, "r").reshape(-1, size)

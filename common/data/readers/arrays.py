"""numpy's .npz and .npy files: Keras, MedMNIST, K-MNIST, scikit-learn's digits; QuickDraw, a file per class."""
import math
import zipfile
from contextlib import contextmanager
from functools import partial
from tokenize import TokenError

import numpy as np

from common.data.named import PARTS, Array, assemble, check_sizes, files_of, source_of
from common.data.source import as_pictures, check_size
from common.errors import UserError
from common.files import catch_damage

NAMES_COUNT = False


def find(place):
    return files_of(place, ".npz", ".npy") or None


def read(place, files):
    """Each of several .npy files is a class, unless one has a name for labels, or all have names for parts."""
    arrays = [array for path in files for array in arrays_of(path)]
    kinds = sorted({path.suffix.lower() for path in files})
    named = any(array.is_labels for array in arrays) or all(array.words & {*PARTS} for array in arrays)
    if named or len(files) == 1 or kinds != [".npy"]:
        return assemble(place, f"arrays in {' and '.join(kinds)}", arrays)
    stored = [array.read() for array in arrays]
    if all(each.ndim == 2 and each.shape[0] == each.shape[1] for each in stored):
        raise UserError(f"{place} has a picture per file: put the pictures of each class into one (N, height, width)")
    pictures = [as_pictures(*each) for each in zip(stored, arrays)]
    check_sizes(pictures, arrays)
    check_size(sum(part.size for part in pictures), pictures[0].itemsize, place)
    labels = np.repeat(range(len(arrays)), [len(part) for part in pictures])
    classes = {i: array.name.removeprefix("full_numpy_bitmap_") for i, array in enumerate(arrays)}
    return source_of("arrays in .npy, one file per class", [(np.concatenate(pictures), labels, place)], classes)


def arrays_of(path):
    """The Arrays in a file. A single array is named after its file."""
    if path.suffix.lower() == ".npy":
        return [Array(path, path.stem, partial(read_npy, path))]
    with readable(path), zipfile.ZipFile(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
    return [Array(path, name if len(names) > 1 else path.stem, partial(read_npz, path, name)) for name in names]


@contextmanager
def readable(path):
    """Context manager: errors in reading this file become a UserError."""
    with catch_damage(path, "fetch it again, or save plain numbers or text with numpy.savez or numpy.save"):
        try:
            yield
        except (RuntimeError, TokenError) as error:  # an encrypted or rare zip; a cut-off header
            raise ValueError(error) from error


def read_npy(path):
    """The array in a .npy file, memory-mapped. UserError if it is damaged or holds Python objects."""
    with readable(path):
        return np.load(path, mmap_mode="r")


def read_npz(path, name):
    """An array in a .npz file. UserError if it is damaged, holds Python objects, or claims to be too large."""
    with readable(path), zipfile.ZipFile(path) as archive:
        with archive.open(f"{name}.npy") as file:
            old = np.lib.format.read_magic(file) == (1, 0)
            shape, _, dtype = getattr(np.lib.format, f"read_array_header_{1 if old else 2}_0")(file)
            check_size(math.prod(shape), dtype.itemsize, f"{path} ({name})")
        with archive.open(f"{name}.npy") as file:
            array = np.lib.format.read_array(file, allow_pickle=False)
            if file.read(1):  # read to the end, where the checksum is
                raise ValueError(f"{name} is longer than its header says")
            return array

"""MATLAB's .mat files: SVHN, EMNIST, USPS, and others whose variables' names say what they are."""
import math
from dataclasses import replace
from functools import partial

import numpy as np

from common.data.named import Array, assemble, files_of, source_of
from common.data.source import as_pictures, check_size
from common.errors import UserError
from common.files import catch_damage

NAMES_COUNT = False
CURE = "fetch it again, or save it in MATLAB as plain arrays with -v7"


def find(place):
    return files_of(place, ".mat") or None


def read(place, files):
    from scipy.io import whosmat  # takes 0.2 s to import
    variables = {path: {name: about for name, *about in call(whosmat, path)} for path in files}
    names = {name for found in variables.values() for name in found}
    if len(files) == 1 and variables[files[0]] == {"dataset": [(1, 1), "struct"]}:
        return read_emnist(files[0])
    if len(files) == 1 and names == {"data"} and variables[files[0]]["data"][0][::2] == (256, 10):
        return read_usps(files[0], *variables[files[0]]["data"])
    by = "rows" if "mldata_descr_ordering" in names else "columns"
    arrays = [array for path in files for array in arrays_of(path, variables[path], by)]
    source = assemble(place, f"arrays in .mat, flat pictures by {by}", arrays)
    if names != {"X", "y"} or {*source.train.labels.tolist()} != {*range(1, 11)}:
        return source
    for part in filter(None, (source.train, source.test)):  # SVHN's
        part.labels[part.labels == 10] = 0
    return replace(source, notes=(*source.notes, "label 10 as digit 0"))


def read_emnist(path):
    """The Source in EMNIST's nested struct; a row of its mapping is a label and its character codes."""
    struct = load(path, "dataset", (), "struct")
    with catch_damage(path, CURE):
        parts = [(struct[name]["images"], struct[name]["labels"], f"{path} ({name})") for name in ("train", "test")]
        parts = [(as_pictures(flat, where).swapaxes(1, 2), labels, where) for flat, labels, where in parts]
        classes = {label: "/".join(map(chr, codes)) for label, *codes in struct["mapping"].tolist()}
    return source_of("EMNIST's .mat", parts, classes)


def read_usps(path, shape, kind):
    """The Source in USPS's array (256, N, 10), whose last axis is the digits 1, 2, ..., 9, 0."""
    pictures = load(path, "data", shape, kind).T.reshape(-1, 16, 16).swapaxes(1, 2)
    return source_of("USPS's .mat", [(pictures, np.repeat(np.arange(1, 11) % 10, shape[1]), path)])


def arrays_of(path, variables, by):
    """The Arrays in a file; all but labels are pictures. by: the order of flat pixels, "rows" or "columns"."""
    arrays = [Array(path, name, partial(load, path, name, *about)) for name, about in variables.items()]
    counts = {max(variables[array.name][0]) for array in arrays if array.is_labels}
    return [a if a.is_labels else replace(a, read=partial(read_pictures, a, counts, by)) for a in arrays]


def read_pictures(array, counts, by):
    """The pictures of an Array, with the batch axis, which is last in MATLAB, moved to the front. counts: numbers of
    labels in the file; an axis of such a length is the batch axis."""
    if not counts:
        raise UserError(f"{array} has no labels, which would show the axis that counts pictures: save it as .npy")
    found = np.atleast_1d(array.read())
    if found.shape[-1] in counts and found.shape[0] not in counts:
        found = np.moveaxis(found, -1, 0)
    return as_pictures(found, array).swapaxes(1, 2) if found.ndim == 2 and by == "columns" else found


def load(path, name, shape, kind):
    """A variable, read by scipy. UserError if it is damaged or too large."""
    from scipy.io import loadmat
    check_size(math.prod(shape), np.dtype(np.sctypeDict.get(kind, "u1")).itemsize, f"{path} ({name})")
    return call(partial(loadmat, variable_names=[name], simplify_cells=True), path)[name]


def call(function, path):
    """The result of one of scipy's functions for a file; UserError if the file cannot be read."""
    from scipy.io.matlab import MatReadError
    with catch_damage(path, CURE):
        try:
            return function(path)
        except (NotImplementedError, MatReadError) as error:  # MATLAB's version 7.3; no version at all
            raise ValueError(error) from error

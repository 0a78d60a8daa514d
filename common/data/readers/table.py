"""Tables of pixels, .csv or .csv.gz: a row is a label and pixels, or has all pixels in one cell, as in FER2013."""
import csv
import gzip
import math
import re
import warnings
from collections import Counter
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path

import numpy as np

from common.data.named import LABELS, files_of, only, part_of, source_of, used_of
from common.data.source import as_pictures, check_size, few
from common.errors import UserError
from common.files import catch_damage

NAMES_COUNT = False
LEAST = 64  # pixels in a row: a table with fewer numbers describes pictures, but holds none
LONGEST = 2**24  # characters of a row
LABEL = 64  # characters that numpy keeps of a label: one of as many may have been cut off, and is refused
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|nan", re.IGNORECASE)
KINDS = {"pixels": "pixels", "usage": "usage"}
KINDS |= dict.fromkeys([*LABELS, "class", "emotion"], "label")
KINDS |= dict.fromkeys(["", "id", "index", "unnamed: 0"], "ignored")
EMOTIONS = "angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"  # FER2013's, in its order


@dataclass(frozen=True)
class Table:
    """The layout of a file. names: of the columns, () without a header; kinds: "pixels", "label", "usage" or "ignored"
    for each. If one cell holds all pixels, each pixel counts as a column named pixels."""

    path: Path
    names: tuple[str, ...]
    kinds: tuple[str, ...]
    guessed: bool  # whether one column of numbers must be the label, although no name says so


def find(place):
    files = files_of(place, ".csv", ".csv.gz")
    return [path for path in files if path.name.lower() != "measures.csv" and table_of(path)] or None


def read(place, files):
    parts = {path: part_of(path.name) for path in files}
    tables = {part: table_of(only([path for path in files if parts[path] == part], place)) for part in parts.values()}
    used = used_of({part: table.guessed or "label" in table.kinds for part, table in tables.items()}, place)
    notes = [f"{tables[part].path.name} not used" for part in tables if part not in used]
    read = [part for name in used for part in parts_of(tables[name], notes)]
    classes = dict(enumerate(EMOTIONS)) if "emotion" in tables[used[0]].names else None
    return source_of("tables in .csv", read[:2], classes, dict.fromkeys(notes))


def open_text(path):
    open_file = gzip.open if path.name.lower().endswith(".gz") else open
    return open_file(path, "rt", encoding="utf-8-sig", errors="replace", newline="")


def spaced(line):
    """A row with spaces between its cells, like those between the pixels of one cell."""
    return line.replace(",", " ").replace('"', " ")


def cells_of(line, names):
    """The cells of a row; a cell of all pixels is split into one per pixel."""
    cells = spaced(line).split() if "pixels" in names else next(csv.reader([line]), [])
    return [cell.strip() for cell in cells]


def as_pandas_renames(names):
    """Names without what follows their dots, repeats numbered as pandas does: 0, 0.1, 0.2, 7, 7.1."""
    seen, renamed = Counter(), []
    for name in (name.partition(".")[0] for name in names):
        renamed.append(f"{name}.{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return renamed


def table_of(path):
    """The Table at a path, or None if it is not a table of pixels."""
    check_size(path.stat().st_size, 1, path)
    with catch_damage(path, "fetch it again"), open_text(path) as file:
        first, second = file.readline(LONGEST), file.readline(LONGEST)
        names = [name.lower() for name in cells_of(first, ())]
        numbers = [float(name) for name in names if NUMBER.fullmatch(name)]
        renamed = "0.1" in names and names == as_pandas_renames(names)
        invented = renamed or (np.diff(numbers) == 1).all()  # names that pandas gives to columns without names
        if len(numbers) >= len(names) / 2 and not invented:
            names, second = [], first
        cells = cells_of(second, names)
    other = "ignored" if names else "label"
    kinds = ["pixels" if NUMBER.fullmatch(cell) and "pixels" not in names else other for cell in cells]
    if not names and cells[-1:] == [""]:
        kinds[-1] = "ignored"  # a row may end in a comma
    repeats = {"pixels": len(cells) - len(names) + 1}
    names = [name for name in names for _ in range(repeats.get(name, 1))]
    kinds = [KINDS.get(name, kind) for name, kind in zip(names, kinds)] if names else kinds
    if names and "label" not in kinds:
        kinds = ["label" if name in ("character", "letter") else kind for name, kind in zip(names, kinds)]
    count = kinds.count("pixels")
    guessed = "label" not in kinds and math.isqrt(max(0, count - 1)) ** 2 == count - 1
    return Table(path, tuple(names), tuple(kinds), guessed) if count >= LEAST else None


def parts_of(table, notes):
    """[(pictures, labels or None, path)] of a table: one, or two if a column names the part. Appends to the notes."""
    cells = read_cells(table)
    pixels, labels = cells["pixels"], cells.get("label")
    if labels is not None and np.char.str_len(labels).max() == LABEL:
        raise UserError(f"{table.path} has a label of {LABEL} characters or more: shorten it")
    if table.guessed:
        column = -1 if not_labels(pixels[:, 0]) and not not_labels(pixels[:, -1]) else 0
        labels, pixels = pixels[:, column], np.delete(pixels, column, axis=1)
        notes.append(f"labels in the {'last' if column else 'first'} column")
    if unused := {name for name, kind in zip(table.names, table.kinds) if kind == "ignored" and name not in KINDS}:
        notes.append(f"columns {few(sorted(unused))} not used")
    if math.isqrt(count := pixels.shape[1]) ** 2 != count:
        raise UserError(f"{table.path} has {count} numbers per row: a label and a square number of pixels are needed")
    pictures = as_pictures(pixels, table.path)
    if "emnist" in table.path.name.lower():
        pictures = pictures.swapaxes(1, 2)
        notes.append("turned upright: EMNIST stores them transposed")
    if "usage" not in cells:
        return [(pictures, labels, table.path)]
    trains = np.char.startswith(np.char.lower(cells["usage"][:, 0]), "train")
    halves = [rows for rows in (trains, ~trains) if rows.any()]
    return [(pictures[rows], labels if labels is None else labels[rows], table.path) for rows in halves]


def not_labels(column):
    """Whether numbers (N,) must be those of a corner's pixel: all alike, some not whole, or most of them unique."""
    found, counts = np.unique(column, return_counts=True)
    return len(found) == 1 or np.median(counts) == 1 or not (found == np.round(found)).all()


def read_cells(table):
    """{kind: cells (N, D)}: pixels as uint8 if they fit, else float32; label and usage as text. UserError, which names
    the row, if a cell is missing or not a number."""
    counts = [(kind, len([*run])) for kind, run in groupby(table.kinds)]
    for number in np.uint8, np.float32:
        types = {"pixels": number, "label": f"U{LABEL}", "usage": "U16", "ignored": "U1"}
        form = [(f"{kind}{i}", types[kind], (count,)) for i, (kind, count) in enumerate(counts)]
        with catch_damage(table.path, "fetch it again"), open_text(table.path) as file, warnings.catch_warnings():
            warnings.simplefilter("error")  # else a number that does not fit is cut off with only a warning
            lines, between = (map(spaced, file), None) if "pixels" in table.names else (file, ",")
            layout = {"delimiter": between, "quotechar": '"', "comments": None, "skiprows": len(table.names[:1])}
            try:
                rows = np.loadtxt(lines, form, ndmin=1, **layout)
            except (ValueError, DeprecationWarning):
                continue
        fields = {kind: [rows[name] for name in rows.dtype.names if name.startswith(kind)] for kind in {*table.kinds}}
        return {kind: runs[0] if len(runs) == 1 else np.concatenate(runs, axis=1) for kind, runs in fields.items()}
    raise UserError(f"{table.path}{fault(table)}")


def fault(table):
    """A description of the first row that does not fit the table."""
    with open_text(table.path) as file:
        for number, line in islice(enumerate(file, 1), len(table.names[:1]), None):
            cells = cells_of(line, table.names)
            if cells and len(cells) != len(table.kinds):
                return f": row {number} has {len(cells)} cells, others {len(table.kinds)}: complete or delete it"
            for kind, cell in zip(table.kinds, cells):
                if kind == "pixels" and not NUMBER.fullmatch(cell):
                    return f": row {number} has {cell[:20]!r} instead of a number: correct or delete it"
    return " holds a value that is not a number: fetch it again"

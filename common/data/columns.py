"""Read measures.csv, a table beside a data set's pictures with numbers for each, such as an age or an angle.

Its first line names the columns, as in `picture,age (years),angle`. The first column is a picture's file or number."""
import csv
import os
import re
from contextlib import suppress
from posixpath import splitext
from unicodedata import normalize
from zipfile import is_zipfile

import numpy as np

from common.data.source import open_zip
from common.errors import UserError
from common.files import catch_damage

MOST = 64  # columns of measures
HEADER = re.compile(r"(.*?)\s*(?:\((.*)\))?")
NAME = re.compile(r"(?!\d*\.?\d+$)\w[\w.-]*")  # for `--ask age=40`; a number would be data, not a name
RESERVED = "label", "digit"  # names of the class option
NOT_GIVEN = "", "na"
LARGEST = float(np.finfo(np.float32).max) / 4  # differences are finite too


def columns_of(place):
    """{column: unit} of the measures.csv beside a data set, {} if there is none."""
    return table_beside(place)[0]


def read_columns(place, order, count, names=None):
    """Measures of the pictures with numbers `order` (N,): {column: (N,) float32}, NaN where the table has none.
    Pictures are numbered from 0 as they are stored, the training part first. count: pictures stored; names: their
    files' names, if any. UserError if a row matches no picture, several, or one that has a row already; if it is too
    short or long; or if a cell is not a finite number."""
    columns, rows = table_beside(place)
    in_zip = {normalize("NFC", name) for name in open_zip(place).namelist()} if is_zipfile(place) else ()
    numbers = numbers_by_name(names or [str(i) for i in range(count)])
    form = f"names such as {names[0]}" if names else f"numbers from 0 to {count - 1}"
    values, seen = np.full((count, len(columns)), np.nan, np.float32), set()
    for where, row in rows:
        name, *cells = row
        if len(cells) != len(columns):
            raise UserError(f"{where} has {len(row)} cells, the first line {1 + len(columns)}: write one per column")
        path = normalize("NFC", name.replace("\\", "/").removeprefix(f"{place.as_posix()}/").removeprefix("./"))
        number = numbers.get(path)
        if number is None and names and (path in in_zip or os.path.isfile(place / name)):
            continue  # that picture is not used
        if number is None:
            many = "several pictures" if path in numbers else "no picture"
            raise UserError(f"{where}: {name[:80]!r} matches {many}: write {form}")
        if number in seen:
            raise UserError(f"{where}: {name[:80]!r} already has a row: keep one row per picture")
        seen.add(number)
        values[number] = [value_of(cell, where, column) for cell, column in zip(cells, columns)]
    return {name: values[order, i] for i, name in enumerate(columns)}


def table_beside(place):
    """({column: unit}, iterator of rows) of the measures.csv beside a data set; ({}, ()) if there is none. UserError if
    the first line names no columns, more than MOST, one twice, or one that cannot be an option's name."""
    path, columns = (place if place.is_dir() else place.parent) / "measures.csv", {}
    if not path.is_file():
        return columns, ()
    rows = rows_of(path)
    _, (_, *cells) = next(rows, (path, [""]))
    advice = "its first line must name the columns, separated by commas, for example: picture,age (years),angle"
    if not 0 < len(cells) <= MOST:
        raise UserError(f"{path} has {len(cells)} columns of measures, but 1 to {MOST} are allowed: {advice}")
    for cell in cells:
        name, unit = HEADER.fullmatch(" ".join(cell.split())).groups(default="")
        if not NAME.fullmatch(name) or name in RESERVED:
            reason = "it means the class" if name in RESERVED else "use letters, digits, _, - and ."
            raise UserError(f"{path} has a measure with the name {name[:80]!r} ({reason}): {advice}")
        if name in columns:
            raise UserError(f"{path} has two columns with the name {name}: rename one")
        columns[name] = unit
    return columns, rows


def rows_of(path):
    """Yield (file and line, for messages; cells) for each row of a csv file that is not blank."""
    with catch_damage(path, "save it as CSV in UTF-8"), open(path, newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file, skipinitialspace=True)
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells):
                yield f"{path}, line {reader.line_num}", cells


def numbers_by_name(names):
    """{a name that a row may use for a picture: the picture's number, or None if several pictures match it}.

    A row may use the path, the end of it, the file's name without its suffix, or the number."""
    found = {}
    names = [normalize("NFC", name) for name in names]  # macOS stores accents as characters of their own
    for number, name in enumerate(names):
        folders = name.split("/")
        stem = splitext(folders[-1])[0]
        short = stem.lstrip("0") or "0"  # 0007.png may be called 7
        for way in {*("/".join(folders[i:]) for i in range(len(folders))), stem, short, str(number)}:
            found[way] = number if found.get(way, number) == number else None
    return found | {name: number for number, name in enumerate(names)}


def value_of(cell, where, column):
    """A cell as a finite float32 number, NaN if it is empty or "na"; UserError for anything else."""
    with suppress(ValueError):
        value = np.nan if cell.lower() in NOT_GIVEN else float(cell.replace("_", "?"))  # Python skips these
        if not abs(value) > LARGEST:
            return value
    raise UserError(f"{where}, column {column}: {cell[:80]!r} is not a finite number: leave unknown values empty")

"""Pictures in folders or in a zip: a folder per class, in train/ and test/ or not, or all pictures in one folder.
metadata.csv or .jsonl (Hugging Face's imagefolder) or dataset.json (edm2's) may give the classes instead."""
import csv
import io
import json
import os
import re
import zipfile
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from posixpath import basename, commonpath, dirname, join, normpath
from unicodedata import normalize

import numpy as np

from common.data.source import Part, Source, by_number, check_size, few, open_zip
from common.errors import UserError
from common.files import catch_damage

NAMES_COUNT = True  # a picture's folder is its class
# a format that this Pillow cannot read, such as .heic, is reported as unreadable, not silently skipped
SUFFIXES = (
    ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".jp2", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm",
    ".pbm", ".tga", ".avif", ".heic", ".heif",
)  # fmt: skip
HIDDEN = re.compile(r"(.*/)?(\.|__MACOSX(/|$)|@eaDir(/|$))")  # hidden files, and what systems put beside pictures
TABLES = "metadata.csv", "metadata.jsonl", "dataset.json"
# other files than TABLES that may name classes
LIST = re.compile(r"(?!(?:.*/)?(?:measures\.csv|metadata\.(?:csv|jsonl))$).*\.(?i:csv|tsv|jsonl)")
COLUMNS = "label", "labels", "class", "category"  # of a metadata file that may hold the class
PART = re.compile(r"(?:.*[ _-])?(train|test|val)(?:ing|id|idation)?(?:[ _-]?(?:set|data|images))?\d*", re.IGNORECASE)


def find(place):
    if place.is_file():
        return [place] if place.suffix.lower() == ".zip" else None
    names = in_order(walk(place)) if place.is_dir() else []
    return [place / name for name in names] if any(map(is_picture, names)) else None


def read(place, files):
    root = zip_at(place) if place.is_file() else place
    names = in_order(root.root.namelist()) if place.is_file() else [x.relative_to(place).as_posix() for x in files]
    parts, notes = divided(place, [name for name in names if is_picture(name)]), []
    labels, kind = labels_of_tables(root, names, parts, notes), "pictures labelled in a table"
    if labels is None:
        labels, kind = labels_of_folders(place, parts, notes), "class folders"
    used = {part: [name for name in names if name in labels] or names for part, (_, names) in parts.items()}
    found = {part: {labels.get(name) for name in names} for part, names in used.items()}
    test = next((part for part in ("test", "val") if found["train"] & found.get(part, set())), None)
    notes += [f"{len(used[x]):,} pictures in {parts[x][0]}/ not used" for x in parts if x not in ("train", test)]
    labelled = None not in found["train"]
    if not labelled:
        stored = root.root.namelist() if place.is_file() else walk(place)
        if lists := sorted(x for x in stored if LIST.fullmatch(x) and not HIDDEN.match(x)):
            notes.append(f"{few(lists)} not used: call the one with columns file_name and label metadata.csv")
    classes = sorted(found["train"] | found.get(test, set())) if labelled else []
    with suppress(ValueError):
        classes.sort(key=float)
    number = {name: i for i, name in enumerate(classes)}
    made = []
    for names in [used["train"], *([used[test]] if test else [])]:
        numbers = np.array([number[labels[name]] for name in names], np.int64) if labelled else None
        made.append(Part(Encoded(root, names), numbers, tuple(names)))
    kind = (kind if labelled else "pictures") + (" in a zip" if place.is_file() else "")
    return Source(kind, *made, classes=dict(enumerate(classes)) or None, notes=tuple(notes))


@dataclass
class Encoded:
    """A sequence of encoded pictures, read when indexed."""

    root: Path | zipfile.Path
    names: list

    def __len__(self):
        return len(self.names)

    def __getitem__(self, i):
        return (self.root / self.names[i]).read_bytes()


def zip_at(path):
    """The root of a zip; threads may share it. UserError if it is damaged, too large, or has no pictures."""
    with catch_damage(path, "fetch it again"):
        archive = open_zip(path)
    if not any(is_picture(name) and not HIDDEN.match(name) for name in archive.namelist()):
        raise UserError(f"{path} holds no pictures, except perhaps in zips inside it: unpack it, and use those")
    members = archive.infolist()
    if any(member.flag_bits & 1 or member.compress_type not in (0, 8) for member in members):  # 8: deflated
        raise UserError(f"{path} is encrypted, or compressed in an unsupported way: unpack it, and use the folder")
    check_size(sum(member.file_size for member in members), 1, path, "unpack it, and use the folder")
    return zipfile.Path(archive)


def is_picture(name):
    return name.lower().endswith(SUFFIXES)


def walk(folder, prefix=""):
    """Yield the relative paths of all files below a folder, except hidden ones; links are followed."""
    with catch_damage(folder, "make it readable"):
        for entry in os.scandir(folder):
            if HIDDEN.match(entry.name):
                continue
            if entry.is_dir():
                yield from walk(entry.path, f"{prefix}{entry.name}/")
            elif entry.is_file():
                yield prefix + entry.name
            elif is_picture(entry.name):
                raise UserError(f"{entry.path} is a link to a missing file: fetch that file, or delete the link")


def in_order(names):
    """The names of pictures and tables that are not hidden, sorted: 2.png before 10.png."""
    names = [name for name in names if is_picture(name) or basename(name) in TABLES]
    return sorted(sorted(name for name in names if not HIDDEN.match(name)), key=by_number)


def grouped(names, top=""):
    """(lowest common folder of these pictures, {its subfolder, or "" for itself: names of the pictures in it}).
    One folder with all pictures counts as a class of its parent, unless it is `top`."""
    folders = {dirname(name) for name in names}
    base = commonpath(folders)
    if folders == {base} and base != top:
        base = dirname(base)
    groups = {}
    for name in names:
        folder, _, rest = name[len(join(base, "")) :].partition("/")
        groups.setdefault(folder if rest else "", []).append(name)
    return base, groups


def divided(place, pictures):
    """{part: (its folder, names of the pictures in it)} for train, test, val, and each folder beside them. Without such
    folders, or with train alone that does not hold several class folders, all are for training. UserError if a part has
    two folders."""
    base, groups = grouped(pictures)
    found = {folder: match[1].lower() for folder in groups if (match := PART.fullmatch(folder))}
    kinds = Counter(found.values())
    if kinds.keys() == {"train"} and len(groups) > 1:
        inside = {folder: {*grouped(names, join(base, folder))[1]} - {""} for folder, names in groups.items()}
        classes = set().union(*(inside[folder] for folder in found))
        same = [folder for folder in groups if folder and folder not in found and len(inside[folder] & classes) > 1]
        if same:
            cure = f"call {same[0]} test or val, or move it away"
            raise UserError(f"{place / base} has folders of the same classes in {few(found)} and {few(same)}: {cure}")
        if len(classes) < 2:
            return {"train": ("", pictures)}
    if "train" not in kinds:
        return {"train": ("", pictures)}
    if two := [folder for folder, part in found.items() if kinds[part] > 1]:
        raise UserError(f"{place / base} has two folders for one part ({few(two)}): move or rename one")
    return {found.get(folder, folder): (normpath(join(base, folder)), names) for folder, names in groups.items()}


def labels_of_folders(place, parts, notes):
    """{picture: its class folder}; UserError if over a tenth of the pictures lie beside the class folders."""
    labels = {}
    for top, names in [parts[part] for part in ("train", "test", "val") if part in parts]:
        base, groups = grouped(names, top)
        loose = groups.pop("", [])
        if groups and len(loose) > 0.1 * len(names):
            raise UserError(f"{place / base} has {len(loose)} pictures beside folders ({few(groups)}): separate them")
        if groups and loose:
            notes.append(f"{len(loose):,} pictures beside the class folders not used ({few(loose)})")
        labels |= {name: normalize("NFC", folder) for folder, members in groups.items() for name in members}
    return labels


def labels_of_tables(root, names, parts, notes):
    """{picture: its class} from metadata files and dataset.json, None if they name no classes; UserError if they lack
    training pictures, or some but not all pictures of another part."""
    labels, tables = None, [name for name in names if not is_picture(name)]
    for table in tables:
        path = root / table
        with catch_damage(path, "correct or delete it"):
            found = read_table(table, path.read_text("utf-8-sig"))
        if found is None:
            needed = f"columns file_name and {' or '.join(COLUMNS)}, separated by commas"
            notes.append(f"no classes in {table} (it needs {needed})")
            continue
        if any(isinstance(label, (list, dict)) for label in found.values()):
            raise UserError(f"{path} has several labels for one picture: give each picture one label")
        found = {name: normalize("NFC", str(label).strip()) for name, label in found.items() if label not in (None, "")}
        labels = (labels or {}) | found
    if labels:
        stored = {normalize("NFC", name): name for _, pictures in parts.values() for name in pictures}
        labels = {stored[name]: label for name, label in labels.items() if name in stored}
        for part, (_, pictures) in parts.items():
            missed = [name for name in pictures if name not in labels]
            if missed and (part == "train" or len(missed) < len(pictures)):
                reason = f"{len(missed):,} pictures lack a label in {few(tables)} ({few(missed)})"
                raise UserError(f"{root}: {reason}: add it, with the file's whole name")
    return labels


def read_table(path, text):
    """{picture: label} of a metadata file (None if it has no labels) or of edm2's dataset.json (it may be empty)."""
    if path.endswith("dataset.json"):
        rows = json.loads(text)["labels"] or []
    else:
        if path.endswith(".csv"):
            table = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True)
        else:
            table = [dict(json.loads(line)) for line in text.split("\n") if line.strip()]
        table = [{str(key).strip().lower(): value for key, value in row.items()} for row in table]
        column = next((column for column in COLUMNS if table and column in table[0]), None)
        if column is None or "file_name" not in table[0]:
            return None
        rows = [(row["file_name"], row.get(column)) for row in table]
    picture = lambda name: normalize("NFC", normpath(join(dirname(path), str(name).replace("\\", "/"))))
    return {picture(name): label for name, label in rows}

"""Pictures in folders and in a zip: which are found, in which order, with which class; and how a picture is decoded."""
import hashlib
import io
import json
import os
import struct
import unicodedata
import warnings
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image, ImageOps

from common.data import prepared
from common.data.columns import numbers_by_name, read_columns
from common.data.dataset import open_dataset
from common.data.pictures import Preprocessing, decoded, fitted, is_grey, opened, rescaled, value_range
from common.data.readers import folder
from common.errors import UserError
from common.files import DAMAGE


def encoded(image, kind="PNG", **options):
    """An array or an image as the bytes of a file of this kind."""
    buffer = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(buffer, kind, **options)
    return buffer.getvalue()


def picture(grey):
    return encoded(np.full((2, 2), grey, np.uint8))


def png(width, height, depth, colour, rows, *chunks):
    """A PNG that Pillow does not write: rows are the bytes of each, chunks (type, bytes) go before them."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    parts = [(b"IHDR", header), *chunks, (b"IDAT", data), (b"IEND", b"")]
    packed = [struct.pack(">I", len(x)) + kind + x + struct.pack(">I", zlib.crc32(kind + x)) for kind, x in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def write(place, files):
    """Files {name: bytes or text} in a folder, or in a zip if the place is called one."""
    contents = {name: text.encode() if isinstance(text, str) else text for name, text in files.items()}
    if place.suffix.lower() == ".zip":
        with zipfile.ZipFile(place, "w") as archive:
            for name, content in contents.items():
                archive.writestr(name, content)
        return place
    for name, content in contents.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(content)
    return place


def read(place):
    return folder.read(place, folder.find(place))


def understood(source):
    """What a reader gives, in lists: of each part {name: (grey level of its picture, name of its class)}."""
    parts = []
    for part in (source.train, source.test):
        if part is not None:
            greys = [int(np.asarray(opened(part.pictures[i])).flat[0]) for i in range(len(part.pictures))]
            classes = [None] * len(greys) if part.labels is None else [source.classes[i] for i in part.labels.tolist()]
            assert len(part.names) == len(greys) and (part.labels is None or part.labels.dtype == np.int64)
            parts.append(dict(zip(part.names, zip(greys, classes))))
    return parts


@pytest.fixture(params=["data", "data.zip"])
def place(request, tmp_path):
    """Where a test writes: a folder, and a zip."""
    return tmp_path / request.param


CLASSES = {"cat/1.png": picture(1), "cat/10.png": picture(10), "cat/2.png": picture(2), "dog/a.png": picture(20)}
UNDERSTOOD = {"cat/1.png": (1, "cat"), "cat/2.png": (2, "cat"), "cat/10.png": (10, "cat"), "dog/a.png": (20, "dog")}


def test_digest(tmp_path):
    """Of contents and names, which are written alike on any system."""
    (tmp_path / "cat").mkdir()
    path = tmp_path / "cat" / "1.png"
    path.write_bytes(b"picture")
    whole = hashlib.sha256(hashlib.sha256(b"picture").digest() + b"cat/1.png").hexdigest()
    assert prepared.digest(tmp_path, folder, [path]) == whole[:16]


def test_class_folders(place):
    source = read(write(place, CLASSES))
    assert understood(source) == [UNDERSTOOD] and list(source.train.names) == list(UNDERSTOOD)
    assert source.train.labels.tolist() == [0, 0, 0, 1] and source.classes == {0: "cat", 1: "dog"}
    assert source.kind == ("class folders in a zip" if place.suffix else "class folders") and source.notes == ()


def test_one_folder_around_all_and_what_systems_leave(place):
    files = {f"top/within/{name}": content for name, content in CLASSES.items()}
    left = ".hidden/y.png", "cat/.z.png", "._x.png", "@eaDir/1.png/THUMB.jpg"
    files |= {f"top/within/{name}": picture(99) for name in left} | {"__MACOSX/top/within/cat/._1.png": picture(99)}
    none = "cat/Thumbs.db", ".DS_Store", "README.txt", "labels.csv", "x.json"
    files |= {f"top/within/{name}": "x" for name in none}
    files |= {"measures.csv": "picture,age\n", "top/within/cat/measures.csv": "picture,age\n"}
    source = read(write(place, files))
    assert understood(source) == [{f"top/within/{name}": value for name, value in UNDERSTOOD.items()}]
    assert source.notes == ()


def test_extensions_in_any_case(place):
    kinds = {
        "png": "PNG", "jpg": "JPEG", "jpeg": "JPEG", "jfif": "JPEG", "webp": "WEBP", "bmp": "BMP",
        "tif": "TIFF", "tiff": "TIFF", "gif": "GIF", "ppm": "PPM", "pgm": "PPM", "avif": "AVIF",
    }  # fmt: skip
    grey = Image.new("L", (16, 16), 50)
    files = {f"a/{i}.{name}": encoded(grey, kind) for i, (name, kind) in enumerate(kinds.items())}
    files |= {f"b/{i}.{name.upper()}": encoded(grey, kind) for i, (name, kind) in enumerate(kinds.items())}
    found = understood(read(write(place, files)))[0]
    assert found.keys() == files.keys() and all(abs(level - 50) <= 1 for level, _ in found.values())


def test_what_pillow_does_not_read_is_not_passed_over(place):
    """A phone's .heic, a page of errors saved as .jpg, a pointer of Git LFS: named by prepared.py."""
    source = read(write(place, CLASSES | {"cat/3.heic": b"\0\0\0\x18ftypheic", "cat/4.jpg": "<html>"}))
    assert source.train.names[2:4] == ("cat/3.heic", "cat/4.jpg")
    for i in (2, 3):
        with pytest.raises(DAMAGE):
            opened(source.train.pictures[i])


@pytest.mark.parametrize("names, expected", [
    (["10", "2", "1"], ["1", "2", "10"]), (["-90", "0", "90", "-45"], ["-90", "-45", "0", "90"]),
    (["1.5", "10", "007"], ["1.5", "007", "10"]), (["10", "2", "b"], ["10", "2", "b"]),
    (["nan", "1"], ["1", "nan"]), (["Zebra", "ant"], ["Zebra", "ant"]), (["猫", "犬"], ["犬", "猫"]),
])  # fmt: skip
def test_order_of_classes(place, names, expected):
    source = read(write(place, {f"{name}/x.png": picture(i) for i, name in enumerate(names)}))
    assert list(source.classes.values()) == expected
    assert understood(source) == [{f"{name}/x.png": (i, name) for i, name in enumerate(names)}]


def test_nested_folders_belong_to_their_class(place):
    files = {"cat/tabby/old/1.png": picture(1), "cat/2.png": picture(2), "dog/x/3.png": picture(3)}
    expected = {"cat/2.png": (2, "cat"), "cat/tabby/old/1.png": (1, "cat"), "dog/x/3.png": (3, "dog")}
    assert understood(read(write(place, files))) == [expected]


@pytest.mark.parametrize("files, name", [(["cats/1.png", "cats/2.png"], "cats"), (["a/b/c/1.png", "a/b/c/2.png"], "c")])
def test_one_class(place, files, name):
    source = read(write(place, {file: picture(7) for file in files}))
    assert understood(source) == [dict.fromkeys(files, (7, name))]


def test_flat_folder(place):
    source = read(write(place, {"b10.png": picture(10), "b9.png": picture(9), "a.JPG": picture(1)}))
    assert understood(source) == [{"a.JPG": (1, None), "b9.png": (9, None), "b10.png": (10, None)}]
    assert source.train.names == ("a.JPG", "b9.png", "b10.png") and source.classes is None
    assert source.kind == ("pictures in a zip" if place.suffix else "pictures")


@pytest.mark.parametrize("train, test", [
    ("train", "test"), ("Training", "TESTING"), ("training_set", "test_set"), ("trainingSet", "testSet"),
    ("seg_train/seg_train", "seg_test/seg_test"), ("train", "val"), ("train", "valid"), ("Train", "Validation"),
    ("train2017", "val2017"),
    ("x/archive/train", "x/archive/test"), ("asl_train", "asl_test"), ("MNIST - training", "MNIST - testing"),
])  # fmt: skip
def test_train_and_test_folders(place, train, test):
    files = {f"{train}/cat/1.png": 1, f"{train}/dog/2.png": 2, f"{test}/cat/1.png": 3, f"{test}/dog/sub/9.png": 4}
    source = read(write(place, {name: picture(value) for name, value in files.items()}))
    class_of = {1: "cat", 2: "dog", 3: "cat", 4: "dog"}
    expected = {name: (value, class_of[value]) for name, value in files.items()}
    assert understood(source) == [dict(list(expected.items())[:2]), dict(list(expected.items())[2:])]
    assert source.train.labels.tolist() == source.test.labels.tolist() == [0, 1] and source.notes == ()


def test_val_is_not_used_where_there_is_a_test(place):
    files = {"train/a/1.png": 1, "train/b/2.png": 2, "val/a/3.png": 3, "test/a/4.png": 4, "more/a/5.png": 5, "6.png": 6}
    source = read(write(place, {name: picture(value) for name, value in files.items()}))
    assert understood(source) == [{"train/a/1.png": (1, "a"), "train/b/2.png": (2, "b")}, {"test/a/4.png": (4, "a")}]
    assert sorted(source.notes) == [f"1 pictures in {name} not used" for name in ("./", "more/", "val/")]


def test_kaggle_test_part_without_classes(place):
    """As Tiny ImageNet's too: val/images/ and test/images/ are no class of train/."""
    files = {"train/a/images/1.png": 1, "train/b/images/2.png": 2, "test/images/3.png": 3, "val/images/4.png": 4}
    source = read(write(place, {name: picture(value) for name, value in files.items()}))
    assert understood(source) == [{"train/a/images/1.png": (1, "a"), "train/b/images/2.png": (2, "b")}]
    assert source.classes == {0: "a", 1: "b"}
    assert sorted(source.notes) == ["1 pictures in test/ not used", "1 pictures in val/ not used"]


def test_val_stands_in_for_a_test_part_without_classes(place):
    files = {"train/a/1.png": 1, "train/b/2.png": 2, "val/b/3.png": 3, "test/4.png": 4}
    source = read(write(place, {name: picture(value) for name, value in files.items()}))
    assert understood(source)[1] == {"val/b/3.png": (3, "b")} and source.test.labels.tolist() == [1]
    assert source.notes == ("1 pictures in test/ not used",)


def test_flat_train_and_test(place):
    files = {"train/1.png": 1, "train/2.png": 2, "test/1.png": 3}
    source = read(write(place, {name: picture(value) for name, value in files.items()}))
    assert understood(source) == [{"train/1.png": (1, None), "train/2.png": (2, None)}, {"test/1.png": (3, None)}]
    assert source.classes is None and source.notes == ()


@pytest.mark.parametrize("names", [("train", "ship", "bus"), ("valid", "invalid"), ("test", "none"), ("train", "bus")])
def test_classes_called_like_a_part(place, names):
    source = read(write(place, {f"{name}/1.png": picture(1) for name in names}))
    assert list(source.classes.values()) == sorted(names) and source.test is None and source.notes == ()


def test_train_beside_a_part_of_another_name(place):
    write(place, {f"{part}/{name}/1.png": picture(1) for part in ("train", "dev") for name in "ab"})
    with pytest.raises(UserError, match="folders of the same classes in train and dev: call dev test or val"):
        read(place)


def test_a_class_called_train_with_a_subfolder_as_the_others_have(place):
    source = read(write(place, {f"{name}/images/1.png": picture(1) for name in ("train", "car", "bus")}))
    assert list(source.classes.values()) == ["bus", "car", "train"] and source.test is None


def test_lists_of_classes_under_another_name(place):
    """The pictures are read without labels, and a note says what would be needed."""
    files = {f"{i}.png": picture(i) for i in range(3)} | {"labels.csv": b"file_name,label\n1.png,a\n"}
    source = read(write(place, files))
    assert source.train.labels is None
    assert source.notes == ("labels.csv not used: call the one with columns file_name and label metadata.csv",)


def test_train_alone(place):
    source = read(write(place, {"train/a/1.png": picture(1), "train/b/1.png": picture(2)}))
    assert understood(source) == [{"train/a/1.png": (1, "a"), "train/b/1.png": (2, "b")}]
    assert read(write(place.with_name("2" + place.name), {"train/1.png": picture(1)})).train.labels is None
    files = {"train/a/1.png": picture(1), "train/b/1.png": picture(2), "preview.png": picture(3)}
    source = read(write(place.with_name("3" + place.name), files | {"unlabelled/4.png": picture(4)}))
    assert understood(source) == [{"train/a/1.png": (1, "a"), "train/b/1.png": (2, "b")}]
    assert "not used" in source.notes[0]


def test_two_test_folders(place):
    write(place, {f"{name}/a/1.png": picture(1) for name in ("train", "test", "test_images")})
    with pytest.raises(UserError, match=r"has two folders for one part \(test, test_images\): move or rename"):
        read(place)


def test_pictures_beside_class_folders(place):
    few = {f"cat/{i}.png": picture(i) for i in range(10)} | {"montage.png": picture(99)}
    source = read(write(place, few))
    assert len(source.train.names) == 10
    assert source.notes == ("1 pictures beside the class folders not used (montage.png)",)
    many = write(place.with_name("2" + place.name), CLASSES | {"x.png": picture(1), "y.png": picture(1)})
    with pytest.raises(UserError, match=r"has 2 pictures beside folders \(cat, dog\): separate them"):
        read(many)


def test_folders_without_pictures(place):
    source = read(write(place, CLASSES | {"notes/readme.txt": "x", "fox/.hidden.png": "x"}))
    assert list(source.classes.values()) == ["cat", "dog"] and source.notes == ()


ROWS = {"1.png": "cat", "2.png": "dog", "sub/3.png": "cat"}
FLAT = {name: picture(i) for i, name in enumerate(ROWS)}
TABLES = {
    "metadata.csv": "\ufefffile_name,label\n" + "".join(f"{name},{label}\r\n" for name, label in ROWS.items()),
    "metadata.jsonl": "".join(f'{{"file_name": "./{n}", "class": "{c}", "x": "a\u2028b"}}\n' for n, c in ROWS.items()),
    "dataset.json": json.dumps({"labels": [[name.replace("/", "\\"), label] for name, label in ROWS.items()]}),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("top", ["", "top/"])
def test_labels_of_a_table(place, name, top):
    source = read(write(place, {f"{top}{file}": content for file, content in (FLAT | {name: TABLES[name]}).items()}))
    assert understood(source) == [{f"{top}{file}": (i, label) for i, (file, label) in enumerate(ROWS.items())}]
    assert source.kind.startswith("pictures labelled in a table") and source.notes == ()


def test_labels_by_number(place):
    """As edm2's dataset_tool.py writes them: numbered folders are no classes."""
    names = [f"0000{i // 2}/img0000000{i}.png" for i in range(4)]
    table = json.dumps({"labels": [[name, label] for name, label in zip(names, (10, 2, 2, 10))]})
    source = read(write(place, {name: picture(i) for i, name in enumerate(names)} | {"dataset.json": table}))
    assert source.classes == {0: "2", 1: "10"} and source.train.labels.tolist() == [1, 0, 0, 1]
    files = dict.fromkeys(names, picture(1)) | {"dataset.json": '{"labels": null}'}
    null = write(place.with_name("2" + place.name), files)
    assert read(null).train.labels is None and read(null).kind.startswith("pictures")


def test_tables_in_train_and_test(place):
    """As Hugging Face's imagefolder has them, by name and by number; a test part without labels is left out."""
    files = {"train/1.png": picture(1), "train/2.png": picture(2), "test/1.png": picture(3)}
    table, tables = "file_name, Label\n2.png, 7\n1.png, 0\n", {"test/metadata.csv": "file_name,label\n1.png,7\n"}
    files["train/metadata.csv"] = table
    source = read(write(place, files | tables))
    assert understood(source) == [{"train/1.png": (1, "0"), "train/2.png": (2, "7")}, {"test/1.png": (3, "7")}]
    assert source.train.labels.tolist() == [0, 1] and source.test.labels.tolist() == [1]
    tables["test/metadata.csv"] = "file_name,caption\n1.png,a cat\n"
    source = read(write(place.with_name("2" + place.name), files | tables))
    assert source.test is None and source.notes[1] == "1 pictures in test/ not used"


def test_captions_are_no_classes(place):
    tables = {"metadata.csv": "file_name,text\n1.png,a cat\n", "metadata.jsonl": '{"label": 1}'}
    source = read(write(place, {"1.png": picture(1), "2.png": picture(2)} | tables))
    assert understood(source) == [{"1.png": (1, None), "2.png": (2, None)}]
    by = "it needs columns file_name and label or labels or class or category, separated by commas"
    assert source.notes == (f"no classes in metadata.csv ({by})", f"no classes in metadata.jsonl ({by})")


@pytest.mark.parametrize("name, text, problem", [
    ("metadata.csv", "file_name,label\n1.png,x\n2.png,y\n", r"2 pictures lack a label in metadata.csv \(a/1.png, b/2"),
    ("metadata.csv", "file_name,label\na/1.png,x\n", r"1 pictures lack a label in metadata.csv \(b/2.png\)"),
    ("metadata.csv", "file_name,label\na/1.png,x\nb/2.png\n", r"1 pictures lack a label in metadata.csv \(b/2.png\)"),
    ("metadata.jsonl", '{"file_name": "a/1.png", "label": [0, 1]}', "several labels for one picture: give each"),
    ("metadata.jsonl", '{"file_name": "a/1.png", "label": 1', r"metadata.jsonl is damaged or missing .*: correct"),
    ("dataset.json", '{"labels": {"a/1.png": 1}}', "dataset.json is damaged or missing .*: correct or delete it"),
    ("dataset.json", '{"labels": [[1, 2, 3]]}', "dataset.json is damaged or missing .*: correct or delete it"),
    ("dataset.json", "[1]", "dataset.json is damaged or missing .*: correct or delete it"),
    ("metadata.csv", b"file_name,label\n\xff\xfe", "metadata.csv is damaged or missing .*: correct or delete it"),
])  # fmt: skip
def test_errors_of_tables(place, name, text, problem):
    write(place, {"a/1.png": picture(1), "b/2.png": picture(2), name: text})
    with pytest.raises(UserError, match=problem) as error:
        read(place)
    assert "\n" not in str(error.value) and str(place) in str(error.value)


def test_find(tmp_path):
    assert folder.find(tmp_path) is None and folder.find(tmp_path / "none") is None
    text = write(tmp_path / "texts", {"a/x.txt": "x", "metadata.csv": "file_name,label\n", "measures.csv": "x"})
    assert folder.find(text) is None and folder.find(text / "metadata.csv") is None
    place = write(tmp_path / "data", CLASSES | {"metadata.csv": "x", "measures.csv": "x", "old.zip": "x"})
    assert folder.find(place) == [place / x for x in [*UNDERSTOOD, "metadata.csv"]]
    inside = write(tmp_path / "data.ZIP", {})
    assert folder.find(inside) == [inside]


def test_recognized_beside_tables(place):
    """None of the other readers takes a folder of pictures for its own."""
    write(place, CLASSES | {"metadata.csv": "file_name,label\n", "measures.csv": "picture,age\n", "note.txt": "x"})
    if place.is_dir():
        write(place, {"days.csv": "2020.01.02,sunny\n"})
    assert prepared.recognize(place)[0] is folder


def test_links(tmp_path):
    place = write(tmp_path / "data", CLASSES)
    stored = write(tmp_path / "stored", {"1.png": picture(50), "2.png": picture(51)})
    os.symlink(stored / "1.png", place / "dog/b.png")
    os.symlink(stored, place / "fox")
    expected = UNDERSTOOD | {"dog/b.png": (50, "dog"), "fox/1.png": (50, "fox"), "fox/2.png": (51, "fox")}
    assert understood(read(place)) == [expected]
    os.symlink(stored / "3.png", place / "dog/c.png")
    with pytest.raises(UserError, match=r"dog/c.png is a link to a missing file: fetch that file, or"):
        folder.find(place)
    os.unlink(place / "dog/c.png")
    os.symlink(place, place / "dog/loop")
    with pytest.raises(UserError, match=r"dog/loop.* is damaged or missing \(Too many levels of symbolic links\): "):
        folder.find(place)


@pytest.mark.parametrize("encoding", ["utf-8", "gb2312", "cp437"])
def test_names_in_zips_of_other_systems(tmp_path, encoding):
    """Not marked as UTF-8, with backslashes, or with ./ before them."""
    names = ["café", "zebra"] if encoding == "cp437" else ["狗", "猫"]
    place, pictures = tmp_path / "data.zip", [f"./{names[0]}/0.png", f"{names[0]}\\1.png", f"{names[1]}/0.png"]
    with zipfile.ZipFile(place, "w") as archive:
        for i, name in enumerate(pictures):
            archive.writestr(f"{i}" * len(name.encode(encoding)), picture(i))
    content = place.read_bytes()
    for i, name in enumerate(pictures):
        raw = name.encode(encoding)
        content = content.replace(f"{i}".encode() * len(raw), raw)
    place.write_bytes(content)
    stored = [f"{names[0]}/0.png", f"{names[0]}/1.png", f"{names[1]}/0.png"]
    expected = zip(stored, enumerate([names[0], names[0], names[1]]))
    assert understood(read(place)) == [dict(expected)]
    (tmp_path / "measures.csv").write_text(f"picture,age\n{stored[2]},3\n", "utf-8")
    assert read_columns(place, np.arange(2), 2, stored[:2])["age"].tolist() == pytest.approx([np.nan] * 2, nan_ok=True)


def test_a_name_that_a_zip_stores_twice(tmp_path):
    """The later picture counts, once."""
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        for i, name in enumerate(("cat/0.png", "./cat/0.png", "dog/0.png")):
            archive.writestr(name, picture(i))
    assert understood(read(tmp_path / "data.zip")) == [{"cat/0.png": (1, "cat"), "dog/0.png": (2, "dog")}]


def test_accents_as_macos_stores_them(place):
    """In a folder's or a picture's name; as one types them in measures.csv and --label."""
    apart = unicodedata.normalize("NFD", "café")
    source = read(write(place, {f"{apart}/{apart}.png": picture(1), "tea/0.png": picture(2)}))
    assert source.classes == {0: "café", 1: "tea"}
    table = {"metadata.csv": "file_name,label\ncafé/café.png,5\ntea/0.png,6\n"}
    assert numbers_by_name(source.train.names)["café"] == numbers_by_name(source.train.names)["café/café.png"]
    if not place.suffix:
        assert read(write(place, table)).classes == {0: "5", 1: "6"}


def test_zip_read_by_threads(tmp_path):
    files = {f"{i}.png": picture(i) * (1 + i % 3) for i in range(200)}
    pictures = read(write(tmp_path / "data.zip", files)).train.pictures
    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(lambda i: pictures[i] == files[f"{i}.png"], [*range(200)] * 12))


def patched(place, name, change):
    """Change the entry of a file in a zip's directory."""
    with zipfile.ZipFile(place) as archive:
        content = bytearray(place.read_bytes())
        entry = content.index(b"PK\1\2", archive.start_dir)
        while content[entry + 46 : entry + 46 + len(name)] != name.encode():
            entry = content.index(b"PK\1\2", entry + 4)
    change(content, entry)
    place.write_bytes(content)


@pytest.mark.parametrize("files, change, problem", [
    ({"inner.zip": "x", "a.txt": "x"}, None, "holds no pictures, except perhaps in zips inside it: unpack"),
    ({"__MACOSX/a/._1.png": "x"}, None, "holds no pictures, except perhaps in zips inside it: unpack"),
    (CLASSES, lambda x, at: x.__setitem__(at + 8, 1), "is encrypted, or compressed in an unsupported way: unpack it"),
    (CLASSES, lambda x, at: x.__setitem__(at + 10, 9), "is encrypted, or compressed in an unsupported way: unpack it"),
    (CLASSES, lambda x, at: x.__delitem__(slice(100, None)), "is damaged or missing .*: fetch it again"),
    (CLASSES, lambda x, at: x.__setitem__(at, 0), "is damaged or missing .*: fetch it again"),
])  # fmt: skip
def test_zips_that_are_not_read(tmp_path, files, change, problem):
    place = write(tmp_path / "data.zip", files)
    if change:
        patched(place, "cat/10.png", change)
    with pytest.raises(UserError, match=problem) as error:
        read(place)
    assert "\n" not in str(error.value) and str(place) in str(error.value)


def test_zip_that_claims_too_much_in_all(tmp_path, monkeypatch):
    monkeypatch.setattr("common.data.source.LARGEST", 100)
    with pytest.raises(UserError, match=r"data.zip claims to hold .* GiB, but at most .* can be read: unpack it"):
        read(write(tmp_path / "data.zip", CLASSES))


def test_one_damaged_file_in_a_zip(tmp_path):
    place = write(tmp_path / "data.zip", CLASSES)
    content = bytearray(place.read_bytes())
    content[content.index(CLASSES["cat/2.png"]) + 20] ^= 255
    place.write_bytes(content)
    pictures = read(place).train.pictures
    with pytest.raises(DAMAGE):
        pictures[1]
    assert pictures[0] == CLASSES["cat/1.png"]


RGB = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [10, 20, 30]], [[7, 7, 7], [255, 255, 255]]], np.uint8)
GREY = np.array([[0, 40], [80, 120], [200, 255]], np.uint8)


def shown(content, stored=None):
    return np.asarray(opened(content, stored)).tolist()


def palette(colours, indices, **options):
    image = Image.fromarray(np.array(indices, np.uint8), "L").copy()
    image = Image.frombytes("P", image.size, image.tobytes())
    image.putpalette([level for colour in colours for level in colour])
    return encoded(image, **options)


def test_plain_pictures():
    for kind in ("PNG", "BMP", "PPM", "TIFF"):
        assert shown(encoded(GREY, kind)) == GREY.tolist() and shown(encoded(RGB, kind)) == RGB.tolist()
    assert shown(encoded(RGB, "WEBP", lossless=True)) == RGB.tolist()
    assert opened(encoded(GREY)).mode == "L" and opened(encoded(RGB)).mode == "RGB"
    bits = np.array([[0, 255], [255, 0]], np.uint8)
    for kind in ("PNG", "TIFF", "BMP", "PPM"):
        assert shown(encoded(Image.fromarray(bits).convert("1"), kind)) == bits.tolist()
    assert is_grey(opened(encoded(GREY))) and not is_grey(opened(encoded(RGB)))
    assert is_grey(opened(encoded(Image.fromarray(GREY).convert("RGB"), "JPEG")))  # as grey as it was


def test_a_file_is_opened_as_its_bytes_are(tmp_path):
    for kind in ("TIFF", "PNG", "GIF"):
        path = tmp_path / f"x.{kind}"
        path.write_bytes(encoded(GREY, kind))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert shown(path) == (GREY[..., None].repeat(3, 2) if kind == "GIF" else GREY).tolist()


def test_palette():
    colours, indices = [(255, 0, 0), (0, 255, 0), (0, 0, 200)], [[0, 1], [2, 0]]
    plain = [[list(colours[i]) for i in row] for row in indices]
    assert shown(palette(colours, indices)) == plain and shown(palette(colours, indices, kind="GIF")) == plain
    for transparency in (1, b"\xff\x00\xff"):
        assert shown(palette(colours, indices, transparency=transparency))[0] == [[255, 0, 0], [255, 255, 255]]
    assert shown(palette(colours, indices, transparency=b"\x80"))[0][0] == [255, 127, 127]  # half of it
    assert shown(palette(colours, indices, kind="GIF", transparency=1))[0] == [[255, 0, 0], [255, 255, 255]]


def test_alpha_is_on_white():
    alpha = np.array([[255, 0], [128, 255], [255, 255]], np.uint8)
    on_white = [[0, 255], [167, 120], [200, 255]]  # 80 * 128 / 255 + 255 * 127 / 255 = 167.2
    la = encoded(Image.merge("LA", [Image.fromarray(GREY), Image.fromarray(alpha)]))
    assert shown(la) == np.repeat(np.array(on_white)[..., None], 3, 2).tolist() and is_grey(opened(la))
    rgba = np.dstack([RGB, alpha])
    for content in (encoded(rgba), encoded(rgba, "WEBP", lossless=True, exact=True), encoded(rgba, "TIFF")):
        assert shown(content) == [[[255, 0, 0], [255] * 3], [[127, 127, 255], [10, 20, 30]], RGB[2].tolist()]
    assert shown(encoded(GREY, transparency=40))[0] == [[0] * 3, [255] * 3]
    assert shown(encoded(RGB, transparency=(255, 0, 0)))[0] == [[255] * 3, [0, 255, 0]]


def test_cmyk():
    """Inks; a JPEG of Adobe's keeps them inverted, and so does Pillow."""
    inks = np.zeros((8, 8, 4), np.uint8)
    inks[:4] = 255, 0, 0, 0
    inks[4:] = 0, 0, 0, 255
    image = Image.fromarray(inks, "CMYK")
    for content in (encoded(image, "TIFF"), encoded(image, "JPEG", quality=100)):
        assert np.abs(np.asarray(opened(content))[[0, 7], 0] - np.array([[0, 255, 255], [0, 0, 0]])).max() <= 2
    stored = Image.open(io.BytesIO(encoded(image, "JPEG", quality=100)))
    assert stored.mode == "CMYK" and "adobe" in stored.info


DEEP = np.array([[0, 257], [32896, 65535]], np.uint16)


def test_16_bits():
    for content in (encoded(DEEP), encoded(DEEP, "TIFF"), encoded(DEEP.astype(">u2"), "TIFF")):
        assert decoded(content).tolist() == DEEP.tolist() and shown(content) == [[0, 1], [128, 255]]
    assert Image.open(io.BytesIO(encoded(DEEP.astype(">u2"), "TIFF"))).mode == "I;16B"
    integers = encoded(DEEP.astype(np.int32), "TIFF")
    assert Image.open(io.BytesIO(integers)).mode == "I" and shown(integers) == [[0, 1], [128, 255]]
    pgm = b"P5 2 1 4095\n" + np.array([4095, 2048], ">u2").tobytes()  # which Pillow stretches to 16 bits
    assert shown(pgm) == [[255, 128]]


def test_16_bits_in_colour():
    """Pillow keeps the upper byte of each."""
    rows = [np.array(row, ">u2").tobytes() for row in ([0x12FF, 0x8000, 0xFFFF], [0, 256, 255])]
    assert shown(png(1, 2, 16, 2, rows)) == [[[0x12, 0x80, 0xFF]], [[0, 1, 0]]]
    assert isinstance(decoded(png(1, 2, 16, 2, rows)), Image.Image)
    assert shown(png(1, 1, 16, 4, [np.array([0x1234, 0], ">u2").tobytes()])) == [[[255, 255, 255]]]
    assert shown(png(1, 1, 16, 6, [np.array([0x1234, 1, 0x5678, 65535], ">u2").tobytes()])) == [[[0x12, 0, 0x56]]]


def test_12_bits_in_16():
    content = encoded(np.array([[0, 4095], [1365, 2730]], np.uint16))
    assert shown(content) == [[0, 255], [85, 170]]
    assert shown(content, (0, 65535)) == [[0, 16], [5, 11]]  # another picture of the set has 16 bits
    assert shown(content, (0, 255)) == [[0, 255], [85, 170]]  # a range that does not hold it is not taken


def test_floats():
    content = encoded(np.array([[0, 1], [0.2, 0.6]], np.float32), "TIFF")
    assert shown(content) == [[0, 255], [51, 153]] and decoded(content).dtype == np.float32
    assert shown(encoded(np.array([[-1, 1]], np.float32), "TIFF")) == [[0, 255]]
    assert shown(encoded(np.full((1, 2), 1e6, np.float32), "TIFF")) == [[0, 0]]
    assert shown(content, (-1, 1)) == [[128, 255], [153, 204]]
    for function in (decoded, opened):
        with pytest.raises(DAMAGE, match="not finite"):
            function(encoded(np.array([[0, np.nan]], np.float32), "TIFF"))


@pytest.mark.parametrize("low, high, expected", [
    (0, 1, (0, 1)), (0, 1.0000001, (0, 1)), (-0.4, 0.5, (-0.5, 0.5)), (-1, 0.9, (-1, 1)), (0, 16, (0, 16)),
    (3, 200, (0, 255)), (-3, 258, (-3, 258)), (-128, 100, (-128, 127)), (0, 1000, (0, 1023)), (0, 4000, (0, 4095)),
    (0, 16000, (0, 16383)), (0, 60000, (0, 65535)), (-2.1, 2.6, (-2.1, 2.6)), (-1024, 3071, (-1024, 3071)),
    (0, 15.5, (0, 16)), (0.5, 100.5, (0, 255)), (0, 3000.5, (0, 4095)),  # resized
    (-0.4242, 2.8215, (-0.4242, 2.8215)), (0, 3.2457, (0, 3.2457)),  # by mean and standard deviation
    (-0.05, 1.08, (-0.05, 1.08)), (-0.0001, 1.0001, (-0.0001, 1.0001)), (-0.3, 255.2, (-0.3, 255.2)),  # overshooting
    (-0.02, 1.0, (-0.02, 1.0)), (-0.05, 0.98, (-0.05, 0.98)), (1.0000001, 1.0000001, (0, 1)),
])  # fmt: skip
def test_value_range(low, high, expected):
    assert value_range(low, high) == expected


def test_rescaled():
    assert rescaled(GREY, (0, 255)) is GREY
    assert rescaled(np.array([True, False]), (0, 1)).tolist() == [255, 0]
    assert rescaled(np.array([-128, 0, 127], np.int8), (-128, 127)).tolist() == [0, 128, 255]
    assert rescaled(np.array([0, 8, 16.0]), (0, 16)).tolist() == [0, 128, 255]
    assert rescaled(np.array([7, 7]), (7, 7)).tolist() == [0, 0]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif(kind, tmp_path):
    """6: what was stored lies on its left side."""
    exif = Image.Exif()
    exif[0x112] = 6
    stripes = np.repeat(np.repeat(np.array([[0, 50, 100], [150, 200, 250]], np.uint8), 16, 0), 16, 1)
    found = np.asarray(opened(encoded(stripes, kind, exif=exif)).convert("L"))[8::16, 8::16].astype(int)
    assert np.abs(found - [[150, 0], [200, 50], [250, 100]]).max() <= 3
    (tmp_path / "x").write_bytes(encoded(stripes, kind, exif=exif))
    assert opened(tmp_path / "x").size == (32, 48)
    if kind in ("PNG", "TIFF"):
        assert shown(encoded(DEEP, kind, exif=exif)) == [[128, 0], [255, 1]]


def test_damaged_exif_is_no_damaged_picture():
    for exif in (b"Exif\0\0garbage", b"Exif\0\0II*\0"):  # cut short
        assert shown(encoded(GREY, exif=exif)) == GREY.tolist()


def test_first_frame():
    frames = [Image.fromarray(np.full((4, 4, 3), (level, 0, 0), np.uint8)) for level in (255, 100)]
    for kind, options in (("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {}), ("TIFF", {})):
        content = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        assert Image.open(io.BytesIO(content)).n_frames == 2 and shown(content)[3][3] == [255, 0, 0]


@pytest.mark.parametrize("content", [
    b"", b"P5 0 3 255\n", png(0, 3, 8, 0, [b""] * 3), encoded(RGB)[:-30], encoded(RGB, "JPEG")[:400],
    encoded(DEEP, "TIFF")[:-40], encoded(RGB, "AVIF")[:50] + bytes(200), b"version https://git-lfs.github.com/spec/v1\n",
    png(60000, 60000, 8, 0, [b""]),
], ids=range(9))  # fmt: skip
@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's
def test_damaged_pictures(content):
    with pytest.raises(DAMAGE):
        opened(content)
    with suppress(*DAMAGE):  # it decodes deep ones alone
        assert not isinstance(decoded(content), np.ndarray)


def test_lab():
    """Lightness 113 of 255 and a, b of 64, 30: sRGB's (200, 30, 60)."""
    content = encoded(Image.new("LAB", (2, 2), (113, 64 + 128, 30 + 128)), "TIFF")
    assert np.abs(np.asarray(opened(content)) - [200, 30, 60]).max() <= 1


def test_grey_is_resized_as_before():
    """MNIST's way, to the bit: ImageOps.fit, bilinear, of grey pictures."""
    digit = np.random.default_rng(0).integers(0, 256, (28, 28), dtype=np.uint8)
    expected = np.asarray(ImageOps.fit(Image.fromarray(digit), (32, 32), Image.Resampling.BILINEAR))
    for form in (Preprocessing(), Preprocessing(channels=1), Preprocessing(fit="pad")):
        assert (fitted(Image.fromarray(digit), form) == expected[None]).all()


def test_crop_and_pad():
    """Wide: four columns of 32 pixels, of which the two in the centre are kept, or all, with the border's colour."""
    wide = Image.fromarray(np.repeat(np.array([[10, 90, 170, 10]], np.uint8), 64, 0).repeat(32, 1))
    cropped = fitted(wide, Preprocessing(size=32))
    expected = [80, *[90] * 14, 100, 160, *[170] * 14, 150]
    assert cropped.shape == (1, 32, 32) and cropped[0, [0, 31]].tolist() == [expected] * 2
    padded = fitted(wide, Preprocessing(size=32, fit="pad"))[0]
    assert (padded[:8] == 10).all() and (padded[24:] == 10).all()
    assert padded[8:24, [0, 4, 12, 20, 28]].tolist() == [[10, 10, 90, 170, 10]] * 16
    tall = fitted(wide.transpose(Image.Transpose.ROTATE_90), Preprocessing(size=32, fit="pad", channels=3))
    assert (tall == np.rot90(padded)).all() and tall.shape == (3, 32, 32)


def test_colour_and_grey():
    red = Image.new("RGB", (20, 20), (255, 0, 0))
    assert fitted(red, Preprocessing(size=16))[:, 3, 3].tolist() == [255, 0, 0]
    assert fitted(red, Preprocessing(size=16, channels=1))[:, 3, 3].tolist() == [76]  # 0.299 * 255
    assert fitted(Image.new("L", (20, 20), 9), Preprocessing(size=16, channels=3))[:, 3, 3].tolist() == [9] * 3


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (900, 1), (3, 200)])
@pytest.mark.parametrize("fit", ["crop", "pad"])
def test_thin_pictures(size, fit):
    pixels = fitted(Image.new("RGB", size, (1, 2, 3)), Preprocessing(size=16, fit=fit))
    assert pixels.shape == (3, 16, 16) and (pixels.reshape(3, -1).T == [1, 2, 3]).all()


def test_antialiasing():
    """A fine checkerboard becomes grey, and not a coarse one."""
    board = Image.fromarray((np.indices((256, 256)).sum(axis=0) % 2 * 255).astype(np.uint8))
    assert np.abs(fitted(board, Preprocessing(size=32)).astype(int) - 127.5).max() <= 1.5


def test_opened_as_a_data_set(place, tmp_path, monkeypatch):
    """Deep, coloured, transparent and damaged pictures in one set, through open_dataset()."""
    monkeypatch.setattr(prepared, "PREPARED", tmp_path / "prepared")
    files = {f"shapes/{name}/{i}.png": picture(10 * i) for name in ("9", "10") for i in range(12)}
    files |= {"shapes/9/0.png": encoded(DEEP), "shapes/9/1.png": b"<html>"}
    files["shapes/10/0.png"] = encoded(np.zeros((2, 2, 4), np.uint8))  # transparent
    path = write(place, files)
    data = open_dataset(path, Preprocessing(size=16))
    assert data.spec.classes == ("9", "10") and data.spec.shape == (1, 16, 16)
    as_stored = data.train.rows(".order").argsort()
    images, labels = data.train.images[as_stored], data.train.labels[as_stored]
    assert labels.tolist() == [0] * 10 + [1] * 11 and sorted(data.test.labels) == [0, 1]
    assert data.test.images[:, 0, 8, 8].tolist() == [110, 110]  # each 10th but for the first two of a class
    assert images[1:, 0, 8, 8].tolist() == [*range(20, 101, 10), 255, *range(10, 101, 10)]
    assert images[0, 0, [0, 15], [0, 15]].tolist() == [0, 255]
    said = str(data)
    assert "1 unreadable pictures left out (shapes/9/1.png: not a picture that Pillow can read)" in said
    assert "class folders" in said and "no measures.csv" in said
    assert open_dataset(path, Preprocessing(size=16, channels=3)).spec.digest == data.spec.digest


@pytest.mark.parametrize("top", [1, 16])
def test_nearly_black_pictures_are_told(tmp_path, top):
    """Saved as 0 and 1, or as 0 to 16: a model would learn black."""
    greys = np.eye(8, dtype=np.uint8) * top
    for folder_name in "ab":
        for number in range(3):
            (tmp_path / folder_name).mkdir(exist_ok=True)
            Image.fromarray(greys).save(tmp_path / folder_name / f"{number}.png")
    assert f"nearly black, as no pixel is above {top} of 255" in str(open_dataset(tmp_path))

"""The measures.csv beside a data set's pictures."""
import shutil
import zipfile

import numpy as np
import pytest

from common.data.columns import columns_of, read_columns
from common.data.dataset import load_values, open_dataset
from common.errors import UserError

NAN = float("nan")
NAMES = ["train/cat/1.png", "train/cat/a.png", "train/dog/a.png", "test/cat/b.png", "test/dog/7.png"]


def write(folder, text, encoding="utf-8"):
    (folder / "measures.csv").write_bytes(text.encode(encoding))
    return folder


def columns(place, order=range(5), count=5, names=None):
    found = read_columns(place, np.array(order), count, names)
    assert all(x.dtype == np.float32 and x.shape == (len(order),) for x in found.values())
    return {name: x.tolist() for name, x in found.items()}


def same(found, expected):
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], np.array(values, np.float32), err_msg=name)


def test_by_number(tmp_path):
    """Of all pictures as they are stored; those of this part in its order; NaN where there is no row, or no value."""
    write(tmp_path, "picture,age (years),angle\n0,40,-10.5\n3,,1e3\n1,NaN,0\n4,NA,nan\n")
    assert columns_of(tmp_path) == {"age": "years", "angle": ""}
    same(columns(tmp_path), {"age": [40, NAN, NAN, NAN, NAN], "angle": [-10.5, 0, NAN, 1000, NAN]})
    same(columns(tmp_path, [3, 0]), {"age": [NAN, 40], "angle": [1000, -10.5]})


def test_beside_a_file(tmp_path):
    write(tmp_path, "picture,age\n1,3\n")
    place = tmp_path / "digits.npz"
    place.write_bytes(b"")
    assert columns_of(place) == {"age": ""}
    same(columns(place, [0, 1], 2), {"age": [NAN, 3]})


def test_who_asks_for_no_measure_needs_no_table(birds, tmp_path):
    """Even if it is damaged."""
    shutil.copytree(birds, tmp_path / "birds")
    write(tmp_path / "birds", "no header at all")
    data = open_dataset(tmp_path / "birds")
    assert "measures.csv cannot be used" in str(data)
    assert not data.measured(()).spec.measures and load_values(data.train, ()) == {}
    with pytest.raises(UserError, match=r"measures\.csv"):
        data.measured()


def test_without(tmp_path):
    assert columns_of(tmp_path) == {}


def test_by_name(tmp_path):
    """By path, or by the end of it that no other has, with either slash; spaces at the ends of cells do not count."""
    write(tmp_path, "file,age\ntrain/cat/a.png,1\ndog/a.png,2\n1.png,3\ntest\\cat\\b.png,4\n ./test/dog/7.png , 5 \n")
    same(columns(tmp_path, names=NAMES), {"age": [3, 1, 2, 4, 5]})
    write(tmp_path, "file,age\na.png,1\nsub/a.png,2\n")  # the whole path counts more than an end
    same(columns(tmp_path, [0, 1], 2, ["sub/a.png", "a.png"]), {"age": [2, 1]})


def test_by_name_without_suffix(tmp_path):
    """With its leading zeros or without."""
    write(tmp_path, "file,age\n0007,1\n8,2\n0a,3\n")
    same(columns(tmp_path, [0, 1, 2], 3, ["x/0007.png", "x/0008.png", "x/0a.png"]), {"age": [1, 2, 3]})


def test_pictures_that_are_not_used(tmp_path):
    """A row of one is passed over, in a folder and in a zip."""
    for place in (tmp_path / "own", tmp_path / "own.zip"):
        (tmp_path / "own" / "val").mkdir(parents=True, exist_ok=True)
        (tmp_path / "own" / "val" / "c.png").write_bytes(b"")
        with zipfile.ZipFile(tmp_path / "own.zip", "w") as archive:
            archive.writestr("val/c.png", b"")
        for folder in (tmp_path, tmp_path / "own"):
            write(folder, "file,age\ntrain/cat/a.png,1\nval/c.png,2\n")
        same(columns(place, names=NAMES), {"age": [NAN, 1, NAN, NAN, NAN]})


def test_numbers_where_files_have_names(tmp_path):
    """They count pictures, unless another picture's file has that number."""
    write(tmp_path, "index,age\n0,1\n2,5\n3,6\n")
    same(columns(tmp_path, names=NAMES), {"age": [1, NAN, 5, 6, NAN]})
    write(tmp_path, "index,age\n0,1\n1,2\n")
    same(columns(tmp_path, [0, 1], 2, ["0.png", "00001.png"]), {"age": [1, 2]})
    same(columns(tmp_path, [0, 1], 2, ["0", "1"]), {"age": [1, 2]})
    same(columns(tmp_path, [0, 1], 2, ["1", "0"]), {"age": [2, 1]})
    same(columns(tmp_path, [0, 1], 2, ["7.png", "8.png"]), {"age": [1, 2]})
    write(tmp_path, "index,age\n0,1\n1,2\n")
    said = "line 3: '1' matches several pictures: write names such as train/cat/1.png"
    assert refused(tmp_path, names=NAMES) == said
    both = ["cat/0.png", "cat/1.png", "dog/0.png", "dog/1.png"]
    said = "line 2: '0' matches several pictures: write names such as cat/0.png"
    assert refused(tmp_path, range(4), 4, both) == said
    said = "line 3: '1' matches several pictures: write names such as 00001.png"
    assert refused(tmp_path, range(2), 2, ["00001.png", "00002.png"]) == said
    write(tmp_path, "file,age\n101,1\n100,2\na,3\n")  # without their suffix
    same(columns(tmp_path, [0, 1, 2], 3, ["x/100.png", "x/00101.png", "x/a.png"]), {"age": [2, 1, 3]})


@pytest.mark.parametrize("text", [
    "\ufeffpicture,age (years),b\r\n0,1,2\r\n1,3,4\r\n",  # as Excel saves it
    'picture , "age  (years)" ,b\n"0", "1" , 2\n\n1,3,4\n,,\n',  # spaces, quotes, rows that are blank
    ",age (years),b\n0,1,2\n1,3,4\n",  # as pandas saves a table
    "\n\npicture,age(years),b\n0,1,2\n1,3,4",
])  # fmt: skip
def test_forms_of_csv(tmp_path, text):
    write(tmp_path, text)
    assert columns_of(tmp_path) == {"age": "years", "b": ""}
    same(columns(tmp_path, [0, 1], 2), {"age": [1, 3], "b": [2, 4]})


def test_whole_paths(tmp_path):
    """A row with a picture's whole path is that picture's; one of a picture that is stored but not used, nobody's."""
    (tmp_path / "spare").mkdir()
    (tmp_path / "spare/1.png").touch()
    write(tmp_path, f"picture,age\n{tmp_path}/train/cat/1.png,3\n{tmp_path}/spare/1.png,4\n")
    same(columns(tmp_path, names=NAMES), {"age": [3, NAN, NAN, NAN, NAN]})


def test_names(tmp_path):
    write(tmp_path, "picture,a-b.c_1,年龄 (岁),2x (mm (metric))\n0,1,2,3\n")
    assert columns_of(tmp_path) == {"a-b.c_1": "", "年龄": "岁", "2x": "mm (metric)"}
    many = ",".join(f"m{i}" for i in range(64))
    write(tmp_path, f"picture,{many}\n0{',1' * 64}\n")
    assert list(columns_of(tmp_path)) == many.split(",")


def refused(place, *arguments, **named):
    with pytest.raises(UserError) as error:
        columns(place, *arguments, **named)
    assert "\n" not in str(error.value)
    return str(error.value).replace(f"{place / 'measures.csv'}", "PATH").removeprefix("PATH, ")


ADVICE = "its first line must name the columns, separated by commas, for example: picture,age (years),angle"
BAD = "(use letters, digits, _, - and .)"


@pytest.mark.parametrize(("text", "said"), [
    ("", f"PATH has 0 columns of measures, but 1 to 64 are allowed: {ADVICE}"),
    ("picture\n0\n", f"PATH has 0 columns of measures, but 1 to 64 are allowed: {ADVICE}"),
    ("picture;age\n0;4,5\n", f"PATH has 0 columns of measures, but 1 to 64 are allowed: {ADVICE}"),
    ("picture\tage\n0\t4\n", f"PATH has 0 columns of measures, but 1 to 64 are allowed: {ADVICE}"),
    ("picture" + ",a" * 65, f"PATH has 65 columns of measures, but 1 to 64 are allowed: {ADVICE}"),
    ("picture,my age\n", f"PATH has a measure with the name 'my age' {BAD}: {ADVICE}"),
    ("picture,a=b\n", f"PATH has a measure with the name 'a=b' {BAD}: {ADVICE}"),
    ("picture,-a\n", f"PATH has a measure with the name '-a' {BAD}: {ADVICE}"),
    ('picture,"a\nb"\n', f"PATH has a measure with the name 'a b' {BAD}: {ADVICE}"),
    ("picture,age,\n", f"PATH has a measure with the name '' {BAD}: {ADVICE}"),
    ("0,40\n1,41\n", f"PATH has a measure with the name '40' {BAD}: {ADVICE}"),  # no header
    ("0,4.5\n1,41\n", f"PATH has a measure with the name '4.5' {BAD}: {ADVICE}"),
    ("picture,label\n", f"PATH has a measure with the name 'label' (it means the class): {ADVICE}"),
    ("picture,age,age (years)\n", "PATH has two columns with the name age: rename one"),
])  # fmt: skip
def test_first_line_refused(tmp_path, text, said):
    assert refused(write(tmp_path, text)) == said
    with pytest.raises(UserError):
        columns_of(tmp_path)


@pytest.mark.parametrize(("rows", "said"), [
    ("0,1,2\n1,3\n", "line 3 has 2 cells, the first line 3: write one per column"),
    ("0,1,2,3\n", "line 2 has 4 cells, the first line 3: write one per column"),
    ("0,1,2\n1,2,3\n0,1,2\n", "line 4: '0' already has a row: keep one row per picture"),
    ("5,1,2\n", "line 2: '5' matches no picture: write numbers from 0 to 4"),
    ("-1,1,2\n", "line 2: '-1' matches no picture: write numbers from 0 to 4"),
    ("1.0,1,2\n", "line 2: '1.0' matches no picture: write numbers from 0 to 4"),
    ("a.png,1,2\n", "line 2: 'a.png' matches no picture: write numbers from 0 to 4"),
    (",1,2\n", "line 2: '' matches no picture: write numbers from 0 to 4"),
    ("9" * 5000 + ",1,2\n", f"line 2: '{'9' * 80}' matches no picture: write numbers from 0 to 4"),
    ("0,1,inf\n", "line 2, column angle: 'inf' is not a finite number: leave unknown values empty"),
    ("0,-1e39,1\n", "line 2, column age: '-1e39' is not a finite number: leave unknown values empty"),
    ("0,1_0,1\n", "line 2, column age: '1_0' is not a finite number: leave unknown values empty"),
    ("0,3e38,1\n", "line 2, column age: '3e38' is not a finite number: leave unknown values empty"),
    ("0,old,1\n", "line 2, column age: 'old' is not a finite number: leave unknown values empty"),
    ('0,"4,5",1\n', "line 2, column age: '4,5' is not a finite number: leave unknown values empty"),
])  # fmt: skip
def test_row_refused(tmp_path, rows, said):
    assert refused(write(tmp_path, f"picture,age (years),angle\n{rows}")) == said


def test_row_by_name_refused(tmp_path):
    write(tmp_path, "picture,age\ncat/1.png,5\nc.png,6\n")
    said = "line 3: 'c.png' matches no picture: write names such as train/cat/1.png"
    assert refused(tmp_path, names=NAMES) == said
    write(tmp_path, "picture,age\na.png,6\n")
    said = "line 2: 'a.png' matches several pictures: write names such as train/cat/1.png"
    assert refused(tmp_path, names=NAMES) == said
    write(tmp_path, f"picture,age\n{'a caption ' * 30},6\n")  # longer than a file's name can be
    assert refused(tmp_path, names=NAMES).startswith("line 2: 'a caption a caption ")
    write(tmp_path, "picture,age\ntrain/cat/1.png,5\n1.png,6\n")
    assert refused(tmp_path, names=NAMES) == "line 3: '1.png' already has a row: keep one row per picture"


def test_damage(tmp_path):
    write(tmp_path, "picture,age\n0,1\n", "utf-16")
    assert refused(tmp_path).startswith("PATH is damaged or missing ('utf-8' codec can't decode")
    assert refused(tmp_path).endswith(": save it as CSV in UTF-8")
    write(tmp_path, 'picture,age\n0,"1\n1,2\n')  # a quotation mark that nothing closes
    assert "'1\\n1,2' is not a finite number" in refused(tmp_path)

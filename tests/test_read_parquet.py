"""Parquet files of pictures, in the forms that Hugging Face's data sets have."""
import io
import json
import sys

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from common.data.dataset import open_dataset
from common.data.prepared import recognize
from common.data.readers import folder
from common.data.readers import parquet as read_parquet
from common.data.readers.parquet import find, read
from common.errors import UserError

IMAGE = pa.struct({"bytes": pa.binary(), "path": pa.string()})


def png(grey):
    """A picture of one grey, 8x8, as the bytes of a PNG."""
    file = io.BytesIO()
    Image.new("L", (8, 8), grey).save(file, "PNG")
    return file.getvalue()


def images(greys):
    return pa.array([{"bytes": png(grey), "path": None} for grey in greys], IMAGE)


def features(**classes):
    """The schema's metadata, as the library `datasets` writes it."""
    labels = {name: {"names": names, "_type": "ClassLabel"} for name, names in classes.items()}
    info = {"features": {"image": {"_type": "Image"}, **labels, "tags": [{"dtype": "string", "_type": "Value"}]}}
    return {b"huggingface": json.dumps({"info": info}).encode()}


def write(path, metadata=None, rows=None, **columns):
    """A Parquet file of these columns, in row groups of so many rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.table(columns).replace_schema_metadata(metadata), path, row_group_size=rows)
    return path


def greys(pictures):
    return [np.asarray(Image.open(io.BytesIO(pictures[i])))[0, 0] for i in range(len(pictures))]


def source(place):
    return read(place, find(place))


def test_a_data_set_as_push_to_hub_leaves_it(tmp_path):
    """MNIST's form: a folder for the configuration, a file for each part, shards in order, class names, row groups."""
    form, folder = {"metadata": features(label=["cat", "dog", "bird"]), "rows": 2}, tmp_path / "animals"
    write(folder / "train-00000-of-00002.parquet", image=images([0, 1, 2, 3, 4]), label=[0, 1, 2, 0, 1], **form)
    write(folder / "train-00001-of-00002.parquet", image=images([5, 6]), label=[2, 0], **form)
    write(folder / "test-00000-of-00001.parquet", image=images([7, 8, 9]), label=[2, 2, 1], **form)
    (tmp_path / "README.md").write_text("a data set card")
    (tmp_path / ".cache" / "train-00000-of-00002.parquet").parent.mkdir()
    (tmp_path / ".cache" / "train-00000-of-00002.parquet").write_bytes(b"of a download")
    found = source(tmp_path)
    assert greys(found.train.pictures) == [0, 1, 2, 3, 4, 5, 6] and greys(found.test.pictures) == [7, 8, 9]
    assert found.train.labels.tolist() == [0, 1, 2, 0, 1, 2, 0] and found.test.labels.tolist() == [2, 2, 1]
    assert found.train.labels.dtype == np.int64
    assert found.classes == {0: "cat", 1: "dog", 2: "bird"} and found.notes == ()
    assert [greys([found.train.pictures[i]])[0] for i in (6, 0, 5, 1)] == [6, 0, 5, 1]


def test_row_groups_are_read_once(tmp_path, monkeypatch):
    """Though the pictures, stored class by class, are shuffled, and only one group is kept in memory."""
    groups, read_group = [], read_parquet.read_group
    monkeypatch.setattr(read_parquet, "read_group", lambda *where: groups.append(where) or read_group(*where))
    values, labels = [*range(0, 200, 10)], [0] * 10 + [1] * 10
    data = open_dataset(write(tmp_path / "a.parquet", rows=2, image=images(values), label=labels))
    assert len(groups) <= 10 + 10 + 2  # for their range, those to train on, those held out
    assert sorted(data.train.images[:, 0, 0, 0].tolist()) != data.train.images[:, 0, 0, 0].tolist()
    for part in (data.train, data.test):
        assert (part.images[:, 0, 0, 0] == 10 * part.rows(".order")).all()
        assert (part.labels == part.rows(".order") // 10).all()


def test_a_table_beside_pictures(tmp_path):
    """Is not the data set, if there are many pictures."""
    write(tmp_path / "labels.parquet", file=pa.array(["0.png"]), label=[0])
    for i in range(16):
        (tmp_path / f"{i}.png").write_bytes(png(i))
    assert find(tmp_path) is None and recognize(tmp_path)[0] is folder


def test_through_open_dataset(tmp_path):
    for part, values, labels in (("train", range(0, 120, 10), [1, 0] * 6), ("test", [200, 210], [0, 1])):
        path = tmp_path / "data" / f"{part}-00000-of-00001.parquet"
        write(path, features(label=["a", "b"]), image=images(values), label=labels)
    data = open_dataset(tmp_path)
    assert data.spec.classes == ("a", "b") and data.spec.shape == (1, 32, 32)
    assert data.train.images[:, 0, 16, 16].tolist() == list(range(0, 120, 10))
    assert data.train.labels.tolist() == [1, 0] * 6 and data.test.labels.tolist() == [0, 1]
    assert data.test.images[:, 0, 3, 4].tolist() == [200, 210]


def test_as_the_hub_converts_it(tmp_path):
    """A folder for each part, of which one may be in part: default/partial-train/0000.parquet."""
    write(tmp_path / "default" / "partial-train" / "0000.parquet", image=images([1, 2]), label=[0, 1])
    write(tmp_path / "default" / "test" / "0000.parquet", image=images([3]), label=[1])
    found = source(tmp_path)
    assert greys(found.train.pictures) == [1, 2] and greys(found.test.pictures) == [3]
    assert found.classes is None


def test_cifar100(tmp_path):
    """Pictures in `img`, and two columns of labels: the fine one counts, and that is said."""
    names = features(fine_label=["apple", "bee"], coarse_label=["fruit", "insect"])
    labels = {"fine_label": [1, 0], "coarse_label": [0, 1]}
    found = source(write(tmp_path / "train-00000-of-00001.parquet", names, img=images([1, 2]), **labels))
    assert greys(found.train.pictures) == [1, 2] and found.train.labels.tolist() == [1, 0]
    assert found.classes == {0: "apple", 1: "bee"}
    assert found.test is None and found.notes == ("classes by fine_label",)


def test_validation(tmp_path):
    """It tests where there is no test part, or one without labels (-1, as ImageNet's); else it is left out."""
    write(tmp_path / "valid-00000-of-00001.parquet", image=images([3]), label=[1])
    write(tmp_path / "train-00000-of-00003.parquet", image=images([1, 2]), label=[0, 1])
    found = source(tmp_path)
    assert greys(found.test.pictures) == [3] and found.notes == ("1 of 3 files of train found",)
    test = write(tmp_path / "test-00000-of-00001.parquet", image=images([4, 5]), label=[-1, -1])
    found = source(tmp_path)
    assert greys(found.test.pictures) == [3]
    assert found.notes == ("2 pictures of test not used", "1 of 3 files of train found")
    write(test, image=images([4, 5]), label=[1, 1])
    write(tmp_path / "extra-00000-of-00001.parquet", image=images([6]), label=[1])  # SVHN has such a part
    found = source(tmp_path)
    assert greys(found.test.pictures) == [4, 5] and greys(found.train.pictures) == [1, 2]
    others = [f"1 pictures of {part} not used" for part in ("others", "val")]
    assert sorted(found.notes) == ["1 of 3 files of train found", *others]


def test_labels_in_words(tmp_path):
    """They are numbered in order, unless they are numbers; pandas writes categories as a dictionary."""
    write(tmp_path / "train.parquet", image=images([1, 2, 3]), label=["10", "2", "a"])
    write(tmp_path / "test.parquet", image=images([4]), label=["a"])
    found = source(tmp_path)
    assert found.classes == {0: "10", 1: "2", 2: "a"}
    assert found.train.labels.tolist() == [0, 1, 2] and found.test.labels.tolist() == [2]
    found = source(write(tmp_path / "b.parquet", image=images([1, 2]), label=["10", "2"]))
    assert found.train.labels.tolist() == [10, 2] and found.classes is None
    place = write(tmp_path / "a.parquet", image=images([1, 2, 3]), label=pa.array(["b", "a", "b"]).dictionary_encode())
    assert source(place).train.labels.tolist() == [1, 0, 1] and source(place).classes == {0: "a", 1: "b"}


def test_files_without_a_part(tmp_path):
    """All are training pictures, those of part.10 after those of part.2; one file that is named is all of the data."""
    for i in (10, 2, 1):
        write(tmp_path / f"part.{i}.parquet", image=images([i]), label=[i])
    found = source(tmp_path)
    assert greys(found.train.pictures) == [1, 2, 10] and found.train.labels.tolist() == [1, 2, 10]
    assert found.test is None and found.notes == ()
    assert greys(source(write(tmp_path / "test.parquet", image=images([7]), label=[0])).train.pictures) == [7]


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
def test_pictures_as_bytes_alone_and_no_labels(tmp_path, kind):
    place = write(tmp_path / "a.parquet", key=["x", "y"], jpg=pa.array([png(1), png(2)], kind))
    found = source(place)
    assert greys(found.train.pictures) == [1, 2] and found.train.labels is None and found.classes is None


def test_several_columns(tmp_path):
    """`image` is taken, not the mask; of several columns of classes none; the only one, whatever it is called."""
    two = {"artist": [0, 1], "style": [1, 1]}
    names = features(artist=["Monet", "Degas"], style=["a", "b"])
    found = source(write(tmp_path / "a.parquet", names, mask=images([8, 9]), image=images([1, 2]), **two))
    assert greys(found.train.pictures) == [1, 2] and found.train.labels is None
    assert found.notes == ()
    found = source(write(tmp_path / "b.parquet", features(artist=["Monet", "Degas"]), picture=images([1, 2]), **two))
    assert found.train.labels.tolist() == [0, 1] and found.classes == {0: "Monet", 1: "Degas"}
    assert found.notes == ("classes by artist",)


def test_a_row_without_a_picture_is_left_out(tmp_path):
    values = [{"bytes": png(grey), "path": None} for grey in (1, 2, 3)]
    values[1:1] = [None, {"bytes": None, "path": "b.png"}]
    place = write(tmp_path / "a.parquet", image=pa.array(values, IMAGE), label=[0] * 5)
    pictures = source(place).train.pictures
    assert len(pictures) == 5 and greys([pictures[0], pictures[3]]) == [1, 2]
    for i in (1, 2):
        with pytest.raises(ValueError, match="no bytes"):
            pictures[i]
    data = open_dataset(place)
    assert [*data.train.images[:, 0, 0, 0], *data.test.images[:, 0, 0, 0]] == [1, 2, 3]
    assert "2 unreadable pictures left out (1, 2: no bytes)" in str(data)


def test_measures_beside_it(tmp_path):
    """They are counted as the pictures are stored, those that cannot be read too; each 10th tests."""
    values = [{"bytes": png(i), "path": None} for i in range(22)]
    values[3]["bytes"] = b"no picture"
    place = write(tmp_path / "a.parquet", image=pa.array(values, IMAGE), label=[0, 1] * 11)
    (tmp_path / "measures.csv").write_text("i,age (years)\n" + "".join(f"{i},{i / 2}\n" for i in range(22) if i != 8))
    data = open_dataset(place).measured()
    assert data.spec.measures["age"].unit == "years"
    for part, expected in ((data.train, [i for i in range(22) if i not in (3, 13)]), (data.test, [13])):
        assert part.images[:, 0, 0, 0].tolist() == expected
        np.testing.assert_array_equal(part.values["age"], [np.nan if i == 8 else i / 2 for i in expected])


def test_other_kinds(tmp_path):
    """Without pyarrow: they are not looked into. metadata.parquet lies in folders of pictures."""
    (tmp_path / "metadata.parquet").write_bytes(b"")
    (tmp_path / "a.csv").write_bytes(b"")
    assert find(tmp_path) is None and find(tmp_path / "a.csv") is None and find(tmp_path / "gone") is None


def refused(place):
    with pytest.raises(UserError) as error:
        found = source(place)
        found.train.pictures[0]
    assert "\n" not in str(error.value)
    return str(error.value).replace(f"{place}", "PLACE")


def test_without_pyarrow(tmp_path, monkeypatch):
    place = write(tmp_path / "a.parquet", image=images([1]), label=[0])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    said = "PLACE needs pyarrow (import of pyarrow halted; None in sys.modules): pip install \"pyarrow<26\""
    assert refused(place) == said


def test_two_data_sets(tmp_path):
    for name in ("cropped_digits", "full_numbers"):
        for part in ("train", "test"):
            write(tmp_path / name / f"{part}-00000-of-00001.parquet", image=images([1]), label=[0])
    said = "PLACE holds several data sets (cropped_digits, full_numbers): choose one folder"
    assert refused(tmp_path) == said
    assert len(source(tmp_path / "full_numbers").test.pictures) == 1


def test_parts_that_do_not_fit(tmp_path):
    """Test pictures alone are trained on; beside training pictures with labels they are not used without labels."""
    write(tmp_path / "test.parquet", image=images([1]))
    assert greys(source(tmp_path).train.pictures) == [1]
    write(tmp_path / "validation.parquet", image=images([1]))
    assert "training part" in refused(tmp_path)
    write(tmp_path / "train.parquet", image=images([1]), label=[0])
    (tmp_path / "validation.parquet").unlink()
    found = source(tmp_path)
    assert greys(found.train.pictures) == [1] and found.test is None and found.notes == ("1 pictures of test not used",)


STRUCT = "struct<bytes: binary, path: string>"
ONE_EACH = "PLACE has rows with no label, or several, in column label: give each row one label"


@pytest.mark.parametrize(("columns", "said"), [
    ({"image": ["a.png"], "label": [0]},
     "PLACE has the columns 'image: string', 'label: int64': one, named image, must hold encoded pictures"),
    ({"front": images([1]), "back": images([2])},
     f"PLACE has the columns 'front: {STRUCT}', 'back: {STRUCT}': one, named image, must hold encoded pictures"),
    ({"image": images([1, 2]), "label": [[0, 1], [1]]}, ONE_EACH),
    ({"image": images([1, 2]), "label": ["a", None]}, ONE_EACH),
    ({"image": images([1, 2]), "label": [0, -1]}, "PLACE has the label -1: labels must be 0 or more"),
    ({"image": images([1, 2]), "label": [0, 0.5]},
     "PLACE has labels that are missing or not whole: give each picture a whole number"),
])  # fmt: skip
def test_refused(tmp_path, columns, said):
    assert refused(write(tmp_path / "a.parquet", **columns)) == said


def test_damage(tmp_path):
    """A pointer of Git LFS in place of the file, one cut off, a page that is not what it was, and false claims."""
    place = write(tmp_path / "a.parquet", image=images([1, 2, 3]), label=[0, 0, 0])
    whole = place.read_bytes()
    place.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    assert refused(place).startswith("PLACE is damaged or missing (Parquet magic bytes not found in footer.")
    assert refused(place).endswith(": fetch it again")
    place.write_bytes(whole[:-50])
    assert refused(place).startswith("PLACE is damaged or missing (")
    place.write_bytes(whole[:4] + bytes(100) + whole[104:])
    assert refused(place).startswith("PLACE is damaged or missing (")


def test_claims(tmp_path, monkeypatch):
    place = write(tmp_path / "a.parquet", image=images([1] * 9), label=[0] * 9)
    monkeypatch.setattr("common.data.source.LARGEST", 100)
    assert refused(place).startswith("a row group of PLACE claims to hold 0.0 GiB, but at most 0.0 GiB can be read")

"""Thickness, slant and width: measured on known shapes, asked for in numbers and in words; how they are followed."""
import gzip
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import ROOT, SMALL, assert_picture, assert_user_error, quick_in, read_metrics, run_script, run_scripts
from PIL import Image, ImageDraw
from pydantic_core import to_jsonable_python

from common.checkpoint import load_checkpoint
from common.data import dataset
from common.data.dataset import open_dataset
from common.data.measures import MEASURES
from common.data.prepared import VERSION
from common.data.prompt import FILLERS, parse, vocabulary
from common.data.spec import PERCENTILES, Measure, Spec, measured
from common.data.strokes import measure_piece, measure_strokes
from common.diffusion.model import Model
from common.diffusion.noise import StepNoise
from common.diffusion.space import Pixels
from common.draw import chosen_conditions
from common.edit import edited
from common.errors import UserError
from common.options.editing import EditSampling, Vary
from common.options.recipes import TrainLDM
from common.options.sampling import Ask, Score, WhichDiffusion
from scoring.score import conditions_to_draw, control, following, print_control, requests

NAN = np.nan
MNIST = open_dataset().measured(MEASURES)


def bar(width, height, slant=0.0, fine=16):
    """A bar of so many pixels, sheared by so many degrees to the right, uint8 (1, 32, 32): drawn finer and averaged."""
    canvas, shear = Image.new("L", (32 * fine, 32 * fine)), np.tan(np.radians(slant)) * height / 2
    top, bottom, left, right = 16 - height / 2, 16 + height / 2, 16 - width / 2, 16 + width / 2
    corners = (left + shear, top), (right + shear, top), (right - shear, bottom), (left - shear, bottom)
    ImageDraw.Draw(canvas).polygon([(x * fine - 0.5, y * fine - 0.5) for x, y in corners], fill=255)
    return np.asarray(canvas, float).reshape(32, fine, 32, fine).mean(axis=(1, 3)).round().astype(np.uint8)[None]


@pytest.mark.parametrize("width", [2, 3, 5])
@pytest.mark.parametrize("slant", [-30, 0, 20])
def test_a_bar_measures_what_it_is(width, slant):
    """Sheared, its width along a row stays, and the stroke is thinner by the cosine of the slant; in the corners, where
    the skeleton ends in branches, it is thinner still."""
    (thickness,), (angle,), (across,) = measure_piece(bar(width, 24, slant)[None]).values()
    assert 0.86 < thickness / (width * np.cos(np.radians(slant))) < 1.03
    assert angle == pytest.approx(slant, abs=0.7)
    assert across == pytest.approx(0.98 * width, abs=0.3)


def test_a_program_of_one_s_own_needs_no_main_guard(tmp_path):
    """The processes that measure do not run it again, and wait for a lock that it holds."""
    (tmp_path / "own.py").write_text(f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from common.data import strokes
from common.data.dataset import open_dataset
print("begun")
strokes.PROCESSES, strokes.PIECE = 2, 5
print(*strokes.measure_strokes(open_dataset().test.first(10).images)["width"].round())
""")
    command = [sys.executable, str(tmp_path / "own.py")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0 and result.stdout.split()[0] == "begun", result.stderr
    assert len(result.stdout.split()) == 11


def test_a_picture_without_strokes_has_no_attributes():
    images = np.stack([np.zeros((1, 32, 32), np.uint8), bar(3, 24)])
    found = np.array(list(measure_piece(images).values()))
    assert np.isnan(found[:, 0]).all() and np.isfinite(found[:, 1]).all()


@pytest.mark.parametrize("train, count", [(True, 60_000), (False, 10_000)])
def test_the_tables_are_what_is_measured(train, count):
    part = MNIST.train if train else MNIST.test
    found = measure_strokes(part.images[:200])
    assert set(part.values) == set(found) == set(MEASURES)
    for name, values in part.values.items():
        assert values.shape == (count,) and np.isfinite(values).all()
        np.testing.assert_allclose(values[:200], found[name], rtol=1e-3, atol=1e-4)
    assert sum(path.stat().st_size for path in dataset.TABLES.glob(f"{MNIST.spec.digest}-*.safetensors")) < 1_000_000


def test_other_data_is_measured_once_and_kept(few, tmp_path, monkeypatch):
    monkeypatch.setattr(dataset, "TABLES", tmp_path / "measures")
    found, spec = open_dataset(few).measured(MEASURES).test.values, open_dataset(few).spec
    for name, values in MNIST.test.values.items():
        np.testing.assert_array_equal(found[name], values[:200])
    kept = tmp_path / "measures" / f"{spec.digest}-{VERSION}-32-crop-test.safetensors"  # wherever the data lies
    before = kept.stat().st_mtime_ns
    assert set(open_dataset(few).measured(MEASURES).test.values) == set(MEASURES)
    assert kept.stat().st_mtime_ns == before


def test_strokes_are_measured_in_grey_and_light_on_dark(birds, few, tmp_path):
    dark = shutil.copytree(few, tmp_path / "dark")
    for path in dark.glob("*images*"):
        content = gzip.decompress(path.read_bytes())
        path.write_bytes(gzip.compress(content[:16] + bytes(255 - byte for byte in content[16:])))
    for place in (birds, dark):
        with pytest.raises(UserError, match=f"{place} is not grey with light strokes on dark: leave out"):
            open_dataset(place).measured(("width",))


ROW = (2, 4, 6, 8, 18, 20, 22)
TWO = {
    "slant": Measure(unit="degrees", rows=((-30, -20, -10, 5, 30, 40, 50),) * 11),
    "width": Measure(unit="pixels", rows=((1, 2, 3, 4, 9, 10, 11), *(ROW,) * 10)),
}  # fmt: skip


def spec_with(measures):
    """A Spec of ten classes with these measures."""
    return Spec(name="ten", shape=(1, 32, 32), classes=tuple("0123456789"), measures=measures, digest="0" * 16)


def test_conditions():
    spec = spec_with(TWO)
    y = spec.conditions(np.array([7, 0, 3]), {"width": np.array([8, 18, NAN])})
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, [[7, NAN, 0], [0, NAN, 10 / 6], [3, NAN, NAN]])
    np.testing.assert_allclose(spec.conditions(np.array([1]), {"slant": -15.0}), [[1, -1, NAN]])
    assert spec_with({}).conditions(np.arange(3)).tolist() == [[0], [1], [2]]
    assert TWO["width"].at(98, 0) == 10 and TWO["width"].at(98) == TWO["width"].at(98, label=7) == 20
    labels, values = np.array([0, 1] * 5000), np.arange(10_000) * np.array([1.0, -1.0] * 5000)
    found = measured("degrees", values, labels, classes=2).rows
    assert np.shape(found) == (3, len(PERCENTILES))
    np.testing.assert_allclose(found[0], 99.98 * np.array(PERCENTILES), rtol=0.01)
    assert found[1][0] < -9800 and found[2][3] == pytest.approx(0, abs=2)


def test_a_measure_that_does_not_vary_or_that_some_images_do_not_have():
    """Conditions are finite wherever there is a value, percentiles everywhere; and the Spec survives JSON."""
    labels = np.repeat(np.arange(3), 100)
    constant, some, nearly = np.full(300, 7.5), np.where(labels == 1, NAN, np.arange(300.0)), np.full(300, 2.0)
    nearly[0] = 9  # one image alone: nothing between the 5th and the 95th percentile
    values = {"thickness": constant, "slant": some, "width": nearly}
    measures = {name: measured(MEASURES[name].unit, x, labels, classes=10) for name, x in values.items()}
    assert measured("pixels", np.full(300, NAN), labels, classes=10) is None
    spec = spec_with(measures)
    y = spec.conditions(labels, values)
    np.testing.assert_array_equal(np.isfinite(y), np.isfinite(np.column_stack([labels, *values.values()])))
    assert (y[:, 1] == 0).all() and y[0, 3] == 7 and (y[1:, 3] == 0).all()
    assert measures["slant"].rows[1] == measures["slant"].rows[3] == measures["slant"].rows[-1]  # a class without any
    for measure_of in measures.values():
        assert np.shape(measure_of.rows) == (11, len(PERCENTILES)) and np.isfinite(measure_of.rows).all()
        assert np.isfinite(measure_of.standardized([measure_of.at(50, label) for label in range(10)])).all()
    assert Spec(**json.loads(json.dumps(to_jsonable_python(spec)))) == spec


@pytest.mark.parametrize("rows, kept", [(("thickness", "slant", "width"), []), (("slant",), ["thickness", "width"])])
def test_a_measure_that_no_image_has_is_left_out(few, monkeypatch, rows, kept):
    """Of blank pictures none is left, and none is asked for."""
    table = {name: np.full(400, NAN if name in rows else 3.0, np.float32) for name in MEASURES}
    monkeypatch.setattr(dataset, "load_table", lambda split: table)
    with pytest.raises(UserError, match=rf"--measures {rows[0]}: no training image of .* has a value of it"):
        open_dataset(few).measured(MEASURES)
    monkeypatch.setattr(dataset, "MNIST", open_dataset(few).spec.digest)  # all its measures, none of them named
    data = open_dataset(few).measured()
    assert list(data.spec.measures) == kept
    assert data.train.conditions.shape == (400, 1 + len(kept)) and np.isfinite(data.train.conditions).all()


def test_conditions_dropped_in_training():
    """The class with its probability; of measures all in half, else as often 3 to 0; a part sees its own."""
    y = np.arange(4 * 40_000, dtype=np.float32).reshape(-1, 4)
    dropped = StepNoise(3, 5, len(y)).drop(y, 0.15)
    kept = np.isfinite(dropped)
    np.testing.assert_array_equal(dropped[kept], y[kept])
    assert 1 - kept[:, 0].mean() == pytest.approx(0.15, abs=0.01)
    np.testing.assert_allclose(np.bincount(kept[:, 1:].sum(axis=1)) / len(y), [0.625, 0.125, 0.125, 0.125], atol=0.01)
    np.testing.assert_allclose(kept[:, 1:].mean(axis=0), 0.25, atol=0.01)
    assert abs(np.corrcoef(kept[:, 0], kept[:, 1])[0, 1]) < 0.02
    part = slice(100, 200)
    np.testing.assert_array_equal(StepNoise(3, 5, len(y), part).drop(y[part], 0.15), dropped[part])
    kept = np.isfinite(StepNoise(3, 5, len(y)).drop(y, 0, complete=1 / 3))  # in distillation
    assert kept[:, 0].all()
    np.testing.assert_allclose(np.bincount(kept[:, 1:].sum(axis=1)) / len(y), [5/12, 1/12, 1/12, 5/12], atol=0.01)


@pytest.mark.parametrize("prompt, asked", [
    ("a thick 7 leaning right", {"thickness": 95, "label": 7, "slant": 95}),
    ("Upright, wide THREE.", {"slant": None, "width": 95, "label": 3}),
    ("leaning left and thin", {"slant": 5, "thickness": 5}),
    ("向右倾的粗7", {"slant": 95, "thickness": 95, "label": 7}),
    ("一个窄而细的八", {"width": 5, "thickness": 5, "label": 8}),
    ("一个一", {"label": 1}),
    ("a thick, thick 5", {"thickness": 95, "label": 5}),
    ("", {}),
])  # fmt: skip
def test_prompts(prompt, asked):
    assert parse(prompt, MNIST.spec) == asked


@pytest.mark.parametrize("prompt, words", [
    ("a fat 7", ['"fat" is unknown']),
    ("thickness", ['"thickness" is unknown']),
    ("seventh", ['"seventh" is unknown']),
    ("圆的7", ["圆的7"]),
    ("a thin, thick 3", ['"thin" and "thick" contradict']),
    ("upright 4 leaning left", ['"upright" and "leaning left" contradict']),
    ("3 or 4", ['"or" is unknown']),
    ("77", ['"77" is unknown']),
])  # fmt: skip
def test_prompts_that_make_no_sense(prompt, words):
    with pytest.raises(UserError) as caught:
        parse(prompt, MNIST.spec)
    known = ("leaning right", "右倾", "the classes 0, 1, 2, 3, 4, 5, 6, 7, 8, 9")
    for word in (*words, *(["leave one out"] if "contradict" in words[0] else known)):
        assert word in str(caught.value)


def test_every_word_is_understood():
    for word, (name, value) in vocabulary(MNIST.spec).items():
        assert parse(word, MNIST.spec) == {name: value}
    assert parse(" ".join(FILLERS), MNIST.spec) == {}


OWN = Spec(
    name="own", shape=(3, 32, 32), digest="0" * 16,
    classes=("a", "Night heron", "heron", "T-shirt/top", "12", "B", "b"),
    measures=dict.fromkeys(("Age", "width"), Measure(unit="", rows=(tuple(map(float, range(7))),) * 8)),
)  # fmt: skip


@pytest.mark.parametrize("prompt, asked", [
    ("a night  heron of high age", {"label": 1, "Age": 95}), ("the HERON", {"label": 2}), ("t-shirt/top", {"label": 3}),
    ("a wide 12, low age", {"label": 4, "width": 95, "Age": 5}), ("an a", {"label": 0}), ("a", {"label": 0}),
])  # fmt: skip
def test_prompts_of_other_classes_and_measures(prompt, asked):
    """Names in any case; "a" is a filler, and a class where no other is named."""
    assert parse(prompt, OWN) == asked


@pytest.mark.parametrize("prompt, word", [
    ("herons", "herons"), ("age", "age"), ("seven", "seven"), ("a b", "b"), ("1", "1"),
])  # fmt: skip
def test_prompts_that_other_data_does_not_know(prompt, word):
    """Nor a name that two classes have, but for the case."""
    with pytest.raises(UserError, match=f'"{word}" is unknown: use narrow, .*, high age, and the classes a, Night'):
        parse(prompt, OWN)
    with pytest.raises(UserError, match='"heron" and "night heron" contradict'):
        parse("heron, night heron", OWN)
    with pytest.raises(UserError, match='"herons" is unknown: use the classes a, Night'):
        parse("herons", replace(OWN, measures={}))  # no word for what the model did not learn


def test_following():
    """Digits that follow with noise of a third of the spread, of which one attribute pulls another along."""
    rng = np.random.default_rng(0)
    asked = dict(zip(MEASURES, rng.standard_normal((3, 50_000)) * [[0.8], [15], [4]] + [[3], [6], [14]]))
    labels = rng.integers(0, 10, 50_000)
    noise = dict(zip(MEASURES, rng.standard_normal((3, 50_000))))
    found = {
        "thickness": asked["thickness"] + 0.8 / 3 * noise["thickness"],
        "slant": asked["slant"].copy(),
        "width": asked["width"] + 0.2 * (asked["slant"] - 6) + 4 * noise["width"],
    }
    found = following(labels, asked, found)
    assert found["r"]["thickness"] == pytest.approx(1 / np.sqrt(1 + 1 / 9), abs=0.01)
    assert found["r"]["slant"] == pytest.approx(1) and found["error"]["slant"] == 0
    assert found["error"]["thickness"] == pytest.approx(np.sqrt(2 / np.pi) / 3, abs=0.01)
    np.testing.assert_allclose(np.diag(found["partial"]), [0.949, 1, np.sqrt(0.5)], atol=0.01)
    assert found["partial"][1][2] == pytest.approx(3 / 5, abs=0.01)  # by the slant, beside a noise of 4
    assert abs(found["partial"][2][1]) < 0.02 and abs(found["partial"][0][2]) < 0.02


def test_following_with_values_that_are_missing():
    """Each measure is scored by the images that have it, and their interplay if enough images have all."""
    rng = np.random.default_rng(0)
    labels, asked = np.zeros(100, np.int64), {"age": rng.standard_normal(100), "angle": rng.standard_normal(100)}
    found = {name: 2 * values for name, values in asked.items()}
    asked["age"][:50] = asked["angle"][50:] = np.nan
    found = following(labels, asked, found)
    assert found["r"] == pytest.approx({"age": 1, "angle": 1}) and found["partial"] == []
    assert found["error"]["age"] == pytest.approx(np.sqrt(2 / np.pi), abs=0.1)
    print_control({**found, "accuracy": None, "ceiling": found, "shuffled": found}, [])
    assert following(labels, {}, {}) == {"r": {}, "error": {}, "partial": []}
    noise = {name: rng.standard_normal(100) for name in asked}  # of 90 classes: 8 values would be left of 100
    assert following(np.arange(100) % 90, noise, noise)["partial"] == []


def test_requests_are_the_test_digits():
    test = open_dataset().measured(("width", "slant")).test
    labels, asked = requests(10_050, test)
    np.testing.assert_array_equal(labels, np.concatenate([test.labels, test.labels[:50]]))
    assert list(asked) == ["width", "slant"]
    np.testing.assert_array_equal(asked["slant"][10_000:], MNIST.test.values["slant"][:50])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A small pixel model with attributes, from a few steps."""
    folder = tmp_path_factory.mktemp("trained") / "ddpm"
    steps = ("--limit", 640, "--epochs", 2, "--warmup", 0)
    result = run_script("pytorch", "train_mnist.py", *SMALL, *steps, "--out", folder)
    assert result.returncode == 0, result.stderr
    return folder


def test_a_checkpoint_remembers_the_percentiles_of_its_measures(trained):
    """Of the whole training part, for any --limit."""
    checkpoint, part = load_checkpoint(trained), MNIST.train
    assert list(checkpoint.spec.measures) == list(MEASURES) and checkpoint.options.measures is None
    for name, found in checkpoint.spec.measures.items():
        assert found == measured(MEASURES[name].unit, part.values[name], part.labels, classes=10)


@pytest.mark.parametrize("name", quick_in("jittor"))
def test_drawing_what_is_asked_for(trained, tmp_path, name):
    measures = load_checkpoint(trained).spec.measures
    values = measures["thickness"].at(95, 7), measures["slant"].at(5, 7)
    asked = {
        "unusual": ("--digit", 7, "--thickness", 40, "--slant", -20.5), "words": ("--prompt", "thick 7 leaning left"),
        "numbers": ("--label", 7, "--thickness", values[0], "--ask", f"slant={values[1]}"),
        "threes": ("--label", 3, "--thickness", values[0], "--ask", f"slant={values[1]}"),
    }  # fmt: skip
    arguments = ("tst_mnist.py", "--checkpoint", trained, "--num", 20, "--steps", 2)
    result = run_scripts(name, *((*arguments, *options, "--out", tmp_path / out) for out, options in asked.items()))
    assert result.returncode == 0 and "warning: thickness 40 is" in result.stderr, result.stderr
    assert result.stderr.count("warning") == 1
    assert_picture(tmp_path / "unusual" / "sweep.png", (684, 1644))
    unusual, words, numbers, threes = ((tmp_path / out / "samples.png").read_bytes() for out in asked)
    assert unusual != words == numbers != threes


def test_edits_are_drawn_under_the_conditions_given():
    """The class and the measures that are asked for, else the picture's own class."""
    model, seen = Model(None, None, None, None, MNIST.spec, TrainLDM()), []
    images, labels = MNIST.test.images[:2], MNIST.test.labels[:2].astype(np.float32)

    def draw(x, seed, indices, y):
        seen.append(y)
        return np.zeros(x.shape, np.float32)

    for ask in (Ask(label="3", thickness=4.0), Ask()):
        edited(model, draw, images, labels, Vary(drawing=EditSampling(num=2), ask=ask))
    np.testing.assert_array_equal(seen[0], model.conditions(np.full(4, 3), {"thickness": 4.0}))
    np.testing.assert_array_equal(seen[1], model.conditions(np.repeat(labels, 2)))


@pytest.mark.parametrize("ask, told", [
    (Ask(prompt="a 7", label="3"), "--prompt and another option both set the label"),
    (Ask(ask={"width": 9.0}, width=9.0), "--ask and another option both set the width"),
    (Ask(prompt="a fat 7"), '"fat" is unknown'),
])  # fmt: skip
def test_what_cannot_be_asked_for(ask, told):
    with pytest.raises(UserError, match=told):
        chosen_conditions(SimpleNamespace(spec=MNIST.spec), ask)


def test_label_dropout_reaches_training(tmp_path):
    """Without classes the network learns otherwise, from the second step on, when its last layer is no longer zero."""
    steps = ("--limit", 24, "--batch-size", 8, "--epochs", 1, "--warmup", 0, "--measures", "--precision", "fp32")
    run = lambda rate: ("train_mnist.py", *steps, *SMALL, "--label-dropout", rate, "--out", tmp_path / str(rate))
    assert run_scripts("pytorch", run(0), run(1)).returncode == 0
    never, always = (read_metrics(tmp_path / rate)["loss"] for rate in ("0", "1"))
    assert never[0] == always[0] and never[2] != always[2]


def test_real_digits_follow_their_own_measures(trees):
    """Those whose classes and measures --labels test asks for."""
    model = Model(trees["pytorch"].cpu, None, None, Pixels(MNIST.spec.shape), MNIST.spec, TrainLDM())
    found = control(model, MNIST.test.images[:300], MNIST, 100)
    assert found["accuracy"] > 0.99 and found["r"] == pytest.approx(dict.fromkeys(MEASURES, 1), abs=1e-6)
    assert found["r"] == found["ceiling"]["r"]
    assert max(found["error"].values()) < 2e-3  # measures are kept in half precision
    y = conditions_to_draw(model, MNIST, Score(which=WhichDiffusion(base="ldm"), num=300, labels="test"))
    np.testing.assert_array_equal(y, model.conditions(*requests(300, MNIST.test)))


def test_control_is_measured(trained, tmp_path):
    result = run_script("pytorch", "tst_mnist_fid.py", "--checkpoint", trained, "--num", 120, "--labels", "test",
                        "--steps", 2, "--no-fid", "--out", tmp_path)  # fmt: skip
    assert result.returncode == 0, result.stderr
    found = json.loads((tmp_path / "result.json").read_text())["control"]
    assert set(found["r"]) == set(found["error"]) == set(MEASURES) and np.shape(found["partial"]) == (3, 3)
    assert min(found["ceiling"]["r"].values()) > 0.999 and max(found["ceiling"]["error"].values()) < 0.01
    assert all(abs(value) < 0.4 for value in found["shuffled"]["r"].values())
    for word in ("class accuracy", *MEASURES):
        assert word in result.stdout


def test_a_model_without_attributes_says_so(untrained, tmp_path):
    """And draws what it can."""
    checkpoint = untrained / "ldm.safetensors"
    arguments = ("--checkpoint", checkpoint, "--steps", 2, "--out", tmp_path)
    model = SimpleNamespace(spec=open_dataset().spec, checkpoint=SimpleNamespace(path=checkpoint))
    for ask in (Ask(width=12.0), Ask(prompt="a wide 3")):
        with pytest.raises(UserError, match=f"{checkpoint} did not learn width: leave it out"):
            chosen_conditions(model, ask)
    result = run_script("jittor", "tst_mnist_ldm_fid.py", *arguments, "--num", 20, "--labels", "test")
    assert_user_error(result, checkpoint, "did not learn measures", "--labels test")
    result = run_script("jittor", "tst_mnist_ldm.py", *arguments, "--prompt", "a 3")
    assert result.returncode == 0 and not (tmp_path / "sweep.png").exists()

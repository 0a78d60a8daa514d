"""tst_*_fid: the images that they leave, whatever interrupts them, and the report that is made of their results."""
import gzip
import hashlib
import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tyro
from conftest import (
    FP32,
    assert_user_error,
    begin_script,
    lend_classifiers,
    of_data,
    quick_in,
    run_on_disk,
    run_script,
    wait_for,
)
from PIL import Image
from pydantic_core import to_jsonable_python

from common.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from common.data.dataset import open_dataset
from common.diffusion.model import Model
from common.errors import UserError
from common.images import read_images, write_images
from common.machine import multiplies_bf16
from common.options.networks import SamplerConfig, VAEConfig
from common.options.recipes import DistillLDM, TrainDDPM, TrainLDM, TrainVAE
from common.options.sampling import Drawing, Sample, SamplerOptions, Score, WhichDiffusion
from publish import report
from publish import results as gathered
from scoring.classifiers import NAMES
from scoring.score import claim, conditions_to_draw, draw_fake, score, settings

FAST = ("--no-fid", "--num", 40, "--batch-size", 8, "--steps", 2)
MNIST = open_dataset()


@pytest.fixture(scope="module")
def turned(few, tmp_path_factory):
    """Another data set: the digits of `few` upside down, and in reverse order."""
    folder = tmp_path_factory.mktemp("turned")
    for path in few.glob("*.gz"):
        content, header = gzip.decompress(path.read_bytes()), 16 if "images" in path.name else 8
        (folder / path.name).write_bytes(gzip.compress(content[:header] + content[header:][::-1]))
    lend_classifiers(folder)
    return folder


@pytest.fixture(scope="module")
def learned_turned(untrained, trees, turned, tmp_path_factory):
    """The untrained checkpoints, and a VAE's, as if they had learned `turned`."""
    folder, tree, config = tmp_path_factory.mktemp("learned_turned"), trees["pytorch"], VAEConfig(base_channels=8)
    weights = tree.cpu.arrays(tree.vae.VAE(config, MNIST.spec.shape))
    tensors = {f"model.{name}": array for name, array in weights.items()}
    save_checkpoint(folder / "vae.safetensors", Checkpoint(TrainVAE(vae=config), open_dataset(turned).spec, tensors))
    return of_data(turned, untrained, folder)


@pytest.mark.parametrize("name, script, kind", [
    ("pytorch", "tst_mnist_fid.py", "ddpm"), ("jittor", "tst_mnist_ldm_fid.py", "ldm"),
    pytest.param("jittor", "tst_mnist_fid.py", "ddpm", marks=pytest.mark.slow),
    pytest.param("pytorch", "tst_mnist_ldm_fid.py", "ldm", marks=pytest.mark.slow),
])  # fmt: skip
def test_draws_exports_and_scores(learned_few, few, tmp_path, name, script, kind):
    checkpoint = learned_few / f"{kind}.safetensors"
    result = run_script(name, script, *FAST, "--checkpoint", checkpoint, "--out", tmp_path, "--seed", 3)
    assert result.returncode == 0, result.stderr
    shape = MNIST.spec.shape
    np.testing.assert_array_equal(read_images(tmp_path / "real", shape), open_dataset(few).test.sample(40))
    assert read_images(tmp_path / "fake", shape).std() > 5
    found = json.loads((tmp_path / "result.json").read_text())
    told = {"tree": name, "model": kind, "num": 40, "sampler": "dpmpp_2m", "steps": 2, "seed": 3, "drawn": 40}
    assert told.items() <= found.items()
    assert found["labels"] == "train" and set(found["fd"]) == set(found["floor"]["fd"]) == set(NAMES)
    assert found["floor"]["counts"] == [40, 40] and len(found["spectrum"]) == len(found["floor"]["spectrum"]) == 5
    for told in ("FD / floor ", "40 against 40 test images; the floor: 40 against 40", "in pieces"):
        assert told in result.stdout and "MNIST-FD" not in result.stdout
    for measured in ("over_floor", "seconds", "images_per_second", "warm_up_seconds", "png_seconds", "threads"):
        assert found[measured] > 0, measured
    for named in ("device", "hardware", "dtype", "framework", "checkpoint", "date"):
        assert found[named], named
    if found["device"] == "cpu":
        assert found["dtype"] == ("bf16" if multiplies_bf16() else "fp32")
    assert found["fid"] is None and found["fid_note"] and found["data"] == open_dataset(few).spec.digest


SCRIPTS = [  # tree, script, model, what it writes of the data, and the image that this begins with
    ("jittor", "tst_mnist_fid.py", "ddpm", ("--no-fid", "--num", 12, "--steps", 1), "real/00000.png"),
    ("pytorch", "edit_mnist.py vary --pixels", "ddpm", ("--num", 1, "--steps", 1, "--index", 7), "vary.png"),
    ("pytorch", "edit_mnist.py repaint", "ldm", ("--num", 1, "--steps", 1, "--resample", 1), "repaint.png"),
    ("jittor", "tst_mnist_vae.py", "vae", ("--num", 10), "reconstructions.png"),
]


@pytest.mark.parametrize("name, script, kind, arguments, written", SCRIPTS)
def test_a_model_s_own_data_is_used(learned_turned, few, turned, tmp_path, name, script, kind, arguments, written):
    """By its source, without --data; other data is refused."""
    script, *words = script.split()
    arguments = (*words, *arguments, "--checkpoint", learned_turned / f"{kind}.safetensors", "--out", tmp_path)
    result = run_script(name, script, *arguments)
    assert result.returncode == 0, result.stderr
    test = open_dataset(turned).test
    first = test.images[7 if "--index" in arguments else 0]
    with Image.open(tmp_path / written) as opened:
        picture = np.asarray(opened)
    picture = picture if written.startswith("real") else picture[4:68:2, 4:68:2]  # of a grid, enlarged
    np.testing.assert_array_equal(picture, (test.sample(12) if written.startswith("real") else first[None])[0, 0])
    other, own = (open_dataset(folder).spec.digest for folder in (few, turned))
    assert_user_error(run_script(name, script, *arguments, "--data", few), few, other, own, "--data")


@pytest.mark.parametrize("name, script, kind", [
    ("pytorch", "tst_mnist.py", "ddpm"), ("jittor", "tst_mnist_ldm_fid.py", "ldm"),
    ("pytorch", "edit_mnist.py vary", "ldm"),
])  # fmt: skip
def test_a_class_that_the_model_does_not_have(untrained, tmp_path, name, script, kind):
    """One line, and nothing is written."""
    script, *words = script.split()
    arguments = (*words, "--checkpoint", untrained / f"{kind}.safetensors", "--out", tmp_path / "out", "--label", 10)
    result = run_script(name, script, *arguments)
    assert_user_error(result, "--label 10: mnist has the classes 0, 1, 2, 3, 4, 5, 6, 7, 8, 9")
    assert not list(tmp_path.rglob("*.*"))


def test_labels_are_drawn_as_often_as_in_the_training_set():
    """A function of (seed, image), for any data set; or even, or the one class that is asked for."""
    model = Model(None, None, None, None, MNIST.spec, TrainLDM())

    def labels_to_draw(seed=0, base="ldm", **options):
        options = Score(which=WhichDiffusion(base=base), drawing=Drawing(seed=seed), **options)
        return conditions_to_draw(model, MNIST, options)[:, 0].astype(int)

    labels = labels_to_draw(seed=7, num=20_000)
    frequencies = np.bincount(MNIST.train.labels) / 60_000
    spread = np.sqrt(frequencies * (1 - frequencies) / 20_000)
    assert (np.abs(np.bincount(labels) / 20_000 - frequencies) < 4 * spread).all()
    np.testing.assert_array_equal(labels_to_draw(seed=7, base="ddpm", num=60)[50:], labels[50:60])
    assert (labels_to_draw(seed=8, num=150)[50:] != labels[50:150]).any()
    np.testing.assert_array_equal(labels_to_draw(labels="even", num=15)[5:], np.arange(5, 15) % 10)
    np.testing.assert_array_equal(labels_to_draw(label="4", num=3), [4, 4, 4])


def test_seconds_are_those_of_all_batches(tmp_path, monkeypatch):
    """By a clock that goes on by 1 second in a step and 100 in writing: without a warm-up of 3 steps, and PNGs."""
    clock = SimpleNamespace(now=0.0, perf_counter=lambda: clock.now)
    monkeypatch.setattr("scoring.score.time", clock)

    def sample(sampler, seed, batch, y):
        clock.now += sampler.steps
        return np.zeros((len(batch), *MNIST.spec.shape), np.float32)

    def write(folder, batch, images):
        clock.now += 100

    monkeypatch.setattr("scoring.score.write_images", write)
    device = SimpleNamespace(process_index=0, num_processes=1, is_main_process=True, wait_for_everyone=lambda: None)
    options = SimpleNamespace(num=25, drawing=Drawing(batch_size=10))
    model = SimpleNamespace(device=device, sample=sample)
    spent = draw_fake(model, SamplerConfig(steps=7), options, tmp_path, np.zeros((25, 1)))
    assert spent == {"drawn": 25, "seconds": 21, "warm_up_seconds": 3, "png_seconds": 300, "processes": 1}


def test_one_class_is_compared_with_itself(learned_few, few, trees, tmp_path, monkeypatch):
    """With --label 3 only threes are drawn, and compared with real threes alone."""
    asked = {}

    def draw(model, sampler, options, folder, y):
        asked["labels"] = y[:, 0].tolist()
        write_images(folder, range(len(y)), np.zeros((len(y), *MNIST.spec.shape), np.uint8))
        return {"drawn": 0}

    monkeypatch.setattr("scoring.score.draw_fake", draw)
    monkeypatch.setattr("scoring.score.score_folders", lambda *arguments: asked.update(label=arguments[-1]) or {})
    model = trees["pytorch"].pipeline.load_model(learned_few / "ldm.safetensors", None, FP32)
    score(model, Score(which=WhichDiffusion(base="ldm", out=tmp_path), num=8, label="3"))
    assert asked == {"labels": [3] * 8, "label": 3}
    real, threes = read_images(tmp_path / "real", MNIST.spec.shape), open_dataset(few).test.sample(8, label=3)
    np.testing.assert_array_equal(real, threes)


@pytest.mark.parametrize("name", quick_in("jittor"))
def test_a_killed_run_goes_on_to_the_same_images(learned_few, tmp_path, name):
    arguments = (*FAST, "--num", 200, "--checkpoint", learned_few / "ldm.safetensors", "--out")
    assert run_script(name, "tst_mnist_ldm_fid.py", *arguments, tmp_path / "straight").returncode == 0
    killed = tmp_path / "killed"
    process = begin_script(name, "tst_mnist_ldm_fid.py", *arguments, killed)
    wait_for(process, killed / "fake" / "00019.png")
    process.send_signal(signal.SIGKILL)
    process.wait()
    there = len(list((killed / "fake").glob("*.png")))
    assert 20 <= there < 200
    result = run_script(name, "tst_mnist_ldm_fid.py", *arguments, killed)
    assert result.returncode == 0, result.stderr
    for path in (tmp_path / "straight" / "fake").iterdir():
        assert (killed / "fake" / path.name).read_bytes() == path.read_bytes()
    found = json.loads((killed / "result.json").read_text())
    assert 200 - there <= found["drawn"] < 200  # the time of the others is not known
    assert run_script(name, "tst_mnist_ldm_fid.py", *arguments, killed).returncode == 0
    again = json.loads((killed / "result.json").read_text())
    assert {**found, "date": again["date"]} == again  # scored anew, it keeps what drawing took
    (killed / "result.json").unlink()  # as if scoring had been interrupted
    assert run_script(name, "tst_mnist_ldm_fid.py", *arguments, killed).returncode == 0
    assert json.loads((killed / "result.json").read_text()) == again
    (killed / "fake" / "mine.png").write_bytes((killed / "fake" / "00000.png").read_bytes())
    result = run_script(name, "tst_mnist_ldm_fid.py", *arguments, killed)
    assert_user_error(result, killed / "fake", "holds 201 PNGs, but 200 were written", "delete the others")
    with pytest.raises(UserError, match=r"images drawn with seed=0.*--out"):
        claim(killed, json.loads((killed / "settings.json").read_text()) | {"seed": 1})


def test_samples_of_other_conditions_are_not_kept(tmp_path):
    """Such as those of a measures.csv that was corrected meanwhile."""
    (tmp_path / "weights").write_text("")
    device = SimpleNamespace(tree=Path("pytorch"), describe=dict)
    checkpoint = SimpleNamespace(path=tmp_path / "weights", progress=SimpleNamespace(epoch=1, seconds=60))
    model = SimpleNamespace(device=device, checkpoint=checkpoint, recipe=TrainLDM(), spec=MNIST.spec)
    options = Score(which=WhichDiffusion(base="ldm"))
    first, second = (settings(model, SamplerConfig(), options, np.full((2, 4), x, "f4")) for x in (0.1, 0.2))
    claim(tmp_path, first).release()
    claim(tmp_path, first).release()
    with pytest.raises(UserError, match="holds images drawn with other conditions: delete it"):
        claim(tmp_path, second)


def test_pictures_of_unknown_origin_are_neither_scored_nor_overwritten(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "00000.png").write_bytes(b"mine")
    for _ in range(2):
        with pytest.raises(UserError, match=r"real holds pictures of unknown origin: choose another --out"):
            claim(tmp_path, {"seed": 1})
    assert (tmp_path / "real" / "00000.png").read_bytes() == b"mine"


@pytest.mark.parametrize("name", quick_in("pytorch"))
def test_a_full_disk(untrained, tmp_path, name):
    """One line, and what was written stays."""
    arguments = (*FAST, "--num", 400, "--checkpoint", untrained / "ldm.safetensors")
    result = run_on_disk(tmp_path, "size=100k", name, "tst_mnist_ldm_fid.py", *arguments)
    assert_user_error(result, "disk/out/fake/", "No space left on device", "free some space")
    assert len([line for line in result.stdout.split() if line.endswith(".png")]) >= 8
    assert ".tmp" not in result.stdout


@pytest.mark.parametrize("name", quick_in("pytorch"))
def test_an_unwritable_folder(untrained, tmp_path, name):
    (tmp_path / "file").write_text("")
    arguments = (*FAST, "--checkpoint", untrained / "ddpm.safetensors", "--out", tmp_path / "file" / "folder")
    assert_user_error(run_script(name, "tst_mnist_fid.py", *arguments), tmp_path / "file", "Not a directory")
    arguments = "score", "--checkpoint", untrained / "ldm.safetensors", *arguments[-2:]
    result = run_script(name, "edit_mnist.py", *arguments)  # at once, not after minutes of work
    assert_user_error(result, tmp_path / "file", "Not a directory")


OWN = [
    (TrainDDPM, SamplerConfig(name="dpmpp_2m", steps=10, shift=3.0, end=0.3, guidance=1.0, eta=0.0)),
    (TrainLDM, SamplerConfig(name="dpmpp_2m", steps=7, shift=2.0, end=0.3, guidance=1.0, eta=0.0)),
    (DistillLDM, SamplerConfig(name="consistency", steps=1, shift=3.0, guidance=1.0, eta=0.0)),
]


@pytest.mark.parametrize("recipe, own", OWN)
@pytest.mark.parametrize("cls", [Sample, Score])
def test_a_model_draws_by_its_own_sampler(recipe, own, cls):
    """What is named on the command line wins; the rest stays the model's own."""
    assert recipe().sampler == own
    default = cls(which=WhichDiffusion(base="ldm"))

    def chosen(named):
        arguments = [word for name, value in named.items() for word in (f"--{name}", str(value))]
        return tyro.cli(cls, default=default, args=arguments).sampler.over(own)

    options = tyro.cli(cls, default=default, args=[])
    assert vars(options.sampler) == dict.fromkeys(("sampler", "steps", "shift", "end", "guidance", "eta"))
    assert chosen({}) == own
    named = {"sampler": "ddpm", "steps": 50, "shift": 1.0, "end": 0.8, "guidance": 0.0}
    for name, value in named.items():
        assert chosen({name: value}) == replace(own, **{"name" if name == "sampler" else name: value})
    assert chosen(named) == SamplerConfig(name="ddpm", steps=50, shift=1.0, end=0.8, guidance=0.0)
    assert SamplerOptions(sampler="ddim", eta=0.25).over(own) == replace(own, name="ddim", eta=0.25)
    with pytest.raises(UserError, match="--eta works only with DDIM, not dpmpp_2m"):
        SamplerOptions(sampler="dpmpp_2m", eta=0.25).over(own)
    assert options.num == (100 if cls is Sample else 10_000)
    assert (options.ask if cls is Sample else options).label is None


@pytest.mark.parametrize("recipe, own", OWN)
def test_a_checkpoint_carries_its_sampler(tmp_path, recipe, own):
    """Saved and loaded with other steps than the recipe's. Guidance is for a model trained with the null label."""
    noisy = {} if recipe is DistillLDM else {"name": "ddim", "eta": 0.5}
    trained = replace(own, steps=4, shift=1.5, **noisy)
    vae = None if recipe is TrainDDPM else VAEConfig()
    save_checkpoint(tmp_path / "model.safetensors", Checkpoint(recipe(sampler=trained), MNIST.spec, {}, vae=vae))
    checkpoint = load_checkpoint(tmp_path / "model.safetensors")
    model = Model(None, None, None, None, checkpoint.spec, checkpoint.options, checkpoint)
    assert model.choose_sampler(SamplerOptions()) == trained
    assert model.choose_sampler(SamplerOptions(steps=7)) == replace(trained, steps=7)
    if recipe is DistillLDM:
        with pytest.raises(UserError, match=r"model\.safetensors was trained without label.*leave out --guidance"):
            model.choose_sampler(SamplerOptions(guidance=0.0))
    else:
        assert model.choose_sampler(SamplerOptions(guidance=0.0)) == replace(trained, guidance=0.0)
        without = replace(model, recipe=replace(model.recipe, label_dropout=0.0))
        with pytest.raises(UserError, match="leave out --guidance"):
            without.choose_sampler(SamplerOptions(guidance=2.0))


RESULT = {
    "tree": "pytorch", "model": "ldm", "sampler": "dpmpp_2m", "steps": 7, "shift": 2.0, "end": 0.3, "eta": 0,
    "guidance": 1, "label": None, "num": 10_000, "real": "test", "drawn": 10_000, "seconds": 21.04, "fid": None,
    "over_floor": 3.004, "precision": 0.9, "recall": 0.8, "fd": dict.fromkeys(NAMES, 0.3), "data": None,
    "device": "cpu", "spectrum": [0.01, -0.02, -0.1, -0.44, -0.67], "levels": 0.117, "pieces": 0.0263,
    "floor": {
        "precision": 0.95, "recall": 0.94, "fd": dict.fromkeys(NAMES, 0.1), "spectrum": [0.04, 0.01, 0.03, 0.02, 0.01],
        "levels": 0.004, "pieces": 0.02,
    },
    "labels": "train", "seed": 1, "hardware": "A CPU", "processes": 1, "threads": 2, "dtype": "bf16",
    "checkpoint": hashlib.sha256(b"weights").hexdigest()[:16],
}  # fmt: skip

OLDER = {name: value for name, value in RESULT.items() if name not in ("spectrum", "levels", "pieces")}
OLDER |= {"floor": {"fd": RESULT["floor"]["fd"]}}  # as an earlier version measured


SHIPPED = {"epochs": 40, "hours": 1.5, "hardware": "A CPU", "date": "2026-11-25"}
CONTROL = {
    "r": {"slant": 0.987, "thickness": 0.9701, "width": 0.99},
    "error": {"slant": 0.16, "thickness": 0.19, "width": 0.12},
    "partial": [[0.98, 0.01, -0.08], [0.03, 0.99, 0.02], [0.01, 0.02, 0.99]], "accuracy": 0.9931,
}  # fmt: skip
CONTROL["ceiling"] = {**CONTROL, "error": {"slant": 0.01, "thickness": 0.08, "width": 0.02}}


EDITS = {
    "tree": "jittor", "model": "ddpm", "checkpoint": RESULT["checkpoint"], "num": 200, "same_class_told": 0.97,
    "same_class_untold": 0.812, "completions_apart": 0.352, "test_digits_apart": 0.77, "inversion_error": 0.0408,
    "vae_error": 0.029, "largest_over_mean_step": 2.63,
}  # fmt: skip


def measured(speed, ratio=None):
    """A contestant's entry in bench.json."""
    spread = lambda median: {"median": median, "min": median / 2, "max": 2 * median}
    return {"speed": spread(speed), **({"ratio": spread(ratio)} if ratio else {})}


BENCH = {"hardware": "A CPU, 2 cores", "date": "2026-11-25", "rounds": 7, "precision": "bf16", "calls": 5}
BENCHES = {
    "peers": {**BENCH, "results": {
        "training": {"this repository": measured(231.4), "diffusers 0.42": measured(75, 2.96)},
        "sampling": {"this repository": measured(163), "diffusers 0.42": measured(61, 2.69)},
        "limits": {"matrix product of 4096": measured(394), "pixel UNet": measured(248, 0.63)},
    }},
    "frameworks": {**BENCH, "results": {"ddpm training": {"pytorch": measured(152), "jittor": measured(125, 0.81)}}},
    "page": {**BENCH, "results": {"twenty digits, 1 call": {"median": 123.4, "min": 114, "max": 140}}},
}  # fmt: skip


def test_report(tmp_path, monkeypatch):
    for module in (report, gathered):
        monkeypatch.setattr(module, "ROOT", tmp_path)
        monkeypatch.setattr(module, "ASSET", tmp_path / "asset")
    for name in ("README.md", "README.zh.md"):
        (tmp_path / name).write_text("above\n<!-- results -->\nold\n<!-- /results -->\nbelow\n")
    for tree, kind, recipe in (("pytorch", "ldm", TrainLDM()), ("jittor", "ddpm", TrainDDPM())):
        shipped = {**SHIPPED, "recipe": to_jsonable_python(recipe)}
        (tmp_path / tree / "weights").mkdir(parents=True)
        (tmp_path / tree / "weights" / f"{kind}.safetensors").write_text("weights")
        (tmp_path / tree / "weights" / f"{kind}.json").write_text(json.dumps(shipped))
    (tmp_path / "asset").mkdir()
    (tmp_path / "asset" / "bench.json").write_text(json.dumps(BENCHES))
    results = [
        RESULT, {**RESULT, "steps": 4, "drawn": 9_000, "seconds": 7.77}, {**RESULT, "num": 100, "sampler": "ddim"},
        {**RESULT, "tree": "jittor", "model": "ddpm", "steps": 10, "shift": 3.0, "end": 0.3, "fid": 3.217,
         "device": "cuda"},
        {**RESULT, "guidance": 1.5, "processes": 2}, {**RESULT, "guidance": 0},
        {**RESULT, "labels": "even", "dtype": "fp32", "fd": dict.fromkeys(NAMES, 0.4)},
        {**RESULT, "labels": "test", "control": CONTROL},
        {**RESULT, "sampler": "ddpm", "steps": 1000, "num": 1000, "drawn": 1000, "over_floor": 2.5},
        {**RESULT, "seed": 2, "over_floor": 2.75, "seconds": 1, "dtype": "fp32", "precision": 0.5},  # another machine's
        {**RESULT, "seed": 3, "over_floor": 4, "seconds": 20, "precision": 0.6},
        {**RESULT, "steps": 12},  # without the FID that it had
        {**RESULT, "steps": 5, "checkpoint": "a" * 16}, {**RESULT, "steps": 6, "model": "ldm-distilled"},  # left out
        {**RESULT, "steps": 8, "over_floor": 9.0},  # of one seed, for two
    ]  # fmt: skip
    with pytest.raises(UserError, match="no result of 10000 images"):
        report.main(report.Report(folders=(tmp_path,)))
    for i, result in enumerate(results):
        (tmp_path / "runs" / str(i)).mkdir(parents=True)
        (tmp_path / "runs" / str(i) / "result.json").write_text(json.dumps(result))
    others = {**EDITS, "checkpoint": "e" * 16, "vae_error": 9}, {**EDITS, "num": 20, "vae_error": 9}
    for i, edits in enumerate([EDITS, {**EDITS, "model": "ldm"}, *others]):
        (tmp_path / "runs" / str(i) / "edits.json").write_text(json.dumps(edits))
    before = {**RESULT, "over_floor": {"median": 3.0, "min": 2.9, "max": 3.1}, "seeds": [1, 2]}
    spread = {name: before[name] for name in ("over_floor", "seeds")}
    once = {**before, "steps": 9, "checkpoint": "d" * 16}, {**OLDER, **spread, "steps": 3, "checkpoint": "f" * 16}
    known = {**before, "steps": 12, "seeds": [1], "fid": 5.551}
    (tmp_path / "asset" / "edits").mkdir(exist_ok=True)
    (tmp_path / "asset" / "edits" / "jittor-ddpm-distilled.json").write_text(json.dumps(EDITS))  # its model is gone
    for result in ({**before, "steps": 8}, known, *once):  # those of 8 and 12 steps are still shipped
        (tmp_path / "asset" / "results" / f"pytorch-ldm-dpmpp_2m-{result['steps']}.json").write_text(json.dumps(result))
    report.main(report.Report(folders=(tmp_path / "runs",)))
    names = {"pytorch-ldm-dpmpp_2m-9-weightsdddddd.json", "pytorch-ldm-dpmpp_2m-8.json"}
    names |= {"pytorch-ldm-dpmpp_2m-7.json", "pytorch-ldm-dpmpp_2m-4.json", "jittor-ddpm-dpmpp_2m-10-cuda.json"}
    names |= {"pytorch-ldm-dpmpp_2m-7-guidance0.json", "pytorch-ldm-dpmpp_2m-7-guidance1.5.json"}
    names |= {"pytorch-ldm-ddpm-1000-num1000.json", "pytorch-ldm-dpmpp_2m-12.json"}
    names |= {"pytorch-ldm-dpmpp_2m-7-labelseven.json", "pytorch-ldm-dpmpp_2m-7-labelstest.json"}
    names |= {"pytorch-ldm-dpmpp_2m-3-weightsffffff.json"}
    assert set(os.listdir(tmp_path / "asset" / "results")) == names
    readme, tables = (tmp_path / "README.md").read_text(), (tmp_path / "asset" / "results.md").read_text()
    assert readme.startswith("above\n") and readme.endswith("below\n") and "\nold\n" not in readme
    row = "| LDM | PyTorch | DPM-Solver++, 7 | 20.0 | not measured | 3.00 (2.75-4.00) | 0.900 | 0.800 | A CPU, 2"
    assert row in tables and "| LDM, 7 | PyTorch | 20.0 | 3.00 (2.75-4.00) |\n" in readme
    assert readme.count("| LDM") == 1  # other settings are in the tables alone
    earlier = "| LDM | PyTorch | DPM-Solver++, 3, weights ffffff |"
    assert earlier in tables and earlier not in readme
    assert "DPM-Solver++, 9, weights dddddd |" in tables and "DPM-Solver++, 8 | 21.0 | not measured | 3.00 (2" in tables
    guided = "| LDM | PyTorch | DPM-Solver++, 7, guidance 1.5 |"
    assert guided in tables and guided not in readme
    assert "7, labels even, in fp32 | 20.0 |" in tables and "7, guidance 0 | 20.0 |" in tables  # as the fastest
    assert f"{guided} 21.0 |" in tables  # two calls a step
    fewer = "| LDM | PyTorch | ancestral, 1000, num 1000 | 21.0 | not measured | 2.50 | 0.900 |"
    assert fewer in tables and fewer not in readme
    assert "3.22" in tables and "32.66" in tables and "1597" in tables  # measured; published
    assert "DPM-Solver++, 12 | 21.0 | 5.55 |" in tables
    assert "A CPU, 4 threads in 2 processes" in tables
    assert "DPM-Solver++, 4 | not measured | not measured | 3.00 |" in tables  # an interrupted run has no time
    assert "7.8" not in tables and "DDIM" not in tables
    assert (tmp_path / "asset" / "quality.png").stat().st_size > 10_000
    assert "| this repository | 231 |  | 163 |  |" in tables
    assert "| diffusers 0.42 | 75 | 2.96 (1.48-5.92) | 61 | 2.69 (1.34-5.38) |" in tables
    assert "| pixel UNet | 248 | 0.63 (0.32-1.26) |" in tables and "| matrix product of 4096 | 394 |  |" in tables
    assert "| DDPM: training | 152 | 125 | 0.81 (0.41-1.62) |" in tables
    assert "| twenty digits, 1 call | 123 | 114 | 140 |" in tables
    assert "`python bench/peers.py`: A CPU, 2 cores, bf16, sampling by 5 calls, 7 rounds, 2026-11-25" in tables
    assert f"| {NAMES[0]} | {NAMES[1]} | 1.000 |" in tables
    assert "| pytorch-ldm-dpmpp_2m-7-labelseven | 4.00 | 4.00 | 4.00 |" in tables
    assert "| pytorch-ldm-dpmpp_2m-3-weightsffffff | 3.00 | 3.00 | 3.00 |" in tables
    texture = "+0.01 | -0.02 | -0.10 | -0.44 | -0.67 | 0.117 | 0.026 |"
    assert f"| LDM | PyTorch | DPM-Solver++, 7 | {texture}" in tables
    assert f"weights ffffff | {texture}" not in tables and (tmp_path / "asset" / "spectra.png").stat().st_size > 10_000
    assert "| LDM | PyTorch | DPM-Solver++, 7 | 0.970, 0.19 | 0.987, 0.16 | 0.990, 0.12 | 0.08 | 99.3 % |" in tables
    assert "| test digits, through the VAE | PyTorch |  | 0.970, 0.08 | 0.987, 0.01 | 0.990, 0.02 | 0.08 |  |" in tables
    assert "| DDPM | Jittor | 97.0 % | 81.2 % | 0.35 (0.77) | 0.041 (0.029) | 2.6 |" in tables
    assert (tmp_path / "README.zh.md").read_text() == readme  # the tables are in English in both

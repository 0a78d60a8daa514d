"""The scripts as a user runs them: real digits, processes of their own, the files they leave; their --help."""
import csv
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import (
    FP32,
    ROOT,
    TREES,
    assert_picture,
    assert_user_error,
    quick_in,
    read_metrics,
    run_script,
    run_scripts,
)
from PIL import Image

from common.checkpoint import load_checkpoint, save_checkpoint
from common.data.dataset import open_dataset
from common.diffusion.noise import SampleNoise
from common.diffusion.schedule import sampler_timesteps
from common.errors import UserError
from common.figure import loss_curve
from common.files import CHECKPOINT, digest, shipped_weights
from common.options.networks import DiffusionConfig
from common.options.recipes import TrainDDPM, Training, TrainLDM
from common.options.sampling import SamplerOptions
from common.training.clock import Progress
from common.training.run import Run
from publish import ship

SHORT = {
    "vae": ("train_mnist_vae.py", "--limit", 750, "--epochs", 3),
    "ldm": ("train_mnist_ldm.py", "--limit", 750, "--epochs", 5, "--unet.base-channels", 32),
    "ddpm": ("train_mnist.py", "--limit", 750, "--epochs", 3, "--unet.base-channels", 32),
}


@pytest.fixture(scope="module", params=TREES)
def trained(request, tmp_path_factory):
    """The three models after a short training each: their folder, and the outcome of the scripts."""
    folder = tmp_path_factory.mktemp(request.param)
    usual = ("--warmup", 10, "--batch-size", 64, "--preview-every", 2)
    own = {kind: ("--out", folder / kind) for kind in SHORT}
    own["ldm"] += ("--vae-checkpoint", folder / "vae")
    result = run_scripts(request.param, *((*command, *usual, *own[kind]) for kind, command in SHORT.items()))
    assert result.returncode == 0, result.stderr
    return SimpleNamespace(tree=request.param, folder=folder, result=result)


def news(result):
    """What a script wrote to stderr, but for Jittor's line on what it compiles for the first time."""
    return [line for line in result.stderr.splitlines() if line and not line.lstrip().startswith("Compiling Operators")]


def grid_shape(rows, columns):
    return (2 * (34 * rows + 2), 2 * (34 * columns + 2))


def model_told(result, path):
    """Whether a script has said, in one line of its own, that it draws with the model in this file."""
    return sum(line.startswith(f"model: {path} (") for line in result.stdout.splitlines()) == 1


def assert_spec_of_mnist(checkpoint):
    """It knows what it learned: the digest, the classes and the images' shape are the data's."""
    spec, data = checkpoint.spec, open_dataset().spec
    assert (spec.digest, spec.classes, spec.shape) == (data.digest, data.classes, data.shape)
    assert spec.classes == tuple("0123456789") and spec.shape == (1, 32, 32) and spec.source is None


# The mean loss of the last 8 steps over the first step's: measured 0.11 (VAE), 0.61 (LDM), 0.61 (DDPM).
@pytest.mark.parametrize("kind, ratio", [("vae", 0.2), ("ldm", 0.75), ("ddpm", 0.75)])
def test_loss_falls(trained, kind, ratio):
    metrics = read_metrics(trained.folder / kind)
    assert metrics["step"].tolist() == list(range(len(metrics["step"])))
    assert np.isfinite(metrics["loss"]).all()
    assert metrics["loss"][-8:].mean() < ratio * metrics["loss"][0]
    assert {"grad_norm", "learning_rate", "images_per_second", "epoch"} < set(metrics)


def test_vae_logs_its_parts(trained):
    metrics = read_metrics(trained.folder / "vae")
    weights = {"reconstruction": 1, "edges": 4, "detail": 1, "kl": 1e-4, "half_scale": 0.25}
    total = sum(weight * metrics[name] for name, weight in weights.items())
    np.testing.assert_allclose(metrics["loss"], total, rtol=1e-4)


@pytest.mark.parametrize("kind, rows", [("vae", 20), ("ldm", 10), ("ddpm", 10)])
def test_training_leaves_pictures_and_a_whole_checkpoint(trained, kind, rows):
    folder = trained.folder / kind
    pictures = sorted(folder.glob("epoch-*.png"))
    assert len(pictures) >= 2  # after two epochs, and at the end
    for path in pictures:
        assert_picture(path, grid_shape(rows, 10))
    assert_picture(folder / "loss.png")
    checkpoint = load_checkpoint(folder, kind)
    assert checkpoint.progress.step == len(read_metrics(folder)["step"])
    written = json.loads((folder / "options.json").read_text())
    assert written["training"]["epochs"] == checkpoint.options.training.epochs == SHORT[kind][4]
    assert not list(folder.glob("*.tmp"))
    assert_spec_of_mnist(checkpoint)


@pytest.mark.parametrize("trained", quick_in("pytorch"), indirect=True)
def test_a_latent_training_tells_its_vae_and_refuses_one_of_other_data(trained, few, tmp_path):
    vae = trained.folder / "vae"
    assert model_told(trained.result, vae / CHECKPOINT)
    arguments = ("--data", few, "--measures", "--vae-checkpoint", vae, "--out", tmp_path / "run")
    result = run_script(trained.tree, "train_mnist_ldm.py", *arguments)
    assert_user_error(result, f"{vae / CHECKPOINT} was trained on mnist", few, "--vae-checkpoint")
    assert len(news(result)) == 1 and not (tmp_path / "run" / CHECKPOINT).exists()


@pytest.mark.parametrize("script, kind, names", [
    ("tst_mnist.py", "ddpm", ["samples", "process"]),
    ("tst_mnist_vae.py", "vae", ["reconstructions", "prior"]),
    ("tst_mnist_ldm.py", "ldm", ["samples", "process"]),
])  # fmt: skip
def test_sampling_needs_the_checkpoint_alone(trained, few, tmp_path, script, kind, names):
    original, source = trained.folder / kind / CHECKPOINT, tmp_path / "moved.safetensors"
    original.rename(source)
    data = ()
    try:
        if kind == "vae":  # as if it had learned the few digits: 200 are reconstructed, not 10,000
            kept, data = load_checkpoint(source, kind), ("--data", few)
            save_checkpoint(source, replace(kept, spec=replace(kept.spec, digest=open_dataset(few).spec.digest)))
        result = run_script(trained.tree, script, "--checkpoint", source, "--out", tmp_path, "--num", 20, *data)
    finally:
        if kind == "vae":
            save_checkpoint(source, kept)
        source.rename(original)
    assert result.returncode == 0, result.stderr
    assert model_told(result, source)
    shapes = {
        "samples": grid_shape(2, 10), "process": grid_shape(8, {"ddpm": 10}.get(kind, 8)),  # at most 10
        "reconstructions": grid_shape(4, 10), "prior": grid_shape(2, 10),
    }  # fmt: skip
    for name in names:
        assert_picture(tmp_path / f"{name}.png", shapes[name])
        assert str(tmp_path / f"{name}.png") in result.stdout
    assert news(result) == []  # no warnings on the happy path


@pytest.mark.parametrize("arguments", [
    ["--sampler", "ddpm", "--steps", 20, "--guidance", 0],
    ["--sampler", "ddim", "--steps", 5, "--eta", 0.5, "--label", 7, "--guidance", 2.0],
])  # fmt: skip
def test_samplers_and_guidance(trained, tmp_path, arguments):
    folder = trained.folder / "ldm"
    # From inside the tree, with a relative script path, as the original was used.
    command = ("tst_mnist_ldm.py", "--checkpoint", folder, "--num", 10, "--process-rows", 2, *arguments, "--out")
    batches = (*command, tmp_path), (*command, tmp_path / "2", "--batch-size", 3)
    result = run_scripts(trained.tree, *batches, cwd=ROOT / trained.tree)
    assert result.returncode == 0, result.stderr
    assert_picture(tmp_path / "samples.png", grid_shape(1, 10))
    again = np.asarray(Image.open(tmp_path / "2" / "samples.png")).astype(int)
    assert np.abs(again - np.asarray(Image.open(tmp_path / "samples.png"))).max() <= 3  # whatever the batch


@pytest.mark.parametrize("trained", quick_in("jittor"), indirect=True)
def test_the_other_tree_draws_the_same(trained, tmp_path):
    """A checkpoint trained here, sampled there: the same pixels but for rounding."""
    pictures = []
    for tree in TREES:
        arguments = ("--checkpoint", trained.folder / "ldm", "--out", tmp_path / tree, "--num", 20, "--guidance", 2)
        result = run_script(tree, "tst_mnist_ldm.py", *arguments, "--precision", "fp32")
        assert result.returncode == 0, result.stderr
        names = ("samples", "process")
        pictures.append([np.asarray(Image.open(tmp_path / tree / f"{name}.png")).astype(int) for name in names])
    for a, b in zip(*pictures):
        assert a.std() > 5 and np.abs(a - b).max() <= 2


def test_distillation(trained, tmp_path):
    """The student starts as its teacher, both losses do their work, and it is drawn by one call."""
    kind, suffix = {"pytorch": ("ddpm", ""), "jittor": ("ldm", "_ldm")}[trained.tree]
    arguments = (
        "--limit", 250, "--epochs", 4, "--warmup", 2, "--batch-size", 50, "--consistency", 0.5,
        "--learning-rate", 1e-3,
    )  # fmt: skip
    teacher, student = ("--teacher", trained.folder / kind), ("--checkpoint", tmp_path)
    result = run_script(trained.tree, f"distill_mnist{suffix}.py", *teacher, *arguments, "--out", tmp_path)
    assert result.returncode == 0, result.stderr
    metrics = read_metrics(tmp_path)
    assert not metrics["discriminator"][:10].any()
    undecided, taught = metrics["discriminator"][10:12]  # log 2; after a step of its own
    assert undecided == pytest.approx(np.log(2), abs=0.1) and 0 < taught < 0.95 * undecided
    g_loss = metrics["loss"] - metrics["consistency"]
    assert not g_loss[:10].any() and (g_loss[10:] > 0).all() and g_loss[10:].mean() > 0.3
    checkpoint = load_checkpoint(tmp_path, kind)
    assert_spec_of_mnist(checkpoint)
    assert checkpoint.spec == load_checkpoint(trained.folder / kind).spec  # its measures too
    assert model_told(result, trained.folder / kind / CHECKPOINT)  # the teacher
    options = checkpoint.options
    assert options.kind == f"{kind}-distilled" and options.unet.base_channels == 32  # the teacher's
    assert options.teacher_digest == digest(trained.folder / kind / "checkpoint.safetensors")
    result = run_script(trained.tree, f"tst_mnist{suffix}.py", *student, "--out", tmp_path, "--num", 20)
    assert result.returncode == 0, result.stderr
    assert model_told(result, tmp_path / CHECKPOINT)
    assert_picture(tmp_path / "process.png", grid_shape(8, 2))  # the noise and one step
    out = tmp_path / "four-steps"
    result = run_script(trained.tree, f"tst_mnist{suffix}.py", *student, "--out", out, "--num", 20, "--steps", 4)
    assert result.returncode == 0, result.stderr
    assert_picture(out / "process.png", grid_shape(8, 5))
    one, four = (np.asarray(Image.open(folder / "samples.png")).astype(int) for folder in (tmp_path, out))
    assert np.abs(four - one).mean() > 5


@pytest.mark.parametrize("trained", quick_in("pytorch"), indirect=True)
def test_a_distillation_resumes_with_its_own_teacher_alone(trained, tmp_path):
    """The teacher may move; another model at its path, or the tree's own, is refused by the digest."""
    path, moved, out = tmp_path / "teacher.safetensors", tmp_path / "moved.safetensors", tmp_path / "student"
    shutil.copy(trained.folder / "ldm" / "checkpoint.safetensors", path)
    arguments = ("--limit", 512, "--batch-size", "None", "--warmup", 1, "--out", out)  # None: 256
    run = lambda *more: run_script(trained.tree, "distill_mnist_ldm.py", *arguments, *more)
    result = run("--teacher", path, "--epochs", 1)
    assert result.returncode == 0, result.stderr
    teacher, student = (load_checkpoint(path, "ldm") for path in (path, out))
    for name in [name for name in teacher.tensors if name.startswith("model.")]:  # two steps ago it was its teacher
        assert np.abs(student.tensors[name] - teacher.tensors[name]).max() < 1e-3, name
    path.rename(moved)
    result = run("--teacher", moved, "--epochs", 2, "--resume")
    assert result.returncode == 0, result.stderr
    assert load_checkpoint(out, "ldm").progress.step == 4
    teacher.tensors["model.unet.head.bias"] += 1
    save_checkpoint(path, teacher)
    before = (out / "checkpoint.safetensors").read_bytes()
    for named in (("--teacher", path), ()):
        result = run(*named, "--epochs", 3, "--resume")
        assert_user_error(result, out / "checkpoint.safetensors", "was distilled from another teacher", "--out")
        assert len(news(result)) == 1
    assert (out / "checkpoint.safetensors").read_bytes() == before


@pytest.mark.parametrize("trained", quick_in("jittor"), indirect=True)
def test_shipping(trained, tmp_path):
    """A finished run becomes half-precision weights that draw alike, with its recipe and a short loss curve."""
    runs = tmp_path / trained.tree / "runs"
    shutil.copytree(trained.folder / "ldm", runs / "ldm")
    ship.main(ship.Ship(runs=(runs / "ldm",)))
    weights = tmp_path / trained.tree / "weights"
    whole, half = runs / "ldm" / "checkpoint.safetensors", weights / "ldm.safetensors"
    assert half.stat().st_size < 0.25 * whole.stat().st_size
    recipe = json.loads((weights / "ldm.json").read_text())["recipe"]
    assert recipe["unet"]["base_channels"] == 32 and recipe["training"]["out"] == "ldm"  # no folder of this machine
    for other in (tmp_path / "own", runs / "ldm" / "checkpoint.safetensors"):
        with pytest.raises(UserError, match="is not a folder in a tree's runs/"):
            ship.main(ship.Ship(runs=(other,)))
    with pytest.raises(UserError, match="holds a ldm model: with --into give a run of train_mnist_vae"):
        ship.main(ship.Ship(runs=(runs / "ldm",), into=(half,)))
    spent = json.loads((weights / "ldm.json").read_text())
    begun = load_checkpoint(runs / "ldm")
    begun.options = replace(begun.options, training=replace(begun.options.training, init_from=half))
    for name, times in (("ldm", 2), ("other", 1)):  # of training that began with shipped weights, theirs counts too
        half.with_suffix(".json").rename(half.with_name(f"{name}.json"))
        assert ship.training_of(begun)["epochs"] == pytest.approx(times * spent["epochs"])
        assert ship.training_of(begun)["hours"] == pytest.approx(times * spent["hours"])
    shipped = {**spent, "before": {"epochs": 3.0, "hours": 1.0}, "recipe": ship.training_of(begun)["recipe"]}
    half.with_name("ldm.json").write_text(json.dumps(shipped))
    changed = {"epochs": 9, "resume": True, "learning_rate": 1e-4}
    begun.options = replace(begun.options, training=replace(begun.options.training, **changed))
    assert ship.training_of(begun)["epochs"] == pytest.approx(3 + spent["epochs"])  # trained further, and shipped again
    losses = read_metrics(runs / "ldm")["loss"]
    (weights / "ldm.csv").rename(weights / "metrics.csv")
    assert read_metrics(weights)["loss"].mean() == pytest.approx(losses.mean(), rel=0.01)
    pictures = []
    for source in (runs / "ldm", weights / "ldm.safetensors"):
        arguments = ("--checkpoint", source, "--out", tmp_path, "--num", 20, "--precision", "fp32")
        assert run_script(trained.tree, "tst_mnist_ldm.py", *arguments).returncode == 0
        pictures.append(np.asarray(Image.open(tmp_path / "samples.png")).astype(int))
    assert np.abs(pictures[0] - pictures[1]).mean() < 1
    checkpoint = load_checkpoint(runs / "ldm", "ldm")
    for epochs, minutes in ((None, None), (5, None), (None, 2.0), (5, 2.0)):
        training = replace(checkpoint.options.training, epochs=epochs, minutes=minutes)
        begun = replace(checkpoint, options=replace(checkpoint.options, training=training))
        begun.progress = Progress(step=37_499, epoch=1.0, seconds=119.0)  # of 2,400,000 images in batches of 64
        save_checkpoint(runs / "ldm" / "checkpoint.safetensors", begun)
        with pytest.raises(UserError, match="finish it with --resume"):
            ship.main(ship.Ship(runs=(runs / "ldm",)))
    for options, progress in ((begun.options, Progress(epoch=1.0, seconds=120.0)), (TrainLDM(), Progress(step=9375))):
        ended = replace(begun, options=replace(options, training=options.training.fitted((4, 8, 8))), progress=progress)
        save_checkpoint(runs / "ldm" / "checkpoint.safetensors", ended)
        ship.main(ship.Ship(runs=(runs / "ldm",)))


@pytest.mark.parametrize("trained", quick_in("pytorch"), indirect=True)
def test_user_errors(trained, trees, tmp_path):
    """One of them as a user meets it, those of a run's folder where they are found."""
    cut, ddpm, other = tmp_path / "cut.safetensors", trained.folder / "ddpm", tmp_path / "other"
    cut.write_bytes((trained.folder / "vae" / CHECKPOINT).read_bytes()[:-100])
    result = run_script(trained.tree, "train_mnist_ldm.py", "--vae-checkpoint", cut, "--out", tmp_path / "out")
    assert_user_error(result, cut, "train_mnist_vae.py")
    for training, told in (
        ({"out": ddpm}, f"{ddpm} holds a run: continue it with --resume, or choose another --out"),
        ({"out": other, "resume": True}, f"{other}.* does not exist, so there is nothing to resume"),
        ({"out": ddpm, "resume": True, "batch_size": 7}, "--batch-size 64"),
    ):
        with pytest.raises(UserError, match=told):
            Run(TrainDDPM(training=Training(**training)), open_dataset().spec, trees[trained.tree].cpu)


@pytest.mark.parametrize("kind", ["ddpm-distilled", "ldm-distilled"])
def test_a_distilled_model_draws_in_several_steps(tree, kind):
    """By algorithm 1 of Song et al. 2023, Consistency Models: what one call makes of noise is noised again, anew."""
    model = tree.pipeline.load_model(shipped_weights(tree.cpu.tree, kind), kind, FP32)
    sampler, indices = model.choose_sampler(SamplerOptions(steps=4)), np.arange(3)
    assert (sampler.name, sampler.steps, model.sampler.steps) == ("consistency", 4, 1)
    y, array = model.conditions(np.array([1, 4, 7])), model.device.array
    noise, alphas_cumprod = SampleNoise(5, indices, model.space.shape), model.diffusion.alphas_cumprod
    timesteps = sampler_timesteps(model.timesteps, sampler)
    with model.device.inference():
        states = [array(x_t) for x_t in model.trajectory(sampler, 5, indices, y)]
        again = [array(x_t) for x_t in model.trajectory(sampler, 5, indices, y)]
        (_, one) = [array(x_t) for x_t in model.trajectory(model.sampler, 5, indices, y)]
        denoise = model.diffusion.denoiser(model.network, model.device.tensor(y), 1.0)
        estimates = [array(denoise(model.device.tensor(x_t), t)) for x_t, t in zip(states, timesteps)]
    np.testing.assert_array_equal(states, again)
    np.testing.assert_array_equal(states[0], noise())
    for x_0, x_t, t in zip(estimates, states[1:], timesteps[1:4]):
        expected = alphas_cumprod[t] ** 0.5 * x_0 + (1 - alphas_cumprod[t]) ** 0.5 * noise()
        np.testing.assert_allclose(x_t, expected, atol=1e-4)
    np.testing.assert_allclose(states[4], estimates[3], atol=1e-4)
    np.testing.assert_allclose(one, estimates[0], atol=1e-4)  # one step: the first of them
    assert np.abs(states[4] - one).mean() > 0.01


@pytest.mark.slow
@pytest.mark.parametrize("name", TREES)
def test_minutes_of_distillation_pay(tmp_path, name):
    """One call draws far better digits after three minutes of each tree's own script, from its shipped weights."""
    result = run_script(name, "distill_mnist_ldm.py", "--minutes", 3, "--consistency", 0.2,
                        "--out", tmp_path / "run")  # fmt: skip
    assert result.returncode == 0, result.stderr
    distances = []
    for model in (("--sampler", "ddim", "--steps", 1), ("--checkpoint", tmp_path / "run")):
        out = tmp_path / f"scored-{len(distances)}"
        result = run_script(name, "tst_mnist_ldm_fid.py", *model, "--num", 1000, "--no-fid", "--out", out)
        assert result.returncode == 0, result.stderr
        distances.append(json.loads((out / "result.json").read_text())["over_floor"])
    assert distances[1] < 0.5 * distances[0]


def test_a_teacher_that_predicts_the_noise_is_refused(untrained, tmp_path):
    """The losses of distillation are of v."""
    teacher, out = load_checkpoint(untrained / "ddpm.safetensors"), tmp_path / "out"
    teacher.options = replace(teacher.options, diffusion=DiffusionConfig(prediction="epsilon"))
    save_checkpoint(tmp_path / "noise.safetensors", teacher)
    result = run_script("pytorch", "distill_mnist.py", "--teacher", tmp_path / "noise.safetensors", "--out", out)
    assert_user_error(result, tmp_path / "noise.safetensors", "does not predict v", "--diffusion.prediction v")
    assert not out.exists()


@pytest.mark.parametrize("losses", [2, 4])
def test_each_loss_is_a_curve(tmp_path, monkeypatch, losses):
    """Of a colour of its own, and the loss that is learned from first."""
    names = ["loss", "consistency", "reconstruction", "discriminator"][:losses]
    others = ["grad_norm", "learning_rate", "images_per_second"]
    with open(tmp_path / "metrics.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["step", "epoch", *names, *others])
        writer.writerows([step, step / 10, *np.arange(1, losses + 1) / (step + 1), 1, 1e-3, 99] for step in range(40))
    figures = []
    monkeypatch.setattr("common.figure.save_figure", lambda path, figure: figures.append(figure))
    loss_curve(tmp_path / "metrics.csv", tmp_path / "loss.png", "a run")
    (axes,) = figures[0].axes
    curves = [line for line in axes.lines if line.get_label() in names]
    assert [line.get_label() for line in curves] == [text.get_text() for text in axes.get_legend().get_texts()] == names
    assert len({line.get_color() for line in curves}) == losses
    ends = [line.get_ydata()[-1] for line in curves]
    assert len({*np.round(ends, 6)}) == losses and np.isfinite(ends).all()


LINES_OF_HELP = {  # at 80 columns
    "train_mnist": 115, "train_mnist_vae": 94, "train_mnist_ldm": 115, "distill_mnist": 79, "distill_mnist_ldm": 79,
    "tst_mnist": 58, "tst_mnist_ldm": 58, "tst_mnist_vae": 26, "tst_mnist_fid": 60, "tst_mnist_ldm_fid": 60,
    "edit_mnist": 16, "edit_mnist repaint": 53, "edit_mnist vary": 50, "edit_mnist morph": 28, "edit_mnist score": 26,
}  # fmt: skip


def test_help_is_short_and_loads_no_framework():
    """Of every script, in one process; the trees' scripts are the same: one of them is asked."""
    folder = ROOT / "pytorch" / "script"
    assert {script.split()[0] for script in LINES_OF_HELP} == {path.stem for path in folder.glob("*_mnist*.py")}
    code = f"""
import io, json, runpy, sys
from contextlib import redirect_stdout
sys.path.insert(0, {str(folder)!r})  # as python does for a script
told = {{}}
for script in {[*LINES_OF_HELP]}:
    name, *subcommand = script.split()
    sys.argv = [f"{folder}/{{name}}.py", *subcommand, "--help"]
    with redirect_stdout(io.TextIOWrapper(io.BytesIO(), "utf-8")) as said:
        try:
            runpy.run_path(sys.argv[0], run_name="__main__")
        except SystemExit as ended:
            assert not ended.code, script
    told[script] = said.buffer.getvalue().decode()
print(json.dumps([told, [name for name in ("torch", "jittor", "jittor_utils", "matplotlib") if name in sys.modules]]))
"""
    environment = {**os.environ, "COLUMNS": "80"}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert result.returncode == 0 and not result.stderr, result.stderr
    told, loaded = json.loads(result.stdout)
    assert loaded == []
    for script, lines in LINES_OF_HELP.items():
        assert "--help" in told[script] and len(told[script].splitlines()) <= lines, script

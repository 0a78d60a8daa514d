"""The scripts as a user runs them: real digits, processes of their own, the files they leave."""
import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import ROOT, TREES, assert_picture, assert_user_error, read_metrics, run_script
from PIL import Image

from common.checkpoint import Progress, load_checkpoint, save_checkpoint
from common.errors import UserError
from common.files import digest
from common.options.recipes import TrainDDPM
from common.options.sampling import SampleDDPM
from publish import ship

SHORT = {
    "vae": ("train_mnist_vae.py", "--limit", 1500, "--epochs", 3),
    "ldm": ("train_mnist_ldm.py", "--limit", 1500, "--epochs", 5, "--unet.base-channels", 32),
    "ddpm": ("train_mnist.py", "--limit", 1500, "--epochs", 3, "--unet.base-channels", 32),
}


@pytest.fixture(scope="module", params=TREES)
def trained(request, tmp_path_factory):
    """The three models after a short training each: its folder, and the outcome of its script."""
    folder, results = tmp_path_factory.mktemp(request.param), {}
    for kind, (script, *arguments) in SHORT.items():
        if kind == "ldm":
            arguments += ["--vae-checkpoint", folder / "vae"]
        arguments += ["--warmup", 10, "--batch-size", 128, "--out", folder / kind]
        results[kind] = run_script(request.param, script, *arguments)
        assert results[kind].returncode == 0, results[kind].stderr
    return SimpleNamespace(tree=request.param, folder=folder, results=results)


def news(result):
    """What a script wrote to stderr, but for Jittor's line on what it compiles for the first time."""
    return [line for line in result.stderr.splitlines() if line and not line.lstrip().startswith("Compiling Operators")]


def grid_shape(rows, columns):
    return (2 * (34 * rows + 2), 2 * (34 * columns + 2))


# The mean loss of the last 8 steps over the first step's: measured 0.03 (VAE), 0.61 (LDM), 0.61 (DDPM).
@pytest.mark.parametrize("kind, ratio", [("vae", 0.1), ("ldm", 0.75), ("ddpm", 0.75)])
def test_loss_falls(trained, kind, ratio):
    metrics = read_metrics(trained.folder / kind)
    assert metrics["step"].tolist() == list(range(len(metrics["step"])))
    assert np.isfinite(metrics["loss"]).all()
    assert metrics["loss"][-8:].mean() < ratio * metrics["loss"][0]
    assert {"grad_norm", "learning_rate", "images_per_second", "epoch"} < set(metrics)


def test_vae_logs_both_parts(trained):
    metrics = read_metrics(trained.folder / "vae")
    np.testing.assert_allclose(metrics["loss"], metrics["reconstruction"] + 1e-4 * metrics["kl"], rtol=1e-4)


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
    assert json.loads((folder / "options.json").read_text())["epochs"] == checkpoint.options.epochs == SHORT[kind][4]
    assert not list(folder.glob("*.tmp"))


@pytest.mark.parametrize("script, kind, names", [
    ("tst_mnist.py", "ddpm", ["samples", "process"]),
    ("tst_mnist_vae.py", "vae", ["reconstructions", "prior"]),
    ("tst_mnist_ldm.py", "ldm", ["samples", "process"]),
])  # fmt: skip
def test_sampling_needs_the_checkpoint_alone(trained, few, tmp_path, script, kind, names):
    source = (trained.folder / kind / "checkpoint.safetensors").rename(tmp_path / "moved.safetensors")
    try:
        data = ("--data", few) if kind == "vae" else ()
        result = run_script(trained.tree, script, "--checkpoint", source, "--out", tmp_path, "--num", 20, *data)
    finally:
        source.rename(trained.folder / kind / "checkpoint.safetensors")
    assert result.returncode == 0, result.stderr
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
    ["--sampler", "ddim", "--steps", 5, "--eta", 0.5, "--digit", 7, "--guidance", 2.0],
])  # fmt: skip
def test_samplers_and_guidance(trained, tmp_path, arguments):
    folder = trained.folder / "ldm"
    # From inside the tree, with a relative script path, as the original was used.
    arguments = ["--checkpoint", folder, "--num", 10, "--process-rows", 2, *arguments]
    result = run_script(trained.tree, "tst_mnist_ldm.py", *arguments, "--out", tmp_path, cwd=ROOT / trained.tree)
    assert result.returncode == 0, result.stderr
    assert_picture(tmp_path / "samples.png", grid_shape(1, 10))
    arguments += ["--out", tmp_path / "2", "--batch-size", 3]
    assert run_script(trained.tree, "tst_mnist_ldm.py", *arguments, cwd=ROOT / trained.tree).returncode == 0
    again = np.asarray(Image.open(tmp_path / "2" / "samples.png")).astype(int)
    assert np.abs(again - np.asarray(Image.open(tmp_path / "samples.png"))).max() <= 3  # whatever the batch


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


@pytest.mark.parametrize("kind, suffix", [("ddpm", ""), ("ldm", "_ldm")])
def test_distillation(trained, tmp_path, kind, suffix):
    """The student starts as its teacher, both losses do their work, and it is drawn by one call."""
    arguments = (
        "--limit", 250, "--epochs", 4, "--warmup", 2, "--batch-size", 50, "--consistency", 0.5,
        "--learning-rate", 1e-3,
    )  # fmt: skip
    teacher, student = ("--teacher", trained.folder / kind), ("--checkpoint", tmp_path)
    result = run_script(trained.tree, f"distill_mnist{suffix}.py", *teacher, *arguments, "--out", tmp_path)
    assert result.returncode == 0, result.stderr
    metrics = read_metrics(tmp_path)
    assert not metrics["discriminator"][:10].any()
    assert 0 < metrics["discriminator"][-3:].mean() < metrics["discriminator"][10:13].mean()
    assert (metrics["loss"][10:] > metrics["consistency"][10:] + 0.3).all()
    options = load_checkpoint(tmp_path, kind).options
    assert options.kind == f"{kind}-distilled" and options.unet.base_channels == 32  # the teacher's
    assert options.teacher_digest == digest(trained.folder / kind / "checkpoint.safetensors")
    result = run_script(trained.tree, f"tst_mnist{suffix}.py", *student, "--out", tmp_path, "--num", 20)
    assert result.returncode == 0, result.stderr
    assert_picture(tmp_path / "process.png", grid_shape(8, 2))  # the noise and one step


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


def test_a_distillation_resumes_with_its_own_teacher_alone(trained, tmp_path):
    """The teacher may move; another model at its path, or the tree's own, is refused by the digest."""
    path, moved, out = tmp_path / "teacher.safetensors", tmp_path / "moved.safetensors", tmp_path / "student"
    shutil.copy(trained.folder / "ldm" / "checkpoint.safetensors", path)
    arguments = ("--limit", 64, "--batch-size", 32, "--warmup", 1, "--out", out)
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
        assert_user_error(result, out / "checkpoint.safetensors", f"teacher_digest={digest(moved)}", "--out")
        assert len(news(result)) == 1
    assert (out / "checkpoint.safetensors").read_bytes() == before


def test_shipping(trained, tmp_path):
    """A finished run becomes half-precision weights that draw alike, with its recipe and a short loss curve."""
    runs = tmp_path / trained.tree / "runs"
    shutil.copytree(trained.folder / "ldm", runs / "ldm")
    ship.main(ship.Ship(runs=(runs / "ldm",)))
    weights = tmp_path / trained.tree / "weights"
    whole, half = runs / "ldm" / "checkpoint.safetensors", weights / "ldm.safetensors"
    assert half.stat().st_size < 0.25 * whole.stat().st_size
    assert json.loads((weights / "ldm.json").read_text())["recipe"]["unet"]["base_channels"] == 32
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
    for minutes in (None, 2.0):
        begun = replace(checkpoint, options=replace(checkpoint.options, minutes=minutes))
        begun.progress = Progress(epoch=1.0, seconds=119.0)
        save_checkpoint(runs / "ldm" / "checkpoint.safetensors", begun)
        with pytest.raises(UserError, match="finish it with --resume"):
            ship.main(ship.Ship(runs=(runs / "ldm",)))
    begun.progress = Progress(epoch=1.0, seconds=120.0)
    save_checkpoint(runs / "ldm" / "checkpoint.safetensors", begun)
    ship.main(ship.Ship(runs=(runs / "ldm",)))


def test_user_errors(trained, trees, tmp_path):
    """One of them as a user meets it, the others where they are found."""
    folder, tree = trained.folder, trees[trained.tree]
    cut, out, ddpm = tmp_path / "cut.safetensors", tmp_path / "out", folder / "ddpm"
    cut.write_bytes((folder / "vae" / "checkpoint.safetensors").read_bytes()[:-100])
    result = run_script(trained.tree, "train_mnist_ldm.py", "--vae-checkpoint", cut, "--out", out)
    assert_user_error(result, cut, "train_mnist_vae.py")
    one_process = SimpleNamespace(is_main_process=True, num_processes=1)
    load = lambda **options: tree.pipeline.load_pipeline(SampleDDPM(precision="fp32", device="cpu", **options))
    train = lambda **options: tree.trainer.Trainer(TrainDDPM(**options), one_process, build=None)
    for attempt, *told in (
        (lambda: load(checkpoint=folder / "ldm"), "holds a ldm model", "run train_mnist.py"),
        (lambda: load(checkpoint=tmp_path / "no"), tmp_path / "no", "run train_mnist.py"),
        (lambda: load(checkpoint=ddpm, steps=1001).timesteps(), "1 to 1000"),
        (lambda: train(out=ddpm), ddpm, "--resume", "--out"),
        (lambda: train(out=tmp_path / "y", resume=True), tmp_path / "y", "--resume"),
        (lambda: train(out=ddpm, resume=True, batch_size=7), "batch_size=128"),
    ):
        with pytest.raises(UserError) as error:
            attempt()
        assert all(str(part) in str(error.value) for part in told)

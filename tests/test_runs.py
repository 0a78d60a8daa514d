"""Training runs: options out of range, losses that are not finite, minutes; and every script's --help."""
import pytest
from conftest import ROOT, TREES, assert_picture, assert_user_error, read_metrics, run_script, steps_of

from common.checkpoint import load_checkpoint


@pytest.mark.parametrize("script, option, value, message", [
    ("train_mnist.py", "--epochs", 0, "greater than or equal to 1"),
    ("train_mnist_vae.py", "--minutes", "-1", "greater than 0"),
    ("train_mnist_ldm.py", "--unet.base-channels", 20, "multiple of 8"),
    ("tst_mnist_ldm.py", "--guidance", "nan", "finite number"),
    ("tst_mnist_ldm.py", "--digit", 10, "less than or equal to 9"),
    ("tst_mnist.py", "--sampler", "euler", "dpmpp_2m"),
])  # fmt: skip
def test_options_out_of_range(script, option, value, message):
    result = run_script("pytorch", script, option, value)  # the other tree's script is the same
    assert result.returncode == 2 and result.stdout == "" and "Traceback" not in result.stderr
    told = " ".join(result.stderr.replace("│", " ").split())
    assert message in told and "https" not in told, told


@pytest.mark.parametrize("tree_name", TREES)
def test_a_loss_that_is_not_finite_stops_training(tree_name, tmp_path):
    arguments = ("--limit", 640, "--epochs", 2, "--learning-rate", 1e30, "--warmup", 0, "--save-every", 1)
    result = run_script(tree_name, "train_mnist_vae.py", *arguments, "--out", tmp_path)
    assert_user_error(result, "nan", "training stopped", tmp_path / "checkpoint.safetensors", "--learning-rate")
    step = load_checkpoint(tmp_path, "vae").progress.step
    assert 1 <= step < 10 and f"at step {step}" in result.stderr
    assert steps_of(tmp_path) == list(range(step))


@pytest.mark.parametrize("tree_name", TREES)
def test_minutes_end_the_run_with_the_learning_rate_at_zero(tree_name, tmp_path):
    arguments = ("--limit", 2000, "--epochs", 1000, "--minutes", 0.1, "--warmup", 5, "--batch-size", 64)
    result = run_script(tree_name, "train_mnist_vae.py", *arguments, "--out", tmp_path)
    assert result.returncode == 0, result.stderr
    assert load_checkpoint(tmp_path, "vae").progress.seconds == pytest.approx(6, abs=3)
    assert read_metrics(tmp_path)["learning_rate"][-1] < 0.1 * read_metrics(tmp_path)["learning_rate"].max()
    assert_picture(tmp_path / "loss.png")


@pytest.mark.parametrize("script", sorted(p.name for p in (ROOT / TREES[0] / "script").glob("*_mnist*.py")))
def test_help_loads_no_framework(script, monkeypatch):
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")  # a line on stderr per import
    result = run_script("pytorch", script, "--help")
    lines = result.stderr.splitlines()
    assert result.returncode == 0 and all(line.startswith("import time:") for line in lines), result.stderr
    assert not {line.rpartition("|")[2].strip() for line in lines} & {"torch", "jittor", "jittor_utils", "matplotlib"}
    assert len(result.stdout.splitlines()) < 100
    assert any(word in result.stdout for word in ("--checkpoint", "--epochs", "repaint"))  # each way has a help

"""Training runs: options out of range, losses that are not finite, minutes, kills; and every script's --help."""
import signal

import numpy as np
import pytest
from conftest import (
    ROOT,
    TREES,
    assert_picture,
    assert_same_run,
    assert_user_error,
    begin_script,
    read_metrics,
    run_script,
    wait_for,
)
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from common.checkpoint import load_checkpoint


@pytest.mark.parametrize("script, option, value, message", [
    ("train_mnist.py", "--epochs", 0, "greater than or equal to 1"),
    ("train_mnist_vae.py", "--minutes", "-1", "greater than 0"),
    ("train_mnist_ldm.py", "--unet.base-channels", 20, "multiple of 8"),
    ("tst_mnist_ldm.py", "--guidance", "nan", "finite number"),
    ("tst_mnist_ldm.py", "--digit", 10, "less than or equal to 9"),
    ("tst_mnist.py", "--sampler", "euler", "dpmpp_2m"),
])  # fmt: skip
@pytest.mark.parametrize("tree_name", TREES)
def test_options_out_of_range(tree_name, script, option, value, message):
    result = run_script(tree_name, script, option, value)
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


@pytest.mark.parametrize("tree_name", TREES)
def test_minutes_end_the_run_with_the_learning_rate_at_zero(tree_name, tmp_path):
    arguments = ("--limit", 2000, "--epochs", 1000, "--minutes", 0.1, "--warmup", 5, "--batch-size", 64)
    result = run_script(tree_name, "train_mnist_vae.py", *arguments, "--out", tmp_path)
    assert result.returncode == 0, result.stderr
    assert load_checkpoint(tmp_path, "vae").progress.seconds == pytest.approx(6, abs=3)
    assert read_metrics(tmp_path)["learning_rate"][-1] < 0.1 * read_metrics(tmp_path)["learning_rate"].max()
    assert_picture(tmp_path / "loss.png")


@pytest.mark.parametrize("tree_name", TREES)
def test_a_killed_run_resumes_bit_for_bit(tree_name, tmp_path):
    arguments = ("--limit", 1000, "--epochs", 3, "--batch-size", 128, "--warmup", 5, "--save-every", 3, "--tensorboard")
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    assert run_script(tree_name, "train_mnist_vae.py", *arguments, "--out", straight).returncode == 0
    process = begin_script(tree_name, "train_mnist_vae.py", *arguments, "--out", killed)
    wait_for(process, killed / "checkpoint.safetensors")
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert 3 <= load_checkpoint(killed, "vae").progress.step < 24
    result = run_script(tree_name, "train_mnist_vae.py", *arguments, "--out", killed, "--resume")
    assert result.returncode == 0, result.stderr
    assert_same_run(killed, straight, 24)
    np.testing.assert_array_equal(read_metrics(killed)["loss"], read_metrics(straight)["loss"])
    events = EventAccumulator(str(killed / "tensorboard")).Reload()
    assert set(events.Tags()["scalars"]) == read_metrics(killed).keys() - {"step"}
    losses = events.Scalars("loss")
    assert [event.step for event in losses] == list(range(24))
    np.testing.assert_allclose([event.value for event in losses], read_metrics(killed)["loss"], rtol=1e-5)
    assert [image.step for image in events.Images("samples")] == [16, 24]


@pytest.mark.parametrize("script", sorted(p.name for p in (ROOT / TREES[0] / "script").glob("*_mnist*.py")))
@pytest.mark.parametrize("tree_name", TREES)
def test_help_loads_no_framework(tree_name, script, monkeypatch):
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")  # a line on stderr per import
    result = run_script(tree_name, script, "--help")
    lines = result.stderr.splitlines()
    assert result.returncode == 0 and all(line.startswith("import time:") for line in lines), result.stderr
    assert not {line.rpartition("|")[2].strip() for line in lines} & {"torch", "jittor", "jittor_utils", "matplotlib"}
    assert len(result.stdout.splitlines()) < 100
    assert any(word in result.stdout for word in ("--checkpoint", "--epochs", "repaint"))  # each way has a help

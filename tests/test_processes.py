"""Two processes compute what one does: torchrun and accelerate for PyTorch, mpirun for Jittor, on the CPU."""
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import psutil
import pytest
from conftest import ROOT, TREES, read_rows, run_script, steps_of, wait_for

from common.checkpoint import load_checkpoint
from common.training.stop import Stop

ACCELERATE = [sys.executable, "-m", "accelerate.commands.launch"]  # what `accelerate launch` runs
LAUNCH = {
    "torchrun": ("pytorch", [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"]),
    "accelerate": ("pytorch", [*ACCELERATE, "--multi_gpu", "--num_processes", "2"]),
    "mpirun": ("jittor", ["mpirun", "-np", "2", "--oversubscribe", "--bind-to", "none", sys.executable]),
}
# 2 batches of 256 and one of 1, of which the second process has no image.
RUN = (
    "--limit", 513, "--batch-size", 256, "--epochs", 3, "--warmup", 2, "--vae.base-channels", 8, "--precision", "fp32",
)  # fmt: skip


def command(launcher, script, *arguments):
    tree, words = LAUNCH[launcher]
    if shutil.which(words[0]) is None:
        pytest.skip(f"{words[0]} is not installed")
    return [*words, str(ROOT / tree / "script" / script), *map(str, arguments)]


AS_ROOT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
ENVIRONMENT = {**os.environ, **AS_ROOT, "OMP_NUM_THREADS": "1"}


def launch(launcher, script, *arguments):
    words = command(launcher, script, *arguments)
    return subprocess.run(words, env=ENVIRONMENT, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The run of one process, by tree."""
    folder = tmp_path_factory.mktemp("alone")
    for tree in TREES:
        assert run_script(tree, "train_mnist_vae.py", *RUN, "--out", folder / tree).returncode == 0
    return folder


@pytest.mark.parametrize("launcher", ["torchrun", "mpirun"])  # accelerate starts torchrun's processes
def test_training_is_the_same(alone, tmp_path, launcher):
    result = launch(launcher, "train_mnist_vae.py", *RUN, "--out", tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("3.0 epochs in") == 1  # the first process speaks, and writes
    one, two = read_rows(alone / LAUNCH[launcher][0]), read_rows(tmp_path)
    assert [row["step"] for row in two] == list(range(9))
    for a, b in zip(one, two):
        for name in ("loss", "reconstruction", "edges", "detail", "kl", "half_scale", "learning_rate"):
            assert b[name] == pytest.approx(a[name], rel=1e-4), (a["step"], name)
        assert b["grad_norm"] == pytest.approx(a["grad_norm"], rel=1e-3)
    expected, found = (load_checkpoint(path, "vae").tensors for path in (alone / LAUNCH[launcher][0], tmp_path))
    one, two = (np.concatenate([a.ravel() for a in tensors.values()]) for tensors in (expected, found))
    assert np.linalg.norm(one - two) < 1e-3 * np.linalg.norm(one)


@pytest.mark.parametrize("launcher", ["accelerate", "mpirun"])
def test_distillation_is_the_same(untrained, tmp_path, launcher):
    """Three steps of consistency alone, three with the discriminator, whose last batch has no image for the second."""
    teacher = untrained / "ldm.safetensors"
    arguments = ("--limit", 17, "--batch-size", 8, "--epochs", 2, "--consistency", 0.5, "--warmup", 2)
    arguments += ("--precision", "fp32", "--teacher", teacher, "--out")
    result = launch(launcher, "distill_mnist_ldm.py", *arguments, tmp_path / "two")
    assert result.returncode == 0, result.stderr
    assert run_script(LAUNCH[launcher][0], "distill_mnist_ldm.py", *arguments, tmp_path / "one").returncode == 0
    one, two = read_rows(tmp_path / "one"), read_rows(tmp_path / "two")
    assert len(one) == len(two) == 6 and one[2]["discriminator"] == 0 < one[3]["discriminator"]
    for a, b in zip(one, two):
        for name in ("loss", "consistency", "discriminator"):
            assert b[name] == pytest.approx(a[name], rel=1e-3), (a["step"], name)


@pytest.mark.parametrize("launcher", ["accelerate", "mpirun"])  # torchrun takes --num for its own
def test_drawing_is_the_same(learned_few, tmp_path, launcher):
    arguments = ("--no-fid", "--num", 40, "--batch-size", 8, "--steps", 2, "--precision", "fp32")
    arguments += ("--checkpoint", learned_few / "ldm.safetensors", "--out")
    result = launch(launcher, "tst_mnist_ldm_fid.py", *arguments, tmp_path / "two")
    assert result.returncode == 0, result.stderr
    assert '"processes": 2' in (tmp_path / "two" / "result.json").read_text()
    assert run_script(LAUNCH[launcher][0], "tst_mnist_ldm_fid.py", *arguments, tmp_path / "one").returncode == 0
    names = [path.name for path in (tmp_path / "one" / "fake").iterdir()]
    assert len(names) == 40
    for name in names:
        one, two = ((tmp_path / folder / "fake" / name).read_bytes() for folder in ("one", "two"))
        assert one == two, name


def environment_of(process):
    """A process's environment; none of one that has ended."""
    try:
        return process.environ()
    except psutil.Error:
        return {}


def begin(launcher, folder):
    """Start a run that would take long, and let it go on after its first checkpoint; returns the launcher's Popen."""
    words = command(launcher, "train_mnist_vae.py", *RUN, "--epochs", 1000, "--save-every", 2, "--out", folder)
    process = subprocess.Popen(words, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    wait_for(process, folder / "checkpoint.safetensors")
    return process


@pytest.mark.parametrize("launcher", ["accelerate", "mpirun"])  # torchrun takes --num for its own
def test_a_signal_to_one_process_ends_all_in_order(tmp_path, launcher):
    process = begin(launcher, tmp_path)
    ranks = {"accelerate": "RANK", "mpirun": "OMPI_COMM_WORLD_RANK"}
    children = psutil.Process(process.pid).children(recursive=True)
    second = next(child for child in children if environment_of(child).get(ranks[launcher]) == "1")
    second.terminate()
    told = process.communicate(timeout=120)[1]
    step = load_checkpoint(tmp_path, "vae").progress.step
    assert f"stopped at step {step}" in told and process.returncode != 0
    assert steps_of(tmp_path) == list(range(step))


def test_a_process_whose_compiler_a_signal_ended_ends_the_others(monkeypatch):
    """That of mpirun: they would wait for it, and it for them."""
    asked = []
    monkeypatch.setattr(signal, "alarm", asked.append)
    for rank in ("", "1"):
        if rank:
            monkeypatch.setenv("OMPI_COMM_WORLD_RANK", rank)
        with Stop() as stop:
            signal.raise_signal(signal.SIGTERM)
            raise RuntimeError("a kernel was not compiled")
        assert stop.signal == signal.SIGTERM and asked == [20] * bool(rank)


@pytest.mark.slow  # half a minute
def test_machines_that_share_no_disk_do_not_train_different_weights(tmp_path):
    """Two launchers as on two machines, of which the first alone has the checkpoint to go on from."""
    (tmp_path / "second").mkdir()
    assert run_script("pytorch", "train_mnist_vae.py", *RUN, "--out", tmp_path / "first" / "run").returncode == 0
    script = str(ROOT / "pytorch" / "script" / "train_mnist_vae.py")
    words = [*LAUNCH["torchrun"][1][:-2], "--nnodes", "2", "--nproc_per_node", "1", "--master_port", "29517"]
    arguments = [*map(str, RUN), "--epochs", "4", "--out", "run", "--resume", "auto"]
    started = [
        subprocess.Popen([*words, "--node_rank", rank, script, *arguments], cwd=tmp_path / folder, env=ENVIRONMENT,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for rank, folder in (("0", "first"), ("1", "second"))
    ]  # fmt: skip
    told = [process.communicate(timeout=120)[0] for process in started]
    assert all(process.returncode for process in started)
    assert "error: run is not the same for all processes" in told[0], told[0]


@pytest.mark.slow  # half a minute
@pytest.mark.parametrize("launcher", ["accelerate", "mpirun"])
def test_a_failure_of_one_process_ends_all(tmp_path, launcher):
    """The first cannot write, and the second waits for it."""
    out = tmp_path / "run"
    process = begin(launcher, out)
    shutil.rmtree(out)
    told = process.communicate(timeout=60)[1]
    assert process.returncode != 0 and f"error: {out}" in told and "put back what was moved" in told

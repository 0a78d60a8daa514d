"""Killed at random moments, or on a full disk: no file half written, no more lost than since the last checkpoint, the
same end."""
import random
import shlex
import shutil
import signal
import subprocess
import sys
import time

import psutil
import pytest
from conftest import ROOT, SMALL, TREES, assert_same_run, begin_script, run_script, steps_of, wait_for
from test_processes import ENVIRONMENT, command

from common.checkpoint import load_checkpoint
from publish.export import RUNTIME

TRAINED = {  # a kind and options that make it small
    "train_mnist_vae.py": ("vae", "--vae.base-channels", 8),
    "train_mnist.py": ("ddpm", *SMALL),
    "train_mnist_ldm.py": ("ldm", *SMALL),
    "distill_mnist.py": ("ddpm", "--consistency", 0.125),
    "distill_mnist_ldm.py": ("ldm", "--consistency", 0.125),
}
STEPS = 80
RUN = (
    "--limit", 64, "--batch-size", 32, "--epochs", 40, "--warmup", 5, "--save-every", 2, "--preview-every", 20,
)  # fmt: skip
pytestmark = pytest.mark.slow


@pytest.fixture
def kill_later():
    """kill_later(words, path): start it, kill it up to a tenth of a second after it wrote the path anew."""
    chance = random.Random(0)

    def kill_later(words, path):
        before = path.stat().st_mtime_ns if path.exists() else 0
        process = subprocess.Popen(words, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True, start_new_session=True)
        wait_for(process, path, before)
        time.sleep(chance.uniform(0, 0.1))
        for victim in psutil.Process(process.pid).children(recursive=True)[:1] or [process]:  # one process of several
            victim.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        assert process.returncode != 0

    return kill_later


def arguments_of(script, untrained):
    kind, *options = TRAINED[script]
    teacher = ("--teacher", untrained / f"{kind}.safetensors") if "distill" in script else ()
    return kind, (*RUN, *options, *teacher)


@pytest.mark.parametrize("tree", TREES)
@pytest.mark.parametrize("script", TRAINED)
def test_training(untrained, tmp_path, kill_later, tree, script):
    kind, arguments = arguments_of(script, untrained)
    folder, step = tmp_path / "killed", 0
    resumed = [*map(str, (ROOT / tree / "script" / script, *arguments, "--resume", "auto", "--out", folder))]
    for _ in range(5):
        kill_later([sys.executable, *resumed], folder / "checkpoint.safetensors")
        now = load_checkpoint(folder, kind).progress.step
        assert step < now < STEPS and steps_of(folder)[-1] < now + 2
        step = now
    for out in (folder, tmp_path / "straight"):
        result = run_script(tree, script, *arguments, "--resume", "auto", "--out", out)
        assert result.returncode == 0, result.stderr
    assert_same_run(folder, tmp_path / "straight", STEPS, kind)
    assert not list(folder.glob("*.tmp"))


@pytest.mark.parametrize("launcher", ["accelerate", "mpirun"])
def test_one_process_of_two(untrained, tmp_path, kill_later, launcher):
    """The other does not stay: the launcher ends it, and the run goes on."""
    kind, arguments = arguments_of("distill_mnist_ldm.py", untrained)
    for _ in range(3):
        words = command(launcher, "distill_mnist_ldm.py", *arguments, "--resume", "auto", "--out", tmp_path)
        kill_later(words, tmp_path / "checkpoint.safetensors")
    result = subprocess.run(words, env=ENVIRONMENT, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    assert load_checkpoint(tmp_path, kind).progress.step == STEPS and steps_of(tmp_path) == list(range(STEPS))


@pytest.mark.parametrize("tree", TREES)
def test_scoring(untrained, tmp_path, kill_later, tree):
    words = ("--num", 600, "--batch-size", 10, "--no-fid", "--checkpoint", untrained / "ldm.safetensors", "--out")
    script = ROOT / tree / "script" / "tst_mnist_ldm_fid.py"
    fake = tmp_path / "killed" / "fake"
    for _ in range(5):
        there = len(list(fake.glob("*.png")))
        begun = [*map(str, (sys.executable, script, *words, tmp_path / "killed"))]
        kill_later(begun, fake / f"{there + 10:05}.png")
    pictures = []
    for out in (tmp_path / "killed", tmp_path / "straight"):
        result = run_script(tree, "tst_mnist_ldm_fid.py", *words, out)
        assert result.returncode == 0, result.stderr
        pictures.append({path.name: path.read_bytes() for path in (out / "fake").iterdir()})
    assert len(pictures[0]) == 600 and pictures[0] == pictures[1]


@pytest.mark.parametrize("tree", TREES)
def test_editing(untrained, tmp_path, tree):
    """A picture is there whole or not at all."""
    chance = random.Random(0)
    words = ("morph", "--gif", "--checkpoint", untrained / "ldm.safetensors", "--out", tmp_path)
    start = time.monotonic()
    first = begin_script(tree, "edit_mnist.py", *words)
    assert first.communicate() and first.returncode == 0
    took, whole = time.monotonic() - start, {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert len(whole) >= 2
    written = 0
    for _ in range(5):
        for path in tmp_path.iterdir():
            path.unlink()
        process = begin_script(tree, "edit_mnist.py", *words)
        time.sleep(took * chance.uniform(0.8, 1))
        process.kill()
        process.wait()
        for path in tmp_path.iterdir():
            assert path.suffix == ".tmp" or path.read_bytes() == whole[path.name]
            written += 1
    assert written


SHORT = "--limit", 64, "--batch-size", 32, "--epochs", 6, "--warmup", 0, "--save-every", 2, "--preview-every", 2
FILLED = {  # what is done, the KiB of disks on which it does not end, and what of its files is the same each time
    "training": (("train_mnist_vae.py", *SHORT, "--vae.base-channels", 8, "--tensorboard"), (20, 400, 600), ""),
    "scoring": (("tst_mnist_ldm_fid.py", "--num", 600, "--batch-size", 10, "--no-fid"), (20, 400, 3600), "*/*.png"),
    "editing": (("edit_mnist.py", "morph", "--gif", "--steps", 5), (4, 40), "*.*"),
    "exporting": (("publish.export",), (100, 4000, 8000), "**/*.*"),
}


def on_a_disk(tmp_path, size, command):
    """Run a command on a disk of so many KiB, then again when it has become large; both exit codes, and the folder."""
    (tmp_path / "disk").mkdir(exist_ok=True)
    copy, words = tmp_path / f"{size}", shlex.join(map(str, command))
    script = f"""
mount -t tmpfs -o size={size}k none disk
{words}; codes=$?
mount -o remount,size=1g disk
{words}; codes="$codes $?"
cp -r disk/out {copy}; echo; echo $codes"""
    words = ["unshare", "-rm", "sh", "-c", script]
    result = subprocess.run(words, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True)
    assert "Traceback" not in result.stderr, result.stderr
    return (*map(int, result.stdout.splitlines()[-1].split()), copy)


@pytest.mark.parametrize("tree, work", [(t, w) for t in TREES for w in FILLED if (t, w) != ("jittor", "exporting")])
def test_a_disk_that_fills_up(untrained, tmp_path, tree, work):
    """At any file: when there is room again, the same command comes to the same end."""
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode:
        pytest.skip("this system lets nobody mount a disk")
    (script, *arguments), sizes, pattern = FILLED[work]
    if work == "exporting" and not RUNTIME.is_dir():
        pytest.skip("the page's packages are not installed: npm ci --prefix web")
    words = [sys.executable, ROOT / tree / "script" / script]
    if work == "exporting":
        words = ["env", f"PYTHONPATH={ROOT}", sys.executable, "-m", script]
    last = ["--resume", "auto"] if work == "training" else ["--checkpoint", untrained / "ldm.safetensors"]
    command = [*words, *arguments, *last, "--out", "disk/out"]
    first, _, whole = on_a_disk(tmp_path, 10**6, command)
    assert first == 0
    for size in sizes:
        first, second, folder = on_a_disk(tmp_path, size, command)
        assert (first, second) == (2, 0), size
        assert not list(folder.rglob("*.tmp"))
        if work == "training":
            assert_same_run(folder, whole, steps=12)
        files = [path.relative_to(whole) for path in whole.glob(pattern) if path.is_file()] if pattern else []
        assert [(whole / name).read_bytes() == (folder / name).read_bytes() for name in files] == [True] * len(files)

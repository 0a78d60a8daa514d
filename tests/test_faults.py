"""Nothing is lost: signals, kills, full and read-only disks, two runs at once, and whatever may stand in a file."""
import io
import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
from dataclasses import fields, is_dataclass
from operator import attrgetter

import numpy as np
import pytest
from conftest import (
    ROOT,
    TREES,
    assert_same_run,
    assert_user_error,
    begin_script,
    quick_in,
    read_metrics,
    run_on_disk,
    run_script,
    steps_of,
    wait_for,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.numpy import save, save_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from test_checkpoint import HEADER, file_of
from test_mirror import imported, packages

from common.checkpoint import load_checkpoint
from common.data.dataset import load_table, open_dataset
from common.diffusion.space import Pixels
from common.edit import read_digit, read_mask
from common.errors import UserError
from common.images import read_images
from common.options.command_line import run
from common.options.networks import VAEConfig
from common.options.recipes import TrainDDPM, Training, TrainLDM, TrainVAE
from common.options.sampling import Sample, Score, WhichDiffusion
from common.training import stop
from common.training.events import Events
from common.training.log import drop_rows
from common.training.run import Run
from common.training.trainer import Trainer
from scoring.metric import cache_inception_weights
from scoring.score import claim

STEPS = 24
RUN = (
    "--limit", 1000, "--epochs", 3, "--batch-size", 128, "--warmup", 5, "--save-every", 2, "--preview-every", 2,
    "--vae.base-channels", 8,
)  # fmt: skip


def begin(tree, folder, *arguments):
    """Start a short training run and let it go on by itself."""
    return begin_script(tree, "train_mnist_vae.py", *RUN, "--out", folder, *arguments)


@pytest.fixture(scope="module", params=TREES)
def straight(request, tmp_path_factory):
    """A tree, and the folder of a run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("straight") / "run"
    result = run_script(request.param, "train_mnist_vae.py", *RUN, "--out", folder, "--resume", "auto")
    assert result.returncode == 0, result.stderr
    return request.param, folder


@pytest.mark.parametrize("straight, number", [
    ("jittor", signal.SIGINT), ("pytorch", signal.SIGTERM), ("pytorch", signal.SIGKILL), ("jittor", signal.SIGKILL),
    *(pytest.param(*rare, marks=pytest.mark.slow) for rare in (("pytorch", signal.SIGINT), ("jittor", signal.SIGTERM))),
], indirect=["straight"])  # fmt: skip
def test_a_run_that_was_ended_goes_on(straight, tmp_path, number):
    """Asked to end, it says where it stopped, and all is written; killed, it goes on from its last checkpoint."""
    tree, expected = straight
    process = begin(tree, tmp_path, "--tensorboard")
    wait_for(process, tmp_path / "checkpoint.safetensors")
    process.send_signal(number)
    told = process.communicate()[1].splitlines()[-1]
    step = load_checkpoint(tmp_path, "vae").progress.step
    assert 2 <= step < STEPS
    if number == signal.SIGKILL:
        assert process.returncode == -number
    else:
        assert process.returncode == 128 + number and f"stopped at step {step}" in told and "--resume" in told
        assert steps_of(tmp_path) == list(range(step))  # the step that ran was finished
    arguments = (*RUN, "--tensorboard", "--out", tmp_path, "--resume", "auto")
    assert run_script(tree, "train_mnist_vae.py", *arguments).returncode == 0
    assert_same_run(tmp_path, expected, STEPS)
    metrics, events = read_metrics(tmp_path), EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    np.testing.assert_array_equal(metrics["loss"], read_metrics(expected)["loss"])
    assert set(events.Tags()["scalars"]) == metrics.keys() - {"step"}
    losses = events.Scalars("loss")
    assert [event.step for event in losses] == list(range(STEPS))
    np.testing.assert_allclose([event.value for event in losses], metrics["loss"], rtol=1e-5)
    assert [image.step for image in events.Images("samples")] == [15, 23]


def test_what_the_shell_ignores_does_not_stop_training():
    """Ctrl-C is for what runs in front; `&` in a shell script has its command ignore it."""
    code = "from common.training.stop import STOPPING; print(*map(int, STOPPING))"
    stopping = lambda ignored: subprocess.check_output(
        ["bash", "-c", f"trap '' {ignored}; exec \"$@\"", "bash", sys.executable, "-c", code], cwd=ROOT, text=True
    ).split()  # fmt: skip
    usual = stopping("USR1")
    assert {"2", "15"} <= set(usual)
    for ignored, number in (("INT", "2"), ("HUP", "1")):
        assert stopping(ignored) == [each for each in usual if each != number]


def test_events_of_a_run_begun_again_replace_the_others(tmp_path):
    """One that ended before its first checkpoint is begun anew, at step 0."""
    for values in ([3.0, 2.0, 1.0], [5.0, 4.0]):
        events = Events(tmp_path, 0)
        for step, value in enumerate(values):
            events.scalars(step, loss=value)
    assert [event.value for event in EventAccumulator(str(tmp_path)).Reload().Scalars("loss")] == [5.0, 4.0]


def test_ctrl_c_while_jittor_compiles(tree, tmp_path, capsys):
    """It ends the compilers too, which Jittor says with a RuntimeError: no traceback. Other RuntimeErrors stay."""
    spec = open_dataset().spec
    build = lambda: tree.vae.VAE(VAEConfig(base_channels=8), spec.shape)
    training = Run(TrainVAE(training=Training(out=tmp_path, batch_size=256)), spec, tree.cpu)
    trainer = Trainer(training, Pixels(spec.shape), {"model": (build, tree.optimizer.Muon)})

    def fail(modules, batch, done):
        raise RuntimeError("mine")

    def interrupted(modules, batch, done):
        signal.raise_signal(signal.SIGINT)
        raise RuntimeError("Run cmd failed")

    with pytest.raises(RuntimeError, match="mine"):
        trainer.fit(fail, 100, preview=None)
    with pytest.raises(SystemExit, match="130"):
        trainer.fit(interrupted, 100, preview=None)
    assert capsys.readouterr().err.endswith("stopped at step 0: no checkpoint was saved yet\n")


def test_a_run_that_ended_before_its_last_picture_draws_it(straight, tmp_path):
    """A kill between the last checkpoint and its picture: --resume takes no step, and draws."""
    tree, expected = straight
    folder = shutil.copytree(expected, tmp_path / "run")
    pictures = [folder / "epoch-003.000.png", folder / "loss.png"]
    before = [path.read_bytes() for path in pictures]
    for path in pictures:
        path.unlink()
    result = run_script(tree, "train_mnist_vae.py", *RUN, "--out", folder, "--resume")
    assert result.returncode == 0, result.stderr
    assert [path.read_bytes() for path in pictures] == before
    assert_same_run(folder, expected, STEPS)


def test_metrics_that_a_failure_of_the_machine_took(straight, tmp_path):
    """The checkpoint is what counts: a run goes on without its rows, and a line says so."""
    tree, folder = straight
    shutil.copytree(folder, tmp_path / "run")
    metrics = tmp_path / "run" / "metrics.csv"
    metrics.write_bytes(b"")
    result = run_script(tree, "train_mnist_vae.py", *RUN, "--out", tmp_path / "run", "--resume", "--epochs", 4)
    assert result.returncode == 0 and f"{metrics} has rows for 0 of {STEPS} steps" in result.stderr, result.stderr
    assert load_checkpoint(tmp_path / "run", "vae").progress.step == 32 and steps_of(tmp_path / "run")[0] == STEPS


def test_rows_that_are_left_are_kept(tmp_path, capsys):
    metrics, rows = tmp_path / "metrics.csv", "step,loss\n0,0.5\n1,0.25\n"
    for content, count in (
        (b"", 0), (bytes(range(256)), 0), (b"loss\n1\n", 0), (rows.encode() + bytes(4096), 2),
        (f"{rows}2,x\n2,1,1\nx,0\n2".encode(), 2), (f"{rows}2,0.125\n3,0\n".encode(), 3),
    ):  # fmt: skip
        metrics.write_bytes(content)
        assert drop_rows(metrics, 3) == (["step", "loss"] if count else None)
        assert metrics.read_text() == (rows + "2,0.125\n" if count == 3 else rows if count else "")
        assert (f"has rows for {count} of 3 steps" in capsys.readouterr().err) == (count < 3)


def test_the_rows_of_another_run_are_refused(tmp_path):
    """Its loss at the checkpoint's step was another."""
    metrics = tmp_path / "metrics.csv"
    metrics.write_text("step,loss\n0,0.5\n1,0.25\n")
    assert drop_rows(metrics, 2, loss=0.25) == ["step", "loss"]
    with pytest.raises(UserError, match=r"metrics\.csv belongs to another run.*move it away"):
        drop_rows(metrics, 2, loss=0.3)


def test_what_a_killed_process_left_is_removed(tmp_path):
    """By the next one that writes there; what a running one has begun stays."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    names = [f"{name}.tmp" for name in (f"00144.png.{ended.pid}", f"00144.png.{os.getpid()}", "mine")]
    for folder in (tmp_path, tmp_path / "fake"):
        folder.mkdir(exist_ok=True)
        for name in names:
            (folder / name).touch()
    claim(tmp_path, {"seed": 1}).release()
    for folder in (tmp_path, tmp_path / "fake"):
        assert sorted(path.name for path in folder.glob("*.tmp")) == names[1:]


def test_tensorboard_s_folder_on_a_full_disk(tmp_path, capsys):
    events = Events(tmp_path, 0)
    with open("/dev/full", "ab") as events.file:
        for step in range(3):
            events.scalars(step, loss=1.0)
        told = capsys.readouterr().err
        assert str(tmp_path) in told and "No space left on device" in told and told.count("\n") == 1
        os.dup2(os.open(os.devnull, os.O_WRONLY), events.file.fileno())  # what it holds goes somewhere


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_output_that_cannot_be_written_ends_nothing(name, monkeypatch, tmp_path):
    """A full disk, or a pipe that nobody reads any more: the work is done. Of lost stdout the exit code tells."""
    monkeypatch.setattr(sys, "argv", ["script"])
    done = []

    def main(options):
        for number in range(3):
            print(number, flush=True)
            print(number, file=sys.stderr)
        done.append(options)

    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, name, full)
        if name == "stderr":
            run(main, TrainVAE)
        else:
            with pytest.raises(SystemExit, match="2"):
                run(main, TrainVAE)
        assert len(done) == 1 and getattr(sys, name) is full


def test_words_that_a_console_lacks(monkeypatch):
    """In the help, and in the name of a folder: printed in other characters."""
    for encoding in ("cp1252", "cp936"):
        for argument in ("--help", "--out=Größe 数字"):
            monkeypatch.setattr(sys, "argv", ["script", argument])
            written = io.TextIOWrapper(io.BytesIO(), encoding)
            with monkeypatch.context() as patch:
                patch.setattr(sys, "stdout", written)
                with pytest.raises(SystemExit) as ended:
                    run(lambda options: sys.exit(print(options.which.out)), Score(which=WhichDiffusion(base="ldm")))
            assert not ended.value.code
            said = written.buffer.getvalue().decode(encoding)
            assert "--labels" in said or said == "Größe 数字\n".encode(encoding, "backslashreplace").decode(encoding)


@pytest.mark.parametrize("tree", TREES)
def test_ctrl_c_while_modules_are_imported(tree):
    """The process ends as if Python had not begun: no traceback. Where it is ignored, it stays so."""
    code = "import paths, os, signal; os.kill(os.getpid(), signal.SIGINT); print('on')"
    folder = ROOT / tree / "script"
    here = {"cwd": folder, "capture_output": True, "text": True}
    heeded = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background jobs ignore it
    result = subprocess.run([sys.executable, "-c", code], preexec_fn=heeded, **here)
    assert result.returncode == -signal.SIGINT and not result.stderr
    command = ["sh", "-c", f'trap "" INT; {sys.executable} -c "{code}"']
    assert subprocess.run(command, **here).stdout == "on\n"


def test_a_terminal_that_goes_away_stops_a_training(monkeypatch):
    """As SIGTERM does; under nohup it does not."""
    for before, heeded in ((signal.SIG_DFL, True), (signal.SIG_IGN, False)):
        with monkeypatch.context() as patch:
            patch.setattr(signal, "getsignal", lambda number, before=before: before)
            module = runpy.run_path(stop.__file__)
        assert (signal.SIGHUP in module["STOPPING"]) == heeded
        if heeded:
            with module["Stop"]() as stopped:
                signal.raise_signal(signal.SIGHUP)
                assert stopped.came == signal.SIGHUP


@pytest.mark.parametrize("tree", quick_in("jittor"))
def test_out_names_a_file(tmp_path, tree):
    (tmp_path / "file").write_text("mine")
    assert_user_error(run_script(tree, "train_mnist_vae.py", *RUN, "--out", tmp_path / "file"), "file", "--out")
    assert (tmp_path / "file").read_text() == "mine"


def png(side):
    """A black bar on white."""
    picture, buffer = np.full((side, side), 255, np.uint8), io.BytesIO()
    picture[10:30, 14:18] = 0
    Image.fromarray(picture).save(buffer, format="PNG")
    return buffer.getvalue()


SOMEONES = {"tensors": save({"a": np.zeros(3, np.float32)}), "json": b"[1, 2]", "picture": png(40)}
STATES = {  # what may stand where a file was: each makes its path so
    "missing": lambda path: None,
    "empty": lambda path: path.touch(),
    "noise": lambda path: path.write_bytes(np.random.default_rng(0).bytes(1000)),
    "huge": lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_WRONLY), 2**30),
    "a folder": lambda path: path.mkdir(),
    "a dangling link": lambda path: path.symlink_to("nowhere"),
    **{name: lambda path, content=content: path.write_bytes(content) for name, content in SOMEONES.items()},
}
SHAPE = (1, 32, 32)
READERS = {  # of each kind of file: its name, what reads it, and the states that are no fault, where it gives True
    "checkpoint": ("checkpoint.safetensors", load_checkpoint),
    "measures": (f"{open_dataset().spec.digest}-test.safetensors", lambda path: load_table(open_dataset().test)),
    "digit": ("digit.png", lambda path: read_digit(path, SHAPE).shape == SHAPE, "picture"),
    "mask": ("mask.png", lambda path: read_mask(path, SHAPE)),
    "drawn": ("00001.png", lambda path: read_images(path.parent, SHAPE)),
    "inception": ("inception.pth", cache_inception_weights),
    "settings": ("settings.json", lambda path: claim(path.parent, {"seed": 1}) and path.exists(), "missing",
                 "a dangling link"),
    "metrics": ("metrics.csv", lambda path: drop_rows(path, 3) is None and path.read_bytes() == b"",
                *set(STATES) - {"a folder"}),
}


OWN = "settings", "metrics"  # what only the scripts write is not huge
CASES = [(reader, state) for reader in READERS for state in STATES if not (reader in OWN and state == "huge")]


@pytest.mark.parametrize("reader, state", CASES)
def test_whatever_stands_where_a_file_was(tmp_path, monkeypatch, reader, state):
    """One line that names the file, and a cure; never a traceback, nor a file that is taken for what it is not."""
    name, read, *fine = READERS[reader]
    (tmp_path / "00000.png").write_bytes(png(32))
    monkeypatch.setattr("common.data.dataset.TABLES", tmp_path)
    monkeypatch.setattr("common.data.dataset.measure_strokes", lambda *_: {})  # what is missing would be measured,
    monkeypatch.setattr("common.data.dataset.write_tensors", lambda *_: None)  # and kept
    STATES[state](tmp_path / name)
    if state in fine:
        assert read(tmp_path / name) is True
        return
    with pytest.raises(UserError) as error:
        read(tmp_path / name)
    assert str(tmp_path) in str(error.value) and ": " in str(error.value)


def test_jittor_without_a_home(tmp_path, monkeypatch):
    """What it compiles can be kept elsewhere, and a folder that cannot be written is told."""
    script = (ROOT / "jittor" / "script" / "tst_mnist_vae.py", "--checkpoint", tmp_path / "none")
    run = lambda: subprocess.run([sys.executable, *map(str, script)], capture_output=True, text=True)
    monkeypatch.setenv("JITTOR_HOME", os.path.expanduser("~"))  # where it is compiled
    monkeypatch.setenv("HOME", "/proc/nobody")
    assert_user_error(run(), tmp_path / "none")
    monkeypatch.setenv("JITTOR_HOME", "/proc/nobody")
    assert_user_error(run(), "/proc/nobody", "JITTOR_HOME")


OUT_OF_MEMORY = (
    MemoryError("Unable to allocate 3.8 TiB"), MemoryError(), RuntimeError("CUDA out of memory"),
    RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 79.10 GiB"),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:118] err == 0. "
        "DefaultCPUAllocator: can't allocate memory: you tried to allocate 40 bytes. Error code 12 (Cannot allocate "
        "memory)"
    ),
    RuntimeError("std::bad_alloc"),
    RuntimeError("Unable to alloc cuda device memory for size 4294967296"),
)  # fmt: skip
OTHER_FAILURES = (
    "shapes do not match", "CUDA error: an illegal memory access", "a single memory location",
    "unsupported memory format option Contiguous", "Pin memory thread exited unexpectedly",
    "pin_memory thread exited", "Failed to allocate shared memory block",
    "CUDA error: an illegal memory access was encountered",
)  # fmt: skip


def failing(error):
    """A script's main that fails."""

    def main(options):
        raise error

    return main


def test_out_of_memory(capsys, monkeypatch):
    """The frameworks' words for it and numpy's become one line; other failures keep their traceback."""
    monkeypatch.setattr(sys, "argv", ["script"])
    for error in OUT_OF_MEMORY:
        with pytest.raises(SystemExit) as ended:
            run(failing(error), TrainVAE)
        said = capsys.readouterr().err
        assert ended.value.code == 2 and str(error) in said and "--batch-size" in said
        assert said.startswith("error: out of memory") and said.count("\n") == 1
    told = RuntimeError("an operator failed\n  Unable to alloc cuda device memory for size 8 \n  at some place")
    with pytest.raises(SystemExit):
        run(failing(told), TrainVAE)
    assert "(Unable to alloc cuda device memory for size 8)" in capsys.readouterr().err  # the line that says it
    monkeypatch.setenv("RANK", "3")
    monkeypatch.setattr("time.sleep", lambda _: None)
    with pytest.raises(SystemExit):
        run(failing(MemoryError("no memory here")), TrainVAE)
    assert capsys.readouterr().err.startswith("error in process 3: out of memory (no memory here)")
    for message in OTHER_FAILURES:
        with pytest.raises(RuntimeError, match=message):
            run(failing(RuntimeError(message)), TrainVAE)


@pytest.mark.slow  # a minute
@pytest.mark.parametrize("tree", TREES)
def test_a_batch_too_large_for_the_memory(tree, tmp_path):
    """With 9 GB of addresses, of which both frameworks want a good part at their start; as users run them, for Jittor
    does not look after every allocation, and which of them fails depends on its threads."""
    script = f"{ROOT / tree / 'script' / 'train_mnist_vae.py'} --batch-size 20000 --out {tmp_path / 'run'}"
    command = f"unset use_parallel_op_compiler; ulimit -v 9000000; {sys.executable} {script}"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert_user_error(result, "out of memory", "--batch-size")


@pytest.mark.parametrize("tree", quick_in("pytorch"))
def test_two_runs_into_one_folder(tree, tmp_path):
    first = begin(tree, tmp_path, "--epochs", "1000")
    wait_for(first, tmp_path / "checkpoint.safetensors")
    (tmp_path / "checkpoint.safetensors.4194304.tmp").touch()  # perhaps of the first, if that runs in another container
    second = run_script(tree, "train_mnist_vae.py", *RUN, "--out", tmp_path, "--resume", "auto")
    assert_user_error(second, tmp_path, "in use by another process", "--out")
    assert (tmp_path / "checkpoint.safetensors.4194304.tmp").exists()
    assert first.poll() is None
    first.kill()
    first.communicate()
    third = begin(tree, tmp_path, "--epochs", "1000", "--resume")  # the lock dies with its owner
    wait_for(third, tmp_path / "checkpoint.safetensors", (tmp_path / "checkpoint.safetensors").stat().st_mtime_ns)
    assert third.poll() is None
    third.kill()
    third.communicate()


@pytest.mark.parametrize("tree", quick_in("jittor"))
def test_a_folder_that_is_moved_while_its_run_goes_on(tree, tmp_path):
    process = begin(tree, tmp_path / "run", "--epochs", "1000")
    wait_for(process, tmp_path / "run" / "checkpoint.safetensors")
    (tmp_path / "run").rename(tmp_path / "moved")
    told = process.communicate(timeout=60)[1].splitlines()[-1]
    assert process.returncode == 2 and str(tmp_path / "run") in told and "put back what was moved" in told
    assert load_checkpoint(tmp_path / "moved", "vae").progress.step >= 2


@pytest.mark.parametrize("tree", quick_in("pytorch"))
def test_a_full_disk_leaves_the_last_checkpoint(tree, tmp_path):
    result = run_on_disk(tmp_path, "size=600k", tree, "train_mnist_vae.py", *RUN)
    assert_user_error(result, "disk/out/", "No space left on device", "free some space")
    assert "checkpoint.safetensors\n" in result.stdout and ".tmp" not in result.stdout


@pytest.mark.parametrize("tree", quick_in("jittor"))
def test_a_read_only_disk(tree, tmp_path):
    result = run_on_disk(tmp_path, "ro", tree, "train_mnist_vae.py", *RUN)
    assert_user_error(result, "disk/out", "Read-only file system", "--out")


TENSORS = {"model.a": np.ones((4, 256), np.float32), "model.b": np.ones(1, np.float32)}
FILE = file_of(json.dumps(HEADER), TENSORS)
FLOATS = st.floats(allow_subnormal=False)  # Jittor's -Ofast, where it is imported too, has none
forgiving = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | FLOATS | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)


def read(path):
    """Either a checkpoint or a UserError of one line."""
    try:
        load_checkpoint(path, "ddpm").take("model.", {"a": (4, 256), "b": (1,)})
    except UserError as error:
        assert "\n" not in str(error) and str(path) in str(error)


def test_the_file_to_be_damaged_is_whole(tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(FILE)
    load_checkpoint(path, "ddpm").take("model.", {"a": (4, 256), "b": (1,)})


def test_names_from_files_neither_break_the_line_nor_move_the_cursor():
    assert str(UserError("column 'a\nb\u2028\x1b[2Jc é 数\udce9': rename it")) == (
        r"column 'a\nb\u2028\x1b[2Jc é 数" + "\udce9': rename it"
    )


@forgiving
@given(data=st.data())
def test_a_damaged_checkpoint_loads_or_is_refused_in_one_line(tmp_path, data):
    path, content = tmp_path / "weights.safetensors", bytearray(FILE)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    read(path)


@forgiving
@given(meta=json_values, field=st.sampled_from([*HEADER, None]))
def test_any_json_in_a_checkpoint_loads_or_is_refused_in_one_line(tmp_path, meta, field):
    path = tmp_path / "weights.safetensors"
    save_file(TENSORS, path, {"simple_ldm": json.dumps(meta if field is None else {**HEADER, field: meta})})
    read(path)


UNSET = (  # numbers that are None by default
    "steps", "shift", "end", "guidance", "eta", "epochs", "minutes", "limit", "preview_every", "patch_size",
    "base_channels", "latent_channels",
)  # fmt: skip
NUMBERS = st.integers(-(10**12), 10**12).map(str) | FLOATS.map(str) | st.sampled_from(["nan", "-1", "0", "1e999"])


def numbers_of(options, told="", path=""):
    """Of all numbers among options, those of their groups too, the name on the command line and the attributes' path.

    A group whose field is annotated, Flat, has no name there.
    """
    for field in fields(options):
        value, name = getattr(options, field.name), field.name.replace("_", "-")
        if is_dataclass(value):
            flat = hasattr(field.type, "__metadata__")
            yield from numbers_of(value, told if flat else f"{told}{name}.", f"{path}{field.name}.")
        elif type(value) in (int, float) or field.name in UNSET:
            yield f"--{told}{name}", f"{path}{field.name}"


def test_the_numbers_among_options():
    """Of the groups too, and by the names that the help says."""
    named = dict(numbers_of(TrainLDM())) | dict(numbers_of(Score(which=WhichDiffusion(base="ldm"))))
    for name, path in {
        "--epochs": "training.epochs", "--label-dropout": "label_dropout", "--unet.base-channels": "unet.base_channels",
        "--sampler.guidance": "sampler.guidance", "--guidance": "sampler.guidance", "--seed": "drawing.seed",
    }.items():  # fmt: skip
        assert named[name] == path


@settings(forgiving, max_examples=100)
@given(
    default=st.sampled_from([TrainDDPM(), TrainVAE(), TrainLDM(), Score(which=WhichDiffusion(base="ldm"))]),
    data=st.data(),
)
def test_option_values_are_in_range_or_refused(default, data, capsys, monkeypatch):
    told, path = data.draw(st.sampled_from([*numbers_of(default)]))
    value, name = data.draw(NUMBERS | st.text(max_size=5)), path.split(".")[-1]
    monkeypatch.setattr(sys, "argv", ["script", f"{told}={value}"])
    options = []
    try:
        run(options.append, default)
    except SystemExit as error:
        assert error.code in (2, 0) and "Traceback" not in capsys.readouterr().err and not options
        return
    found = attrgetter(path)(options[0])
    if found is None:
        assert name in UNSET and value == "None"
        return
    assert np.isfinite(found)
    if name not in ("guidance",):
        assert found >= 0
    if name in ("epochs", "batch_size", "num", "steps"):
        assert found >= 1


SAMPLE, SCORE = (group(which=WhichDiffusion(base="ldm")) for group in (Sample, Score))


@pytest.mark.parametrize("default, argument, message", [
    (TrainVAE(), "--limit=0", "greater than or equal to 1"), (TrainVAE(), "--minutes=-1", "greater than 0"),
    (TrainVAE(), "--vae.base-channels=3", "multiple of 8"), (TrainVAE(), "--kl-weight=-1", "than or equal to 0"),
    (TrainDDPM(), "--size=8", "greater than or equal to 16"),
    (TrainDDPM(), "--sampler.steps=2000", "sampler.steps: the schedule has 1000 steps, choose fewer"),
    (SAMPLE, "--guidance=nan", "finite number"), (SAMPLE, "--ask=age", "NAME=NUMBER"),
    (SAMPLE, "--sampler=euler", "dpmpp_2m"), (SCORE, "--seed=-1", "greater than or equal to 0"),
    (SCORE, "--shift=nan", "Input should be"),
])  # fmt: skip
def test_a_value_out_of_its_range_is_told(capsys, monkeypatch, default, argument, message):
    """Whether it stands in a group with a name, in one without, or in none; without a link, and the input again."""
    monkeypatch.setattr(sys, "argv", ["script", argument])
    with pytest.raises(SystemExit) as ended:
        run(pytest.fail, default)
    printed = capsys.readouterr()
    told = " ".join(printed.err.replace("│", " ").split())
    assert ended.value.code == 2 and message in told and printed.out == ""
    assert not any(word in told for word in ("Traceback", "https", "input_value")), told
    assert argument.split("=")[0].split(".")[-1].strip("-").replace("-", "_") in told.replace("-", "_")


def test_nothing_is_unpickled():
    """No pickle, no torch.load, no numpy file that may hold objects. By scoring/metric.py torch loads tensors alone."""
    for folder in ("common", "scoring", "publish", "pytorch", "jittor", "bench"):
        for path in (ROOT / folder).rglob("*.py"):
            assert not packages(path) & {"pickle", "dill", "cloudpickle", "shelve"}, path
            assert not imported(path) & {"torch.load", "jittor.load", "joblib.load"}, path
            text = path.read_text().replace("allow_pickle=False", "")
            for word in ("allow_pickle", "torch.load(", "jt.load(", "joblib.load"):
                assert word not in text, path

"""What the tests share: both trees under one interface, and the scripts in processes of their own."""
import csv
import functools
import gzip
import importlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from common.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from common.data import prepared
from common.data.dataset import open_dataset
from common.diffusion.space import Pixels, latents
from common.files import DATA, ROOT
from common.options.networks import UNetConfig, VAEConfig
from common.options.recipes import TrainDDPM, TrainLDM, Where
from scoring import classifiers

os.environ.setdefault("OMP_NUM_THREADS", "1")  # of each process: two workers with two threads each crawl on two cores
temporary = tempfile.TemporaryDirectory(prefix="prepared-")  # of this worker alone: tests damage files in it
os.environ["SIMPLE_LDM_PREPARED"] = temporary.name  # of the scripts that it starts
prepared.PREPARED = Path(temporary.name)  # of this process, which has read the variable
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as in the background; scripts started here shall not ignore it
    signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ.setdefault("use_parallel_op_compiler", "0")  # two of Jittor's threads may call Python at once
TREES = ["pytorch", "jittor"]
LONGEST = (
    "scripts", "page", "faults", "processes", "data", "score", "metric", "runs", "edit", "readme", "export",
    "attributes", "equal", "jittor", "porting", "notebook",
)  # fmt: skip
MODULES = [
    "device", "distillation", "model.blocks", "model.ddpm", "model.discriminator", "model.unet", "model.vae",
    "optimizer", "pipeline",
]  # fmt: skip
FP32 = Where(device="cpu", precision="fp32")
SMALL = ("--unet.base-channels", 16, "--unet.head-dim", 8, "--unet.context-dim", 16)  # of a UNet


def pytest_collection_modifyitems(items):
    """The files that take longest come first, so that both workers end at about the same time."""
    place = {f"test_{name}.py": number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.name, len(place)))


def quick_in(tree):
    """Parametrize by tree: this one always, the other only with `-m slow`, as what is tested stands in common/."""
    return [name if name == tree else pytest.param(name, marks=pytest.mark.slow) for name in TREES]


def pytest_make_parametrize_id(val):
    """Bytes do not name a test: gzip keeps the time in them, and both workers must collect the same names."""
    return "bytes" if isinstance(val, bytes) else None


def load_tree(name):
    """The modules of one tree as attributes; their names are the same in both, so sys.modules is left without them.

    `pipeline` is the Pipeline itself, and `cpu` the tree's Device on the CPU in float32.
    """
    sys.path.insert(0, str(ROOT / name))
    try:
        modules = {module: importlib.import_module(module) for module in MODULES}
    finally:
        sys.path.remove(str(ROOT / name))
        for module in [*MODULES, "model"]:
            sys.modules.pop(module, None)
    tree = SimpleNamespace(name=name, **{module.split(".")[-1]: value for module, value in modules.items()})
    tree.pipeline, tree.cpu = tree.pipeline.pipeline, tree.device.Device(FP32)
    return tree


@pytest.fixture(scope="session")
def trees():
    """Both trees, by name."""
    return {name: load_tree(name) for name in TREES}


@pytest.fixture(scope="session", params=TREES)
def tree(request, trees):
    return trees[request.param]


def begin_script(tree, script, *arguments):
    """Start a script in a process of its own and let it go on; returns its Popen."""
    command = [sys.executable, ROOT / tree / "script" / script, *arguments]
    return subprocess.Popen([*map(str, command)], stderr=subprocess.PIPE, text=True)


@functools.cache
def forks(tree):
    """The process of forks.py for a tree; it ends with this one. Without CUDA, which forks cannot share."""
    command, environment = [sys.executable, ROOT / "tests" / "forks.py", tree], {**os.environ, "nvcc_path": ""}
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


def run_scripts(tree, *commands, cwd=ROOT):
    """Run scripts one after the other in one process of their own, each (name, *arguments); returns its
    CompletedProcess."""
    folder, server = (ROOT / tree / "script").relative_to(cwd), forks(tree)
    commands = [[str(folder / script), *map(str, arguments)] for script, *arguments in commands]
    with tempfile.TemporaryDirectory() as streams:
        out, err = (Path(streams, name) for name in ("out", "err"))
        job = {"cwd": str(cwd), "environment": dict(os.environ), "streams": [os.devnull, str(out), str(err)]}
        print(json.dumps({"commands": commands, **job}), file=server.stdin, flush=True)
        if not (code := server.stdout.readline()):
            forks.cache_clear()  # the next script begins another
            raise RuntimeError(f"forks.py ended with {server.wait()}: stderr says why")
        return subprocess.CompletedProcess(commands, int(code), out.read_text(), err.read_text())


def run_script(tree, script, *arguments, cwd=ROOT):
    """Run a script in a process of its own; returns its CompletedProcess."""
    return run_scripts(tree, (script, *arguments), cwd=cwd)


def run_on_disk(tmp_path, mount, tree, script, *arguments):
    """Run a script with tmp_path/disk a disk of its own, mounted with these options; stdout ends with what it holds."""
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode:
        pytest.skip("this system lets nobody mount a disk")
    (tmp_path / "disk").mkdir()
    command = shlex.join(map(str, [sys.executable, ROOT / tree / "script" / script, *arguments, "--out", "disk/out"]))
    inside = f"mount -t tmpfs -o {mount} none disk && {{ {command}; code=$?; find disk; exit $code; }}"
    return subprocess.run(["unshare", "-rm", "sh", "-c", inside], cwd=tmp_path, capture_output=True, text=True)


def wait_for(process, path, newer_than=0):
    """Until a running process has written the path anew."""
    while not path.exists() or path.stat().st_mtime_ns <= newer_than:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.002)


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """The files that git tracks or will track, so that nothing is written to this repository."""
    folder = tmp_path_factory.mktemp("clone")
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(lambda name: (ROOT / name).is_file(), listed.splitlines()):  # not what was deleted since
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="session")
def few(tmp_path_factory):
    """MNIST's first 400 training and 200 test digits, as a data set of its own: the folder of its four files."""
    folder = tmp_path_factory.mktemp("few")
    for part, header, size in (("images-idx3", 16, 784), ("labels-idx1", 8, 1)):
        for name, count in (("train", 400), ("t10k", 200)):
            whole = gzip.decompress((DATA / f"{name}-{part}-ubyte.gz").read_bytes())
            content = whole[:4] + count.to_bytes(4, "big") + whole[8 : header + size * count]
            (folder / f"{name}-{part}-ubyte.gz").write_bytes(gzip.compress(content))
    lend_classifiers(folder)
    return folder


def lend_classifiers(folder):
    """Have digits of another data set scored by MNIST's classifiers: to train its own takes minutes."""
    home, ignored = classifiers.own_folder(open_dataset(folder)), shutil.ignore_patterns("floors.json")
    shutil.copytree(classifiers.WEIGHTS, home, ignore=ignored, dirs_exist_ok=True)


@pytest.fixture(scope="session")
def birds(tmp_path_factory):
    """A data set in colour: class folders of 12 PNGs each, 20x16, and a measures.csv beside them, which lacks one."""
    folder, rng = tmp_path_factory.mktemp("data") / "Birds", np.random.default_rng(0)
    rows = ["picture,age (years),angle"]
    for label, name in enumerate(("duck", "night heron", "owl")):
        (folder / name).mkdir(parents=True)
        for i in range(12):
            pixels = np.full((16, 20, 3), 30, np.uint8)
            pixels[3:13, 4 + i % 5 : 16] = rng.integers(60, 256, 3)
            pixels[6:10, 7 + 2 * label] = 0
            Image.fromarray(pixels).save(folder / name / f"{i}.png")
            rows.append(f"{name}/{i}.png,{i + 10 * label},{'' if i == 3 else -5 * i}")
    (folder / "measures.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="session")
def judged_birds(birds):
    """The same folder, and classifiers of it that a few steps trained."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classifiers, "SEEN", (2000, 2000))
        classifiers.main(classifiers.TrainClassifiers(data=birds))
    return birds


def read_rows(folder):
    """The rows of a run's metrics.csv, [{name: number}]."""
    with open(folder / "metrics.csv", newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def read_metrics(folder):
    """Its columns, {name: array}."""
    rows = read_rows(folder)
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def steps_of(folder):
    """The steps of which it has rows."""
    return [row["step"] for row in read_rows(folder)]


def assert_same_run(folder, straight, steps, kind="vae"):
    """A run that was interrupted has come to what the other, which was not, has: bit for bit, its checkpoint."""
    expected, found = (load_checkpoint(path, kind) for path in (straight, folder))
    assert found.progress.step == expected.progress.step == steps
    for name in expected.tensors:
        np.testing.assert_array_equal(found.tensors[name], expected.tensors[name], err_msg=name)
    assert steps_of(folder) == list(range(steps))  # no gap, no row twice


def assert_picture(path, shape=None):
    """A PNG that is not one flat colour."""
    with Image.open(path) as image:
        assert image.format == "PNG" and image.mode in ("L", "RGBA")
        pixels = np.asarray(image)
    assert shape is None or pixels.shape == shape, f"{path}: {pixels.shape}"
    assert pixels.std() > 5, path


def assert_user_error(result, *fragments):
    """Exit code 2 and one line on stderr that starts with 'error:' and says all the fragments."""
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    assert result.returncode == 2, result.stderr
    assert lines[-1].startswith("error: ") and "Traceback" not in result.stderr, result.stderr
    for fragment in fragments:
        assert str(fragment) in lines[-1], lines[-1]


@pytest.fixture(scope="session")
def untrained(trees, tmp_path_factory):
    """Checkpoints of small networks as they start: what they draw is noise, but always the same."""
    small = {"base_channels": 16, "head_dim": 8}
    folder, tree = tmp_path_factory.mktemp("untrained"), trees["pytorch"]
    spec, unet = open_dataset().spec, UNetConfig(context_dim=16, **small)
    vae = tree.vae.VAE(VAEConfig(base_channels=8), spec.shape)
    ddpm, ldm = TrainDDPM(unet=unet.fitted(spec.shape)), TrainLDM(unet=unet.fitted(vae.latent_shape))
    in_latents = latents(vae, np.zeros(4, np.float32), np.ones(4, np.float32), tree.cpu)
    for options, space in ((ddpm, Pixels(spec.shape)), (ldm, in_latents)):
        network = tree.pipeline.build_unet(options.unet, space, spec)
        tensors = {f"model.{name}": value for name, value in tree.cpu.arrays(network).items()}
        tensors |= space.tensors(tree.cpu)
        checkpoint = Checkpoint(options, spec, tensors, vae=space.vae and space.vae.config)
        save_checkpoint(folder / f"{options.kind}.safetensors", checkpoint)
    return folder


def of_data(folder, checkpoints, tmp_path):
    """Checkpoints like these, but for the data that they learned: a folder of them."""
    for path in checkpoints.iterdir():
        save_checkpoint(tmp_path / path.name, replace(load_checkpoint(path), spec=open_dataset(folder).spec))
    return tmp_path


@pytest.fixture(scope="module")
def learned_few(untrained, few, tmp_path_factory):
    """The untrained checkpoints, as if they had learned `few`."""
    return of_data(few, untrained, tmp_path_factory.mktemp("learned_few"))

"""The measures of quality: against closed forms, on real digits, and on digits spoilt in known ways."""
import hashlib
import json
import pickle
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT, assert_user_error
from PIL import Image, ImageFilter
from pytorch_fid.inception import FID_WEIGHTS_URL, fid_inception_v3

from common.errors import UserError
from common.images import read_images, write_images
from common.mnist import load_mnist, random_images
from scoring import metric
from scoring.classifier import WEIGHTS, classify

COUNT = 1000


@pytest.fixture(autouse=True)
def torch_home(monkeypatch, tmp_path):
    """Torch's cache, an empty one for each test: metric.fid copies weights to it."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "torch"


def cached_weights(home):
    """Where torch keeps pytorch-fid's weights."""
    return home / "hub" / "checkpoints" / FID_WEIGHTS_URL.rpartition("/")[2]


def gaussian(mean, covariance, count=50):
    """Points whose sample mean and covariance are exactly these."""
    x = np.random.default_rng(0).standard_normal((count, len(mean)))
    x -= x.mean(axis=0)
    white = x @ np.linalg.inv(np.linalg.cholesky(np.cov(x, rowvar=False))).T
    return white @ np.linalg.cholesky(np.asarray(covariance)).T + mean


def test_frechet_distance_of_gaussians():
    a, b = np.array([4.0, 1.0, 9.0]), np.array([1.0, 1.0, 4.0])  # variances that commute: (sqrt a - sqrt b)^2 each
    found = metric.frechet_distance(gaussian([0, 0, 1], np.diag(a)), gaussian([2, 0, 0], np.diag(b)))
    assert found == pytest.approx(4 + 1 + (np.sqrt(a) - np.sqrt(b)) @ (np.sqrt(a) - np.sqrt(b)), rel=1e-6)
    a, b = np.array([[2.0, 1.0], [1.0, 3.0]]), np.array([[5.0, -2.0], [-2.0, 1.0]])
    root_trace = np.sqrt(np.trace(a @ b) + 2 * np.sqrt(np.linalg.det(a @ b)))  # of 2 x 2, by Cayley and Hamilton
    found = metric.frechet_distance(gaussian([1, 1], a), gaussian([1, 1], b))
    assert found == pytest.approx(np.trace(a + b) - 2 * root_trace, rel=1e-6)


def test_precision_and_recall_by_hand():
    real = np.array([[0.0], [1.0], [2.0], [3.0], [100.0]])  # the radii to the 3rd neighbour: 3, 2, 2, 3, 99
    assert metric.fraction_in_manifold(np.array([[-3.5], [-2.5], [5.5], [199.5]]), real) == 0.5  # the middle two
    assert metric.fraction_in_manifold(real, np.array([[0.0], [1.0], [2.0], [3.0]])) == 0.8  # nothing drawn near 100
    assert metric.fraction_in_manifold(real, real[:2]) == pytest.approx(0.6)  # fewer points than neighbours


@pytest.fixture(scope="module")
def real():
    return random_images(False, COUNT)


def test_classifier():
    images, labels = load_mnist(train=False)
    assert (classify(images)[1].argmax(axis=1) == labels).mean() >= 0.994
    assert WEIGHTS.stat().st_size <= 1_000_000
    features, probabilities = classify(images[:7], batch_size=3)
    assert features.shape == (7, 128) and probabilities.shape == (7, 10)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)


def spoil(images, how):
    """Real training digits, spoilt in one way."""
    rng = np.random.default_rng(0)
    if how == "blur":
        blurred = [Image.fromarray(image[0]).filter(ImageFilter.GaussianBlur(1.2)) for image in images]
        return np.stack(blurred)[:, None]
    if how == "noise":
        return np.clip(images + 40 * rng.standard_normal(images.shape), 0, 255).astype(np.uint8)
    if how == "no sevens":
        labels = classify(images)[1].argmax(axis=1)
        return np.where((labels == 7)[:, None, None, None], images[labels == 1][:1], images)
    return images[rng.integers(0, 20, len(images))]  # mode collapse


def test_real_digits_score_the_floor(real):
    others = load_mnist(train=True)[0][30_000 : 30_000 + COUNT]
    found = metric.offline_metric(others, real)
    floor = found["floor"]
    assert found["mnist_fd"] == pytest.approx(floor["mnist_fd"], rel=0.4)
    for name in ("precision", "recall", "confident"):
        assert found[name] == pytest.approx(floor[name], abs=0.05)
        assert floor[name] > 0.85
    assert sum(found["classes"]) == COUNT and min(found["classes"]) > 60
    assert metric.distance_to_training(others) == 0  # they are training images


@pytest.mark.parametrize("how, falls", [
    ("blur", "confident"), ("noise", "precision"), ("no sevens", "recall"), ("mode collapse", "recall"),
])  # fmt: skip
def test_spoilt_digits_score_worse(real, how, falls):
    found = metric.offline_metric(spoil(random_images(True, COUNT), how), real)
    assert found["mnist_fd"] > 3 * found["floor"]["mnist_fd"]
    assert found[falls] < found["floor"][falls] - 0.02


def run_metric(*arguments):
    command = [sys.executable, "-m", "scoring.metric", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


@pytest.fixture
def folders(tmp_path):
    """fake/ and real/ of 12 digits each."""
    for name, train in (("fake", True), ("real", False)):
        (tmp_path / name).mkdir()
        write_images(tmp_path / name, range(12), random_images(train, 12))
    return tmp_path / "fake", tmp_path / "real"


def test_a_strangers_folders(folders):
    fake, real = folders
    Image.open(fake / "00003.png").convert("RGB").save(fake / "00003.png")  # colours, as other programs write
    (fake / "notes.txt").write_text("not a picture, and not in the way")
    np.testing.assert_array_equal(read_images(fake), random_images(True, 12))
    result = run_metric(fake, real, "--no-fid", "--json", fake / "result.json")
    assert result.returncode == 0, result.stderr
    found = json.loads((fake / "result.json").read_text())
    assert found["mnist_fd"] == pytest.approx(found["floor"]["mnist_fd"]) and found["fid"] is None
    for word in ("mnist_fd", "precision", "recall", "real digits", "FID"):
        assert word in result.stdout


@pytest.mark.parametrize("case, fragments", [
    ("empty", ["holds 0 PNGs"]), ("one", ["holds 1 PNGs"]), ("missing", ["holds 0 PNGs"]),
    ("mixed sizes", ["00005.png is 28x28"]), ("not an image", ["00005.png is not a whole image"]),
    ("cut short", ["00005.png is not a whole image"]), ("a folder", ["00005.png is not a whole image"]),
    ("16 bits", ["00005.png has 16 bits per pixel: save it with 8"]),
    ("900 million pixels", ["00005.png claims to be huge: images of 32x32 are compared"]),
])  # fmt: skip
def test_wrong_folders(folders, case, fragments):
    fake, real = folders
    file = fake / "00005.png"
    if case in ("empty", "one", "missing"):
        for path in sorted(fake.iterdir())[case == "one" :]:
            path.unlink()
    if case == "missing":
        fake.rmdir()
    if case == "mixed sizes":
        Image.new("L", (28, 28)).save(file)
    if case == "not an image":
        file.write_text("GIF89a, or so it says")
    if case == "a folder":
        file.unlink()
        file.mkdir()
    if case == "16 bits":
        Image.fromarray(np.full((32, 32), 1000, np.uint16)).save(file)
    if case == "900 million pixels":
        header = struct.pack(">4sII5B", b"IHDR", 30_000, 30_000, 8, 0, 0, 0, 0)
        chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
        file.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + file.read_bytes()[33:])
    if case == "cut short":
        file.write_bytes(file.read_bytes()[:-30])
    assert_user_error(run_metric(fake, real), *fragments)


@pytest.fixture(scope="module")
def random_inception(tmp_path_factory):
    """Labelled so: Inception with seeded RANDOM weights. It exercises the code; its numbers are no FID."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("inception") / "random.pth"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pytorch_fid.inception.load_state_dict_from_url", lambda *_, **__: {})
        patch.setattr("torch.nn.Module.load_state_dict", lambda *_, **__: None)
        network = fid_inception_v3()
    for parameter in network.parameters():
        if parameter.ndim == 4:
            torch.nn.init.kaiming_normal_(parameter)  # so that digits still differ after its 48 layers
    torch.save(network.state_dict(), path)
    return path


def test_fid_is_what_the_shell_command_says(random_inception, torch_home, folders, monkeypatch):
    """By random weights: scoring.metric and `python -m pytorch_fid` are one measure, the kept statistics included."""
    digest = hashlib.sha256(random_inception.read_bytes()).hexdigest()
    monkeypatch.setattr(metric, "INCEPTION", digest[:8])
    found = metric.score_folders(*folders, weights=random_inception)
    kept = folders[1].with_name(f"real-inception-{digest[:8]}.npz")
    assert kept.is_file()
    assert cached_weights(torch_home).read_bytes() == random_inception.read_bytes()  # where both read it
    command = [sys.executable, "-m", "pytorch_fid", "./fake", f"./{kept.name}"]
    shell = subprocess.run(command, cwd=folders[0].parent, capture_output=True, text=True, timeout=300)
    assert shell.returncode == 0, shell.stderr
    assert float(shell.stdout.split("FID:")[1]) == pytest.approx(found["fid"], rel=1e-3) and found["fid"] > 0.01


def test_other_weights_are_refused(random_inception, torch_home, folders):
    with pytest.raises(UserError, match="is not pytorch-fid's pt_inception"):
        metric.fid(*folders, random_inception)
    with pytest.raises(UserError, match="does not exist"):
        metric.fid(*folders, folders[0] / "no.pth")
    assert not cached_weights(torch_home).exists()
    cached_weights(torch_home).parent.mkdir(parents=True)
    cached_weights(torch_home).write_bytes(random_inception.read_bytes())  # torch's own copy, cut short or altered
    with pytest.raises(UserError, match="is not pytorch-fid's pt_inception"):
        metric.fid(*folders)


class Malicious:
    """A pickle that leaves a file where it is opened."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_inception_weights_are_not_unpickled(torch_home, folders, monkeypatch, tmp_path):
    """Even a file of the right digest: torch takes tensors from it and runs nothing."""
    path = tmp_path / "weights.pth"
    torch.save({"Mixed_5b.weight": Malicious(tmp_path / "ran")}, path)
    monkeypatch.setattr(metric, "INCEPTION", hashlib.sha256(path.read_bytes()).hexdigest()[:8])
    monkeypatch.delenv("TORCH_FORCE_WEIGHTS_ONLY_LOAD", raising=False)
    with pytest.raises(pickle.UnpicklingError):
        metric.fid(*folders, path)
    assert not (tmp_path / "ran").exists()
    pickle.loads(pickle.dumps(Malicious(tmp_path / "ran")))
    assert (tmp_path / "ran").exists()  # what it would have done


def test_without_weights_fid_is_not_measured(folders, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("pytorch_fid.inception.FID_WEIGHTS_URL", (tmp_path / "no-network.pth").as_uri())
    result = metric.score_folders(*folders)
    assert result["fid"] is None and result["mnist_fd"] >= 0
    printed = capsys.readouterr().out
    assert "put it at" in printed and "not measured" in printed and "--inception-weights" in printed

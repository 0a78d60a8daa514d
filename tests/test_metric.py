"""The measures of quality: against closed forms, on real pictures, and on pictures spoilt in known ways."""
import hashlib
import json
import pickle
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import ROOT, assert_user_error
from PIL import Image
from pytorch_fid import fid_score
from pytorch_fid.inception import FID_WEIGHTS_URL, fid_inception_v3

from common.data import prepared
from common.data.dataset import open_dataset
from common.data.pictures import Preprocessing
from common.errors import UserError
from common.images import read_images, write_images
from publish.trust import DAMAGES, damaged
from scoring import classifiers, metric, networks
from scoring.classifiers import NAMES, WEIGHTS, classes, classify, own_folder, rescaling
from scoring.networks import load_classifier
from scoring.score import LEAST, measuring
from scoring.texture import in_pieces, texture

COUNT = 1000
MNIST = open_dataset()


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


def distance(a, b):
    return metric.frechet_distance(metric.moments(a), metric.moments(b))


def test_frechet_distance_of_gaussians():
    a, b = np.array([4.0, 1.0, 9.0]), np.array([1.0, 1.0, 4.0])  # variances that commute: (sqrt a - sqrt b)^2 each
    found = distance(gaussian([0, 0, 1], np.diag(a)), gaussian([2, 0, 0], np.diag(b)))
    assert found == pytest.approx(4 + 1 + (np.sqrt(a) - np.sqrt(b)) @ (np.sqrt(a) - np.sqrt(b)), rel=1e-6)
    a, b = np.array([[2.0, 1.0], [1.0, 3.0]]), np.array([[5.0, -2.0], [-2.0, 1.0]])
    root_trace = np.sqrt(np.trace(a @ b) + 2 * np.sqrt(np.linalg.det(a @ b)))  # of 2 x 2, by Cayley and Hamilton
    found = distance(gaussian([1, 1], a), gaussian([1, 1], b))
    assert found == pytest.approx(np.trace(a + b) - 2 * root_trace, rel=1e-6)


def test_frechet_distance_is_pytorch_fid_s():
    """Of covariances of full rank, and of fewer points than dimensions."""
    rng = np.random.default_rng(0)
    for count in (500, 30):
        a, b = (metric.moments(rng.standard_normal((count, 40)) * scale) for scale in (1, np.linspace(0.1, 2, 40)))
        assert metric.frechet_distance(a, b) == pytest.approx(fid_score.calculate_frechet_distance(*a, *b), rel=1e-3)


def test_precision_and_recall_by_hand():
    real = np.array([[0.0], [1.0], [2.0], [3.0], [100.0]])  # the radii to the 3rd neighbour: 3, 2, 2, 3, 99
    assert metric.fraction_in_manifold(np.array([[-3.5], [-2.5], [5.5], [199.5]]), real) == 0.5  # the middle two
    assert metric.fraction_in_manifold(real, np.array([[0.0], [1.0], [2.0], [3.0]])) == 0.8  # nothing drawn near 100
    assert metric.fraction_in_manifold(real, real[:2]) == pytest.approx(0.6)  # fewer points than neighbours


def test_precision_and_recall_by_all_distances():
    rng = np.random.default_rng(0)
    points, centres = rng.standard_normal((300, 5)), rng.standard_normal((200, 5)) * np.linspace(0.2, 2, 5)
    radii = np.sort(np.linalg.norm(centres[:, None] - centres, axis=2), axis=1)[:, metric.NEIGHBOURS]
    inside = (np.linalg.norm(points[:, None] - centres, axis=2) <= radii).any(axis=1)
    assert metric.fraction_in_manifold(points, centres) == inside.mean() != 1


@pytest.fixture(scope="module")
def real():
    return MNIST.test.sample(COUNT)


@pytest.fixture(scope="module")
def of_real(real):
    return metric.moments_by(real, MNIST)


def test_a_radius_whose_square_is_rounded_otherwise():
    """The square of one number is sometimes a bit less than the same square in an array: no root of less than 0."""
    radii = [x for x in np.random.default_rng(0).random(100_000).tolist() if x**2 < x * x]
    if not radii:
        pytest.skip("this machine rounds both alike")
    for radius in radii[:10]:
        centres = np.array([[0.0], [radius]])
        assert metric.fraction_in_manifold(np.array([[0.5 * radius], [3.0]]), centres) == 0.5


@pytest.mark.parametrize("name", NAMES)
def test_classifiers(name):
    features, probabilities = classify(name, MNIST.test.images, MNIST)
    assert (probabilities.argmax(axis=1) == MNIST.test.labels).mean() >= 0.994
    assert features.shape == (10_000, 128 if name == "pooled" else 192) and probabilities.shape == (10_000, 10)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert sum(path.stat().st_size for path in WEIGHTS.iterdir()) <= 2_000_000


def test_rescaling():
    """Variances along the principal directions become their roots."""
    mean, matrix = rescaling(gaussian([3, 5], [[10, 6], [6, 10]]))  # variances 16 and 4 along the diagonals
    np.testing.assert_allclose(mean, [3, 5])
    found = np.cov((gaussian([3, 5], [[10, 6], [6, 10]]) - mean) @ matrix, rowvar=False)
    np.testing.assert_allclose(np.sort(np.diag(found)), [2, 4], rtol=1e-3)
    assert abs(found[0, 1]) < 1e-9


@pytest.mark.parametrize("name", NAMES)
def test_rescaled_features_have_no_correlation(name):
    """The map that is shipped was fitted to the training digits: of these, what remains is sampling."""
    covariance = np.cov(classify(name, MNIST.train.sample(10_000), MNIST)[0], rowvar=False)
    spread = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(spread, spread) - np.eye(len(spread))
    assert np.abs(correlation).max() < 0.1 and spread.max() / spread.min() < 10


@pytest.fixture
def judges(monkeypatch, tmp_path):
    """Where classifiers and floors of other data, and other floors of MNIST, are kept: an empty folder."""
    monkeypatch.setattr(prepared, "PREPARED", tmp_path)
    return tmp_path / "judges"


def test_the_floor_that_is_kept(monkeypatch, judges):
    """What is measured anew is what is shipped."""
    kept = metric.floor((COUNT, COUNT), MNIST)
    monkeypatch.setattr(metric, "SHIPPED", ())
    found = metric.floor((COUNT, COUNT), MNIST)
    assert json.loads(next(judges.rglob("floors.json")).read_text()) == {"1000-1000-test-32": found}
    assert found.pop("classifiers") == kept.pop("classifiers")
    for name in kept:
        assert found[name] == pytest.approx(kept[name], rel=1e-3, abs=2e-3 if name in metric.SHARES else None), name


@pytest.mark.parametrize("counts, part, label", [
    ((100, 400), "test", None), ((400, 100), "train", None), ((90, 80), "test", 7),
])  # fmt: skip
def test_a_floor_is_for_what_is_compared(judges, monkeypatch, counts, part, label):
    """For the pair of counts, the part and the class: real digits score about 1, and by another's floor they do not."""
    monkeypatch.setattr(metric, "distance_to_training", lambda *_: 1.0)  # not looked at here
    split, picks = metric.real_picks(counts[1], MNIST, part, label)
    real = split.images[picks]
    fake = MNIST.train.images[MNIST.train.picks(counts[0], 100, label, picks if part == "train" else ())]
    floors = metric.floor(counts, MNIST, part, label)
    assert floors["counts"] == [*counts]
    fd = metric.distances(metric.moments_by(fake, MNIST), metric.moments_by(real, MNIST))
    assert metric.over_floor(fd, floors["fd"]) == pytest.approx(1, abs=0.15)
    assert abs(metric.over_floor(fd, metric.floor((COUNT, COUNT), MNIST)["fd"]) - 1) > 2
    assert len(list(judges.rglob("floors.json"))) == 1 and metric.floor(counts, MNIST, part, label) == floors


def test_a_floor_of_other_classifiers_is_measured_again(judges, monkeypatch):
    compared, scores = [], {"fd": dict.fromkeys(NAMES, 1.0)}
    monkeypatch.setattr(metric, "compare", lambda fake, real, data: compared.append(len(fake)) or (scores, None))
    monkeypatch.setattr(metric, "distance_to_training", lambda *_: 1.0)
    kept = [metric.floor((90, 80), MNIST, "test", 7) for _ in range(2)][1]
    assert compared == [90] * metric.FLOOR_SETS
    monkeypatch.setattr(metric, "digests", lambda data: ["another"] * 3)
    assert metric.floor((90, 80), MNIST, "test", 7) == kept | {"classifiers": ["another"] * 3}
    assert compared == [90] * 2 * metric.FLOOR_SETS


def test_a_floor_of_all_images_is_measured_once(judges, monkeypatch):
    """Other random sets of them would be the same."""
    data, compared = SimpleNamespace(**{**vars(MNIST), "train": MNIST.train.first(50), "test": MNIST.test}), []
    scores = {"fd": dict.fromkeys(NAMES, 1.0)}
    monkeypatch.setattr(metric, "compare", lambda fake, real, data: compared.append(len(fake)) or (scores, None))
    assert metric.floor((1000, 80), data)["counts"] == [50, 80] and compared == [50]


def test_training_images_are_compared_with_others(judges, monkeypatch):
    """At most half of them, so that the other half can set the floor; of one class alone, if asked for."""
    data, compared, nearest = SimpleNamespace(**{**vars(MNIST), "train": MNIST.train.first(60)}), [], []
    scores = {"fd": dict.fromkeys(NAMES, 1.0)}
    monkeypatch.setattr(metric, "compare", lambda fake, real, data: compared.append((fake, real)) or (scores, None))
    monkeypatch.setattr(metric, "distance_to_training", lambda images, data: nearest.append(images) or 1.0)
    assert metric.floor((40, 40), data, "train")["counts"] == [30, 30]
    assert not {x.tobytes() for x in compared[0][0]} & {x.tobytes() for x in compared[0][1]}
    metric.floor((90, 80), MNIST, "test", 7)
    np.testing.assert_array_equal(nearest[1], MNIST.test.sample(90, label=7))


def test_too_few_images_and_the_same_twice(judges, monkeypatch):
    one = SimpleNamespace(place="birds", spec=MNIST.spec, train=MNIST.train.first(1), test=MNIST.test)
    with pytest.raises(UserError, match="birds has 1 train images in all: a score needs two"):
        metric.real_picks(10, one, "test")
    monkeypatch.setattr(metric, "compare", lambda *_: ({"fd": dict.fromkeys(NAMES, 3e-6)}, None))
    with pytest.raises(UserError, match="the test images are the training images"):
        metric.floor((90, 80), MNIST, "test", 7)


def test_a_classifier_of_many_pictures_sees_only_so_many(monkeypatch):
    seen, loss = [], networks.cross_entropy
    monkeypatch.setattr(networks, "cross_entropy", lambda y, targets: seen.append(len(y)) or loss(y, targets))
    few = {"epochs": 1, "batch_size": 32, "learning_rate": 1e-3}
    networks.train("patches", MNIST.train.images[:200], MNIST.train.labels[:200], 10, **few, most=64)
    assert sum(seen) == 64


def test_real_digits_score_the_floor(real):
    others = MNIST.train.sample(COUNT, seed=100)
    found = metric.offline_metric(others, real, MNIST)
    assert found["over_floor"] == pytest.approx(1, abs=0.1)
    for name in ("precision", "recall", "confident"):
        assert found[name] == pytest.approx(found["floor"][name], abs=0.03)
        assert found["floor"][name] > 0.75
    assert sum(found["classes"]) == COUNT and min(found["classes"]) > 60
    assert found["training_distance"] == 0  # they are training images
    by_class = MNIST.test.images[np.argsort(MNIST.test.labels, kind="stable")]
    assert metric.distance_to_training(by_class, MNIST) == pytest.approx(found["floor"]["training_distance"], rel=0.02)
    assert abs(found["texture"]) < 0.15 and found["levels"] < 0.02 and found["pieces"] == pytest.approx(0.02, abs=0.01)


@pytest.fixture(scope="module")
def undamaged(of_real):
    """1,000 training digits, and their distance / floor."""
    images, floors = MNIST.train.sample(COUNT, seed=100), metric.floor((COUNT, COUNT), MNIST)
    return images, metric.over_floor(metric.distances(metric.moments_by(images, MNIST), of_real), floors["fd"])


@pytest.mark.parametrize("name", DAMAGES)
def test_the_worse_the_damage_the_greater_the_distance(name, real, of_real, undamaged):
    """Of 1,000 images, where the floor is higher and hides more than it does of 10,000. What the classifiers are blind
    to, texture sees."""
    damage, *strengths = DAMAGES[name]
    (images, best), floors = undamaged, metric.floor((COUNT, COUNT), MNIST)
    sets = [damaged(images, damage, strength, MNIST) for strength in strengths]
    if name.startswith("black"):
        assert texture(sets[-1], real)["levels"] > 0.7 > 0.02 > texture(images, real)["levels"]
        return
    found = [metric.over_floor(metric.distances(metric.moments_by(x, MNIST), of_real), floors["fd"]) for x in sets]
    assert [best, *found] == sorted([best, *found]) and found[-1] > 1.25, found


def test_texture_of_pictures_made_by_hand():
    """Waves of 2, 8 and 14 cycles a picture, of which the last, in a band of its own, is halved; a stroke, cut."""
    x = np.arange(32) / 32
    waves = [np.sin(2 * np.pi * cycles * x) for cycles in (2, 8, 14)]
    picture = lambda *sizes: np.round(sum(a * wave for a, wave in zip(sizes, waves)) + 128).astype(np.uint8)
    real, fake = (np.broadcast_to(picture(*sizes), (3, 3, 32, 32)) for sizes in ((40, 40, 40), (40, 40, 20)))
    found = texture(fake, real)
    assert found["texture"] == pytest.approx(-2, abs=0.05) and "pieces" not in found
    assert np.array(found["spectrum"])[[0, 2]] == pytest.approx(0, abs=0.05)
    assert found["spectrum"][3] == found["texture"]
    assert texture(real, real)["levels"] == 0 and texture(real, 255 - real // 255)["levels"] == 1
    whole = np.zeros((2, 1, 32, 32), np.uint8)
    whole[:, 0, 4:28, 15:18] = 255
    whole[1, 0, 16] = 50
    assert in_pieces(whole) == 0.5
    assert texture(whole, whole)["pieces"] == 0.5 and "pieces" not in texture(255 - whole, 255 - whole)


def test_mode_collapse_is_recalls_to_see(real, monkeypatch):
    monkeypatch.setattr(metric, "distance_to_training", lambda *_: 1.0)  # not looked at here
    found = metric.offline_metric(MNIST.train.sample(COUNT)[np.arange(COUNT) % 20], real, MNIST)
    assert found["over_floor"] > 3 and found["recall"] < found["floor"]["recall"] - 0.3


def test_classifiers_of_your_own_data(judged_birds, capsys):
    """Trained once, by their digest, for pictures in colour of any size; floors are kept for each."""
    data, small = (open_dataset(judged_birds, Preprocessing(size=size)) for size in (32, 16))
    folder = own_folder(small)
    kept = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.safetensors")}
    assert set(kept) == {f"{name}.safetensors" for name in NAMES} and folder == own_folder(data)
    assert folder != own_folder(open_dataset(judged_birds, Preprocessing(size=32, fit="pad")))
    for some in (data, small):
        found = metric.offline_metric(some.train.sample(10, seed=5), some.test.images, some)
        assert found["over_floor"] == pytest.approx(1, abs=0.6) and found["floor"]["counts"] == [10, 3]
        assert sum(found["classes"]) == 10 and len(found["classes"]) == 3 and "pieces" not in found
        metric.print_measures(found, some, (10, 3), "test")
    assert capsys.readouterr().out.count("\nFD / floor ") == 2
    assert kept == {path.name: path.stat().st_mtime_ns for path in folder.glob("*.safetensors")}
    assert set(json.loads((folder / "floors.json").read_text())) >= {"10-3-test-32", "10-3-test-16"}
    sees = (classes(data.train.images, data) == data.train.labels).mean()
    assert sees > 0.8, sees


def test_as_many_generated_images_are_compared_as_there_are_real_ones(judged_birds, capsys):
    data = open_dataset(judged_birds)
    found = metric.offline_metric(np.tile(data.train.images, (3, 1, 1, 1)), data.test.images, data)
    assert found["floor"]["counts"] == [33, 3] and sum(found["classes"]) == 33
    metric.print_measures(found, data, (99, 3), "test")
    assert "33 against 3 test images; the floor: 33 against 3" in capsys.readouterr().out
    many = np.tile(data.test.images, (4, 1, 1, 1))
    found = metric.offline_metric(data.train.images[:5], many, data)
    metric.print_measures(found, data, (5, 12), "test")
    assert found["floor"]["counts"] == [5, 3]
    assert "5 against 3 test images; the floor: 5 against 3\n" in (told := capsys.readouterr().out)
    assert "of 5 against 12: the floor has no more real images to compare" in told


def test_a_classifier_that_is_damaged_or_missing(judged_birds, monkeypatch):
    """It is trained when it is needed, to the same weights."""
    data = open_dataset(judged_birds)
    path = own_folder(data) / "pooled.safetensors"
    whole = path.read_bytes()
    load_classifier.cache_clear()
    path.write_bytes(whole[:-9])
    with pytest.raises(UserError, match=r"pooled\.safetensors is damaged .*: delete it, and it will be trained again"):
        classify("pooled", data.test.images, data)
    path.unlink()
    monkeypatch.setattr(classifiers, "SEEN", (2000, 2000))  # as they were trained
    classify("pooled", data.test.images, data)
    assert path.read_bytes() == whole


def test_measures_of_your_own_are_told_from_pictures(judged_birds):
    """By ridge regression on features of the training part: those of the class, here, more than those within it."""
    data = open_dataset(judged_birds).measured()
    found = measuring(data)(data.train.images)
    assert list(found) == ["age", "angle"]
    data.train.values["angle"][LEAST - 1 :] = np.nan  # a few values more, and it is predicted
    assert list(measuring(data)(data.train.images)) == ["age"]
    assert np.corrcoef(found["age"], data.train.values["age"])[0, 1] > 0.8


def test_pictures_without_labels(few, tmp_path, capsys, monkeypatch):
    """The classifiers learn clusters of their pixels, and see blur."""
    monkeypatch.setattr(classifiers, "SEEN", (2000, 2000))
    images = open_dataset(few).train.images
    np.save(tmp_path / "digits.npy", images[:300, 0])
    data = open_dataset(tmp_path / "digits.npy")
    found = metric.offline_metric(images[300:350], data.test.images, data)
    assert found["over_floor"] == pytest.approx(1, abs=0.3) and sum(found["classes"]) == 50
    assert abs(found["texture"]) < 1 and found["training_distance"] == pytest.approx(1, abs=0.2)
    metric.print_measures(found, data, (50, 30), "test")
    told = capsys.readouterr().out
    assert "FD / floor " in told and "clusters " in told
    blurred = damaged(images[300:350], DAMAGES["blurred, sigma {} pixels"][0], 0.6, data)
    spoilt = metric.offline_metric(blurred, data.test.images, data)
    assert spoilt["over_floor"] > found["over_floor"] + 0.1


def run_metric(*arguments):
    command = [sys.executable, "-m", "scoring.metric", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


@pytest.fixture
def folders(tmp_path):
    """fake/ and real/ of 12 digits each."""
    for name, split in (("fake", MNIST.train), ("real", MNIST.test)):
        (tmp_path / name).mkdir()
        write_images(tmp_path / name, range(12), split.sample(12))
    return tmp_path / "fake", tmp_path / "real"


def test_a_strangers_folders(folders):
    fake, real = folders
    Image.open(fake / "00003.png").convert("RGBA").save(fake / "00003.png")  # colours, as other programs write
    (fake / "notes.txt").write_text("not a picture, and not in the way")
    np.testing.assert_array_equal(read_images(fake, MNIST.spec.shape), MNIST.train.sample(12))
    result = run_metric(fake, real, "--no-fid", "--json", fake / "result.json")
    assert result.returncode == 0, result.stderr
    found = json.loads((fake / "result.json").read_text())
    assert found["over_floor"] == pytest.approx(1, abs=0.5) and found["fid"] is None
    for word in ("MNIST-FD / floor", "precision", "recall", "real images", "FID", "spectrum", "in pieces"):
        assert word in result.stdout
    assert_user_error(run_metric(fake / "none", real), "none is not a folder: check the path")


@pytest.mark.parametrize("case, problem", [
    ("empty", "holds 0 PNGs"), ("one", "holds 1 PNGs"), ("mixed sizes", r"00005\.png is 28x28: .*--size"),
    ("cut short", r"00005\.png is damaged or missing"), ("16 bits", r"00005\.png has 16 bits per pixel: save it "),
    ("colours", r"00005\.png is in colour, but the data is grey: "), ("holes", r"00005\.png is transparent in places"),
    ("900 million pixels", r"00005\.png is damaged or missing \(Image size"),
])  # fmt: skip
def test_wrong_folders(folders, case, problem):
    fake, _ = folders
    file = fake / "00005.png"
    if case in ("empty", "one"):
        for path in sorted(fake.iterdir())[case == "one" :]:
            path.unlink()
    if case == "mixed sizes":
        Image.new("L", (28, 28)).save(file)
    if case == "colours":
        Image.new("RGB", (32, 32), "red").save(file)
    if case == "holes":
        Image.new("LA", (32, 32), (0, 200)).save(file)
    if case == "16 bits":
        Image.fromarray(np.full((32, 32), 1000, np.uint16)).save(file)
    if case == "900 million pixels":
        header = struct.pack(">4sII5B", b"IHDR", 30_000, 30_000, 8, 0, 0, 0, 0)
        chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
        file.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + file.read_bytes()[33:])
    if case == "cut short":
        file.write_bytes(file.read_bytes()[:-30])
    with pytest.raises(UserError, match=problem):
        read_images(fake, MNIST.spec.shape)


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


def test_fid_is_what_the_shell_command_says(random_inception, torch_home, folders, monkeypatch, capsys):
    """By random weights, `python -m pytorch_fid` compares what scoring.metric does; the distance itself, whose matrix
    root takes it 15 s, is left out."""
    apart = lambda m, s, n, t: float(np.abs(m - n).sum() + np.abs(s - t).sum())
    monkeypatch.setattr(fid_score, "calculate_frechet_distance", apart)
    monkeypatch.setattr(metric, "frechet_distance", lambda a, b: apart(*a, *b))
    digest = hashlib.sha256(random_inception.read_bytes()).hexdigest()
    monkeypatch.setattr(metric, "INCEPTION", digest[:8])
    for path in [path for folder in folders for path in sorted(folder.iterdir())[3:]]:
        path.unlink()  # a second each
    found = metric.fid(*folders, random_inception)
    assert cached_weights(torch_home).read_bytes() == random_inception.read_bytes()  # where both read it
    monkeypatch.setattr(sys, "argv", ["pytorch_fid", *map(str, folders), "--num-workers", "0"])
    fid_score.main()
    assert float(capsys.readouterr().out.split("FID:")[1]) == pytest.approx(found, rel=1e-3) and found > 0.01


def test_other_weights_are_refused(random_inception, torch_home, folders):
    with pytest.raises(UserError, match="is not pytorch-fid's pt_inception"):
        metric.fid(*folders, random_inception)
    with pytest.raises(UserError, match="is not pytorch-fid's pt_inception"):  # before it looks for the pictures
        metric.main(metric.Metric(fake=folders[0] / "none", real=folders[1], inception_weights=random_inception))
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
    result = metric.score_folders(*folders, MNIST)
    assert result["fid"] is None and result["over_floor"] >= 0
    printed = capsys.readouterr().out
    assert "save it as" in printed and "not measured" in printed and "--inception-weights" in printed


def test_pictures_of_other_kinds_are_not_passed_over(tmp_path):
    """pytorch-fid reads some of them; both must read the same pictures."""
    for number, name in enumerate(("0.png", "1.png", "2.PNG", "3.jpg", "notes.txt")):
        Image.new("L", (32, 32), 80 * number).save(tmp_path / name, "png")
    with pytest.raises(UserError, match=r"holds 2 pictures of other kinds, as .*: save all as \.png"):
        read_images(tmp_path, (1, 32, 32))


def test_pictures_that_are_all_alike_train_no_classifier(few, tmp_path, monkeypatch):
    monkeypatch.setattr(classifiers, "SEEN", (2000, 2000))
    labels = np.repeat([0, 1], 20)
    np.savez(tmp_path / "same.npz", x_train=np.full((40, 16, 16), 90, np.uint8), y_train=labels)
    with pytest.raises(UserError, match="the classifier sees no difference between the training pictures"):
        classify("pooled", np.zeros((2, 1, 32, 32), np.uint8), open_dataset(tmp_path / "same.npz"))

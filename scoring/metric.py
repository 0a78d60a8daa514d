"""The quality of generated images: the usual FID, and an offline metric that needs no download and no GPU.

    python -m scoring.metric FAKE REAL    # any two folders of PNGs; torch is imported where it is needed"""
import os
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import FilePath
from tqdm import tqdm
from tyro.conf import Positional

from common.data import prepared
from common.data.dataset import open_dataset
from common.data.pictures import Preprocessing
from common.draw import class_number
from common.errors import UserError
from common.files import digest, read_json, write_atomically, write_json
from common.images import read_images
from common.options.command_line import run
from common.options.fields import options_class
from common.options.sampling import ClassName
from common.options.where import Flat
from scoring.classifiers import NAMES, WEIGHTS, classify, digests, folder_of, labelled, own_folder
from scoring.texture import texture, texture_text

INCEPTION = "6726825d"  # first digits of the sha256 of pytorch-fid's weights
NEIGHBOURS = 3  # k of precision and recall (Kynkäänniemi et al. 2019, section 3)
FLOOR_SETS = 3  # random sets of training images, whose mean score is the floor
SHIPPED = "1000-1000-test-32", "10000-10000-test-32"  # MNIST's floors in the repository
MEMORY_SAMPLE = 2000  # images used for training_distance
SHARES = "precision", "recall", "confident"


class NotMeasured(Exception):
    """Raised, with the reason, if this machine cannot compute a measure."""


def moments(features):
    """Mean (D,) and covariance (D, D) of features (N, D)."""
    return features.mean(axis=0), np.cov(features, rowvar=False)


def frechet_distance(a, b):
    """Frechet distance of two Gaussians, each (mean (D,), covariance (D, D)) (Heusel et al. 2017, equation 6).

    The trace of sqrt(A B) is the sum of the roots of A B's eigenvalues, which R.T B R shares, where A = R R.T."""
    values, vectors = np.linalg.eigh(a[1])
    root = vectors * np.sqrt(values.clip(0))
    overlap = np.sqrt(np.linalg.eigvalsh(root.T @ b[1] @ root).clip(0)).sum()
    return float(((a[0] - b[0]) ** 2).sum() + np.trace(a[1]) + np.trace(b[1]) - 2 * overlap)


def fraction_in_manifold(points, centres):
    """Fraction of points (N, D) inside the manifold of centres (M, D): balls around each centre that reach its 3rd
    neighbour. Precision: generated points, real centres; recall: real points, generated centres (Kynkäänniemi et al.
    2019, equation 2).

    One nearest-neighbour search tests all balls. Each centre gets one more coordinate, sqrt(R^2 - r^2) for its radius r
    and the largest radius R, and each point 0: a point is in a ball if its distance is now at most R."""
    from sklearn.metrics import pairwise_distances_argmin_min  # slow to import
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=min(NEIGHBOURS, len(centres) - 1), algorithm="brute").fit(centres)
    radii = search.kneighbors()[0][:, -1]  # a centre is not its own neighbour
    squares = radii**2
    largest = squares.max()  # radii.max() ** 2 may be rounded to less
    moved = np.column_stack([centres, np.sqrt(largest - squares)])
    points = np.column_stack([points, np.zeros(len(points))])
    return float((pairwise_distances_argmin_min(points, moved, metric="sqeuclidean")[1] <= largest).mean())


def some(images, most):
    """At most so many images, chosen at random: a folder may be sorted by class."""
    return images if len(images) <= most else images[np.random.default_rng(0).permutation(len(images))[:most]]


def distance_to_training(images, data):
    """Mean Euclidean distance, in grey levels, from 2,000 random images to their nearest training images."""
    from sklearn.metrics import pairwise_distances_argmin_min

    flat = lambda images: images.reshape(len(images), -1).astype(np.float32)
    points, training = flat(some(images, MEMORY_SAMPLE)), data.train.images
    rows = max(1, 30_000_000 // points.shape[1])  # of 120 MB
    pieces = (flat(training[start : start + rows]) for start in range(0, len(training), rows))
    return float(np.min([pairwise_distances_argmin_min(points, x)[1] for x in pieces], axis=0).mean())


def moments_by(images, data):
    """{classifier: moments of its features} of images (N, C, H, W) uint8."""
    return {name: moments(classify(name, images, data)[0]) for name in NAMES}


def distances(a, b):
    """{classifier: Frechet distance} between two results of moments_by()."""
    return {name: frechet_distance(a[name], b[name]) for name in NAMES}


def compare(fake, real, data):
    """({"fd": {classifier: Frechet distance}, SHARES}, class probabilities (N, classes)) of images (N, C, H, W) uint8;
    all but fd averaged over the classifiers."""
    fd, others = {}, []
    for name in NAMES:
        (a, probabilities), (b, _) = classify(name, fake, data), classify(name, real, data)
        fd[name] = frechet_distance(moments(a), moments(b))
        confident = (probabilities.max(axis=1) > 0.9).mean()
        others.append((fraction_in_manifold(a, b), fraction_in_manifold(b, a), confident, probabilities))
    *shares, probabilities = (sum(parts) / len(NAMES) for parts in zip(*others))
    return {"fd": fd, **dict(zip(SHARES, map(float, shares)))}, probabilities


def real_picks(count, data, part, label=None):
    """(part, indices) of `count` real images to compare fake ones with: of "test" or "train", of one class (an index)
    or of all. Of training images at most half are taken, as the others set the floor. UserError if there are fewer than
    two, or fewer than two training images."""
    split = data.train if part == "train" else data.test
    most = {name: len(getattr(data, name).picks(None, label=label)) for name in ("train", part)}
    most[part] //= 2 if part == "train" else 1
    for name, images in most.items():
        if images < 2:
            what = f"of the class {data.spec.classes[label]}" if label is not None else "in all"
            raise UserError(f"{data.place} has {images} {name} images {what}: a score needs two, so add pictures")
    return split, split.picks(min(count, most[part]), label=label)


def mean(parts):
    """The mean absolute value of corresponding numbers in nested dictionaries and lists."""
    if isinstance(parts[0], dict):
        return {name: mean([part[name] for part in parts]) for name in parts[0]}
    return np.abs(parts).mean(axis=0).tolist()


def floor(counts, data, part="test", label=None):
    """What real images score: the mean over FLOOR_SETS random sets (one if it has all images) of counts[0] training
    images, each compared with counts[1] others of a part and a class (real_picks) by compare() and
    texture(). Cached; takes minutes.

    training_distance: that of test images to training images."""
    split, picked = real_picks(counts[1], data, part, label)
    exclude = picked if part == "train" else ()
    sets = [data.train.picks(counts[0], seed, label, exclude) for seed in range(FLOOR_SETS)]
    sets = sets[:1] if np.array_equal(sets[0], sets[1]) else sets  # all that there are
    counts = len(sets[0]), len(picked)
    key = "-".join(map(str, (*counts, part, data.spec.shape[1], *(() if label is None else (label,)))))
    path = (folder_of(data) if key in SHIPPED else own_folder(data)) / "floors.json"
    kept = lambda: read_json(path, "delete it, and it will be measured again") if path.is_file() else {}
    if kept().get(key, {}).get("classifiers") != digests(data):
        real, found = split.images[picked], []
        for numbers in tqdm(sets, desc="scoring real images", unit="set", leave=False, disable=None):
            images = data.train.images[numbers]
            found.append(texture(images, real) | compare(images, real, data)[0])
        few = min(counts[0], MEMORY_SAMPLE)
        test = data.test.sample(few, label=label if label in data.test.labels else None)
        measured = {"counts": counts, **mean(found), "training_distance": distance_to_training(test, data)}
        if min(measured["fd"].values()) < 1e-4:  # rounding, where real pictures are at 0.1 and more
            raise UserError(f"{data.place}: the {part} images are the training images, so there is nothing to compare")
        measured["classifiers"] = digests(data)  # the floor is theirs
        with prepared.locked(own_folder(data)):
            write_json(path, kept() | {key: measured})
    return kept()[key]


def over_floor(fd, floors):
    """The mean over the classifiers of Frechet distance / floor; 1 for real images."""
    return float(np.mean([fd[name] / floors[name] for name in NAMES]))


def offline_metric(fake, real, data, part="test", label=None):
    """Compare images (N, C, H, W) uint8 with real ones, of a part of the data and of one class (an index) or all. If
    the floor has fewer images of either kind, only as many, at random, are compared.

    `over_floor`: mean Frechet distance / floor, 1 for real images; `fd`: Frechet distance by each classifier;
    `precision`, `recall`; `confident`: fraction of fake images with a class probability above 0.9; `classes`: images
    per predicted class, or per cluster of data without labels; the results of texture(); `training_distance`: distance
    to the nearest training image over that of test images (far below 1: memorised); `floor`: the scores of real
    images, and their training_distance in grey levels."""
    floors = floor((len(fake), len(real)), data, part, label)
    fake, real = map(some, (fake, real), floors["counts"])  # distances of other counts cannot be compared
    measures, probabilities = compare(fake, real, data)
    return {
        "over_floor": over_floor(measures["fd"], floors["fd"]), **measures,
        "classes": np.bincount(probabilities.argmax(axis=1), minlength=probabilities.shape[1]).tolist(),
        **texture(fake, real),
        "training_distance": distance_to_training(fake, data) / (floors["training_distance"] or 1), "floor": floors,
    }  # fmt: skip


def print_measures(found, data, counts, part):
    """Print the result of offline_metric() for counts = (fake, real) images, beside the floor."""
    floors, title = found["floor"], "MNIST-FD / floor" if folder_of(data) == WEIGHTS else "FD / floor"
    against, compared = "{:,} against {:,}".format, [*map(min, zip(counts, floors["counts"]))]
    print(f"{'images':23}{against(*compared)} {part} images; the floor: {against(*floors['counts'])}")
    if compared != [*counts]:
        print(f"{'':23}of {against(*counts)}: the floor has no more real images to compare")
    each = ", ".join(f"{name} {found['fd'][name] / floors['fd'][name]:.2f}" for name in NAMES)
    print(f"{title:20}{found['over_floor']:9.2f}   real images 1; by each classifier: {each}")
    for name in SHARES:
        print(f"{name:20}{found[name]:9.4f}   real images {floors[name]:.4f}")
    what = "classes" if labelled(data) else "clusters"
    print(f"{what:23}{' '.join(map(str, found['classes'][:20]))}{' ...' * (len(found['classes']) > 20)}")
    print(f"{'texture':23}{texture_text(found)}")
    print(f"{'of real images':23}{texture_text(floors)}")
    print(f"{'training_distance':20}{found['training_distance']:9.4f}   held-out images 1; far below 1: copies")


def cache_inception_weights(path=None):
    """Put pytorch-fid's Inception weights into torch's cache: copied from path, or downloaded if they are missing.
    UserError if the file is another one; NotMeasured if there is none and the download fails."""
    import torch
    from pytorch_fid.inception import FID_WEIGHTS_URL

    cached = Path(torch.hub.get_dir()) / "checkpoints" / Path(FID_WEIGHTS_URL).name
    if path is not None and not path.is_file():
        raise UserError(f"{path} does not exist: give the path of {cached.name} with --inception-weights")
    if path is None and not cached.is_file():
        try:
            cached.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(FID_WEIGHTS_URL, cached, hash_prefix=INCEPTION)
        except (OSError, RuntimeError) as error:  # no network, or a truncated file
            advice = f"download {FID_WEIGHTS_URL}\nand save it as {cached}, or give its path with --inception-weights"
            raise NotMeasured(f"Inception's weights are missing ({error}): {advice}") from error
    if not digest(path or cached).startswith(INCEPTION):
        raise UserError(f"{path or cached} is not pytorch-fid's {cached.name}: download it from {FID_WEIGHTS_URL}")
    if path is not None:
        cached.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(cached, path.read_bytes())


def fid(fake, real, weights=None):
    """Frechet Inception distance of two folders of PNGs, by pytorch-fid's network, on CUDA if there is a GPU."""
    cache_inception_weights(weights)
    os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"  # nothing in the file is unpickled
    import torch
    from pytorch_fid.fid_score import compute_statistics_of_path
    from pytorch_fid.inception import InceptionV3

    device = "cuda" if torch.cuda.is_available() else "cpu"
    size = min(50, len(list(Path(fake).glob("*.png"))))  # a batch larger than the folder makes it print a warning
    network = InceptionV3([InceptionV3.BLOCK_INDEX_BY_DIM[2048]]).to(device)
    of = lambda folder: compute_statistics_of_path(str(folder), network, size, 2048, device, num_workers=0)
    return frechet_distance(of(fake), of(real))


def score_folders(fake, real, data, with_fid=True, weights=None, part="test", label=None):
    """Compute and print all measures of two folders of PNGs; if fid is None, fid_note says why."""
    images = [read_images(folder, data.spec.shape) for folder in (fake, real)]
    result = offline_metric(*images, data, part, label)
    print_measures(result, data, [*map(len, images)], part)
    result |= {"fid": None, "fid_note": None if with_fid else "not measured: left out"}
    try:
        result["fid"] = fid(fake, real, weights) if with_fid else None
    except NotMeasured as error:
        result["fid_note"] = "not measured: Inception's weights were missing"
        print(error)
    print(f"{'FID':20}{'not measured' if result['fid'] is None else format(result['fid'], '9.2f')}")
    return result


@options_class
class Metric:
    """Score a folder of generated PNGs against a folder of real ones."""

    fake: Positional[Path]
    """Folder of generated images."""
    real: Positional[Path]
    """Folder of real images."""
    fid: bool = True
    """Also compute FID, if pytorch-fid's weights can be had."""
    inception_weights: FilePath | None = None
    """Local copy of pytorch-fid's weights."""
    data: Path | None = None
    """Data set of the images (None: MNIST), whose classifiers and floors are used, or made first."""
    preprocessing: Flat[Preprocessing] = Preprocessing()
    part: Literal["test", "train"] = "test"
    """Part of the data set that the real images are from."""
    label: ClassName = None
    """Class of all the images, by name or number (None: classes as in the data)."""
    json: Path | None = None
    """Also write the numbers to this file."""


def main(options: Metric):
    if options.json and not os.access(options.json.resolve().parent, os.W_OK):
        raise UserError(f"{options.json.parent} is not a folder that can be written: choose another one with --json")
    if options.inception_weights:
        cache_inception_weights(options.inception_weights)  # before minutes of work, if they are others
    data = open_dataset(options.data, options.preprocessing)
    label = class_number(options.label, data.spec)
    weights = options.inception_weights
    result = score_folders(options.fake, options.real, data, options.fid, weights, options.part, label)
    if options.json:
        write_json(options.json, result)


if __name__ == "__main__":
    run(main, Metric)

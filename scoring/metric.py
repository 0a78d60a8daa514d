"""How good drawn digits are: FID as the field measures it, and a measure that needs neither download nor GPU.

    python -m scoring.metric FAKE REAL    # two folders of 32x32 PNGs, anyone's; torch is imported where it is needed"""
import os
from pathlib import Path

import numpy as np
from pydantic import FilePath
from tyro.conf import Positional

from common.data.dataset import open_dataset
from common.errors import UserError
from common.files import DATA, digest, read_json, write_atomically, write_json
from common.images import read_images
from common.options.command_line import run
from common.options.fields import options_class
from scoring.classifiers import FLOORS, NAMES, classify

INCEPTION = "6726825d"  # how the sha256 of pytorch-fid's weights begins
NEIGHBOURS = 3  # of precision and recall (Kynkäänniemi et al. 2019, section 3)
FLOOR_SETS = 3  # random sets of training images whose mean is the floor
KEPT = 1_000, 10_000  # counts of images whose floors are kept
MEMORY_SAMPLE = 2000  # images whose nearest training image is searched
SHARES = "precision", "recall", "confident"


class NotMeasured(Exception):
    """A measure that this machine cannot take, and why."""


def frechet_distance(a, b):
    """Frechet distance of the Gaussians fitted to two sets of features (N, D) (Heusel et al. 2017, equation 6)."""
    from pytorch_fid.fid_score import calculate_frechet_distance

    moments = [part for x in (a, b) for part in (x.mean(axis=0), np.cov(x, rowvar=False))]
    return float(calculate_frechet_distance(*moments))


def over_distances(reduce, a, b, rows=500):
    """reduce(squared Euclidean distances (up to rows, M) of points a (N, D) to points b (M, D)), in pieces: (N,)."""
    norms = (b * b).sum(axis=1)
    pieces = (a[i : i + rows] for i in range(0, len(a), rows))
    return np.concatenate([reduce(((x * x).sum(axis=1)[:, None] + norms - 2 * x @ b.T).clip(0)) for x in pieces])


def fraction_in_manifold(points, centres):
    """Fraction of the points within the manifold of the centres: balls that reach to each centre's 3rd neighbour.

    Precision: drawn points, real centres; recall: real points, drawn centres (Kynkäänniemi et al. 2019, equation 2)."""
    k = min(NEIGHBOURS, len(centres) - 1)  # 0 is the centre itself
    radii = over_distances(lambda squares: np.partition(squares, k, axis=1)[:, k], centres, centres)
    return float(over_distances(lambda squares: (squares <= radii).any(axis=1), points, centres).mean())


def distance_to_training(images, data):
    """Mean distance of images to their nearest training image, in the pixels' units; of the first 2,000 images."""
    points, training = (x.reshape(len(x), -1).astype(np.float32) for x in (images[:MEMORY_SAMPLE], data.train.images))
    return float(np.sqrt(over_distances(lambda squares: squares.min(axis=1), points, training)).mean())


def mnist_fd(fake, real):
    """The Frechet distance of images (N, 1, 32, 32) uint8 to real ones by each classifier's features."""
    return {name: frechet_distance(classify(name, fake)[0], classify(name, real)[0]) for name in NAMES}


def compare(fake, real):
    """By each classifier `mnist_fd`; on their average the SHARES and the probabilities of the classes (N, 10)."""
    distances, others = {}, []
    for name in NAMES:
        (a, probabilities), (b, _) = classify(name, fake), classify(name, real)
        distances[name] = frechet_distance(a, b)
        confident = (probabilities.max(axis=1) > 0.9).mean()
        others.append((fraction_in_manifold(a, b), fraction_in_manifold(b, a), confident, probabilities))
    *shares, probabilities = (sum(parts) / len(NAMES) for parts in zip(*others))
    return {"mnist_fd": distances, **dict(zip(SHARES, map(float, shares)))}, probabilities


def floor(count, data):
    """What real images reach: the mean of what random sets of so many training images score against as many test ones;
    training_distance: how far test images are from training images. It takes minutes; of our MNIST it is kept."""
    ours = data.folder == DATA and data.spec.shape == (1, 32, 32)
    kept = read_json(FLOORS) if ours and FLOORS.is_file() else {}
    if str(count) in kept:
        return kept[str(count)]
    real = data.test.sample(count)
    found = [compare(data.train.sample(count, seed), real)[0] for seed in range(FLOOR_SETS)]
    mean = {name: float(np.mean([each[name] for each in found])) for name in SHARES}
    mean["training_distance"] = distance_to_training(data.test.sample(min(count, MEMORY_SAMPLE)), data)
    mean["mnist_fd"] = {name: float(np.mean([each["mnist_fd"][name] for each in found])) for name in NAMES}
    if ours and count in KEPT:
        write_json(FLOORS, kept | {str(count): mean})
    return mean


def over_floor(distances, floors):
    """MNIST-FD in units of what real digits score: the mean over the classifiers of distance over floor."""
    return float(np.mean([distances[name] / floors[name] for name in NAMES]))


def mnist_fd_over_floor(fake, real, data):
    """MNIST-FD of images (N, 1, 32, 32) uint8 against real ones, over its floor."""
    return over_floor(mnist_fd(fake, real), floor(len(fake), data)["mnist_fd"])


def offline_metric(fake, real, data):
    """Compare images (N, 1, 32, 32) uint8 by the features of digit classifiers.

    `over_floor`: MNIST-FD over its floor, 1 for real digits; `mnist_fd`: the Frechet distance by each classifier;
    `precision` and `recall`; `confident`: the share of fake images whose class is sure (> 0.9); `classes`: how many of
    each; `training_distance`: to the nearest training image, in units of how far test images are (well below 1:
    memorised); `floor`: what real digits reach in all of these, and the unit of training_distance."""
    measures, probabilities = compare(fake, real)
    floors = floor(len(fake), data)
    return {
        "over_floor": over_floor(measures["mnist_fd"], floors["mnist_fd"]),
        **measures,
        "classes": np.bincount(probabilities.argmax(axis=1), minlength=10).tolist(),
        "training_distance": distance_to_training(fake, data) / floors["training_distance"],
        "floor": floors,
    }


def cache_inception_weights(path=None):
    """Have pytorch-fid's Inception weights in torch's cache: there already, copied from path, or downloaded. UserError
    where the file is another; NotMeasured where there is none and it cannot be downloaded."""
    import torch
    from pytorch_fid.inception import FID_WEIGHTS_URL

    cached = Path(torch.hub.get_dir()) / "checkpoints" / Path(FID_WEIGHTS_URL).name
    if path is not None and not path.is_file():
        raise UserError(f"{path} does not exist: name the file {cached.name} with --inception-weights")
    if path is None and not cached.is_file():
        try:
            cached.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(FID_WEIGHTS_URL, cached, hash_prefix=INCEPTION)
        except (OSError, RuntimeError) as error:  # no network; a file cut short
            advice = f"download {FID_WEIGHTS_URL}\nand put it at {cached}, or name it with --inception-weights"
            raise NotMeasured(f"Inception's weights are not here ({error}): {advice}") from error
    if not digest(path or cached).startswith(INCEPTION):
        raise UserError(f"{path or cached} is not pytorch-fid's {cached.name}: download it from {FID_WEIGHTS_URL}")
    if path is not None:
        cached.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(cached, path.read_bytes())


def fid(fake, real, weights=None):
    """Frechet Inception distance of two folders of PNGs, by pytorch-fid, on CUDA where there is one."""
    cache_inception_weights(weights)
    os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"  # nothing in the file is unpickled
    import torch
    from pytorch_fid import fid_score

    device = "cuda" if torch.cuda.is_available() else "cpu"
    size = min(50, len(list(Path(fake).glob("*.png"))))  # a larger one than the folder makes it print a warning
    return float(fid_score.calculate_fid_given_paths([str(fake), str(real)], size, device, 2048, num_workers=0))


def score_folders(fake, real, data, with_fid=True, weights=None):
    """Every measure of two folders of PNGs, FID among them or null with the reason; printed as it comes."""
    result = offline_metric(read_images(fake, data.spec.shape), read_images(real, data.spec.shape), data)
    floors = result["floor"]
    each = ", ".join(f"{name} {result['mnist_fd'][name] / floors['mnist_fd'][name]:.2f}" for name in NAMES)
    print(f"{'MNIST-FD / floor':20}{result['over_floor']:9.2f}   real digits 1; by each classifier: {each}")
    for name in SHARES:
        print(f"{name:20}{result[name]:9.4f}   real digits {floors[name]:.4f}")
    print(f"{'training_distance':20}{result['training_distance']:9.4f}   held-out digits 1")
    print(f"{'classes 0 to 9':23}{' '.join(map(str, result['classes']))}")
    result |= {"fid": None, "fid_note": None if with_fid else "not measured: left out"}
    try:
        result["fid"] = fid(fake, real, weights) if with_fid else None
    except NotMeasured as error:
        result["fid_note"] = "not measured: Inception's weights were not here"
        print(error)
    print(f"{'FID':20}{'not measured' if result['fid'] is None else format(result['fid'], '9.2f')}")
    return result


@options_class
class Metric:
    """Score a folder of drawn digits against a folder of real ones, 32x32 PNGs."""

    fake: Positional[Path]
    """Folder of the drawn images."""
    real: Positional[Path]
    """Folder of the real ones."""
    fid: bool = True
    """Compute FID too, where pytorch-fid's weights can be had."""
    inception_weights: FilePath | None = None
    """A local copy of pytorch-fid's weights."""
    data: Path | None = None
    """Folder of the data set that the floor is taken from (None: MNIST)."""
    json: Path | None = None
    """Write the numbers to this file too."""


def main(options: Metric):
    data = open_dataset(options.data)
    result = score_folders(options.fake, options.real, data, options.fid, options.inception_weights)
    if options.json:
        write_json(options.json, result)


if __name__ == "__main__":
    run(main, Metric)

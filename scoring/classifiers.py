"""The classifiers whose features the offline metric compares: three per data set.

    python -m scoring.classifiers --data X    # train them in advance; without --data MNIST's, again

MNIST's are in scoring/weights/. Those of other data are trained when it is first scored, in minutes, and cached with
the prepared data. Without labels they learn clusters of pixels instead."""
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from common.batching import in_batches
from common.data import prepared
from common.data.dataset import open_dataset
from common.data.pictures import Preprocessing
from common.data.spec import MNIST
from common.errors import UserError
from common.files import ROOT, digest, write_tensors
from common.options.command_line import run
from common.options.fields import options_class
from common.options.where import Flat

NAMES = ("pooled", "residual", "patches")  # of scoring.networks
WEIGHTS = ROOT / "scoring" / "weights"  # MNIST's classifiers, and its floors
EPOCHS = 60  # for data other than MNIST
CLUSTERS = 20  # for data without labels
SEEN = 40_000, 240_000  # fewest and most training images, repeats counted: ten minutes for all three on one core


def own_folder(data):
    """The cache folder of a data set's classifiers and floors, by its digest, channels, cropping and how pictures are
    prepared."""
    spec = data.spec
    name = f"{spec.digest}-{spec.shape[0]}{'-pad' * (spec.preprocessing.fit == 'pad')}-v{prepared.VERSION}"
    return prepared.PREPARED / "judges" / name


def folder_of(data):
    """The folder of a data set's classifiers: the repository's for MNIST, else own_folder()."""
    return WEIGHTS if (data.spec.digest, data.spec.shape[0]) == (MNIST, 1) else own_folder(data)


def digests(data):
    """The digests of a data set's classifiers, None for one that is yet to be trained."""
    paths = [folder_of(data) / f"{name}.safetensors" for name in NAMES]
    return [digest(path) if path.is_file() else None for path in paths]


def labelled(data):
    """Whether a data set has several classes; if not, classifiers learn clusters()."""
    return len(data.spec.classes) > 1


def classify(name, images, data):
    """(rescaled features (N, D), class probabilities (N, classes)) of images (N, C, H, W) uint8, from a classifier of
    this data, which is trained first if it is missing."""
    from scoring.networks import load_classifier, run_network  # torch is imported where it is needed

    path, cure = folder_of(data) / f"{name}.safetensors", None
    if path.parent != WEIGHTS:
        cure = "delete it, and it will be trained again"
        if not path.is_file():
            with prepared.locked(own_folder(data)):  # one process trains, the others wait
                if not path.is_file():
                    train_classifier(path, data)
    network, mean, matrix = load_classifier(path, cure)
    features, probabilities = run_network(network, images)
    return (features - mean) @ matrix, probabilities


def classes(images, data):
    """The predicted class of images (N, C, H, W) uint8, by the classifiers' summed probabilities: (N,)."""
    return sum(classify(name, images, data)[1] for name in NAMES).argmax(axis=1)


def features(images, data):
    """The features of all classifiers of this data, concatenated: (N, 512)."""
    return np.hstack([classify(name, images, data)[0] for name in NAMES])


def rescaling(features):
    """(mean (D,), matrix (D, D)) of a map that turns the variance along each principal axis into its square root.

    Unscaled, 128 features have an effective dimension of 7, and differences between classes hide all others; fully
    whitened, noise hides a missing class."""
    values, vectors = np.linalg.eigh(np.cov(features, rowvar=False))
    if not values[-1] > 0:
        raise UserError("the classifier sees no difference between the training pictures: add other pictures")
    return features.mean(axis=0), vectors / np.maximum(values, 1e-6 * values[-1]) ** 0.25  # few images: some are 0


def clusters(data):
    """k-means clusters of the pixels of training and test images, (N,) each, which stand in for missing labels (after
    Caron et al. 2018, Deep Clustering for Unsupervised Learning, section 3)."""
    from sklearn.cluster import MiniBatchKMeans  # slow to import

    flat = lambda images: images.reshape(len(images), -1).astype(np.float32)
    some = flat(data.train.sample(20_000))
    kmeans = MiniBatchKMeans(min(CLUSTERS, len(some) // 2), random_state=0, n_init=3).fit(some)
    nearest = lambda x: in_batches(lambda part: kmeans.predict(flat(x[part])), len(x), 10_000, "clustering")
    return tuple(nearest(split.images).astype(np.int64) for split in (data.train, data.test))


def train_classifier(path, data):
    """Train a classifier on the training part, resized to 32x32; rescale its features, write it in half precision, and
    print its test accuracy."""
    from scoring.networks import SIZE, run_network, train

    print(f"training a classifier to score {data.spec.name} (only once; it is saved as {path})")
    small = open_dataset(data.place, replace(data.spec.preprocessing, size=SIZE))
    images = small.train.images
    labels, of_test = (small.train.labels, small.test.labels) if labelled(data) else clusters(small)
    epochs = 12 if path.parent == WEIGHTS else max(1, int(np.clip(EPOCHS * len(images), *SEEN)) // len(images))
    recipe = {"epochs": epochs, "batch_size": 128, "learning_rate": 3e-3}  # peak rate, which decays to 0
    count, most = len(data.spec.classes) if labelled(data) else CLUSTERS, None if path.parent == WEIGHTS else SEEN[1]
    network = train(path.stem, images, labels, count, **recipe, most=most)
    mean, matrix = rescaling(run_network(network, small.train.sample(60_000))[0])
    right = (run_network(network, small.test.images)[1].argmax(axis=1) == of_test).mean()
    parts = {**network.cpu().state_dict(), "rescale.mean": mean, "rescale.map": matrix}
    halves = {key: np.asarray(part).astype(np.float16) for key, part in parts.items()}
    write_tensors(path, halves, {"recipe": json.dumps(recipe)})
    print(f"{path}: {100 * right:.2f} % of test images right, {path.stat().st_size / 1e6:.2f} MB, {digest(path)}")


@options_class
class TrainClassifiers:
    """Retrain the classifiers that score a data set; what real images score is measured again when it is needed."""

    data: Path | None = None
    """Data set (None: MNIST, whose classifiers are in scoring/weights/)."""
    preprocessing: Flat[Preprocessing] = Preprocessing()


def main(options: TrainClassifiers):
    data = open_dataset(options.data, options.preprocessing)
    with prepared.locked(own_folder(data)):
        for name in NAMES:
            train_classifier(folder_of(data) / f"{name}.safetensors", data)


if __name__ == "__main__":
    run(main, TrainClassifiers)

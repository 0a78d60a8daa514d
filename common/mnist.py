"""The four files of MNIST, or of a data set in its format, read into arrays."""
import gzip
import zlib

import numpy as np
from PIL import Image

from common.cli import UserError
from common.paths import DATA


def load_mnist(train, folder=None, limit=None):
    """Images (N, 1, 32, 32) uint8 and labels (N,) int64 of the training or the test set, or the first `limit`.

    folder holds the four files train-images-idx3-ubyte.gz and so on; None: the repository's MNIST. Images of another
    size are resized. UserError that names the file and the cure where one is missing, cut short or altered.
    """
    folder, part = folder or DATA, "train" if train else "t10k"
    images = read_idx(folder / f"{part}-images-idx3-ubyte.gz", axes=3)
    labels = read_idx(folder / f"{part}-labels-idx1-ubyte.gz", axes=1)
    if len(images) != len(labels):
        raise UserError(f"{folder} has {len(images)} {part} images and {len(labels)} labels: fetch it again")
    pictures = (Image.fromarray(image) for image in images[:limit])
    resized = [np.asarray(picture.resize((32, 32), Image.Resampling.BILINEAR)) for picture in pictures]
    return np.stack(resized)[:, None], labels[:limit].astype(np.int64)


def read_idx(path, axes):
    """The bytes of a gzipped IDX file as an array of so many axes (LeCun, http://yann.lecun.com/exdb/mnist)."""
    cure = f"`git checkout -- {path}` restores it" if path.parent == DATA else "fetch it again"
    if not path.is_file():
        raise UserError(f"{path} is missing: {cure}")
    try:
        content = gzip.decompress(path.read_bytes())  # with a checksum
        if content[:4] != bytes([0, 0, 8, axes]):  # 8: unsigned bytes
            raise ValueError("no IDX file")
        shape = np.frombuffer(content, ">u4", axes, offset=4)
        return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)
    except (gzip.BadGzipFile, EOFError, zlib.error, ValueError) as error:
        raise UserError(f"{path} is cut short or altered ({error}): {cure}") from error

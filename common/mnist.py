"""The four files of MNIST, checked before a framework reads them, and read without one for the metric."""
import gzip
import hashlib
import struct
import zlib

import numpy as np
from PIL import Image

from common.cli import UserError
from common.paths import DATA

MD5 = {  # as published with the data set
    "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
}


def check_mnist(raw):
    """UserError that names the file and the cure where one in the folder is missing, cut short or altered."""
    for name, md5 in MD5.items():
        packed, unpacked = raw / name, raw / name.removesuffix(".gz")
        if not packed.is_file():
            raise UserError(f"{packed} is missing: `git checkout -- {packed}` restores it")
        content = packed.read_bytes()
        if hashlib.md5(content).hexdigest() != md5:
            raise UserError(f"{packed} is cut short or altered: `git checkout -- {packed}` restores it")
        crc, size = struct.unpack("<II", content[-8:])  # a gzip file ends with those of what it holds (RFC 1952)
        if unpacked.is_file() and (unpacked.stat().st_size != size or zlib.crc32(unpacked.read_bytes()) != crc):
            raise UserError(f"{unpacked} is cut short or altered: delete it, it is unpacked anew from {name}")


def read_mnist(train, root=DATA):
    """Images (N, 1, 32, 32) uint8 and labels (N,) int64 of the training or the test set, as the trees' load_mnist."""
    raw, part = root / "MNIST" / "raw", "train" if train else "t10k"
    check_mnist(raw)
    labels = np.frombuffer(gzip.decompress((raw / f"{part}-labels-idx1-ubyte.gz").read_bytes()), np.uint8, offset=8)
    pixels = np.frombuffer(gzip.decompress((raw / f"{part}-images-idx3-ubyte.gz").read_bytes()), np.uint8, offset=16)
    digits = (Image.fromarray(digit) for digit in pixels.reshape(-1, 28, 28))
    images = np.stack([digit.resize((32, 32), Image.Resampling.BILINEAR) for digit in digits])
    return images[:, None], labels.astype(int)

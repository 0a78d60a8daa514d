"""The four files of MNIST, checked before a framework reads them."""
import hashlib
import struct
import zlib

from common.cli import UserError

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

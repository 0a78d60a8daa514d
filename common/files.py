"""Paths of the repository, and atomic writing: a kill or a full disk leaves no file half written."""
import contextlib
import csv
import hashlib
import json
import os
import struct
import zlib
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import psutil
from filelock import FileLock, Timeout
from PIL.Image import DecompressionBombError
from safetensors import SafetensorError
from safetensors.numpy import save

from common.errors import UserError, reason

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "data" / "MNIST" / "raw"
CHECKPOINT = "checkpoint.safetensors"  # in a run's folder
DAMAGE = (  # raised in reading a file with unexpected content; SyntaxError and struct.error: by Pillow
    OSError, EOFError, ValueError, TypeError, LookupError, SyntaxError, csv.Error, zlib.error, struct.error,
    SafetensorError, DecompressionBombError, RecursionError, BadZipFile,
)  # fmt: skip


def run_folder(tree, name):
    """The folder that a tree's scripts write to without --out."""
    return tree / "runs" / name


def shipped_weights(tree, kind):
    """The file of a tree's shipped weights of a kind; beside it are the recipe (.json) and the losses (.csv)."""
    return tree / "weights" / f"{kind}.safetensors"


def write_atomically(path, data: bytes, durable=True):
    """Write the whole file or nothing. durable: also if the machine crashes; this takes some milliseconds per file."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with os_errors_about(path):
            with open(temporary, "wb") as file:
                file.write(data)
                file.flush()
                if durable:
                    os.fsync(file.fileno())
            os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):  # it was already renamed, or never made
            temporary.unlink()
    if not durable:
        return
    with contextlib.suppress(OSError):  # some file systems cannot flush a folder
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def remove_left(folder):
    """Remove the temporary files that killed processes left in a folder."""
    for path in folder.glob("*.tmp"):
        process = path.stem.rpartition(".")[2]
        if process.isdecimal() and not psutil.pid_exists(int(process)):
            path.unlink(missing_ok=True)


def write_tensors(path, tensors, metadata=None):
    """Write arrays {name: array} as safetensors, atomically. They are made contiguous first: safetensors 0.8.0 ignores
    the strides of a transposed array."""
    contiguous = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    write_atomically(path, save(contiguous, metadata=metadata))


def write_json(path, value):
    """Write a value as indented JSON, atomically."""
    write_atomically(path, (json.dumps(value, indent=2) + "\n").encode())


def digest(path):
    """The first 16 digits of a file's sha256."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


@contextlib.contextmanager
def os_errors_about(path):
    """Context manager: an OSError names this path, instead of a temporary file or no file at all."""
    try:
        yield
    except OSError as error:
        error.filename = str(path)
        raise


@contextlib.contextmanager
def catch_damage(path, cure=None):
    """Context manager: errors in reading this file become a UserError. cure: None if git can restore the file."""
    try:
        yield
    except DAMAGE as error:
        cure = cure or f"`git checkout -- {path}` restores it"
        raise UserError(f"{path} is damaged or missing ({reason(error)}): {cure}") from error


def read_json(path, cure=None):
    """Read a dictionary that write_json wrote; UserError, with this cure, if it is damaged or missing."""
    with catch_damage(path, cure):
        return dict(json.loads(path.read_text()))


def lock(folder):
    """Lock a folder until this process ends; keep the returned lock. UserError if another process has locked it."""
    held = FileLock(folder / ".lock")
    try:
        held.acquire(timeout=0)
    except Timeout:
        raise UserError(f"{folder} is in use by another process: wait for it, or choose another --out") from None
    remove_left(folder)
    return held

"""Where things live, and writing them so that a kill or a full disk leaves nothing half written."""
import contextlib
import csv
import hashlib
import json
import os
import zlib
from pathlib import Path

from filelock import FileLock, Timeout
from PIL.Image import DecompressionBombError
from safetensors import SafetensorError

from common.errors import UserError

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "data" / "MNIST" / "raw"
CHECKPOINT = "checkpoint.safetensors"  # of a run, in its folder
DAMAGE = (  # what reading a file raises that is not what it should be; SyntaxError: by Pillow
    OSError, EOFError, ValueError, TypeError, LookupError, SyntaxError, csv.Error, zlib.error, SafetensorError,
    DecompressionBombError, RecursionError,
)  # fmt: skip


def run_folder(tree, name):
    """Where a tree's scripts write, unless --out names another folder."""
    return tree / "runs" / name


def shipped_weights(tree, kind):
    """Where a tree keeps its trained model of a kind; the recipe (.json) and the losses (.csv) lie beside it."""
    return tree / "weights" / f"{kind}.safetensors"


def write_atomically(path, data: bytes, durable=True):
    """Write whole or not at all. durable: also after a failure of the machine, at some milliseconds per file."""
    path = Path(path)
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
        with contextlib.suppress(OSError):  # it was moved, or never begun
            temporary.unlink()
    if not durable:
        return
    with contextlib.suppress(OSError):  # some file systems cannot flush a folder
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)


def write_json(path, value):
    """Write a value as indented JSON, whole or not at all."""
    write_atomically(path, (json.dumps(value, indent=2) + "\n").encode())


def digest(path):
    """Which file this is: the first 16 digits of its sha256."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]


@contextlib.contextmanager
def os_errors_about(path):
    """While inside, an OSError names this file: a failed write knows no name, a temporary file's says little."""
    try:
        yield
    except OSError as error:
        error.filename = str(path)
        raise


@contextlib.contextmanager
def damage_told(path, cure=None):
    """While inside, what reading this file raises becomes a UserError. cure: None for a file of the repository's."""
    try:
        yield
    except DAMAGE as error:
        reason = str(getattr(error, "strerror", None) or error).partition("\n")[0]
        cure = cure or f"`git checkout -- {path}` restores it"
        raise UserError(f"{path} is damaged or gone ({reason}): {cure}") from error


def read_json(path, cure=None):
    """A dictionary that write_json wrote; UserError, with this cure, where it is damaged or gone."""
    with damage_told(path, cure):
        return dict(json.loads(path.read_text()))


def lock(folder):
    """Hold a folder until this process ends, however it ends; keep what this returns. UserError where another does."""
    held = FileLock(folder / ".lock")
    try:
        held.acquire(timeout=0)
    except Timeout:
        raise UserError(f"{folder} is in use by another process: wait until it ends, or name another --out") from None
    return held

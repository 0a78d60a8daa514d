"""Checkpoints: one safetensors file, whose header carries the rest as JSON. Nothing is ever unpickled.

One file and one rename make a checkpoint atomic: after a kill at any moment the last whole one is still there.
Its tensors: `model.*`, the averaged weights, which draw samples; of a latent model `vae.*` and
`latent.mean`, `latent.std`; of a run `train.*`, what training needs to go on.
"""
import contextlib
import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field, TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from common.cli import UserError, naming, options
from common.config import DistillLDM, TrainDDPM, TrainLDM, TrainVAE
from common.networks import VAEConfig
from common.paths import CHECKPOINT

OPTIONS = {cls.kind: cls for cls in (TrainDDPM, TrainVAE, TrainLDM, DistillLDM)}
SCRIPTS = {
    "ddpm": "train_mnist.py",
    "vae": "train_mnist_vae.py",
    "ldm": "train_mnist_ldm.py",
    "ldm-distilled": "distill_mnist_ldm.py",
}


@options
class Progress:
    """How far a run has come."""

    step: Annotated[int, Field(ge=0)] = 0
    epoch: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0


@dataclass
class Checkpoint:
    """A model and how it was trained."""

    options: TrainDDPM | TrainVAE | TrainLDM | DistillLDM
    tensors: dict[str, np.ndarray]
    progress: Progress = field(default_factory=Progress)
    vae: VAEConfig | None = None  # of a latent model: the size of the autoencoder that it carries
    path: Path | None = None

    def check_contents(self):
        """ValueError for a tensor of no known use, and for options that ask for a network larger than the tensors."""
        for name in self.tensors:
            if not name.startswith(("model.", "train.", "vae.", "latent.")):
                raise ValueError(f"a tensor of no use, {name}")
        longest = max((length for tensor in self.tensors.values() for length in tensor.shape), default=0)
        networks = [getattr(self.options, name, None) for name in ("unet", "vae")] + [self.vae]
        for network in filter(None, networks):
            levels = len(network.channel_mults) * getattr(network, "blocks", 1)
            if max(network.lengths()) > longest or levels > len(self.tensors):
                raise ValueError("its options ask for a larger network than its tensors fill")

    def take(self, prefix, shapes):
        """The tensors under a prefix as {name: array}, checked against {name: shape}; UserError where they differ."""
        found = {name.removeprefix(prefix): a for name, a in self.tensors.items() if name.startswith(prefix)}
        for name in sorted(shapes.keys() | found.keys()):
            full = prefix + name
            if name not in found:
                problem = f"lacks the tensor {full}"
            elif name not in shapes:
                problem = f"has a tensor too many, {full}"
            elif found[name].shape != shapes[name]:
                problem = f"has {full} of shape {found[name].shape}, not {shapes[name]}"
            elif not np.isfinite(found[name]).all():
                problem = f"has a value in {full} that is not finite"
            else:
                continue
            raise UserError(f"{self.path} {problem}: {retrain(self.options.kind)}")
        return found


def save_checkpoint(path, checkpoint: Checkpoint):
    """Write whole or not at all: a temporary name beside it, flushed to the disk, renamed."""
    meta = {
        "kind": checkpoint.options.kind,
        "options": to_json(checkpoint.options),
        "progress": to_json(checkpoint.progress),
        "vae": checkpoint.vae and to_json(checkpoint.vae),
    }
    tensors = {name: np.ascontiguousarray(array) for name, array in checkpoint.tensors.items()}
    write_atomically(path, save(tensors, metadata={"simple_ldm": json.dumps(meta)}))


def write_atomically(path, data: bytes, durable=True):
    """Write whole or not at all. durable: also after the machine's failure, at some milliseconds a file."""
    path = Path(path)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with naming(path), open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
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
    """Which checkpoint this is: the first 16 digits of its file's sha256."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]


def load_checkpoint(path, kind, *others) -> Checkpoint:
    """Read a run's folder or a file that must hold a model of this kind or of another named; UserError otherwise."""
    path = Path(path)
    path = path / CHECKPOINT if path.is_dir() else path
    if not path.is_file():
        raise UserError(f"{path} does not exist: {retrain(kind)}")
    try:
        with safe_open(path, framework="np") as file:
            meta = json.loads((file.metadata() or {})["simple_ldm"])
            found = meta["kind"]
            if found not in OPTIONS:
                raise ValueError(found)
            if found not in (kind, *others):
                raise UserError(f"{path} holds a {found} model where a {kind} model is needed: {retrain(kind)}")
            checkpoint = Checkpoint(
                options=from_json(OPTIONS[found], meta["options"]),
                tensors={name: file.get_tensor(name) for name in file.keys()},  # noqa: SIM118, not a dict
                progress=from_json(Progress, meta["progress"]),
                vae=meta["vae"] and from_json(VAEConfig, meta["vae"]),
                path=path,
            )
            checkpoint.check_contents()
            return checkpoint
    except (SafetensorError, ValidationError, ValueError, KeyError, TypeError, RecursionError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"{path} is not a whole Simple-LDM checkpoint ({reason}): {retrain(kind)}") from error


def retrain(kind):
    return f"run {SCRIPTS[kind]}, or name another with --checkpoint"


def to_json(value):
    return TypeAdapter(type(value)).dump_python(value, mode="json")


def from_json(cls, value):
    return TypeAdapter(cls).validate_python(value)

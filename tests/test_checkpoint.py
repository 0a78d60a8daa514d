"""Checkpoints: what goes in comes out, and what is not a checkpoint is refused in one line."""
import json
import os
import pickle
import struct

import numpy as np
import pytest
from safetensors.numpy import save

from common.checkpoint import FORMAT, Checkpoint, Progress, load_checkpoint, save_checkpoint
from common.errors import UserError
from common.options.networks import DiffusionConfig, SamplerConfig, UNetConfig, VAEConfig
from common.options.recipes import TrainDDPM, TrainLDM, TrainVAE

TENSORS = {
    "model.a": np.arange(6, dtype=np.float32).reshape(2, 3), "model.b": np.ones(4, np.float32),
    "train.c": np.ones(256, np.float32), "train.d": np.ones(1, np.float32),
}  # fmt: skip
SHAPES = {"a": (2, 3), "b": (4,)}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, Checkpoint(TrainDDPM(), TENSORS))
    return path


def test_round_trip(tmp_path):
    sizes = {"diffusion": DiffusionConfig(schedule="linear"), "unet": UNetConfig(blocks=2)}
    options = TrainLDM(out=tmp_path, minutes=1.5, sampler=SamplerConfig(name="ddim", eta=0.5), **sizes)
    progress = Progress(step=7, epoch=0.25, seconds=3.5)
    save_checkpoint(tmp_path / "checkpoint.safetensors", Checkpoint(options, TENSORS, progress, VAEConfig()))
    loaded = load_checkpoint(tmp_path, "ldm")  # the folder will do
    assert (loaded.options, loaded.progress, loaded.vae) == (options, progress, VAEConfig())
    found = loaded.take("model.", SHAPES)
    for name, array in found.items():
        np.testing.assert_array_equal(array, TENSORS[f"model.{name}"])


def test_failed_write_leaves_the_old_one(path, monkeypatch):
    before = path.read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        save_checkpoint(path, Checkpoint(TrainVAE(), {}))
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


class Malicious:
    """What a stranger's pickle does to those who open it."""

    def __reduce__(self):
        return os.abort, ()


HEADER = {"format": FORMAT, "kind": "ddpm", "options": {}, "progress": {}, "vae": None}


def file_of(text, tensors=TENSORS):
    """A checkpoint's bytes, with this text for a header."""
    return save(tensors, {"simple_ldm": text})


def changed(**changes):
    """A checkpoint's bytes, whose header says something else."""
    return file_of(json.dumps(HEADER | changes))


DAMAGED = {
    "empty": b"",
    "cut short": changed()[:-5],
    "cut in the header": changed()[:100],
    "claims terabytes": struct.pack("<Q", 2**42) + changed()[8:],
    "pickle": pickle.dumps({"model": [1, 2, 3]}),
    "malicious pickle": pickle.dumps(Malicious()),
    "no metadata": save(TENSORS),
    "not JSON": file_of("{"),
    "list": file_of("[]"),
    "deeply nested": file_of("[" * 100_000),
    "tensor of no use": file_of(json.dumps(HEADER), TENSORS | {"../../etc/passwd": np.ones(1, np.float32)}),
    "unknown option": changed(options={"colour": 3}),
    "huge network": changed(options={"unet": {"base_channels": 10**9}}),
    "wide VAE": changed(vae={"base_channels": 4096}),
    "endless run": changed(progress={"seconds": float("inf")}),
    "path": changed(options={"out": ["../../etc"]}),
    "unknown kind": changed(kind="../../gan"),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_damaged(path, damage):
    path.write_bytes(DAMAGED[damage])
    with pytest.raises(UserError) as error:
        load_checkpoint(path, "ddpm")
    message = str(error.value)
    assert str(path) in message and "not a whole Simple-LDM checkpoint" in message and "train_mnist.py" in message
    assert "\n" not in message


def test_whole_header(path):
    """What the damaged ones are made from is read as it is."""
    path.write_bytes(changed())
    assert load_checkpoint(path, "ddpm").options == TrainDDPM()


@pytest.mark.parametrize("version", [{}, {"format": 1}, {"format": FORMAT + 1}, {"format": None}])
@pytest.mark.parametrize("model", ["ddpm", None])
def test_another_version(path, version, model):
    """An old header has no format: one line says what the file is, whatever else has changed in it."""
    header = {"kind": "ddpm", "options": {"unet": {"in_channels": 1}, "colour": 3}, "progress": {}, "vae": None}
    path.write_bytes(file_of(json.dumps(header | version)))
    with pytest.raises(UserError, match="another version of Simple-LDM") as error:
        load_checkpoint(path, model)
    message, cure = str(error.value), "name another checkpoint" if model else "train it again"
    assert str(path) in message and cure in message and "\n" not in message


def test_missing_and_other_model(path, tmp_path):
    with pytest.raises(UserError, match=r"nowhere does not exist: run train_mnist_ldm\.py"):
        load_checkpoint(tmp_path / "nowhere", "ldm")
    with pytest.raises(UserError, match=r"holds a ddpm model where a vae model is needed: run train_mnist_vae\.py"):
        load_checkpoint(path, "vae")


@pytest.mark.parametrize("change, problem", [
    ({"a": None}, "lacks the tensor model.a"),
    ({"c": np.ones(1, np.float32)}, "a tensor too many, model.c"),
    ({"a": np.ones((3, 2), np.float32)}, r"model.a of shape \(3, 2\), not \(2, 3\)"),
    ({"b": np.array([0, 1, np.nan, 2], np.float32)}, "a value in model.b that is not finite"),
])  # fmt: skip
def test_tensors_are_checked(tmp_path, change, problem):
    tensors = TENSORS | {f"model.{name}": array for name, array in change.items()}
    path = tmp_path / "weights.safetensors"
    save_checkpoint(path, Checkpoint(TrainDDPM(), {n: a for n, a in tensors.items() if a is not None}))
    with pytest.raises(UserError, match=f"weights.safetensors (lacks|has) .*{problem.split(' ', 1)[1]}"):
        load_checkpoint(path, "ddpm").take("model.", SHAPES)

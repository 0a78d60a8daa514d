"""Checkpoints: what goes in comes out, and what is not a checkpoint is refused in one line."""
import json
import os
import pickle
import re
import shutil
import struct
from dataclasses import replace

import numpy as np
import pytest
from conftest import ROOT
from pydantic_core import to_jsonable_python
from safetensors.numpy import load_file, save

from common.checkpoint import FORMAT, Checkpoint, find_checkpoint, load_checkpoint, save_checkpoint
from common.data.dataset import open_dataset
from common.data.measures import MEASURES
from common.data.spec import Spec, measured
from common.errors import UserError
from common.files import CHECKPOINT, shipped_weights, write_tensors
from common.options.networks import DiffusionConfig, SamplerConfig, UNetConfig, VAEConfig
from common.options.recipes import RECIPES, TrainDDPM, Training, TrainLDM, TrainVAE
from common.options.sampling import WhichDiffusion
from common.training.clock import Progress
from publish.ship import give_decoder

TENSORS = {
    "model.a": np.arange(6, dtype=np.float32).reshape(2, 3), "model.b": np.ones(4, np.float32),
    "train.c": np.ones(256, np.float32), "train.d": np.ones(1, np.float32),
}  # fmt: skip
SHAPES = {"a": (2, 3), "b": (4,)}
SPEC = Spec(name="letters", shape=(1, 24, 32), classes=("a", "b"), digest="0123456789abcdef")


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, Checkpoint(TrainDDPM(), SPEC, TENSORS))
    return path


def test_round_trip(tmp_path):
    sizes = {"diffusion": DiffusionConfig(schedule="linear"), "unet": UNetConfig(blocks=2)}
    training = Training(out=tmp_path, minutes=1.5)
    options = TrainLDM(training=training, sampler=SamplerConfig(name="ddim", eta=0.5), **sizes)
    progress = Progress(step=7, epoch=0.25, seconds=3.5)
    width = measured("pixels", np.arange(12, dtype=np.float32), np.arange(12) % 2, classes=2)
    spec = replace(SPEC, measures={"width": width}, source=tmp_path)
    save_checkpoint(tmp_path / "checkpoint.safetensors", Checkpoint(options, spec, TENSORS, progress, VAEConfig()))
    loaded = load_checkpoint(tmp_path, "ldm")  # the folder will do
    assert (loaded.options, loaded.progress, loaded.vae) == (options, progress, VAEConfig())
    assert loaded.spec == spec and loaded.path == tmp_path / "checkpoint.safetensors"
    found = loaded.take("model.", SHAPES)
    for name, array in found.items():
        np.testing.assert_array_equal(array, TENSORS[f"model.{name}"])


def test_failed_write_leaves_the_old_one(path, monkeypatch):
    before = path.read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        save_checkpoint(path, Checkpoint(TrainVAE(), SPEC, {}))
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


class Malicious:
    """What a stranger's pickle does to those who open it."""

    def __reduce__(self):
        return os.abort, ()


OF_DATA = to_jsonable_python(SPEC)
HEADER = {"format": FORMAT, "kind": "ddpm", "spec": OF_DATA, "options": {}, "progress": {}, "vae": None}


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
    "unexpected tensor": file_of(json.dumps(HEADER), TENSORS | {"../../etc/passwd": np.ones(1, np.float32)}),
    "double precision": file_of(json.dumps(HEADER), {name: a.astype(np.float64) for name, a in TENSORS.items()}),
    "whole numbers": file_of(json.dumps(HEADER), {name: a.astype(np.int8) for name, a in TENSORS.items()}),
    "unknown option": changed(options={"colour": 3}),
    "huge network": changed(options={"unet": {"base_channels": 10**9}}),
    "wide VAE": changed(kind="ldm", vae={"base_channels": 4096}),
    "latent model without a VAE": changed(kind="ldm"),
    "pixel model with a VAE": changed(vae={"base_channels": 32}),
    "no data": changed(spec=None),
    "no classes": changed(spec=OF_DATA | {"classes": []}),
    "huge images": changed(spec=OF_DATA | {"shape": [1, 10**6, 10**6]}),
    "short percentiles": changed(spec=OF_DATA | {"measures": {"width": {"unit": "pixels", "rows": [[1, 2]] * 3}}}),
    "endless run": changed(progress={"seconds": float("inf")}),
    "path": changed(options={"training": {"out": ["../../etc"]}}),
    "unknown kind": changed(kind="../../gan"),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_damaged(path, damage):
    path.write_bytes(DAMAGED[damage])
    kind = "ldm" if damage in ("wide VAE", "latent model without a VAE") else "ddpm"
    with pytest.raises(UserError) as error:
        load_checkpoint(path, kind)
    message = str(error.value)
    assert str(path) in message and "not a complete Simple-LDM check" in message and RECIPES[kind].script in message
    assert "\n" not in message and "validation error" not in message


def test_whole_header(path):
    """What the damaged ones are made from is read as it is."""
    path.write_bytes(changed())
    assert load_checkpoint(path, "ddpm").options == TrainDDPM()


SECOND = {  # as the headers of format 2 were: no data set, options side by side, the measures' percentiles among them
    "format": 2, "kind": "ddpm", "progress": {"step": 8279, "epoch": 140.3, "seconds": 468.0}, "vae": None,
    "options": {
        "out": None, "resume": False, "data": None, "epochs": 400, "device": "auto", "label_dropout": 0.15,
        "diffusion": {"timesteps": 1000, "clip": True}, "quantiles": {"width": [[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]]},
        "unet": {"in_channels": 1, "num_classes": 10, "attributes": ["width"]},
    },
}  # fmt: skip


@pytest.mark.parametrize("version", [{}, {"format": 1}, SECOND, {"format": FORMAT + 1}, {"format": None}])
@pytest.mark.parametrize("model", ["ddpm", None])
def test_another_version(path, version, model):
    """An old header has no format: one line says what the file is, whatever else has changed in it."""
    header = {"kind": "ddpm", "options": {"unet": {"in_channels": 1}, "colour": 3}, "progress": {}, "vae": None}
    path.write_bytes(file_of(json.dumps(header | version)))
    with pytest.raises(UserError, match="another version of Simple-LDM") as error:
        load_checkpoint(path, model)
    message, cure = str(error.value), "choose another checkpoint" if model else "train it again"
    assert str(path) in message and cure in message and "\n" not in message


def test_missing_and_other_model(path, tmp_path):
    with pytest.raises(UserError, match=r"nowhere does not exist: run train_mnist_ldm\.py"):
        load_checkpoint(tmp_path / "nowhere", "ldm")
    with pytest.raises(UserError, match=r"holds a ddpm model where a vae model is needed: run train_mnist_vae\.py"):
        load_checkpoint(path, "vae")


def test_the_checkpoint_of_the_last_run_else_the_shipped_one(tmp_path):
    kind = WhichDiffusion(base="ldm", distilled=True).kind
    told = f"{kind} holds no trained model yet: run `python {tmp_path.name}/script/distill_mnist_ldm.py` first"
    with pytest.raises(UserError, match=told):
        find_checkpoint(None, tmp_path, kind)
    for path in (shipped_weights(tmp_path, "ldm-distilled"), tmp_path / "runs" / "ldm-distilled" / CHECKPOINT):
        path.parent.mkdir(parents=True)
        path.touch()
        assert find_checkpoint(None, tmp_path, kind) == path
    assert find_checkpoint("given", tmp_path, kind) == "given"


@pytest.mark.parametrize("change, problem", [
    ({"a": None}, "lacks the tensor model.a"),
    ({"c": np.ones(1, np.float32)}, "has the unexpected tensor model.c"),
    ({"a": np.ones((3, 2), np.float32)}, "has model.a of shape (3, 2), not (2, 3)"),
    ({"b": np.array([0, 1, np.nan, 2], np.float32)}, "has a value in model.b that is not finite"),
])  # fmt: skip
def test_tensors_are_checked(tmp_path, change, problem):
    tensors = TENSORS | {f"model.{name}": array for name, array in change.items()}
    path = tmp_path / "weights.safetensors"
    save_checkpoint(path, Checkpoint(TrainDDPM(), SPEC, {n: a for n, a in tensors.items() if a is not None}))
    with pytest.raises(UserError, match=f"^{re.escape(f'{path} {problem}: ')}"):
        load_checkpoint(path, "ddpm").take("model.", SHAPES)


SHIPPED = sorted(path for tree in ("pytorch", "jittor") for path in (ROOT / tree / "weights").glob("*.safetensors"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_shipped_weights_have_the_sizes_that_follow_from_their_data(path):
    checkpoint = load_checkpoint(path)
    vae = VAEConfig().fitted(checkpoint.spec.shape)
    if path.stem == "vae":
        assert checkpoint.options.vae == vae
        return
    shape = vae.latent_shape(checkpoint.spec.shape) if checkpoint.vae else checkpoint.spec.shape
    assert checkpoint.options.unet == UNetConfig().fitted(shape) and checkpoint.vae in (None, vae)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_shipped_weights_know_their_data(path):
    """The repository's MNIST, and of its measures, if they are conditioned on them, all three."""
    spec, data = load_checkpoint(path).spec, open_dataset().spec
    assert replace(spec, measures={}) == data
    assert list(spec.measures) == ([] if path.stem == "vae" else list(MEASURES))


def test_a_new_decoder_for_the_same_latents(tmp_path):
    """It replaces that of a latent model and nothing else; a VAE with another encoder is refused."""
    path, student = tmp_path / "ldm.safetensors", tmp_path / "student" / CHECKPOINT
    for copy in (path, student):
        copy.parent.mkdir(exist_ok=True)
        shutil.copy(shipped_weights(ROOT / "pytorch", "ldm"), copy)
    shutil.copy(shipped_weights(ROOT / "pytorch", "ldm").with_suffix(".json"), path.with_suffix(".json"))
    before = load_checkpoint(path)
    own = {n.replace("vae.", "model.", 1): a for n, a in before.tensors.items() if n.startswith("vae.")}
    moved = {n: a + np.float32(0.5) if "decoder" in n else a for n, a in own.items()}
    vae = Checkpoint(TrainVAE(), before.spec, moved, Progress(epoch=3, seconds=36), path=tmp_path / "vae")
    give_decoder(vae, (path, student.parent))
    assert student.read_bytes() == path.read_bytes()
    after = load_checkpoint(path)
    assert before.tensors.keys() == after.tensors.keys() and before.options == after.options
    for name, array in after.tensors.items():
        assert array.dtype == before.tensors[name].dtype
        changed = name.startswith("vae.decoder.")
        expected = moved[name.replace("vae.", "model.", 1)].astype(np.float16) if changed else before.tensors[name]
        np.testing.assert_array_equal(array, expected)
    about = json.loads(path.with_suffix(".json").read_text())["decoder"]
    assert about["epochs"] == 3 and about["hours"] == 0.01
    other = {f"vae.{n.removeprefix('model.')}": a + np.float32(0.5) for n, a in own.items()}
    save_checkpoint(student, replace(before, tensors=before.tensors | other))  # the last that is looked at
    kept = path.read_bytes()
    with pytest.raises(UserError, match=r"student has another encoder than .*--init-from .*student"):
        give_decoder(replace(vae, tensors=own), (path, student.parent))
    large = replace(vae, spec=replace(vae.spec, shape=(1, 64, 64)))
    with pytest.raises(UserError, match=r"vae and .*ldm\.safetensors were trained on pictures of 64x64 and 32x32"):
        give_decoder(large, (path,))
    assert path.read_bytes() == kept


def test_a_vae_is_found_in_a_latent_model_too():
    latent = shipped_weights(ROOT / "pytorch", "ldm")
    found, tensors = load_checkpoint(latent, "vae"), load_checkpoint(latent).tensors
    assert found.options.vae == load_checkpoint(latent).vae and found.vae is None
    assert found.tensors and all(n.startswith("model.") for n in found.tensors)
    for name, array in found.tensors.items():
        np.testing.assert_array_equal(array, tensors[name.replace("model.", "vae.", 1)])


def test_a_vae_of_before_the_term_for_detail_had_none(tmp_path):
    header = HEADER | {"kind": "vae", "options": {}}
    (tmp_path / "vae.safetensors").write_bytes(file_of(json.dumps(header)))
    assert load_checkpoint(tmp_path / "vae.safetensors").options == TrainVAE(detail_weight=0.0)
    assert TrainVAE().detail_weight > 0


def test_arrays_of_any_layout_are_kept(tmp_path):
    a = np.arange(24.0).reshape(2, 3, 4)
    arrays = {"turned": a.T, "sliced": a[:, ::2, 1:], "reversed": a[::-1], "scalar": np.float64(3)}
    write_tensors(tmp_path / "a.safetensors", arrays)
    found = load_file(tmp_path / "a.safetensors")
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array, strict=name != "scalar")

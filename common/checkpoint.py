"""A checkpoint is one safetensors file, whose header holds everything else as JSON. Nothing is ever unpickled.

It is written under a temporary name, then renamed: after a kill at any moment, the last whole one is still there.
Tensors: `model.*`, the averaged weights, which samples are drawn from; in a latent model `vae.*`, `latent.mean` and
`latent.std`; in a run `train.*`, the training state that --resume needs."""
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic_core import to_jsonable_python
from safetensors import safe_open

from common.data.spec import Spec
from common.errors import UserError, reason
from common.files import CHECKPOINT, DAMAGE, run_folder, shipped_weights, write_tensors
from common.options.networks import VAEConfig
from common.options.recipes import RECIPES, undistilled
from common.training.clock import Progress

FORMAT = 3  # of the header's JSON
PREFIXES = ("model.", "train.", "vae.", "latent.")


@dataclass
class Checkpoint:
    """A model, how it was trained, and on what."""

    options: Any  # an instance of one of RECIPES
    spec: Spec
    tensors: dict[str, np.ndarray]
    progress: Progress = field(default_factory=Progress)
    vae: VAEConfig | None = None  # of a latent model: the size of its autoencoder
    path: Path | None = None

    def take(self, prefix, shapes):
        """The tensors under a prefix as {name: array}, checked against {name: shape}; UserError if they differ."""
        found = {name.removeprefix(prefix): a for name, a in self.tensors.items() if name.startswith(prefix)}
        for name in sorted(shapes.keys() | found.keys()):
            full = prefix + name
            if name not in found:
                problem = f"lacks the tensor {full}"
            elif name not in shapes:
                problem = f"has the unexpected tensor {full}"
            elif found[name].shape != shapes[name]:
                problem = f"has {full} of shape {found[name].shape}, not {shapes[name]}"
            elif not np.isfinite(found[name]).all():
                problem = f"has a value in {full} that is not finite"
            else:
                continue
            raise UserError(f"{self.path} {problem}: {retrain(self.options.kind)}")
        return found

    def adapted(self, module, device):
        """A copy for a model of other data, to train it further: the tokens of classes and of measures, if there are
        more or fewer than here, are the module's own."""
        own = {f"model.{name}": array for name, array in device.arrays(module).items()}
        tokens = [n for n in own | self.tensors if n.startswith(("model.context.", "model.attributes."))]
        changed = [n for n in tokens if np.shape(own.get(n)) != np.shape(self.tensors.get(n))]
        kept = {n: a for n, a in self.tensors.items() if n not in changed}
        return replace(self, tensors=kept | {n: own[n] for n in changed if n in own})

    def fill(self, module, prefix, device):
        """Load the tensors under a prefix into a module of either framework; returns it. UserError unless they fit."""
        shapes = {name: tuple(value.shape) for name, value in module.state_dict().items()}
        return device.fill(module, self.take(prefix, shapes))


def save_checkpoint(path, checkpoint: Checkpoint):
    """Write a checkpoint atomically: under a temporary name, flushed to the disk, then renamed."""
    header = {
        "format": FORMAT, "kind": checkpoint.options.kind, "spec": checkpoint.spec, "options": checkpoint.options,
        "progress": checkpoint.progress, "vae": checkpoint.vae,
    }  # fmt: skip
    write_tensors(path, checkpoint.tensors, {"simple_ldm": json.dumps(to_jsonable_python(header))})


def find_checkpoint(path, tree, kind):
    """The given path, else the checkpoint of the tree's last run of this kind, else the shipped weights."""
    if path is not None:
        return path
    run, shipped = run_folder(tree, kind) / CHECKPOINT, shipped_weights(tree, kind)
    for found in (run, shipped):
        if found.is_file():
            return found
    script = f"{tree.name}/script/{RECIPES[kind].script}"
    raise UserError(f"{run.parent} holds no trained model yet: run `python {script}` first")


def load_checkpoint(path, kind=None) -> Checkpoint:
    """Load a run folder or a checkpoint file. UserError unless it is whole and of this kind, distilled or not. If a VAE
    is wanted, a latent model will do, too: its VAE is returned."""
    path = Path(path)
    path = path / CHECKPOINT if path.is_dir() else path
    kind = kind and undistilled(kind)
    if not path.is_file():
        cure = retrain(kind) if kind else "check the path, or train the model first"
        raise UserError(f"{path} does not exist: {cure}")
    try:
        with safe_open(path, framework="np") as file:
            header = json.loads((file.metadata() or {})["simple_ldm"])
            if isinstance(header, dict) and "kind" in header and header.get("format") != FORMAT:
                raise UserError(f"{path} is from another version of Simple-LDM: use that version, or {retrain(kind)}")
            recipe = RECIPES[header["kind"]]
            before = {"detail_weight": 0.0} if recipe.kind == "vae" else {}  # of older VAEs
            latent = undistilled(recipe.kind) == "ldm"
            if kind and undistilled(recipe.kind) != kind and not (latent and kind == "vae"):
                needed = f"where a {kind} model is needed: {retrain(kind)}"
                raise UserError(f"{path} holds a {recipe.kind} model {needed}")
            names = file.keys()
            if unknown := [name for name in names if not name.startswith(PREFIXES)]:
                raise ValueError(f"unexpected tensor {unknown[0]}")
            kinds = {name: file.get_slice(name).get_dtype() for name in names}
            if other := [name for name in names if kinds[name] not in ("F16", "F32")]:
                raise ValueError(f"{other[0]} has the type {kinds[other[0]]}, not F16 or F32")
            if bool(header["vae"]) != latent:
                raise ValueError("a latent model must contain its VAE, and no other model may")
            checkpoint = Checkpoint(
                options=recipe(**(before | header["options"])),
                spec=Spec(**header["spec"]),
                tensors={name: file.get_tensor(name) for name in names},
                progress=Progress(**header["progress"]),
                vae=header["vae"] and VAEConfig(**header["vae"]),
                path=path,
            )
            return vae_in(checkpoint) if latent and kind == "vae" else checkpoint
    except DAMAGE as error:
        raise UserError(f"{path} is not a complete Simple-LDM checkpoint ({reason(error)}): {retrain(kind)}") from error


def vae_in(latent):
    """The VAE inside a latent model's checkpoint, as a checkpoint of its own, with default options and no progress: how
    it was trained is not known."""
    tensors = {n.replace("vae.", "model.", 1): a for n, a in latent.tensors.items() if n.startswith("vae.")}
    options = RECIPES["vae"](vae=latent.vae)
    return replace(latent, options=options, tensors=tensors, vae=None, progress=Progress())


def carries(latent, vae):
    """Whether a latent model's checkpoint holds the same VAE weights as a VAE's checkpoint."""
    held = vae_in(latent).tensors
    return all(np.array_equal(a, held.get(name)) for name, a in vae.tensors.items() if name.startswith("model."))


def retrain(kind):
    """The cure in messages about a missing or unusable checkpoint."""
    return f"run {RECIPES[kind].script}, or choose another checkpoint" if kind else "train it again"

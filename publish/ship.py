"""Ship a finished run's weights with the repository: python -m publish.ship pytorch/runs/ldm

Writes weights/KIND.safetensors in the run's tree, the averaged weights in half precision; beside it KIND.json, the
recipe and the training time, and KIND.csv, the losses in 500 rows. With --into, latent models get the decoder of a VAE
trained by train_mnist_vae.py --freeze-encoder instead."""
from dataclasses import field, replace
from datetime import date
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field
from pydantic_core import to_jsonable_python
from tyro.conf import Positional

from common.checkpoint import load_checkpoint, save_checkpoint
from common.errors import UserError
from common.files import ROOT, read_json, shipped_weights, write_json
from common.machine import cpu_name
from common.options.command_line import run
from common.options.fields import options_class

ROWS = 500
CHANGED = (  # by --resume, perhaps
    "epochs", "minutes", "resume", "save_every", "preview_every", "tensorboard", "learning_rate", "clip_norm",
)  # fmt: skip


def thin(source, target):
    """Copy a metrics.csv, averaged to at most 500 rows; UserError if it has none."""
    with open(source) as file:
        header, lines = file.readline().strip(), file.readlines()
    if not lines:
        raise UserError(f"{source} has no rows: the losses of this run are lost")
    rows = np.loadtxt(lines, delimiter=",", ndmin=2)
    means = [part.mean(axis=0) for part in np.array_split(rows, min(ROWS, len(rows)))]
    np.savetxt(target, means, "%.5g", ",", header=header, comments="")


def part_done(options, progress):
    """The fraction of its training that a run has done; without epochs and minutes, by the number of images."""
    training = options.training
    epochs = progress.epoch / training.epochs if training.epochs else 0.0
    minutes = progress.seconds / 60 / training.minutes if training.minutes else 0.0
    if training.epochs or training.minutes:
        return max(epochs, minutes)
    return progress.step * training.batch_size / options.images


@options_class
class Ship:
    """Put the models of finished runs into their tree's weights/ folder."""

    runs: Annotated[Positional[tuple[Path, ...]], Field(min_length=1)]
    """Run folders, inside a tree's runs/."""
    hardware: str = field(default_factory=cpu_name)
    """Hardware that they were trained on, if not this machine."""
    into: tuple[Path, ...] = ()
    """Latent models, run folders or checkpoint files, that get the run's decoder; the run itself is not shipped."""


def portable(options):
    """Options without this machine's folders: paths are relative to the repository, or file names if outside it."""
    def shortened(value):
        if isinstance(value, dict):
            return {name: shortened(part) for name, part in value.items()}
        if not isinstance(value, str) or not Path(value).is_absolute():
            return value
        return str(Path(value).relative_to(ROOT)) if Path(value).is_relative_to(ROOT) else Path(value).name

    return type(options)(**shortened(to_jsonable_python(options)))


def half_precision(tensors):
    """Tensors {name: array} in half precision, except the latents' statistics."""
    return {name: a if name.startswith("latent.") else a.astype(np.float16) for name, a in tensors.items()}


def training_of(checkpoint):
    """A checkpoint's recipe and how long its training took, for the JSON file beside shipped weights. If it began with
    weights of its kind that have such a file, epochs and hours count theirs too."""
    recipe, progress = to_jsonable_python(portable(checkpoint.options)), checkpoint.progress
    start, before = checkpoint.options.training.init_from, {"epochs": 0.0, "hours": 0.0}
    about = (ROOT / start).with_suffix(".json") if start else None
    if about and about.stem == checkpoint.options.kind and about.is_file():
        known = read_json(about)
        plan = lambda recipe: recipe | {"where": None, "training": {**recipe["training"], **dict.fromkeys(CHANGED)}}
        again = "before" in known and plan(known["recipe"]) == plan(recipe)  # this run, which is shipped again
        before = known["before"] if again else {name: known[name] for name in before}
    epochs, hours = progress.epoch + before["epochs"], progress.seconds / 3600 + before["hours"]
    today = date.today().isoformat()
    return {"recipe": recipe, "epochs": epochs, "hours": hours, "before": before, "date": today}


def with_decoder(vae, path):
    """A latent model's checkpoint with the decoder of a VAE's checkpoint instead; UserError if the encoders differ."""
    latent = load_checkpoint(path, "ldm")
    own = {n: a for n, a in latent.tensors.items() if n.startswith("vae.")}
    new = {n: vae.tensors.get(n.replace("vae.", "model.", 1), a[:0]).astype(a.dtype) for n, a in own.items()}
    if any(not np.array_equal(new[n], a) for n, a in own.items() if n.startswith("vae.encoder.")):
        cure = f"train a decoder for it by train_mnist_vae.py --freeze-encoder --init-from {path}"
        raise UserError(f"{path} has another encoder than {vae.path}: {cure}")
    if latent.spec.shape != vae.spec.shape:
        sizes = " and ".join("x".join(map(str, each.spec.shape[1:])) for each in (vae, latent))
        raise UserError(f"{vae.path} and {path} were trained on pictures of {sizes}: add --size to the training")
    return replace(latent, tensors=latent.tensors | new)


def give_decoder(vae, paths):
    """Replace the decoder of the latent models at these paths by that of a VAE's checkpoint; UserError if it does not
    fit all of them."""
    for latent in [with_decoder(vae, path) for path in paths]:  # all of them, before one is written
        save_checkpoint(latent.path, latent)
        about = latent.path.with_suffix(".json")
        if about.is_file():  # shipped
            write_json(about, read_json(about) | {"decoder": training_of(vae)})
        print(f"{latent.path}: has the decoder of {vae.path.parent}")


def main(options: Ship):
    for folder in options.runs:
        if folder.resolve().parent.name != "runs" or not folder.is_dir():
            raise UserError(f"{folder} is not a folder in a tree's runs/: only such runs can be shipped")
        checkpoint = load_checkpoint(folder)
        if options.into and checkpoint.options.kind != "vae":
            held = f"{folder} holds a {checkpoint.options.kind} model"
            raise UserError(f"{held}: with --into give a run of train_mnist_vae.py")
        if part_done(checkpoint.options, checkpoint.progress) < 1:
            stopped = f"{folder} stopped at epoch {checkpoint.progress.epoch:.1f}"
            raise UserError(f"{stopped}: finish it with --resume first")
        if options.into:
            give_decoder(checkpoint, options.into)
            continue
        path = shipped_weights(folder.resolve().parents[1], checkpoint.options.kind)
        path.parent.mkdir(exist_ok=True)
        thin(folder / "metrics.csv", path.with_suffix(".csv"))
        drawn = {name: array for name, array in checkpoint.tensors.items() if not name.startswith("train.")}
        save_checkpoint(path, replace(checkpoint, tensors=half_precision(drawn), options=portable(checkpoint.options)))
        write_json(path.with_suffix(".json"), training_of(checkpoint) | {"hardware": options.hardware})
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    run(main, Ship)

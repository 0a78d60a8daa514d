"""Ship a finished run's weights with the repository: python -m publish.ship pytorch/runs/ldm

Writes weights/KIND.safetensors in the run's tree, the averaged weights in half precision; beside it KIND.json, the
recipe and the training time, and KIND.csv, the losses in 500 rows."""
from dataclasses import field, replace
from datetime import date
from pathlib import Path

import numpy as np
from pydantic_core import to_jsonable_python
from tyro.conf import Positional

from common.checkpoint import load_checkpoint, save_checkpoint
from common.errors import UserError
from common.files import shipped_weights, write_json
from common.machine import cpu_name
from common.options.command_line import run
from common.options.fields import options_class

ROWS = 500


def thin(source, target):
    """Copy a metrics.csv, averaged to at most 500 rows."""
    with open(source) as file:
        header, rows = file.readline().strip(), np.loadtxt(file, delimiter=",", ndmin=2)
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

    runs: Positional[tuple[Path, ...]]
    """Run folders, inside a tree's runs/."""
    hardware: str = field(default_factory=cpu_name)
    """Hardware that they were trained on, if not this machine."""


def main(options: Ship):
    for folder in options.runs:
        checkpoint = load_checkpoint(folder)
        progress = checkpoint.progress
        if part_done(checkpoint.options, progress) < 1:
            raise UserError(f"{folder} stopped at epoch {progress.epoch:.1f}: finish it with --resume first")
        path = shipped_weights(folder.resolve().parents[1], checkpoint.options.kind)
        path.parent.mkdir(exist_ok=True)
        drawn = {name: array for name, array in checkpoint.tensors.items() if not name.startswith("train.")}
        half = {name: a.astype(np.float16) for name, a in drawn.items() if not name.startswith("latent.")}
        save_checkpoint(path, replace(checkpoint, tensors=drawn | half))  # the latents' statistics stay as they are
        about = {"recipe": to_jsonable_python(checkpoint.options), "epochs": progress.epoch}
        about |= {"hours": progress.seconds / 3600, "hardware": options.hardware, "date": date.today().isoformat()}
        write_json(path.with_suffix(".json"), about)
        thin(folder / "metrics.csv", path.with_suffix(".csv"))
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    run(main, Ship)

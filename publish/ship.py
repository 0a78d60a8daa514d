"""From a finished run to the weights in the repository: python -m publish.ship pytorch/runs/ldm

Writes weights/NAME.safetensors of the run's tree, the averaged weights in half precision; beside it NAME.json, the
recipe and what it took, and NAME.csv, the losses, 500 rows.
"""
import csv
from dataclasses import field
from datetime import date
from pathlib import Path

import numpy as np
from pydantic_core import to_jsonable_python
from tyro.conf import Positional

from common.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from common.errors import UserError
from common.files import shipped_weights, write_json
from common.machine import cpu_name
from common.options.command_line import run
from common.options.fields import options_class

ROWS = 500


def half(name, array):
    """Half precision for the networks' weights; the latents' statistics stay as they are."""
    return array if name.startswith("latent.") else array.astype(np.float16)


def thin(source, target):
    """Copy a metrics.csv as the means of 500 stretches of it."""
    with open(source, newline="") as file:
        header, *rows = csv.reader(file)
    stretches = np.array_split(np.array(rows, float), min(ROWS, len(rows)))
    with open(target, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([header, *([f"{value:.5g}" for value in part.mean(axis=0)] for part in stretches)])


@options_class
class Ship:
    """Put the models of finished runs into their tree's weights/ folder."""

    runs: Positional[tuple[Path, ...]]
    """Folders of the runs, inside a tree's runs/."""
    hardware: str = field(default_factory=cpu_name)
    """That they were trained on, if not here."""


def main(options: Ship):
    for folder in options.runs:
        checkpoint = load_checkpoint(folder)
        kind, progress = checkpoint.options.kind, checkpoint.progress
        minutes = checkpoint.options.minutes or float("inf")
        if progress.epoch < checkpoint.options.epochs and progress.seconds < 60 * minutes:
            raise UserError(f"{folder} has come to epoch {progress.epoch:.1f}: finish it with --resume first")
        path = shipped_weights(folder.resolve().parents[1], kind)
        path.parent.mkdir(exist_ok=True)
        tensors = {name: half(name, a) for name, a in checkpoint.tensors.items() if not name.startswith("train.")}
        save_checkpoint(path, Checkpoint(checkpoint.options, tensors, progress, checkpoint.vae))
        about = {"recipe": to_jsonable_python(checkpoint.options), "epochs": progress.epoch}
        about |= {"hours": progress.seconds / 3600, "hardware": options.hardware, "date": date.today().isoformat()}
        write_json(path.with_suffix(".json"), about)
        thin(folder / "metrics.csv", path.with_suffix(".csv"))
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    run(main)

"""From a finished run to the weights in the repository: python -m publish.ship pytorch/runs/ldm

Writes weights/NAME.safetensors of the run's tree, the averaged weights in half precision; beside it NAME.json, the
recipe and what it took, and NAME.csv, the losses, 500 rows."""
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
    """Copy a metrics.csv as the means of 500 stretches of it."""
    with open(source) as file:
        header, rows = file.readline().strip(), np.loadtxt(file, delimiter=",", ndmin=2)
    means = [part.mean(axis=0) for part in np.array_split(rows, min(ROWS, len(rows)))]
    np.savetxt(target, means, "%.5g", ",", header=header, comments="")


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
        training, progress = checkpoint.options.training, checkpoint.progress
        if progress.epoch < training.epochs and progress.seconds < 60 * (training.minutes or float("inf")):
            raise UserError(f"{folder} has come to epoch {progress.epoch:.1f}: finish it with --resume first")
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

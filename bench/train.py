"""Time to quality: python bench/train.py [--minutes 13] [--against REPO] [--help]

Trains a VAE and latent diffusion on its latents from scratch by the README's commands, for --minutes in all;
samples digits, and compares them with training digits. Another checkout, if given, does the same in turn."""
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Literal

from pydantic import DirectoryPath, Field
from rounds import ROOT

from common.data.dataset import open_dataset
from common.images import read_images
from common.options.command_line import run
from common.options.fields import Count, Positive, options_class
from publish import FRAMEWORKS, spread, spread_text
from scoring.metric import offline_metric, real_picks
from scoring.texture import texture_text


@options_class
class Train:
    minutes: Positive = 13
    """Minutes of training, of both models together."""
    share: Annotated[float, Field(gt=0, lt=1)] = 3 / 13
    """Fraction of the minutes that the VAE gets."""
    rounds: Count = 3
    """Number of seeds, 1, 2, 3 and so on."""
    batch_size: Count = 256
    """The latent model's --batch-size."""
    base_channels: Count = 64
    """The latent model's --unet.base-channels."""
    num: Annotated[int, Field(ge=2)] = 10_000
    """Digits to sample."""
    tree: Literal[*FRAMEWORKS] = "pytorch"
    """Framework to train with."""
    against: DirectoryPath | None = None
    """Another checkout of this repository to compare with."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Device to compute on."""


def drawn(repository, options, seed):
    """Train both models in a checkout; returns digits sampled from them, (N, 1, 32, 32) uint8."""
    with TemporaryDirectory() as folder:
        vae, ldm, score = (f"{folder}/{name}" for name in ("vae", "ldm", "score"))
        minutes = options.share * options.minutes, (1 - options.share) * options.minutes
        latent = "--vae-checkpoint", vae, "--batch-size", options.batch_size
        latent += "--unet.base-channels", options.base_channels
        commands = [
            ["train_mnist_vae.py", "--out", vae, "--minutes", minutes[0], "--seed", seed],
            ["train_mnist_ldm.py", "--out", ldm, "--minutes", minutes[1], "--seed", seed, *latent],
            ["tst_mnist_ldm_fid.py", "--out", score, "--num", options.num, "--checkpoint", ldm, "--no-fid"],
        ]
        for script, *arguments in commands:
            command = [sys.executable, f"{options.tree}/script/{script}", *arguments, "--device", options.device]
            if code := subprocess.run([*map(str, command)], cwd=repository, stdout=subprocess.DEVNULL).returncode:
                raise SystemExit(code)  # it said why
        return read_images(Path(score) / "fake", (1, 32, 32))


def main(options):
    """Train, sample and compare, and print a line per run."""
    data = open_dataset()
    split, picks = real_picks(options.num, data, "train")
    real = split.images[picks]
    found = {str(place): [] for place in (ROOT, options.against) if place}
    for seed in range(1, options.rounds + 1):
        for place, results in found.items():
            results.append(offline_metric(drawn(place, options, seed), real, data, part="train"))
            print(f"{place}, seed {seed}: {results[-1]['over_floor']:.2f}, {texture_text(results[-1])}", flush=True)
    for place, results in found.items():
        distances = spread_text(spread([result["over_floor"] for result in results]))
        print(f"{place}: MNIST-FD / floor {distances} after {options.minutes:g} minutes")


if __name__ == "__main__":
    run(main, Train, __doc__)

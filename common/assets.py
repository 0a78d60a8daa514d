"""Every picture and table that the README shows, from the shipped weights: python -m common.assets

Draws the pictures of both trees, scores every sampler setting on 10,000 images (hours on two cores; a setting whose
result is there already is not drawn again), then writes the tables and the plot as common.report does.
"""
import shutil
import subprocess
import sys

from common.cli import options, run
from common.config import DistillLDM
from common.figure import loss_curve
from common.paths import ROOT
from common.report import ASSET, FRAMEWORKS, HEADLINE, MODELS, Report
from common.report import main as report

PICTURES = {
    "ddpm": ("tst_mnist.py", ["samples", "process"]),
    "vae": ("tst_mnist_vae.py", ["reconstructions", "prior"], "--num", 50),
    "ldm": ("tst_mnist_ldm.py", ["samples", "process"]),
    "ldm-distilled": ("tst_mnist_ldm.py", ["samples", "process"]),
}
SETTINGS = {  # samplers and their network calls, in PyTorch; in Jittor, which draws the same, the headline's alone
    "ddpm": {"dpmpp_2m": (5, 8, 10, 20), "ddim": (10, 20), "ddpm": (50,)},
    "ldm": {"dpmpp_2m": (4, 6, 10, 20), "ddim": (10, 50), "ddpm": (50,)},
    "ldm-distilled": {"ddim": (DistillLDM().steps,)},
}


@options
class Assets:
    """Regenerate asset/ and the README's tables."""

    pictures: bool = True
    """Draw the pictures."""
    scores: bool = True
    """Score every setting that has no result yet."""


def call(tree, script, kind, *arguments):
    """Run a tree's script on the shipped weights of a kind."""
    weights = ROOT / tree / "weights" / f"{kind}.safetensors"
    command = [sys.executable, ROOT / tree / "script" / script, "--checkpoint", weights, *arguments]
    subprocess.run([str(part) for part in command], check=True)


def main(options: Assets):
    ASSET.mkdir(exist_ok=True)
    shipped = [(tree, kind) for tree in FRAMEWORKS for kind in PICTURES if shipped_csv(tree, kind).is_file()]
    for tree, kind in shipped if options.pictures else ():
        script, names, *arguments = PICTURES[kind]
        folder = ROOT / tree / "runs" / "pictures" / kind
        call(tree, script, kind, "--out", folder, *arguments)
        for name in names:
            shutil.copy(folder / f"{name}.png", ASSET / f"{tree}-{kind}-{name}.png")
        title = f"{MODELS[kind]} in {FRAMEWORKS[tree]}: training loss"
        loss_curve(shipped_csv(tree, kind), ASSET / f"{tree}-{kind}-loss.png", title)
    for tree, kind in shipped if options.scores else ():
        for sampler, steps in settings(tree, kind):
            folder = ROOT / tree / "runs" / f"{kind}-{sampler}-{steps}"
            if not (folder / "result.json").is_file():
                script = "tst_mnist_fid.py" if kind == "ddpm" else "tst_mnist_ldm_fid.py"
                call(tree, script, kind, "--sampler", sampler, "--steps", steps, "--out", folder)
    report(Report())


def settings(tree, kind):
    """The samplers to score, with their network calls."""
    if tree == "jittor":
        return [(sampler, steps) for shown in HEADLINE.values() for model, sampler, steps in shown if model == kind]
    return [(sampler, steps) for sampler, counts in SETTINGS.get(kind, {}).items() for steps in counts]


def shipped_csv(tree, kind):
    return ROOT / tree / "weights" / f"{kind}.csv"


if __name__ == "__main__":
    run(main)

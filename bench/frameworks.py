"""The Jittor tree's speed over the PyTorch tree's, in float32: python bench/frameworks.py [--rounds 7] [--device cpu]
[--precision auto: each tree's default]

Times steps of the trees' own training scripts, and sampling. Prints median images/s, and the ratio Jittor / PyTorch of
each pair of rounds as median (min-max); writes both to asset/bench.json if they are in float32."""
import atexit
import shutil
import sys
from contextlib import redirect_stderr
from importlib import import_module
from os import devnull
from pathlib import Path
from tempfile import mkdtemp
from typing import Literal

from rounds import ROOT, Rounds, compete, write

from common.files import shipped_weights
from common.options.command_line import run
from common.options.fields import options_class
from common.options.where import Flat
from publish import FRAMEWORKS

BATCH, STEPS, SAMPLES = 128, 5, 100
ENDLESS = {"epochs": 10**6, "save_every": 10**6, "preview_every": 10**6, "warmup": 0}


@options_class
class Contest:
    rounds: Flat[Rounds]
    precision: Literal["fp32", "auto"] = "fp32"
    """Arithmetic of both trees; auto is each tree's default."""


def build(tree, kind, device, precision="fp32"):
    """{"training", "sampling": function() -> number of images done} of a tree's training script of this kind."""
    sys.path[:0] = [str(ROOT / tree / "script")]
    from common.diffusion.noise import SampleNoise
    from common.diffusion.space import Latents
    from common.options.networks import SamplerConfig
    from common.options.recipes import RECIPES, Training, Where
    from common.training.trainer import Trainer

    prepared, recipe = [], RECIPES[kind]
    Trainer.fit = lambda *arguments: prepared.extend(arguments)  # main() now trains nothing; steps are taken below
    folder = mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    training = Training(out=Path(folder), limit=10 * BATCH, batch_size=BATCH, **ENDLESS)
    others = {} if kind == "vae" else {"sampler": SamplerConfig(steps=STEPS)}
    if kind == "ldm":
        others["vae_checkpoint"] = shipped_weights(ROOT / tree, "vae")
    script = import_module(recipe.script.removesuffix(".py"))
    script.main(recipe(training=training, where=Where(device=device, precision=precision), **others))
    trainer, losses, count, preview = prepared
    steps = trainer.steps(losses, count, preview)
    with open(devnull, "w") as nowhere, redirect_stderr(nowhere):
        next(steps)  # the first step makes the progress bar

    def train():
        next(steps)
        return BATCH

    def draw():
        if kind == "vae":
            space = Latents(trainer.ema)
            with trainer.device.inference():
                z = trainer.device.tensor(SampleNoise(0, range(SAMPLES), space.shape)())
                trainer.device.array(space.decode(z))
        else:
            preview(trainer.ema)  # a grid of 100
        return SAMPLES

    return {"training": train, "sampling": draw}


def main(options):
    """Time training and sampling of every model in both frameworks, and write the results down."""
    results, rounds, precision = {}, options.rounds, options.precision
    for kind in ("ddpm", "ldm", "vae"):
        print(kind)
        trees = {tree: (build, tree, kind, rounds.device, precision) for tree in FRAMEWORKS}
        found = compete(trees, ("training", "sampling"), rounds.rounds)
        results |= {f"{kind} {work}": speeds for work, speeds in found.items()}
    if precision == "fp32":
        write("frameworks", rounds, results, precision=precision, calls=STEPS)


if __name__ == "__main__":
    run(main, Contest, __doc__)

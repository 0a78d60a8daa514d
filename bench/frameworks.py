"""The Jittor tree's speed over the PyTorch tree's, in float32, on the same cores in one run.

    python bench/frameworks.py [--rounds 7] [--device cpu]

Each framework has a process of its own; the rounds go A B A B, so that a machine whose speed drifts hits both. Prints
images/s as medians and the ratio Jittor / PyTorch of each pair of rounds as median (min-max), and writes both to
asset/bench.json.
"""
import contextlib
import os
import sys
import tempfile
from pathlib import Path

from rounds import ROOT, compete, end, read_options, serve, start, write

TREES = ("pytorch", "jittor")
STEPS, SAMPLES = 5, 100
ENDLESS = {"epochs": 10**6, "save_every": 10**6, "preview_every": 10**6, "warmup": 0}


def build(tree, kind, device, batch=128, precision="fp32"):
    """The work of one kind, as two functions without arguments that return the number of images they went through."""
    sys.path[:0] = [str(ROOT / tree)]
    import numpy as np
    from trainer import Trainer

    from common.conditions import PERCENTILES
    from common.draw import sample_images
    from common.options.networks import SamplerConfig
    from common.options.recipes import RECIPES
    from device import make_accelerator, to_tensor
    from model.ddpm import DDPM
    from model.unet import ConditionalUNet
    from model.vae import VAE, LatentSpace, vae_loss
    from pipeline import Pipeline, decode_prior

    out = Path(tempfile.mkdtemp())
    options = RECIPES[kind](out=out, batch_size=batch, device=device, precision=precision, **ENDLESS)
    accelerator = make_accelerator(options.device, options.precision)
    make_network = (lambda: VAE(options.vae)) if kind == "vae" else (lambda: ConditionalUNet(options.unet))
    trainer = Trainer(options, accelerator, make_network)
    vae, ddpm = accelerator.prepare(VAE(RECIPES["vae"]().vae)), DDPM(RECIPES["ldm"]().diffusion)
    space = LatentSpace(vae.eval(), np.zeros(4, np.float32), np.ones(4, np.float32)) if kind == "ldm" else None
    attributes = () if kind == "vae" else options.unet.attributes
    quantiles = {name: [PERCENTILES] for name in attributes}  # any numbers that rise
    pipeline = Pipeline(accelerator, trainer.ema, ddpm, SamplerConfig(steps=STEPS), quantiles, space)
    y = pipeline.conditions(np.arange(batch) % 10, dict.fromkeys(attributes, 1.0))
    data = np.random.default_rng(0).standard_normal((batch, *pipeline.shape)).astype(np.float32)

    def losses(model, indices, noise):
        x = to_tensor(data[indices], accelerator.device)
        eps = to_tensor(noise.normal(*(vae.latent_shape() if kind == "vae" else pipeline.shape)), accelerator.device)
        if kind == "vae":
            return vae_loss(model, x, eps, options.kl_weight)
        return {"loss": ddpm.loss(model, x, noise.integers(1000), eps, to_tensor(y[indices], accelerator.device))}

    steps, nowhere = trainer.steps(losses, batch, preview=None), open(os.devnull, "w")  # noqa: SIM115

    def training():
        with contextlib.redirect_stderr(nowhere):  # for the progress bar, which the first step makes
            next(steps)
        return batch

    def sampling():
        if kind == "vae":
            decode_prior(accelerator, trainer.ema, 0, SAMPLES)
        else:
            sample_images(pipeline, 0, y[:SAMPLES])
        return SAMPLES

    return {"training": training, "sampling": sampling}


def compare(options):
    """Measure every model's training and sampling in both frameworks, and write it down."""
    results = {}
    for kind in ("ddpm", "ldm", "vae"):
        arguments = ("--kind", kind, "--device", options.device)
        trees = {tree: start(__file__, "--worker", tree, *arguments) for tree in TREES}
        for work in ("training", "sampling"):
            asked = {tree: (process, work) for tree, process in trees.items()}
            ratios = {"jittor": ("jittor", "pytorch")}
            results[f"{kind} {work}"] = compete(asked, options.rounds, f"images/s ({kind})", ratios)
        end(trees)
    write("frameworks", options, results, precision="fp32", calls=STEPS)


if __name__ == "__main__":
    options = read_options(__doc__)
    if options.worker:
        serve(build(options.worker, options.kind, options.device))
    else:
        compare(options)

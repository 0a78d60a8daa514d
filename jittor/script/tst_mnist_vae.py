"""Reconstruct and draw digits with the autoencoder: python script/tst_mnist_vae.py [--help]"""
import sys
from pathlib import Path

sys.path[:0] = map(str, Path(__file__).resolve().parents[1:3])  # this tree, then the repository

from common.cli import run
from common.config import SampleVAE


def main(options: SampleVAE):
    """Load the model, reconstruct test digits, decode noise from the prior."""
    from common.images import grid, pairs, save_png  # a framework is loaded after --help was answered
    from data import load_mnist
    from device import make_accelerator
    from sampler import decode_prior, load_vae, output_folder, reconstruct

    accelerator = make_accelerator(options.device, options.precision)
    vae = load_vae(options.checkpoint, accelerator.device)
    images, _ = load_mnist(train=False, limit=options.num)
    folder = output_folder(options, "vae")
    pictures = {
        "reconstructions": pairs(images, reconstruct(accelerator, vae, images), columns=10),
        "prior": grid(decode_prior(accelerator, vae, options), columns=10),
    }
    for name, picture in pictures.items():
        save_png(folder / f"{name}.png", picture)
        print(folder / f"{name}.png")


if __name__ == "__main__":
    run(main)

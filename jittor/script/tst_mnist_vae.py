"""Reconstruct and draw digits with the autoencoder: python script/tst_mnist_vae.py [--help]"""
import sys
from pathlib import Path

sys.path[:0] = map(str, Path(__file__).resolve().parents[1:3])  # this tree, then the repository

from common.cli import run
from common.config import SampleVAE


def main(options: SampleVAE):
    """Load the model, reconstruct the test digits, decode noise from the prior."""
    import numpy as np  # a framework is loaded after --help was answered

    from common.images import grid, pairs, save_png, to_uint8
    from common.metric import digits, mnist_fd
    from common.mnist import load_mnist
    from device import make_accelerator
    from sampler import decode_prior, load_vae, output_folder, reconstruct

    accelerator = make_accelerator(options.device, options.precision)
    vae = load_vae(options.checkpoint, accelerator.device)
    images, _ = load_mnist(train=False, folder=options.data)
    starts = range(0, len(images), options.batch_size)
    decoded = np.concatenate([reconstruct(accelerator, vae, images[i : i + options.batch_size]) for i in starts])
    folder = output_folder(options, "vae")
    pictures = {
        "reconstructions": pairs(images[: options.num], decoded[: options.num], columns=10),
        "prior": grid(decode_prior(accelerator, vae, options), columns=10),
    }
    for name, picture in pictures.items():
        save_png(folder / f"{name}.png", picture)
        print(folder / f"{name}.png")
    distance = mnist_fd(to_uint8(decoded), images)
    floor = mnist_fd(digits(True, len(images), options.data), images)
    print(f"MNIST-FD of {len(images)} reconstructions: {distance:.4f}, {distance / floor:.2f} x floor")


if __name__ == "__main__":
    run(main)

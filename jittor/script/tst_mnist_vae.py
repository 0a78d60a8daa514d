"""Reconstruct and draw digits with the autoencoder: python script/tst_mnist_vae.py [--help]"""
import paths

from common.options.command_line import run
from common.options.sampling import SampleVAE


def main(options: SampleVAE):
    """Load the model, reconstruct the test digits, decode noise from the prior."""
    import numpy as np  # a framework is loaded after --help was answered

    from common.draw import batches_of, output_folder
    from common.images import grid, pairs, save_png, to_uint8
    from common.mnist import load_mnist
    from device import TREE, make_accelerator
    from pipeline import decode_prior, load_vae, reconstruct
    from scoring.metric import mnist_fd_over_floor

    accelerator = make_accelerator(options.device, options.precision)
    vae = load_vae(options.checkpoint, accelerator.device)
    images, _ = load_mnist(train=False, folder=options.data)
    batches = batches_of(len(images), options.batch_size)
    decoded = np.concatenate([reconstruct(accelerator, vae, images[indices]) for indices in batches])
    folder = output_folder(options, TREE, "vae")
    pictures = {
        "reconstructions": pairs(images[: options.num], decoded[: options.num], columns=10),
        "prior": grid(decode_prior(accelerator, vae, options.seed, options.num), columns=10),
    }
    for name, picture in pictures.items():
        save_png(folder / f"{name}.png", picture)
        print(folder / f"{name}.png")
    distance = mnist_fd_over_floor(to_uint8(decoded), images, options.data)
    print(f"MNIST-FD of {len(images)} reconstructions: {distance:.2f} x floor")


if __name__ == "__main__":
    run(main)

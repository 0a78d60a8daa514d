"""Reconstruct and draw digits with the autoencoder: python script/tst_mnist_vae.py [--help]"""
import paths

from common.options.command_line import run
from common.options.sampling import SampleVAE


def main(options):
    """Load the model, reconstruct the test images of its data, decode noise from the prior."""
    import numpy as np  # a framework is loaded after --help was answered

    from common.data.dataset import data_of
    from common.diffusion.noise import SampleNoise
    from common.diffusion.space import Latents, reconstruct
    from common.draw import batches_of, output_folder
    from common.images import grid, pairs, save_png, to_uint8
    from device import Device
    from pipeline import pipeline
    from scoring.metric import mnist_fd_over_floor

    device = Device(options.where)
    vae, checkpoint = pipeline.load_vae(options.which.checkpoint, device)
    data, space = data_of(checkpoint, options.data), Latents(vae, 0.0, 1.0)  # latents as they are
    images = data.test.images
    batches = batches_of(len(images), options.drawing.batch_size)
    decoded = np.concatenate([reconstruct(space, images[indices], device) for indices in batches])
    with device.inference():
        z = device.tensor(SampleNoise(options.drawing.seed, range(options.num), space.shape)())
        drawn = device.array(space.decode(z))
    folder = output_folder(options.which.out, device.tree, "vae")
    pictures = {
        "reconstructions": pairs(images[: options.num], decoded[: options.num], columns=10),
        "prior": grid(drawn, columns=10),
    }
    for name, picture in pictures.items():
        save_png(folder / f"{name}.png", picture)
        print(folder / f"{name}.png")
    distance = mnist_fd_over_floor(to_uint8(decoded), images, data)
    print(f"MNIST-FD of {len(images)} reconstructions: {distance:.2f} x floor")


if __name__ == "__main__":
    run(main, SampleVAE)

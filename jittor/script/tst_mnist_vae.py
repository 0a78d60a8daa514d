"""Reconstruct and draw digits with the autoencoder: python script/tst_mnist_vae.py [--help]"""
import paths

from common.options.command_line import run
from common.options.sampling import SampleVAE


def main(options):
    """Load the model, reconstruct the test images of its data, decode noise from the prior."""
    from common.data.dataset import data_of  # imported late, so that --help is fast
    from common.draw import write_reconstructions
    from device import Device
    from pipeline import pipeline
    from scoring.metric import mnist_fd_over_floor

    device = Device(options.where)
    vae, checkpoint = pipeline.load_vae(options.which.checkpoint, device)
    data = data_of(checkpoint, options.data)
    images = write_reconstructions(vae, data.test.images, device, options)
    distance = mnist_fd_over_floor(images, data.test.images, data)
    print(f"MNIST-FD of {len(images)} reconstructions: {distance:.2f} x floor")


if __name__ == "__main__":
    run(main, SampleVAE)

"""Reconstruct digits with the autoencoder, and sample its prior: python script/tst_mnist_vae.py [--help]"""
import paths

from common.options.command_line import run
from common.options.sampling import SampleVAE


def main(options):
    """Load the VAE, reconstruct its data's test images, and decode noise from the prior."""
    from common.data.dataset import data_of  # imported late, so that --help is fast
    from common.draw import write_reconstructions
    from device import Device
    from pipeline import pipeline
    from scoring.texture import texture, texture_text

    device = Device(options.where)
    vae, checkpoint = pipeline.load_vae(options.which.checkpoint, device)
    data = data_of(checkpoint, options.data)
    images = write_reconstructions(vae, data.test.images, device, options)
    print(f"{len(images)} reconstructions: {texture_text(texture(images, data.test.images))}")


if __name__ == "__main__":
    run(main, SampleVAE)

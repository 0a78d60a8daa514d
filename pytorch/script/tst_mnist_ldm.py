"""Draw digits with latent diffusion: python script/tst_mnist_ldm.py [--digit 7] [--guidance 2] [--help]"""
import paths

from common.options.command_line import run
from common.options.sampling import SampleLDM


def main(options: SampleLDM):
    """Load the model and the VAE it carries, draw a grid of samples and the denoising of the first ones, decoded."""
    from common.draw import write_pictures  # a framework is loaded after --help was answered
    from pipeline import load_pipeline

    write_pictures(load_pipeline(options), options)


if __name__ == "__main__":
    run(main)

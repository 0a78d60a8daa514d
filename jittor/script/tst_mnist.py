"""Draw digits with the pixel DDPM: python script/tst_mnist.py [--steps 20] [--help]"""
import paths

from common.options.command_line import run
from common.options.sampling import SampleDDPM


def main(options: SampleDDPM):
    """Load the model, draw a grid of samples and the denoising of the first ones."""
    from common.draw import write_pictures  # a framework is loaded after --help was answered
    from pipeline import load_pipeline

    write_pictures(load_pipeline(options), options)


if __name__ == "__main__":
    run(main)

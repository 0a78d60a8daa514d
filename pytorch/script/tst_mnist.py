"""Draw digits with the pixel DDPM: python script/tst_mnist.py [--steps 20] [--help]"""
import sys
from pathlib import Path

sys.path[:0] = map(str, Path(__file__).resolve().parents[1:3])  # this tree, then the repository

from common.cli import run
from common.config import SampleDDPM


def main(options: SampleDDPM):
    """Load the model, draw a grid of samples and the denoising of the first ones."""
    from sampler import draw, load_ddpm  # a framework is loaded after --help was answered

    draw(load_ddpm(options), options, "ddpm")


if __name__ == "__main__":
    run(main)

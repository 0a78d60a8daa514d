"""Draw digits with latent diffusion: python script/tst_mnist_ldm.py [--digit 7] [--guidance 2] [--help]"""
import sys
from pathlib import Path

sys.path[:0] = map(str, Path(__file__).resolve().parents[1:3])  # this tree, then the repository

from common.cli import run
from common.config import SampleLDM


def main(options: SampleLDM):
    """Load the model and the VAE it carries, draw a grid of samples and the denoising of the first ones, decoded."""
    from sampler import draw, load_ldm  # a framework is loaded after --help was answered

    pipeline = load_ldm(options)
    draw(pipeline, pipeline.settle(options), pipeline.kind)


if __name__ == "__main__":
    run(main)

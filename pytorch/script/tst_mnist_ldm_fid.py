"""Score latent diffusion: python script/tst_mnist_ldm_fid.py [--steps 20] [--num 10000] [--help]"""
import sys
from pathlib import Path

sys.path[:0] = map(str, Path(__file__).resolve().parents[1:3])  # this tree, then the repository

from common.cli import run
from common.config import ScoreLDM


def main(options: ScoreLDM):
    """Load the model and the VAE it carries, draw fake/, export real/, score one against the other."""
    from common.score import score  # a framework is loaded after --help was answered
    from sampler import load_ldm, output_folder

    pipeline = load_ldm(options)
    options = pipeline.settle(options)
    score(pipeline, options, output_folder(options, f"{pipeline.kind}-{options.sampler}-{options.steps}"))


if __name__ == "__main__":
    run(main)

"""Score the pixel DDPM: python script/tst_mnist_fid.py [--steps 20] [--num 10000] [--help]"""
import sys
from pathlib import Path

sys.path[:0] = map(str, Path(__file__).resolve().parents[1:3])  # this tree, then the repository

from common.cli import run
from common.config import ScoreDDPM


def main(options: ScoreDDPM):
    """Load the model, draw fake/, export real/, score one against the other."""
    from common.score import score  # a framework is loaded after --help was answered
    from sampler import load_ddpm, output_folder

    score(load_ddpm(options), options, output_folder(options, f"ddpm-{options.sampler}-{options.steps}"))


if __name__ == "__main__":
    run(main)

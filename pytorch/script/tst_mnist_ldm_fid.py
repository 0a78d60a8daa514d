"""Score latent diffusion: python script/tst_mnist_ldm_fid.py [--steps 20] [--num 10000] [--help]"""
import paths

from common.options.command_line import run
from common.options.sampling import ScoreLDM


def main(options: ScoreLDM):
    """Load the model and the VAE it carries, draw fake/, export real/, score one against the other."""
    from pipeline import load_pipeline  # a framework is loaded after --help was answered
    from scoring.score import score

    score(load_pipeline(options), options)


if __name__ == "__main__":
    run(main)

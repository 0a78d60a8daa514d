"""Score the pixel DDPM: python script/tst_mnist_fid.py [--steps 20] [--num 10000] [--help]"""
import paths

from common.options.command_line import run
from common.options.sampling import Score, WhichDiffusion


def main(options):
    """Load the model, sample fake/, export real/, and compare the two."""
    from pipeline import pipeline  # imported late, so that --help is fast
    from scoring.score import score

    score(pipeline.load_model(options.which.checkpoint, options.which.kind, options.where), options)


if __name__ == "__main__":
    run(main, Score(which=WhichDiffusion(base="ddpm")), __doc__)

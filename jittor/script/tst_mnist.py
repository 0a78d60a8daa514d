"""Sample digits from the pixel DDPM: python script/tst_mnist.py [--steps 20] [--help]"""
import paths

from common.options.command_line import run
from common.options.sampling import Sample, WhichDiffusion


def main(options):
    """Load the model; draw a grid of samples, the denoising of the first ones, and a sweep of the measures."""
    from common.draw import write_pictures  # imported late, so that --help is fast
    from pipeline import pipeline

    write_pictures(pipeline.load_model(options.which.checkpoint, options.which.kind, options.where), options)


if __name__ == "__main__":
    run(main, Sample(which=WhichDiffusion(base="ddpm")), __doc__)

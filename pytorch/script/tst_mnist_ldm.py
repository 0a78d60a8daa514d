"""Sample digits from latent diffusion: python script/tst_mnist_ldm.py [--digit 7] [--guidance 2] [--help]"""
import paths

from common.options.command_line import run
from common.options.sampling import Sample, WhichDiffusion
from tst_mnist import main  # the same with a latent model

if __name__ == "__main__":
    run(main, Sample(which=WhichDiffusion(base="ldm")), __doc__)

"""Score latent diffusion: python script/tst_mnist_ldm_fid.py [--steps 20] [--num 10000] [--help]"""
import paths

from common.options.command_line import run
from common.options.sampling import Score, WhichDiffusion
from tst_mnist_fid import main  # the same with a latent model

if __name__ == "__main__":
    run(main, Score(which=WhichDiffusion(base="ldm")), __doc__)

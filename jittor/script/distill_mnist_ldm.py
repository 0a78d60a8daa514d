"""Distil latent diffusion to one network call: python script/distill_mnist_ldm.py [--minutes 60] [--help]"""
import paths

from common.options.command_line import run
from common.options.recipes import DistillLDM
from distill_mnist import main  # the same for a latent model

if __name__ == "__main__":
    run(main, DistillLDM)

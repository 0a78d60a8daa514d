"""Train latent diffusion on MNIST: python script/train_mnist_ldm.py [--minutes 30] [--help]"""
import paths

from common.options.command_line import run
from common.options.recipes import TrainLDM
from train_mnist import main  # the same in the latents of a trained VAE

if __name__ == "__main__":
    run(main, TrainLDM)

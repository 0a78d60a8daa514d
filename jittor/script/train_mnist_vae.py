"""Train the autoencoder on MNIST: python script/train_mnist_vae.py [--minutes 10] [--help]"""
import sys
from pathlib import Path

sys.path[:0] = map(str, Path(__file__).resolve().parents[1:3])  # this tree, then the repository

from common.cli import run
from common.config import TrainVAE


def main(options: TrainVAE):
    """Build the VAE, load data, train it on reconstruction + kl_weight * KL."""
    from common.images import from_uint8, pairs, save_png  # a framework is loaded after --help was answered
    from common.mnist import load_mnist
    from device import make_accelerator, to_tensor
    from model.vae import VAE, vae_loss
    from sampler import reconstruct
    from trainer import Trainer

    accelerator = make_accelerator(options.device, options.precision)
    trainer = Trainer(options, accelerator, build=lambda: VAE(options.vae))
    latent_shape = trainer.model.latent_shape()
    images, _ = load_mnist(train=True, folder=options.data, limit=options.limit)
    held_out, _ = load_mnist(train=False, folder=options.data, limit=100)

    def losses(vae, indices, noise):
        x = to_tensor(from_uint8(images[indices]), accelerator.device)
        eps = to_tensor(noise.normal(*latent_shape), accelerator.device)
        return vae_loss(vae, x, eps, options.kl_weight)

    def preview(vae, path):
        save_png(path, pairs(held_out, reconstruct(accelerator, vae, held_out), columns=10))

    trainer.fit(losses, len(images), preview)


if __name__ == "__main__":
    run(main)

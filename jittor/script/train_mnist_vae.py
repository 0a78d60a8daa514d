"""Train the autoencoder on MNIST: python script/train_mnist_vae.py [--minutes 10] [--help]"""
import paths

from common.options.command_line import run
from common.options.recipes import TrainVAE


def main(options: TrainVAE):
    """Load the digits, build the VAE, train it on reconstruction + kl_weight * KL."""
    from common.images import from_uint8, pairs  # a framework is loaded after --help was answered
    from common.mnist import load_mnist
    from device import make_accelerator, to_tensor
    from model.vae import VAE, vae_loss
    from pipeline import reconstruct
    from trainer import Trainer

    images, _ = load_mnist(train=True, folder=options.data, limit=options.limit)
    held_out, _ = load_mnist(train=False, folder=options.data, limit=100)
    accelerator = make_accelerator(options.device, options.precision)
    trainer = Trainer(options, accelerator, build=lambda: VAE(options.vae))
    latent_shape = trainer.model.latent_shape()

    def losses(vae, indices, noise):
        x = to_tensor(from_uint8(images[indices]), accelerator.device)
        eps = to_tensor(noise.normal(*latent_shape), accelerator.device)
        return vae_loss(vae, x, eps, options.kl_weight)

    def preview(vae):
        return pairs(held_out, reconstruct(accelerator, vae, held_out), columns=10)

    trainer.fit(losses, len(images), preview)


if __name__ == "__main__":
    run(main)

"""Train the autoencoder on MNIST: python script/train_mnist_vae.py [--minutes 10] [--help]"""
import paths

from common.options.command_line import run
from common.options.recipes import TrainVAE


def main(options):
    """Open the data, build the VAE, train it on reconstruction + kl_weight * KL."""
    from common.data.dataset import open_dataset  # imported late, so that --help is fast
    from common.diffusion.space import Latents, Pixels, reconstruct
    from common.images import pairs
    from common.training.run import Run
    from common.training.trainer import Trainer
    from device import Device
    from model.vae import VAE, vae_loss
    from optimizer import Muon

    data, device = open_dataset(options.training.data), Device(options.where)
    images, held_out = data.train.first(options.training.limit).images, data.test.first(100).images
    space, latent_shape = Pixels(data.spec.shape), options.vae.latent_shape(data.spec.shape)
    run, x_of = Run(options, data.spec, device), space.batches(images, device)
    trainer = Trainer(run, space, {"model": (lambda: VAE(options.vae, space.shape), Muon)})

    def losses(modules, batch, done):
        eps = device.tensor(batch.noise.normal(*latent_shape))
        loss, parts = vae_loss(modules["model"], x_of(batch.indices), eps, options.kl_weight)
        return {"model": loss}, parts

    def preview(vae):
        return pairs(held_out, reconstruct(Latents(vae, 0.0, 1.0), held_out, device), columns=10)

    trainer.fit(losses, len(images), preview)


if __name__ == "__main__":
    run(main, TrainVAE)

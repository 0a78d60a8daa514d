"""Train the autoencoder on MNIST: python script/train_mnist_vae.py [--minutes 10] [--help]"""
import paths

from common.options.command_line import run
from common.options.recipes import TrainVAE


def main(options):
    """Open the data, build the VAE, and train it on the weighted sum of its losses."""
    from common.diffusion.space import Latents, Pixels, reconstruct  # imported late, so that --help is fast
    from common.images import pairs
    from common.training.run import Run
    from common.training.trainer import Trainer
    from device import Device
    from model.vae import VAE, vae_losses
    from optimizer import Muon
    from pipeline import pipeline

    device = Device(options.where)
    data, shape = pipeline.open_data(options, device)
    options = options.fitted(shape)
    images = data.train.first(options.training.limit).images
    held_out = data.test.first(100).images
    space = Pixels(shape)
    latent_shape = options.vae.latent_shape(shape)
    run = Run(options, data.spec, device)
    x_of = space.batches(images, device, options.training)

    def build():
        vae = VAE(options.vae, shape)
        if options.freeze_encoder:
            device.freeze(vae.encoder)
        return vae

    trainer = Trainer(run, space, {"model": (build, Muon)})

    def losses(modules, batch, done):
        eps = device.tensor(batch.noise.normal(*latent_shape))
        parts = vae_losses(modules["model"], x_of(batch), eps)
        return {"model": sum(options.weights[name] * part for name, part in parts.items())}, parts

    def preview(vae):
        return pairs(held_out, reconstruct(Latents(vae), held_out, device), columns=10)

    trainer.fit(losses, len(images), preview)


if __name__ == "__main__":
    run(main, TrainVAE)

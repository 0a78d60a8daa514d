"""Train latent diffusion on MNIST: python script/train_mnist_ldm.py [--minutes 30] [--help]"""
import sys
from pathlib import Path

sys.path[:0] = map(str, Path(__file__).resolve().parents[1:3])  # this tree, then the repository

from common.cli import run
from common.config import SampleLDM, TrainLDM


def main(options: TrainLDM):
    """Build the conditional UNet, load data, encode it once with the trained VAE, train on the latents."""
    import numpy as np  # a framework is loaded after --help was answered

    from common.images import grid, save_png
    from common.mnist import load_mnist
    from data import encode_latents
    from device import make_accelerator, to_tensor
    from model.ddpm import DDPM
    from model.unet import ConditionalUNet
    from model.vae import LatentSpace
    from sampler import Pipeline, load_vae
    from trainer import Trainer

    accelerator = make_accelerator(options.device, options.precision)
    trainer = Trainer(options, accelerator, build=lambda: ConditionalUNet(options.unet))
    ddpm = DDPM(options.diffusion)
    vae = load_vae(options.vae_checkpoint, accelerator.device, trainer.run.resumed)
    images, labels = load_mnist(train=True, folder=options.data, limit=options.limit)
    options.unet.check_input(*vae.latent_shape()[:2], classes=labels.max() + 1)
    latents = encode_latents(vae, images, accelerator.device)
    mean, std = latents.mean(axis=(0, 2, 3)), latents.std(axis=(0, 2, 3))
    space = trainer.latent_space = LatentSpace(vae, mean, std)

    def losses(unet, indices, noise):
        z_0 = space.normalize(to_tensor(latents[indices], accelerator.device))
        t = noise.integers(options.diffusion.timesteps)
        eps = to_tensor(noise.normal(*z_0.shape[1:]), accelerator.device)
        y = np.where(noise.uniform() < options.label_dropout, options.unet.num_classes, labels[indices])
        y = to_tensor(y, accelerator.device)
        return {"loss": ddpm.loss(lambda z_t, t: unet(z_t, t, y), z_0, t, eps)}

    def preview(unet, path):
        pipeline = Pipeline(accelerator, unet, options.diffusion, space)
        save_png(path, grid(pipeline.images(pipeline.settle(SampleLDM(seed=options.seed))), columns=10))

    trainer.fit(losses, len(latents), preview)


if __name__ == "__main__":
    run(main)

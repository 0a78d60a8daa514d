"""Train latent diffusion on MNIST: python script/train_mnist_ldm.py [--minutes 30] [--help]"""
import paths

from common.options.command_line import run
from common.options.recipes import TrainLDM


def main(options: TrainLDM):
    """Load the digits, encode them once with the trained VAE, train the conditional UNet on the latents."""
    from common.attributes import training_set  # a framework is loaded after --help was answered
    from common.draw import sample_grid
    from device import TREE, make_accelerator, to_tensor
    from model.ddpm import DDPM
    from model.unet import ConditionalUNet
    from model.vae import LatentSpace
    from pipeline import Pipeline, encode_latents, load_latent_space, load_vae
    from trainer import Trainer

    accelerator = make_accelerator(options.device, options.precision)
    images, conditions, options = training_set(options, TREE)
    trainer = Trainer(options, accelerator, build=lambda: ConditionalUNet(options.unet))
    ddpm, resumed, device = DDPM(options.diffusion), trainer.run.resumed, accelerator.device
    vae = load_latent_space(resumed, device).vae if resumed else load_vae(options.vae_checkpoint, device)
    options.unet.check_input(*vae.latent_shape()[:2])
    latents = encode_latents(vae, images, device)
    space = LatentSpace(vae, mean=latents.mean(axis=(0, 2, 3)), std=latents.std(axis=(0, 2, 3)))

    def losses(unet, indices, noise):
        z_0 = space.normalize(to_tensor(latents[indices], device))
        t = noise.integers(options.diffusion.timesteps)
        eps = to_tensor(noise.normal(*z_0.shape[1:]), device)
        y = noise.drop(conditions[indices], options.label_dropout)
        return {"loss": ddpm.loss(unet, z_0, t, eps, to_tensor(y, device))}

    def preview(unet):
        return sample_grid(Pipeline(accelerator, unet, ddpm, options.sampler, options.quantiles, space), options.seed)

    trainer.fit(losses, len(latents), preview, space)


if __name__ == "__main__":
    run(main)

"""Distil latent diffusion to one network call: python script/distill_mnist_ldm.py [--minutes 60] [--help]"""
import paths

from common.options.command_line import run
from common.options.recipes import DistillLDM


def main(options: DistillLDM):
    """Load the teacher; train a copy of it, the generator, first to be consistent, then to deceive a discriminator."""
    from common.attributes import training_set  # a framework is loaded after --help was answered
    from common.draw import sample_grid
    from device import TREE, load_weights, to_tensor
    from distillation import distillation_losses, load_teacher
    from model.discriminator import Discriminator
    from model.unet import ConditionalUNet
    from pipeline import Pipeline, encode_latents
    from trainer import Trainer

    teacher, options = load_teacher(options)
    accelerator, ddpm, space = teacher.accelerator, teacher.ddpm, teacher.latent_space
    images, conditions, options = training_set(options, TREE)
    latents = encode_latents(space.vae, images, accelerator.device)
    build = lambda: load_weights(ConditionalUNet(options.unet), teacher.checkpoint, "model.")
    trainer = Trainer(options, accelerator, build, build_discriminator=lambda: Discriminator(options.unet))

    def losses(generator, indices, noise):
        z_0 = space.normalize(to_tensor(latents[indices], accelerator.device))
        y = to_tensor(noise.drop(conditions[indices], 0), accelerator.device)
        return distillation_losses(teacher, trainer, generator, z_0, y, noise)

    def preview(unet):
        return sample_grid(Pipeline(accelerator, unet, ddpm, options.sampler, options.quantiles, space), options.seed)

    trainer.fit(losses, len(latents), preview, space)


if __name__ == "__main__":
    run(main)

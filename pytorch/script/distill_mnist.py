"""Distil the pixel DDPM to one network call: python script/distill_mnist.py [--minutes 60] [--help]"""
import paths

from common.options.command_line import run
from common.options.recipes import DistillDDPM


def main(options: DistillDDPM):
    """Load the teacher; train a copy of it, the generator, first to be consistent, then to deceive a discriminator."""
    from common.attributes import training_set  # a framework is loaded after --help was answered
    from common.draw import sample_grid
    from common.images import from_uint8
    from device import TREE, load_weights, to_tensor
    from distillation import distillation_losses, load_teacher
    from model.discriminator import Discriminator
    from model.unet import ConditionalUNet
    from pipeline import Pipeline
    from trainer import Trainer

    teacher, options = load_teacher(options)
    accelerator, ddpm = teacher.accelerator, teacher.ddpm
    images, conditions, options = training_set(options, TREE)
    build = lambda: load_weights(ConditionalUNet(options.unet), teacher.checkpoint, "model.")
    trainer = Trainer(options, accelerator, build, build_discriminator=lambda: Discriminator(options.unet))

    def losses(generator, indices, noise):
        x_0 = to_tensor(from_uint8(images[indices]), accelerator.device)
        y = to_tensor(noise.drop(conditions[indices], 0), accelerator.device)
        return distillation_losses(teacher, trainer, generator, x_0, y, noise)

    def preview(unet):
        return sample_grid(Pipeline(accelerator, unet, ddpm, options.sampler, options.quantiles), options.seed)

    trainer.fit(losses, len(images), preview)


if __name__ == "__main__":
    run(main)

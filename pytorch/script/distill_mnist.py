"""Distil the pixel DDPM to one network call: python script/distill_mnist.py [--minutes 60] [--help]"""
import paths

from dataclasses import replace

from common.options.command_line import run
from common.options.recipes import DistillDDPM, undistilled


def main(options):
    """Load the teacher; train a copy of it, the generator, first by consistency, then also against a discriminator."""
    from common.data.dataset import data_of  # imported late, so that --help is fast
    from common.diffusion.model import Model
    from common.draw import sample_grid
    from common.errors import UserError
    from common.files import digest
    from common.training.run import Run
    from common.training.trainer import Trainer
    from distillation import COMPLETE, DISCRIMINATOR, GENERATOR, distillation_losses
    from model.discriminator import Discriminator
    from pipeline import pipeline

    teacher = pipeline.load_model(options.teacher, undistilled(options.kind), options.where)
    device, space, path = teacher.device, teacher.space, teacher.checkpoint.path
    if teacher.recipe.diffusion.prediction != "v":
        raise UserError(f"{path} does not predict v: train a teacher with --diffusion.prediction v")
    copied = {"diffusion": teacher.recipe.diffusion, "unet": teacher.recipe.unet, "teacher_digest": digest(path)}
    options = replace(options, **copied, training=options.training.fitted(space.shape))
    train = data_of(teacher.checkpoint, options.training.data).train.first(options.training.limit)
    spec = train.spec
    run = Run(options, spec, device)
    x_0_of = space.batches(train.images, device, options.training)
    conditions = train.conditions
    build = lambda: teacher.checkpoint.fill(pipeline.build_unet(options.unet, space, spec), "model.", device)
    players = {"model": (build, GENERATOR), "discriminator": (lambda: Discriminator(options.unet), DISCRIMINATOR)}
    trainer = Trainer(run, space, players)

    def losses(modules, batch, done):
        y = device.tensor(batch.noise.drop(conditions[batch.indices], probability=0, complete=COMPLETE))
        adversarial = done >= options.consistency
        return distillation_losses(teacher, modules, x_0_of(batch), y, batch.noise, adversarial)

    def preview(unet):
        return sample_grid(Model(device, unet, teacher.diffusion, space, spec, options), options.training.seed)

    trainer.fit(losses, len(train.images), preview)


if __name__ == "__main__":
    run(main, DistillDDPM)

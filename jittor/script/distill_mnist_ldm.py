"""Distil latent diffusion to a few network calls: python script/distill_mnist_ldm.py [--steps 2] [--help]"""
import sys
from pathlib import Path

sys.path[:0] = map(str, Path(__file__).resolve().parents[1:3])  # this tree, then the repository

from common.cli import UserError, run
from common.config import DistillLDM, SampleLDM


def main(options: DistillLDM):
    """Load the teacher, start the student from it, train the student to take the teacher's guided steps in one."""
    from dataclasses import replace  # a framework is loaded after --help was answered

    from common.images import grid, save_png
    from common.mnist import load_mnist
    from common.schedule import distillation_timesteps
    from data import encode_latents
    from device import to_tensor
    from model.unet import ConditionalUNet
    from sampler import Pipeline, load_ldm
    from trainer import Trainer

    teacher = load_ldm(SampleLDM(checkpoint=options.teacher, device=options.device, precision=options.precision))
    accelerator, ddpm, space = teacher.accelerator, teacher.ddpm, teacher.latent_space
    if ddpm.config.prediction != "v":
        raise UserError(f"{teacher.checkpoint.path} does not predict v: train one with --diffusion.prediction v")
    options = replace(options, diffusion=ddpm.config, unet=teacher.unet.config)
    times = distillation_timesteps(options.diffusion.timesteps, options.steps, options.substeps, options.shift)
    trainer = Trainer(options, accelerator, build=lambda: ConditionalUNet(options.unet))
    trainer.start_from(teacher.checkpoint)
    trainer.latent_space = space
    images, labels = load_mnist(train=True, folder=options.data, limit=options.limit)
    options.unet.check_input(*space.vae.latent_shape()[:2], classes=labels.max() + 1)
    latents = encode_latents(space.vae, images, accelerator.device)

    def losses(unet, indices, noise):
        z_0 = space.normalize(to_tensor(latents[indices], accelerator.device))
        y = to_tensor(labels[indices], accelerator.device)
        t = times[noise.integers(options.steps)].T  # (substeps + 1, B)
        eps = to_tensor(noise.normal(*z_0.shape[1:]), accelerator.device)
        guided = lambda z_t, t: teacher.predict(z_t, t, y, options.guidance)  # noqa: E731
        return {"loss": ddpm.distillation_loss(lambda z_t, t: unet(z_t, t, y), guided, z_0, t, eps)}

    def preview(unet, path):
        pipeline = Pipeline(accelerator, unet, options.diffusion, space)
        sample = SampleLDM(seed=options.seed, sampler="ddim", steps=options.steps, shift=options.shift)
        save_png(path, grid(pipeline.images(sample), columns=10))

    trainer.fit(losses, len(latents), preview)


if __name__ == "__main__":
    run(main)

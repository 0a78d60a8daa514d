"""Distil latent diffusion to a few network calls: python script/distill_mnist_ldm.py [--sampler.steps 2] [--help]"""
import paths

from common.options.command_line import run
from common.options.recipes import DistillLDM


def main(options: DistillLDM):
    """Load the teacher, start the student from it, train the student to take several of the teacher's steps in one."""
    from dataclasses import replace  # a framework is loaded after --help was answered

    from common.attributes import training_set
    from common.draw import sample_grid
    from common.errors import UserError
    from common.files import digest
    from common.options.sampling import SampleLDM
    from common.schedule import distillation_timesteps
    from device import TREE, load_weights, to_tensor
    from model.ddpm import Denoiser
    from model.unet import ConditionalUNet
    from pipeline import Pipeline, encode_latents, load_pipeline
    from trainer import Trainer

    teacher = load_pipeline(SampleLDM(checkpoint=options.teacher, device=options.device, precision=options.precision))
    accelerator, ddpm, space, path = teacher.accelerator, teacher.ddpm, teacher.latent_space, teacher.checkpoint.path
    if ddpm.config.prediction != "v":
        raise UserError(f"{path} does not predict v: train one with --diffusion.prediction v")
    known = {"diffusion": ddpm.config, "unet": teacher.unet.config, "quantiles": teacher.quantiles}
    options = replace(options, teacher_digest=digest(path), **known)
    images, conditions, options = training_set(options, TREE)
    steps, shift = options.sampler.steps, options.sampler.shift
    times = distillation_timesteps(ddpm.config.timesteps, steps, options.substeps, shift)
    build = lambda: load_weights(ConditionalUNet(options.unet), teacher.checkpoint, "model.")  # noqa: E731
    trainer = Trainer(options, accelerator, build)
    options.unet.check_input(*space.vae.latent_shape()[:2])
    latents = encode_latents(space.vae, images, accelerator.device)

    def losses(unet, indices, noise):
        z_0 = space.normalize(to_tensor(latents[indices], accelerator.device))
        y = to_tensor(noise.drop(conditions[indices], 0), accelerator.device)
        t = times[noise.integers(steps)].T  # (substeps + 1, B)
        eps = to_tensor(noise.normal(*z_0.shape[1:]), accelerator.device)
        denoise = Denoiser(teacher.unet, ddpm, y, options.guidance)
        return {"loss": ddpm.distillation_loss(unet, denoise, z_0, t, eps, y)}

    def preview(unet):
        return sample_grid(Pipeline(accelerator, unet, ddpm, options.sampler, options.quantiles, space), options.seed)

    trainer.fit(losses, len(latents), preview, space)


if __name__ == "__main__":
    run(main)

"""One network call from a diffusion model: consistency tuning (Geng et al. 2024), then adversarial post-training
(Lin et al. 2025). What the two distillation scripts share."""
from dataclasses import replace

import numpy as np
import torch

from common.errors import UserError
from common.files import digest
from common.options.sampling import SampleDDPM, SampleLDM
from common.schedule import lognormal_timesteps
from device import to_tensor
from model.ddpm import Denoiser
from model.discriminator import adversarial_losses
from pipeline import load_pipeline

CONSISTENCY, ADVERSARIAL = (-0.4, 2.0), (-1.2, 1.2)  # mean and std of the log noise levels that each sees
STEP = 2  # time steps between the two of which consistency is asked
WEIGHT = 0.3  # of consistency beside the adversarial loss, to which it holds what it knows of rare digits


def load_teacher(options):
    """The teacher, ready to draw, and the options with what they take from it. UserError unless it predicts v."""
    sample = {"ddpm": SampleDDPM, "ldm": SampleLDM}[options.family]
    teacher = load_pipeline(sample(checkpoint=options.teacher, device=options.device, precision=options.precision))
    path = teacher.checkpoint.path
    if teacher.ddpm.config.prediction != "v":
        raise UserError(f"{path} does not predict v: train one with --diffusion.prediction v")
    teacher.unet.requires_grad_(False)
    known = {"diffusion": teacher.ddpm.config, "unet": teacher.unet.config, "quantiles": teacher.quantiles}
    return teacher, replace(options, teacher_digest=digest(path), **known)


def distillation_losses(teacher, trainer, generator, x_0, y, noise):
    """The losses on real x_0 (B, C, H, W) under conditions y; at first there is that of consistency alone."""
    ddpm = teacher.ddpm
    draw = lambda: to_tensor(noise.normal(*x_0.shape[1:]), teacher.accelerator.device)  # noqa: E731
    level = lambda mean, std: lognormal_timesteps(noise.normal(), ddpm.alphas_cumprod, mean, std)  # noqa: E731
    t = level(*CONSISTENCY)
    consistency = ddpm.consistency_loss(generator, x_0, t, np.maximum(t - STEP, -1), draw(), y)
    if trainer.run.progress.epoch < trainer.options.consistency_epochs:
        return {"loss": consistency, "consistency": consistency}
    fake = Denoiser(generator, ddpm, y)(draw(), ddpm.config.timesteps - 1)
    s, eps = level(*ADVERSARIAL), draw()

    def see(x_0):
        return teacher.unet.features(ddpm.q_sample(x_0, s, eps), torch.tensor(s, device=x_0.device), y)[:-1]

    deceit, detection = adversarial_losses(trainer.discriminator, see, x_0, fake, draw())
    loss = deceit + WEIGHT * consistency
    return {"loss": loss, "consistency": consistency, "discriminator": detection}

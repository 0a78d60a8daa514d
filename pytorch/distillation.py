"""One network call from a diffusion model. What the two distillation scripts share.

First consistency training from its weights (Song et al. 2023, Consistency Models; Geng et al. 2024, Consistency Models
Made Easy, where the two time steps come closer with time; here STEP stays); then against a discriminator besides.
"""
import math
from dataclasses import replace

import numpy as np
import torch

from common.errors import UserError
from common.files import digest
from common.options.sampling import SampleDDPM, SampleLDM
from common.schedule import lognormal_timesteps
from model.ddpm import Denoiser
from model.discriminator import adversarial_losses
from pipeline import load_pipeline

CONSISTENT_AT, JUDGED_AT = (-0.4, 2.0), (-1.2, 1.2)  # mean and std of the log noise levels of either loss
STEP = 2  # time steps between the two of which consistency is asked
FEW = 1 / 4  # of a batch: for consistency and penalty beside a discriminator, which leaves time for more steps


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


def consistency_loss(ddpm, unet, x_0, t, r, eps, y):
    """How far f(x_t, t) = alpha_t x_t - sigma_t v is from f(x_r, r), r < t, both of the same x_0 and eps: a scalar
    (Song et al. 2023, Consistency Models, equation 10; Geng et al. 2024, Consistency Models Made Easy, section 3).

    r = -1 is the clean image, where f is x_0; f(x_r, r) is clipped as in sampling. Root mean squares, in units of v:
    divided by sigma_t.
    """
    x_t, x_r = ddpm.q_sample(x_0, t, eps), ddpm.q_sample(x_0, r, eps)
    alpha, sigma = ddpm.alpha_sigma(t, x_0)
    with torch.no_grad():
        clean = ddpm.predict_x_0(unet(x_r, torch.tensor(r, device=x_0.device), y).float(), x_r, r)
    output = unet(x_t, torch.tensor(t, device=x_0.device), y).float()
    squared = ((output - (alpha * x_t - clean) / sigma) ** 2).mean(dim=(1, 2, 3))
    return ((squared + 1e-8) ** 0.5).mean()


def distillation_losses(teacher, trainer, generator, x_0, y, noise):
    """What Trainer.steps() asks of losses(), of real x_0 (B, C, H, W) under y (B, 1 + A): at first consistency."""
    ddpm = teacher.ddpm
    draw = lambda: teacher.tensor(noise.normal(*x_0.shape[1:]))
    level = lambda mean, std: lognormal_timesteps(noise.normal(), ddpm.alphas_cumprod, mean, std)
    judged = trainer.run.fraction_done >= trainer.options.consistency
    few = math.ceil(len(x_0) * (FEW if judged else 1))
    t = level(*CONSISTENT_AT)
    batch = (x_0, t, np.maximum(t - STEP, -1), draw(), y)
    consistency = consistency_loss(ddpm, generator, *(values[:few] for values in batch))
    if not judged:
        return {"loss": consistency, "consistency": consistency}
    fake = Denoiser(generator, ddpm, y)(draw(), ddpm.config.timesteps - 1)
    s, eps = level(*JUDGED_AT), draw()

    def features(images):
        count = len(images)
        x_s = ddpm.q_sample(images, s[:count], eps[:count])
        return teacher.unet.features(x_s, torch.tensor(s[:count], device=images.device), y[:count])[:-1]

    adversarial, discriminator = adversarial_losses(trainer.discriminator, features, x_0, fake, draw()[:few])
    loss = adversarial + consistency  # which holds the generator to what it knows of rare digits
    return {"loss": loss, "consistency": consistency, "discriminator": discriminator}

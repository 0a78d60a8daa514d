"""Distil a diffusion model to one network call: first consistency training from its weights (Song et al. 2023,
Consistency Models; Geng et al. 2024, Consistency Models Made Easy, with a constant step), then also a discriminator."""
import math
from functools import partial

from common.diffusion.schedule import less_noisy, lognormal_timesteps
from environment import jt
from model.discriminator import adversarial_losses
from optimizer import Muon

GENERATOR = partial(Muon, betas=(0.0, 0.99), matrices=False)  # Adam without momentum is better with a discriminator
DISCRIMINATOR = partial(GENERATOR, scale=4)  # at 4 times the generator's learning rate
CONSISTENCY_LEVELS, ADVERSARIAL_LEVELS = (-0.4, 2.0), (-1.2, 1.2)  # mean, std of log(sigma_t / alpha_t), per loss
COMPLETE = 1 / 3  # of the images keep all measures: with fewer, digits of given measures lack variety
CONSISTENCY_SHARE = 1 / 4  # of the batch, for consistency and gradient penalty once the discriminator has joined


def consistency_loss(diffusion, unet, x_0, t, r, eps, y):
    """How much the estimate of the clean image, f(x_t, t) = alpha_t x_t - sigma_t v, differs between noise levels r < t
    of the same x_0 and eps: batch mean of RMS(f(x_t, t) - f(x_r, r)) / sigma_t, a scalar (Song et al., equation 10;
    Geng et al., section 3). x_0, eps (B, C, H, W), t, r (B,), y (B, 1 + measures).

    f(x_r, r), the target, is clipped as in sampling; r = -1 is the clean image, where f is x_0."""
    x_t, x_r = diffusion.q_sample(x_0, t, eps), diffusion.q_sample(x_0, r, eps)
    alpha, sigma = diffusion.alpha_sigma(t, x_0)
    with jt.no_grad():
        f_r = diffusion.predict_x_0(unet(x_r, jt.array(r), y), x_r, r)
    f_t = alpha * x_t - sigma * unet(x_t, jt.array(t), y)
    squared = (((f_t - f_r) / sigma) ** 2).mean(dims=[1, 2, 3])
    return ((squared + 1e-8) ** 0.5).mean()


def distillation_losses(teacher, modules, x_0, y, noise, adversarial):
    """({"model": loss, "discriminator": loss}, {"consistency": that loss}), scalars, of x_0 (B, C, H, W).

    y (B, 1 + measures); noise: a StepNoise; adversarial: whether the discriminator has joined; before, there is the
    consistency loss alone."""
    generator, diffusion = modules["model"], teacher.diffusion
    normal = lambda: teacher.device.tensor(noise.normal(*x_0.shape[1:]))  # one random stream: order matters
    time_steps = lambda levels: lognormal_timesteps(noise.normal(), diffusion.alphas_cumprod, *levels)
    count = math.ceil(len(x_0) * (CONSISTENCY_SHARE if adversarial else 1))
    t = time_steps(CONSISTENCY_LEVELS)[:count]
    eps = normal()[:count]
    r = less_noisy(t, teacher.timesteps)
    consistency = consistency_loss(diffusion, generator, x_0[:count], t, r, eps, y[:count])
    if not adversarial:
        return {"model": consistency}, {"consistency": consistency}
    fake = diffusion.denoiser(generator, y)(normal(), teacher.timesteps - 1)
    s = time_steps(ADVERSARIAL_LEVELS)
    eps_s = normal()

    def features(images):
        n = len(images)  # the gradient penalty sees only the first ones
        x_s = diffusion.q_sample(images, s[:n], eps_s[:n])
        return teacher.network.features(x_s, jt.array(s[:n]), y[:n])[:-1]

    g_loss, d_loss = adversarial_losses(modules["discriminator"], features, x_0, fake, normal()[:count])
    total = g_loss + consistency  # consistency keeps the generator from losing rare digits
    return {"model": total, "discriminator": d_loss}, {"consistency": consistency}

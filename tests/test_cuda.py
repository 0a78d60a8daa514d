"""PyTorch on CUDA, where there is none: with fake tensors, an operation between two devices fails as on a real one."""
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from common.diffusion.noise import StepNoise
from common.diffusion.samplers import SAMPLERS
from common.diffusion.schedule import resampled, sampler_timesteps
from common.diffusion.space import latents
from common.options.networks import DiffusionConfig, SamplerConfig
from common.options.recipes import TrainDDPM, TrainLDM, TrainVAE

CUDA, CLASSES, MEASURES = torch.device("cuda"), 10, 3
PIXELS, LATENTS = (1, 32, 32), (4, 8, 8)


@pytest.fixture
def tree(trees):
    with FakeTensorMode():
        yield trees["pytorch"]


def build(cls, *sizes):
    """A network on the GPU; what it makes later, it makes where it says."""
    with CUDA:
        return cls(*sizes)


def drawn(*shape):
    return torch.randn(*shape, device=CUDA)


def conditions(count):
    return torch.zeros(count, 1 + MEASURES, device=CUDA)


@pytest.mark.parametrize("recipe, shape", [(TrainDDPM, PIXELS), (TrainLDM, LATENTS)])
def test_diffusion_stays_on_the_gpu(tree, recipe, shape):
    """The loss, every sampler with guidance, repainting's steps back among them, and one call without."""
    unet = build(tree.unet.ConditionalUNet, recipe().unet, shape, CLASSES, MEASURES)
    diffusion = tree.ddpm.GaussianDiffusion(DiffusionConfig(), clip=recipe.pixels)
    loss = diffusion.loss(unet, drawn(4, *shape), np.array([0, 1, 500, 999]), drawn(4, *shape), conditions(4))
    assert loss.device.type == "cuda" and loss.shape == ()
    times = sampler_timesteps(1000, SamplerConfig(steps=3, shift=1.0))
    for name, sample in SAMPLERS.items():
        denoise = diffusion.denoiser(unet, conditions(2), guidance=2.0)
        steps = resampled(times, 2) if name == "ddpm" else times
        noise = lambda: drawn(2, *shape)
        states = list(sample(denoise, noise(), diffusion.alphas_cumprod, steps, noise))
        assert len(states) == len(steps) - 1 and all(x.device.type == "cuda" for x in states), name
    assert diffusion.denoiser(unet, conditions(2))(drawn(2, *shape), 999).device.type == "cuda"


@pytest.mark.parametrize("adversarial", [False, True])
def test_the_autoencoder_and_distillation_stay_on_the_gpu(tree, adversarial):
    device = SimpleNamespace(tensor=lambda array: torch.from_numpy(array).to(CUDA))
    vae = build(tree.vae.VAE, TrainVAE().vae, PIXELS)
    parts = tree.vae.vae_losses(vae, drawn(2, *PIXELS), drawn(2, *LATENTS))
    space = latents(vae, np.zeros(4, np.float32), np.ones(4, np.float32), device)
    x_0 = space.encode(drawn(2, *PIXELS))
    config = TrainLDM().unet.fitted(LATENTS)
    unet = build(tree.unet.ConditionalUNet, config, LATENTS, CLASSES, MEASURES)
    diffusion = tree.ddpm.GaussianDiffusion(DiffusionConfig(), clip=False)
    teacher = SimpleNamespace(network=unet, diffusion=diffusion, device=device, timesteps=1000)
    modules = {"model": unet, "discriminator": build(tree.discriminator.Discriminator, config)}
    losses, logged = tree.distillation.distillation_losses(
        teacher, modules, x_0, conditions(2), StepNoise(0, 0, 2), adversarial
    )
    assert set(losses) == ({"model", "discriminator"} if adversarial else {"model"}) and set(logged) == {"consistency"}
    for tensor in (*parts.values(), x_0, space.decode(x_0), *losses.values(), *logged.values()):
        assert tensor.device.type == "cuda"


def test_a_tensor_left_behind_is_found(tree):
    unet = build(tree.unet.ConditionalUNet, TrainLDM().unet, LATENTS, CLASSES, MEASURES)
    with pytest.raises(RuntimeError, match="device"):
        unet(drawn(2, *LATENTS), torch.zeros(2, dtype=torch.long), conditions(2))

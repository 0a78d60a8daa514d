"""PyTorch on CUDA, where there is none: with fake tensors, an operation between two devices fails as on a real one."""
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from common.noise import StepNoise
from common.options.networks import DiffusionConfig
from common.options.recipes import TrainDDPM, TrainLDM, TrainVAE
from common.schedule import resampled, sampler_timesteps

CUDA, ATTRIBUTES = torch.device("cuda"), TrainLDM().unet.attributes


@pytest.fixture
def tree(trees):
    with FakeTensorMode():
        yield trees["pytorch"]


def build(cls, config):
    """A network on the GPU; what it makes later, it makes where it says."""
    with CUDA:
        return cls(config)


def drawn(*shape):
    return torch.randn(*shape, device=CUDA)


def conditions(count):
    return torch.zeros(count, 1 + len(ATTRIBUTES), device=CUDA)


@pytest.mark.parametrize("recipe, shape", [(TrainDDPM, (1, 32, 32)), (TrainLDM, (4, 8, 8))])
def test_diffusion_stays_on_the_gpu(tree, recipe, shape):
    """The loss, every sampler with guidance, repainting's steps back among them, and one call without."""
    unet = build(tree.unet.ConditionalUNet, recipe().unet)
    ddpm = tree.ddpm.DDPM(DiffusionConfig())
    loss = ddpm.loss(unet, drawn(4, *shape), np.array([0, 1, 500, 999]), drawn(4, *shape), conditions(4))
    assert loss.device.type == "cuda" and loss.shape == ()
    times = sampler_timesteps(1000, 3)
    for name, sample in tree.samplers.SAMPLERS.items():
        denoise = tree.ddpm.Denoiser(unet, ddpm, conditions(2), guidance=2.0)
        steps = resampled(times, 2) if name == "ddpm" else times
        states = list(sample(denoise, drawn(2, *shape), ddpm.alphas_cumprod, steps, lambda: drawn(2, *shape)))
        assert len(states) == len(steps) - 1 and all(x.device.type == "cuda" for x in states), name
    assert tree.ddpm.Denoiser(unet, ddpm, conditions(2))(drawn(2, *shape), 999).device.type == "cuda"


def test_the_autoencoder_and_distillation_stay_on_the_gpu(tree):
    vae = build(tree.vae.VAE, TrainVAE().vae)
    parts = tree.vae.vae_loss(vae, drawn(2, 1, 32, 32), drawn(2, 4, 8, 8), 1e-4)
    space = tree.vae.LatentSpace(vae, np.zeros(4, np.float32), np.ones(4, np.float32))
    latents = space.normalize(vae.encode(drawn(2, 1, 32, 32)).mean)
    unet, ddpm = build(tree.unet.ConditionalUNet, TrainLDM().unet), tree.ddpm.DDPM(DiffusionConfig(clip=False))
    teacher = SimpleNamespace(unet=unet, ddpm=ddpm, tensor=lambda array: tree.device.to_tensor(array, CUDA))
    trainer = SimpleNamespace(
        discriminator=build(tree.discriminator.Discriminator, TrainLDM().unet),
        options=SimpleNamespace(consistency=0.1), run=SimpleNamespace(fraction_done=0.1),
    )  # fmt: skip
    losses = tree.distillation.distillation_losses(teacher, trainer, unet, latents, conditions(2), StepNoise(0, 0, 2))
    assert set(losses) == {"loss", "consistency", "discriminator"}
    for tensor in (*parts.values(), latents, space.decode(latents), *losses.values()):
        assert tensor.device.type == "cuda"


def test_a_tensor_left_behind_is_found(tree):
    unet = build(tree.unet.ConditionalUNet, TrainLDM().unet)
    with pytest.raises(RuntimeError, match="device"):
        unet(drawn(2, 4, 8, 8), torch.zeros(2, dtype=torch.long), conditions(2))

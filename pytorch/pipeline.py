"""From a checkpoint to images, for the tst scripts and for the pictures that training shows."""
from collections import deque

import numpy as np
import torch

from common import SIZE
from common.checkpoint import find_checkpoint, load_checkpoint
from common.conditions import conditions
from common.images import from_uint8
from common.noise import SampleNoise
from common.options.recipes import RECIPES
from common.schedule import sampler_timesteps
from device import TREE, describe, load_weights, make_accelerator, to_array, to_tensor
from model.ddpm import DDPM, Denoiser
from model.samplers import SAMPLERS
from model.unet import ConditionalUNet
from model.vae import VAE, LatentSpace


class Pipeline:
    """A trained UNet with all that it takes to draw: noise in, images (N, 1, 32, 32) float32 in [-1, 1] out."""

    tree = TREE

    def __init__(self, accelerator, unet, ddpm, sampler, quantiles, latent_space=None, checkpoint=None):
        self.accelerator, self.unet, self.ddpm, self.sampler = accelerator, unet, ddpm, sampler
        self.quantiles = quantiles  # of the attributes that the model knows
        self.latent_space = latent_space  # of a latent model
        self.checkpoint = checkpoint  # that all this was loaded from
        self.hardware = describe(accelerator)
        self.shape = latent_space.vae.latent_shape() if latent_space else (1, SIZE, SIZE)

    def tensor(self, array):
        """A numpy array where this model computes."""
        return to_tensor(array, self.accelerator.device)

    def conditions(self, labels, attributes=()):
        """y (N, 1 + A) of labels (N,) and of attributes {name: a number or (N,)}, as this model was trained on them."""
        if np.isnan(labels).any():
            self.checkpoint.check_null_label("a digit of no class needs: name the digit, or another --checkpoint")
        return conditions(labels, dict(attributes), self.quantiles)

    def trajectory(self, seed, indices, y, x_t=None, timesteps=None, change=lambda x_0: x_0):
        """x_t of these samples of a seed, (N, *shape) each: the noise, then the result of every step. y (N, 1 + A).

        Or from another x_t over other timesteps; change(x_0) is what the sampler sees of each estimate of x_0.
        """
        sampler, noise = self.sampler, SampleNoise(seed, indices, self.shape)
        draw_noise = lambda: self.tensor(noise())
        denoiser = Denoiser(self.unet, self.ddpm, self.tensor(y), sampler.guidance)
        denoise = lambda x_t, t: change(denoiser(x_t, t))
        sample = SAMPLERS[sampler.name]
        eta = {"eta": sampler.eta} if sampler.name == "ddim" else {}
        eps = draw_noise()  # x_T, or what the x_t given was noised with: the sampler's own noise comes after it
        x_t = eps if x_t is None else x_t
        yield x_t
        yield from sample(denoise, x_t, self.ddpm.alphas_cumprod, timesteps or self.timesteps(), draw_noise, **eta)

    def last(self, trajectory):
        """The last x_t of a trajectory: a list of them all would not fit into memory."""
        return deque(trajectory, maxlen=1).pop()

    def timesteps(self):
        """Where the sampler calls the network, then -1."""
        return sampler_timesteps(self.ddpm.config.timesteps, self.sampler.steps, self.sampler.shift)

    def encode(self, pixels):
        """Pixels (N, 1, 32, 32), a tensor, as the x_0 that is diffused: themselves, or normalised latents."""
        return self.latent_space.normalize(self.latent_space.vae.encode(pixels).mean) if self.latent_space else pixels

    def pixels(self, x_t):
        """x_t, or the latents, as pixels (N, 1, 32, 32), a tensor."""
        return self.latent_space.decode(x_t) if self.latent_space else x_t

    def decode(self, x_t):
        """x_t, or the latents, as images (N, 1, 32, 32), an array."""
        return to_array(self.pixels(x_t))

    def sample(self, seed, indices, y):
        """The images with these indices of a seed, (N, 1, 32, 32)."""
        with torch.no_grad(), self.accelerator.autocast():
            return self.decode(self.last(self.trajectory(seed, indices, y)))

    def reconstruct(self, images):
        """Images (N, 1, 32, 32) uint8 at the model's best, float32: through its VAE, if it has one."""
        return reconstruct(self.accelerator, self.latent_space.vae, images) if self.latent_space else from_uint8(images)

    def denoising(self, seed, indices, y, count):
        """The same images on their way from noise, at most `count` states of it, evenly spaced: a list of
        arrays (N, 1, 32, 32)."""
        with torch.no_grad(), self.accelerator.autocast():
            states = list(self.trajectory(seed, indices, y))
            shown = np.linspace(0, len(states) - 1, min(count, len(states))).round().astype(int)
            return [self.decode(states[i]) for i in shown]


def load_pipeline(options):
    """The diffusion model that a tst script's options name, else the tree's own, ready to draw."""
    accelerator = make_accelerator(options.device, options.precision)
    checkpoint = load_checkpoint(find_checkpoint(options.checkpoint, TREE, options.kind), RECIPES[options.kind].family)
    unet = load_weights(ConditionalUNet(checkpoint.options.unet), checkpoint, "model.").to(accelerator.device).eval()
    latent_space = load_latent_space(checkpoint, accelerator.device) if checkpoint.vae else None
    ddpm, sampler = DDPM(checkpoint.options.diffusion), checkpoint.choose_sampler(options)
    return Pipeline(accelerator, unet, ddpm, sampler, checkpoint.options.quantiles, latent_space, checkpoint)


def load_latent_space(checkpoint, device):
    """What a latent model's checkpoint carries: the VAE, and the statistics of the latents that it was trained on."""
    vae = load_weights(VAE(checkpoint.vae), checkpoint, "vae.").to(device).eval()
    shape = (checkpoint.vae.latent_channels,)
    return LatentSpace(vae, **checkpoint.take("latent.", {"mean": shape, "std": shape}))


def load_vae(path, device):
    """The VAE of the checkpoint named, else the tree's own, ready to use."""
    checkpoint = load_checkpoint(find_checkpoint(path, TREE, "vae"), "vae")
    return load_weights(VAE(checkpoint.options.vae), checkpoint, "model.").to(device).eval()


def encode_latents(vae, images, device):
    """Posterior means of images (N, 1, 32, 32) uint8, (N, C, 8, 8) float32: what LatentSpace normalises."""
    with torch.no_grad():
        batches = (to_tensor(from_uint8(images[i : i + 500]), device) for i in range(0, len(images), 500))
        return np.concatenate([to_array(vae.encode(x).mean) for x in batches])


def reconstruct(accelerator, vae, images):
    """Images (N, 1, 32, 32) uint8 through the VAE's posterior mean and back, (N, 1, 32, 32) float32."""
    with torch.no_grad(), accelerator.autocast():
        return to_array(vae.decode(vae.encode(to_tensor(from_uint8(images), accelerator.device)).mean))


def decode_prior(accelerator, vae, seed, num):
    """Images of latents drawn from the VAE's prior N(0, I), (num, 1, 32, 32)."""
    z = to_tensor(SampleNoise(seed, range(num), vae.latent_shape())(), accelerator.device)
    with torch.no_grad(), accelerator.autocast():
        return to_array(vae.decode(z))

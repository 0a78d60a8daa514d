"""The sizes of the networks, the diffusion process and its sampler: what a checkpoint needs besides its tensors."""
from typing import Annotated, Literal

from pydantic import Field, model_validator

from common.diffusion.samplers import SAMPLERS
from common.errors import UserError
from common.options.fields import Channels, Count, Finite, Fraction, Positive, Size, options_class

Mults = Annotated[tuple[Size, ...], Field(min_length=1, max_length=8)]
SamplerName = Literal[*SAMPLERS]
LARGEST = 3e8  # parameters of a network, roughly: a checkpoint cannot ask for one larger than memory


def downsampling_factor(config):
    """By how much a network's patches and levels together shrink the sides of an image."""
    return config.patch_size * 2 ** (len(config.channel_mults) - 1)


def check_parameters(config, blocks, ends=0, context=0):
    """ValueError where a network has too many parameters, counted as if every block were as wide as the widest.

    blocks: per level; ends: channels of its input and of its output, added up; context: numbers in the table of tokens.
    """
    widest = config.base_channels * max(config.channel_mults)
    inner = 3 * widest * blocks * len(config.channel_mults)  # two convolutions, the first of up to twice the channels
    if 9 * widest * (inner + ends * config.patch_size**2) + context > LARGEST:
        raise ValueError(f"a network of more than {LARGEST:.0e} parameters")


def check_shape(config, name, shape):
    """UserError unless the levels of a network, whose options begin with `name`, divide images of this shape."""
    factor = downsampling_factor(config)
    if shape[1] % factor or shape[2] % factor:
        sizes = "x".join(map(str, shape[1:]))
        raise UserError(f"{sizes} does not divide by {factor} (--{name}.patch-size, --{name}.channel-mults)")


@options_class
class DiffusionConfig:
    """The forward process and what the network predicts."""

    timesteps: Annotated[int, Field(ge=2, le=10_000)] = 1000
    """Steps of the forward process."""
    schedule: Literal["linear", "cosine"] = "cosine"
    """Betas: linear (Ho et al. 2020) or cosine (Nichol and Dhariwal 2021)."""
    prediction: Literal["epsilon", "v"] = "v"
    """The noise, or v (Salimans and Ho 2022)."""


@options_class
class SamplerConfig:
    """How the model draws, unless a tst script's options say otherwise."""

    name: SamplerName = "dpmpp_2m"
    """Ancestral DDPM, DDIM, DPM-Solver++(2M), or multistep consistency sampling."""
    steps: Count = 10
    """Network calls."""
    shift: Positive = 3.0
    """More than 1: more of the steps at much noise; less: at little."""
    guidance: Finite = 1.0
    """Classifier-free guidance scale; 0: unconditional, 1: no guidance."""
    eta: Fraction = 0.0
    """Noise that DDIM adds: 1 as much as ancestral sampling."""


@options_class
class UNetConfig:
    """The size of the UNet."""

    patch_size: Size = 2
    """Each square of so many pixels to a side becomes one position."""
    base_channels: Channels = 64
    """Of the finest level; a multiple of 8."""
    channel_mults: Mults = (1, 2)
    """Each level's channels in base_channels, from fine to coarse."""
    blocks: Annotated[int, Field(ge=1, le=64)] = 1
    """Residual blocks of a level, each way."""
    attention_levels: tuple[int, ...] = (1,)
    """Levels with attention; 0 is the finest."""
    head_dim: Size = 32
    """Channels of one attention head."""
    context_dim: Annotated[int, Field(ge=2, le=4096, multiple_of=2)] = 64
    """Channels of a token, for cross-attention."""
    context_tokens: Size = 4
    """Tokens that describe one class."""

    @model_validator(mode="after")
    def check(self):
        levels = len(self.channel_mults)
        if not all(0 <= level < levels for level in self.attention_levels):
            raise ValueError(f"attention_levels: the levels are 0 to {levels - 1}")
        attended = (*self.attention_levels, levels - 1)  # the middle attends too
        if any(self.base_channels * self.channel_mults[level] % self.head_dim for level in attended):
            raise ValueError("head_dim: it must divide the channels of every level with attention")
        check_parameters(self, 2 * self.blocks)
        return self

    def check_data(self, shape, classes):
        """UserError unless the network takes x_t of this shape (C, H, W) and fits into memory with so many classes."""
        check_shape(self, "unet", shape)
        try:
            context = self.context_tokens * self.context_dim * (classes + 1)
            check_parameters(self, 2 * self.blocks, 2 * shape[0], context)
        except ValueError as error:
            raise UserError(f"--unet asks for {error}: smaller sizes need less") from error


@options_class
class VAEConfig:
    """The size of the autoencoder."""

    latent_channels: Size = 4
    """Channels of a latent."""
    patch_size: Size = 2
    """Each square of so many pixels to a side becomes one position, before the first convolution."""
    base_channels: Channels = 32
    """Channels of the finest resolution, a multiple of 8."""
    channel_mults: Mults = (1, 2)
    """Channels of each resolution, as multiples of base_channels; each after the first halves the image's sides."""

    @model_validator(mode="after")
    def check(self):
        check_parameters(self, blocks=2, ends=2 * self.latent_channels)
        return self

    def latent_shape(self, shape):
        """(channels, height, width) of the latents of images (C, H, W); UserError where these do not divide."""
        check_shape(self, "vae", shape)
        factor = downsampling_factor(self)
        return self.latent_channels, shape[1] // factor, shape[2] // factor

"""Options that a checkpoint stores beside its tensors: network sizes, the diffusion process, the sampler."""
import math
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field, model_validator

from common.diffusion.samplers import SAMPLERS
from common.errors import UserError
from common.options.fields import Channels, Count, Finite, Fraction, Shift, Size, options_class

Mults = Annotated[tuple[Size, ...], Field(min_length=1, max_length=8)]
SamplerName = Literal[*SAMPLERS]
LARGEST = 3e8  # parameters of a network, roughly: a checkpoint with more is refused before memory runs out


def downsampling_factor(config):
    """The factor by which a network's patches and levels together shrink the sides of an image."""
    return config.patch_size * 2 ** (len(config.channel_mults) - 1)


def check_parameters(config, blocks, ends=0, context=0):
    """ValueError if a network has more than LARGEST parameters; every block is counted as wide as the widest.

    blocks: per level; ends: channels of the input plus those of the output; context: numbers in the table of tokens.
    """
    widest = config.base_channels * max(config.channel_mults)
    inner = 3 * widest * blocks * len(config.channel_mults)  # two convolutions, the first of up to twice the channels
    if 9 * widest * (inner + ends * (config.patch_size or 1) ** 2) + context > LARGEST:
        raise ValueError(f"a network of more than {LARGEST:.0e} parameters")


def check_shape(config, name, shape):
    """UserError unless a network's patches and levels divide H and W of a shape. name: the prefix of its options."""
    factor = downsampling_factor(config)
    if shape[1] % factor or shape[2] % factor:
        sizes = "x".join(map(str, shape[1:]))
        raise UserError(f"{sizes} is not divisible by {factor}: change --{name}.patch-size or --{name}.channel-mults")


@options_class
class DiffusionConfig:
    """The forward process and what the network predicts."""

    timesteps: Annotated[int, Field(ge=2, le=10_000)] = 1000
    """Time steps of the forward process."""
    schedule: Literal["linear", "cosine", "flow"] = "cosine"
    """Schedule: linear (Ho et al. 2020), cosine (Nichol and Dhariwal 2021), or flow matching (Lipman et al. 2023)."""
    prediction: Literal["epsilon", "v"] = "v"
    """What the network predicts: the noise epsilon, or v = alpha epsilon - sigma x_0."""


@options_class
class SamplerConfig:
    """The model's own sampler, which the tst scripts can override."""

    name: SamplerName = "dpmpp_2m"
    """Ancestral (ddpm), DDIM, DPM-Solver++(2M), or multistep consistency sampling."""
    steps: Count = 10
    """Network calls per image."""
    shift: Shift = 3.0
    """Above 1 puts more of the steps at high noise levels, below 1 at low ones."""
    end: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Last call's time (before the shift) as a fraction of the usual: below 1 keeps texture."""
    guidance: Finite = 1.0
    """Classifier-free guidance scale: 0 is unconditional, 1 is no guidance."""
    eta: Fraction = 0.0
    """DDIM's eta: 0 adds no noise, 1 as much as ancestral sampling."""


@options_class
class UNetConfig:
    """The size of the UNet; None is chosen to fit the shape of x_0."""

    patch_size: Size | None = None
    """Side in pixels of the patches that become positions (None: 1, 2 or 4, by size)."""
    base_channels: Channels = 64
    """Channels of the finest level, a multiple of 8."""
    channel_mults: Mults | None = None
    """Multiples of base_channels per level, finest first (None: 1 to 3 levels)."""
    blocks: Annotated[int, Field(ge=1, le=64)] = 1
    """Residual blocks per level, down and up."""
    attention_levels: tuple[int, ...] | None = None
    """Levels with attention, counted from 0, the finest (None: the coarsest)."""
    head_dim: Size = 32
    """Channels per attention head."""
    context_dim: Annotated[int, Field(ge=2, le=4096, multiple_of=2)] = 64
    """Channels of a condition token, for cross-attention."""
    context_tokens: Size = 4
    """Condition tokens per class."""

    def fitted(self, shape):
        """A copy without None, to fit x_0 of this shape (C, H, W). For MNIST's 32x32 pixels: patches of 2, levels of 16
        and 8 positions a side, attention at 8."""
        side = shape[1]
        possible = [p for p in (1, 2, 4) if side % p == 0]
        patch_size = self.patch_size or next((p for p in possible if side <= 16 * p), possible[-1])
        positions = side // patch_size
        usual = (1,) if positions % 2 else (1, 2) if positions <= 16 or positions % 4 else (1, 2, 2)
        mults = self.channel_mults or usual
        levels = (len(mults) - 1,) if self.attention_levels is None else self.attention_levels
        return replace(self, patch_size=patch_size, channel_mults=mults, attention_levels=levels)

    @model_validator(mode="after")
    def check(self):
        if self.channel_mults is None:
            return self
        levels, named = len(self.channel_mults), self.attention_levels or ()
        if not all(0 <= level < levels for level in named):
            raise ValueError(f"attention_levels: the levels are 0 to {levels - 1}")
        attended = (*named, levels - 1)  # the first middle block attends too
        if any(self.base_channels * self.channel_mults[level] % self.head_dim for level in attended):
            raise ValueError("head_dim: it must divide the channels of every level with attention")
        check_parameters(self, 2 * self.blocks)
        return self

    def check_data(self, shape, classes):
        """UserError if the levels do not divide x_t of this shape (C, H, W), or the network is larger than LARGEST."""
        check_shape(self, "unet", shape)
        try:
            context = self.context_tokens * self.context_dim * (classes + 1)
            check_parameters(self, 2 * self.blocks, 2 * shape[0], context)
        except ValueError as error:
            raise UserError(f"the --unet options make {error}: choose smaller sizes") from error


@options_class
class VAEConfig:
    """The size of the autoencoder; None is chosen to fit the shape of the images."""

    latent_channels: Size | None = None
    """Channels of the latents (None: the power of 2 nearest to the square root of the pixel values per position)."""
    patch_size: Size | None = None
    """Side in pixels of the patches that become positions (None: 4 for sides of 64, 72, 80 and so on, else 2)."""
    base_channels: Channels | None = None
    """Channels of the finest level, a multiple of 8 (None: 32, or 64 with patches of 4)."""
    channel_mults: Mults = (1, 2)
    """Multiples of base_channels per level; each level after the first halves the sides."""

    def fitted(self, shape):
        """A copy without None, to fit images (C, H, W); MNIST's 1x32x32 become latents of 4x8x8."""
        patch_size = self.patch_size or (2 if shape[1] < 64 or shape[1] % 8 else 4)
        base_channels = self.base_channels or (64 if patch_size >= 4 else 32)
        whole = replace(self, patch_size=patch_size, base_channels=base_channels)
        numbers = shape[0] * downsampling_factor(whole) ** 2
        return replace(whole, latent_channels=self.latent_channels or 2 ** round(math.log2(numbers) / 2))

    @model_validator(mode="after")
    def check(self):
        if self.base_channels is not None:
            check_parameters(self, blocks=2, ends=2 * (self.latent_channels or 1))
        return self

    def latent_shape(self, shape):
        """(channels, height, width) of the latents of images (C, H, W); UserError if the levels do not divide H and W.
        The config must be fitted."""
        check_shape(self, "vae", shape)
        factor = downsampling_factor(self)
        return self.latent_channels, shape[1] // factor, shape[2] // factor

"""The sizes of the networks and the diffusion process: what a checkpoint needs besides its tensors."""
from typing import Annotated, Literal

from pydantic import Field, model_validator

from common.cli import Size, UserError, options

Mults = Annotated[tuple[Size, ...], Field(min_length=1)]


def shrinking(config):
    """By how much a network's patches and levels together shrink the side of an image."""
    return config.patch_size * 2 ** (len(config.channel_mults) - 1)


@options
class Diffusion:
    """The forward process and what the network predicts."""

    timesteps: Annotated[int, Field(ge=2, le=10_000)] = 1000
    """Steps of the forward process."""
    schedule: Literal["linear", "cosine"] = "cosine"
    """Betas: linear (Ho et al. 2020) or cosine (Nichol and Dhariwal 2021)."""
    prediction: Literal["epsilon", "v"] = "v"
    """What the network predicts: the noise, or v (Salimans and Ho 2022)."""
    clip: bool = True
    """Clip every estimate of the clean image to [-1, 1] while sampling: for pixels, not for latents."""


@options
class UNetConfig:
    """The size of the UNet."""

    in_channels: Size = 1
    """Channels of x_t: 1 for pixels, the VAE's for latents."""
    patch_size: Size = 2
    """Pixels to a side that become one position with patch_size^2 channels, before the first convolution."""
    base_channels: Annotated[int, Field(ge=8, le=4096, multiple_of=8)] = 64
    """Channels of the finest level, a multiple of 8."""
    channel_mults: Mults = (1, 2)
    """Channels of each level, as multiples of base_channels, from fine to coarse."""
    blocks: Size = 1
    """Residual blocks of a level, on the way down and on the way up."""
    attention_levels: tuple[int, ...] = (1,)
    """Levels with attention, counted from 0, the finest."""
    head_dim: Size = 32
    """Channels of one attention head."""
    context_dim: Annotated[int, Field(ge=0, le=4096)] = 0
    """Channels of a context token, for cross-attention; 0: the network takes no context."""
    context_tokens: Size = 4
    """Tokens that describe one class."""
    num_classes: Size = 10
    """Classes that the context tells apart; one more token group stands for no class."""

    def lengths(self):
        """How long some of its weights' axes are: what a checkpoint's options are held against before it is built."""
        context = (self.context_tokens * self.context_dim, self.num_classes + 1) if self.context_dim else ()
        widths = (self.base_channels * mult for mult in self.channel_mults)
        return *widths, self.in_channels * self.patch_size**2, *context

    @model_validator(mode="after")
    def check_attention(self):
        levels = len(self.channel_mults)
        if not all(0 <= level < levels for level in self.attention_levels):
            raise ValueError(f"attention_levels: the levels are 0 to {levels - 1}")
        attended = (*self.attention_levels, levels - 1)  # the middle attends too
        if any(self.base_channels * self.channel_mults[level] % self.head_dim for level in attended):
            raise ValueError("head_dim: it must divide the channels of every level with attention")
        return self

    def check_input(self, channels, side, classes=1):
        """UserError unless the network takes images (channels, side, side) and tells so many classes apart."""
        if self.in_channels != channels:
            raise UserError(f"--unet.in-channels {self.in_channels}: its images have {channels}")
        if classes > self.num_classes:
            raise UserError(f"--unet.num-classes {self.num_classes}: the labels are 0 to {classes - 1}")
        factor = shrinking(self)
        if side % factor:
            raise UserError(f"--unet.patch-size and the levels of --unet.channel-mults shrink {side} by {factor}")


@options
class VAEConfig:
    """The size of the autoencoder."""

    in_channels: Size = 1
    """Channels of an image."""
    latent_channels: Size = 4
    """Channels of a latent."""
    patch_size: Size = 2
    """Pixels to a side that become one position with patch_size^2 channels, before the first convolution."""
    base_channels: Annotated[int, Field(ge=8, le=4096, multiple_of=8)] = 32
    """Channels of the finest resolution, a multiple of 8."""
    channel_mults: Mults = (1, 2)
    """Channels of each resolution, as multiples of base_channels; each after the first halves the image's sides."""

    def lengths(self):
        """How long some of its weights' axes are, as UNetConfig.lengths."""
        widths = (self.base_channels * mult for mult in self.channel_mults)
        return *widths, self.in_channels * self.patch_size**2, 2 * self.latent_channels

    @model_validator(mode="after")
    def check_size(self):
        factor = shrinking(self)
        if self.in_channels != 1 or 32 % factor:
            raise ValueError(f"images have 1 channel of 32 pixels; patch_size and channel_mults shrink it by {factor}")
        return self

"""The options of edit_mnist.py: which digits, what is done to them, with which model."""
from dataclasses import replace
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field
from tyro.conf import Suppress

from common.options.fields import Count, Finite, Fraction, Seed, options_class
from common.options.networks import SamplerConfig
from common.options.sampling import Asked, Sample


@options_class
class Edit(Sample):
    """What edit_mnist.py's commands have in common."""

    num: Count = 9
    """Results per digit."""
    pixels: bool = False
    """Edit with the pixel DDPM (else with latent diffusion)."""

    @property
    def kind(self):
        return "ddpm" if self.pixels else "ldm"


@options_class
class EditDigits(Edit):
    """What the ways to edit digits have in common."""

    sampler: ClassVar[str] = "ddpm"

    index: tuple[Annotated[int, Field(ge=0)], ...] = (0, 1, 2, 3, 4)
    """Which test digits, by their number in the test set."""
    steps: Count = 25
    """Steps of the sampler."""

    def override(self, sampler: SamplerConfig) -> SamplerConfig:
        """How the model draws here."""
        return SamplerConfig(name=self.sampler, steps=self.steps, shift=1.0)


@options_class
class EditAsAsked(Asked, EditDigits):
    """What the ways that draw towards what is asked for have in common."""

    image: Path | None = None
    """A picture of a digit of your own, dark on light or light on dark, in place of test digits."""
    guidance: Finite = 1.0
    """Classifier-free guidance scale; 0 ignores all that is asked."""

    def override(self, sampler: SamplerConfig) -> SamplerConfig:
        return replace(super().override(sampler), guidance=self.guidance)


@options_class
class Repaint(EditAsAsked):
    """Draw a part of each digit anew and keep the rest. The digit is told, where it is known."""

    mask: str = "right"
    """What is drawn anew: left, right, top, bottom, centre, or a PNG of 32x32 pixels that is white there."""
    steps: Count = 10
    """Steps of the sampler."""
    resample: Count = 10
    """How often each step is taken."""


@options_class
class Vary(EditAsAsked):
    """Noise each digit for a part of the way and denoise it again, towards what is asked for."""

    strength: Fraction = 0.6
    """How far: 0 changes nothing, 1 everything."""


@options_class
class Morph(EditDigits):
    """Go from each digit to the next, by way of the noise that deterministic sampling draws them from."""

    sampler: ClassVar[str] = "ddim"

    seed: Annotated[Seed, Suppress] = 0  # the noise is the digits' own
    batch_size: Annotated[Count, Suppress] = 500  # all frames at once
    num: Annotated[int, Field(ge=2, le=1000)] = 11
    """Frames, the first and the last included."""
    steps: Count = 50
    """Steps of the sampler, and of its inversion."""
    gif: bool = False
    """Write an animation too."""


@options_class
class Score(Edit):
    """Measure repainting, inversion and morphing on the first test digits, and write edits.json."""

    num: Annotated[int, Field(ge=20, le=10_000)] = 200
    """Digits."""

    def override(self, sampler: SamplerConfig) -> SamplerConfig:
        """As morphing draws, with which it begins."""
        return Morph().override(sampler)


Edits = Repaint | Vary | Morph | Score

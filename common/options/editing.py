"""The options of edit_mnist.py: which digits, what is done to them, with which model."""
from pathlib import Path
from typing import Annotated

from pydantic import Field

from common.options.fields import Count, Finite, Fraction, options_class
from common.options.networks import SamplerConfig
from common.options.sampling import Ask, Drawing, Which
from common.options.where import Flat, Where

Index = tuple[Annotated[int, Field(ge=0)], ...]
Frames = Annotated[int, Field(ge=2, le=1000)]


@options_class
class EditWith(Which):
    """With which model, and where the result goes."""

    pixels: bool = False
    """Edit with the pixel DDPM."""
    data: Path | None = None
    """The data's folder, if moved."""

    @property
    def kind(self):
        return "ddpm" if self.pixels else "ldm"


@options_class
class Digits(EditWith):
    """With which model, which digits, and where the result goes."""

    index: Index = (0, 1, 2, 3, 4)
    """The test digits, by their numbers."""


@options_class
class Drawn(Drawing):
    """The input picture, the number of results, and the guidance."""

    image: Path | None = None
    """A picture of a digit of your own, dark on light or light on dark, in place of test digits."""
    num: Count = 9
    """Results per digit."""
    guidance: Finite = 1.0
    """Classifier-free guidance scale; 0 ignores all conditions."""

    def ancestral(self, steps):
        """Ancestral sampling, even steps: repainting and varying begin from any noise level."""
        return SamplerConfig(name="ddpm", steps=steps, shift=1.0, guidance=self.guidance)


@options_class
class Repaint:
    """Draw a part of each digit anew and keep the rest. The digit is told, where it is known."""

    which: Flat[Digits] = Digits()
    drawing: Flat[Drawn] = Drawn()
    ask: Flat[Ask] = Ask()
    where: Flat[Where] = Where()
    mask: str = "right"
    """Drawn anew: left, right, top, bottom, centre, or what is white in a PNG of the images' size."""
    steps: Count = 10
    """Steps of the sampler."""
    resample: Count = 10
    """How often each step is taken."""

    @property
    def sampler(self):
        return self.drawing.ancestral(self.steps)


@options_class
class Vary:
    """Noise each digit for a part of the way and denoise it again, towards what is asked for."""

    which: Flat[Digits] = Digits()
    drawing: Flat[Drawn] = Drawn()
    ask: Flat[Ask] = Ask()
    where: Flat[Where] = Where()
    strength: Fraction = 0.6
    """How far: 0 changes nothing, 1 everything."""
    steps: Count = 25
    """Steps of the sampler."""

    @property
    def sampler(self):
        return self.drawing.ancestral(self.steps)


@options_class
class Morph:
    """Go from each digit to the next, by way of the noise that deterministic sampling draws them from."""

    which: Flat[Digits] = Digits()
    where: Flat[Where] = Where()
    num: Frames = 11
    """Frames, the first and the last included."""
    steps: Count = 50
    """Steps of the sampler, and of its inversion."""
    gif: bool = False
    """Write an animation too."""

    @property
    def sampler(self):
        return SamplerConfig(name="ddim", steps=self.steps, shift=1.0)


@options_class
class Score:
    """Measure repainting, inversion and morphing on the first test digits, and write edits.json."""

    which: Flat[EditWith] = EditWith()
    drawing: Flat[Drawing] = Drawing()
    where: Flat[Where] = Where()
    num: Annotated[int, Field(ge=20, le=10_000)] = 200
    """Digits."""


Edits = Repaint | Vary | Morph | Score

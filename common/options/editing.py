"""The options of edit_mnist.py: which model, which images, and which edit."""
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
    """The model and the output folder."""

    pixels: bool = False
    """Use the pixel DDPM."""
    data: Path | None = None
    """The model's data set, if moved."""

    @property
    def kind(self):
        return "ddpm" if self.pixels else "ldm"


@options_class
class Digits(EditWith):
    """The model, the output folder and the images."""

    index: Index = (0, 1, 2, 3, 4)
    """Test images, counted from 0; not used with --image."""


@options_class
class EditSampling(Drawing):
    """The input picture, the number of results, and the guidance."""

    image: Path | None = None
    """Your own picture instead of test images: a digit in any ink, or one like the model's data."""
    num: Count = 9
    """Results per image."""
    guidance: Finite = 1.0
    """Classifier-free guidance scale: 0 is unconditional, 1 is no guidance."""


def ancestral(options):
    """Ancestral sampling with even steps, as repainting and varying may start at any noise level."""
    return SamplerConfig(name="ddpm", steps=options.steps, shift=1.0, guidance=options.drawing.guidance)


@options_class
class Repaint:
    """Repaint a part of each image and keep the rest, conditioned on its class if that is known."""

    which: Flat[Digits] = Digits()
    drawing: Flat[EditSampling] = EditSampling()
    ask: Flat[Ask] = Ask()
    where: Flat[Where] = Where()
    mask: str = "right"
    """Part to repaint: left, right, top, bottom, centre, or the white of a PNG of the images' size."""
    steps: Count = 10
    """Steps of the sampler."""
    resample: Count = 10
    """Times that each step but the last is taken (RePaint)."""

    sampler = property(ancestral)


@options_class
class Vary:
    """Add noise to each image and denoise it again under the given conditions (SDEdit)."""

    which: Flat[Digits] = Digits()
    drawing: Flat[EditSampling] = EditSampling()
    ask: Flat[Ask] = Ask()
    where: Flat[Where] = Where()
    strength: Fraction = 0.6
    """Noise to add, as a share of the time steps: 0 changes nothing, 1 everything."""
    steps: Count = 25
    """Steps of the sampler."""

    sampler = property(ancestral)


@options_class
class Morph:
    """Morph each image into the next through the noise that DDIM inversion finds for them."""

    which: Flat[Digits] = Digits()
    where: Flat[Where] = Where()
    num: Frames = 11
    """Frames per pair, both ends included."""
    steps: Count = 50
    """Steps of the sampler and of its inversion."""
    gif: bool = False
    """Also write an animation."""

    @property
    def sampler(self):
        return SamplerConfig(name="ddim", steps=self.steps, shift=1.0)


@options_class
class Score:
    """Measure repainting, inversion and morphing on the first test images, and write edits.json."""

    which: Flat[EditWith] = EditWith()
    drawing: Flat[Drawing] = Drawing()
    where: Flat[Where] = Where()
    num: Annotated[int, Field(ge=20, le=10_000)] = 200
    """Test images to use."""


Edits = Repaint | Vary | Morph | Score

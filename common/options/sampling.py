"""The options of the tst scripts: which model, what to sample, and how to score it."""
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, FilePath, model_validator
from tyro.conf import Suppress, arg
from tyro.constructors import PrimitiveConstructorSpec

from common.errors import UserError
from common.options.fields import Count, Finite, Fraction, Seed, Shift, options_class
from common.options.networks import SamplerConfig, SamplerName
from common.options.where import Flat, Where


@options_class
class Which:
    """The model and the output folder."""

    checkpoint: Path | None = None
    """Run folder or checkpoint file (None: this tree's last run, else the shipped weights)."""
    out: Path | None = None
    """Output folder (None: one in runs/ beside the script's folder)."""


@options_class
class WhichDiffusion(Which):
    """The diffusion model and the output folder."""

    base: Annotated[Literal["ddpm", "ldm"], Suppress]
    distilled: bool = False
    """Use the distilled model, which samples in one network call, unless --checkpoint is given."""

    @property
    def kind(self):
        """The kind of model to load if --checkpoint is not given."""
        return f"{self.base}-distilled" if self.distilled else self.base


@options_class
class Drawing:
    """The seed and the batch size of sampling."""

    seed: Seed = 0
    """Seed of the noise; image i of a seed is the same for any --num and --batch-size."""
    batch_size: Count = 500
    """Images per batch."""


@options_class
class SamplerOptions:
    """The sampler; None is the setting in the model's checkpoint."""

    sampler: SamplerName | None = None
    """Ancestral (ddpm), DDIM, DPM-Solver++(2M), or, for distilled models, consistency."""
    steps: Count | None = None
    """Network calls per image (None: the model's own)."""
    shift: Shift | None = None
    """Above 1 puts more of the steps at high noise levels, below 1 at low ones."""
    end: Annotated[float | None, Field(gt=0, le=1)] = None
    """Last call's time (before the shift) as a fraction of the usual: below 1 keeps texture."""
    guidance: Finite | None = None
    """Classifier-free guidance: 0 is unconditional, 1 no guidance, above 1 more typical (None: the model's own)."""
    eta: Fraction | None = None
    """DDIM's eta: 0 adds no noise, 1 as much as ancestral sampling (None: the model's own)."""

    def over(self, own: SamplerConfig) -> SamplerConfig:
        """A model's own sampler, with those of these options that are not None; UserError for eta without DDIM."""
        named = {**vars(self), "name": self.sampler}
        chosen = replace(own, **{name: named[name] for name in vars(own) if named[name] is not None})
        if self.eta and chosen.name != "ddim":
            raise UserError(f"--eta works only with DDIM, not {chosen.name}: add --sampler ddim, or leave out --eta")
        return chosen


def read_values(words):
    """["age=40", ...] -> {"age": 40.0, ...}; ValueError if a word is not NAME=NUMBER, or a name repeats."""
    pairs = [word.partition("=") for word in words]
    for name, _, value in pairs:
        if not (name and value):
            raise ValueError("write NAME=NUMBER, without spaces, as in age=40")
    values = {name: float(value) for name, _, value in pairs}
    if len(values) < len(pairs) or values.keys() & {"label", "digit"}:
        raise ValueError("give each measure once, and the class with --label")
    return values


Values: Any = PrimitiveConstructorSpec(
    "*", "NAME=NUMBER ...", instance_from_str=read_values, is_instance=lambda value: isinstance(value, dict),
    str_from_instance=lambda value: [f"{name}={number:g}" for name, number in value.items()],
)  # fmt: skip
ClassName = Annotated[str | None, arg(aliases=("--digit",))]


@options_class
class Ask:
    """The class and the measures to condition on."""

    label: ClassName = None
    """Class, by name or number (None: each in turn, or the picture's own)."""
    thickness: Finite | None = None
    """Thickness of the strokes, in pixels."""
    slant: Finite | None = None
    """Slant in degrees, positive to the right."""
    width: Finite | None = None
    """Width without the slant, in pixels."""
    ask: Annotated[dict[str, Finite], Values] = Field(default_factory=dict)
    """Learned measures, all after one --ask: age=40 angle=-10."""
    prompt: str | None = None
    """Conditions in words: "a thick 7 leaning right"; "向右倾的粗7"."""


@options_class
class SampleVAE:
    """Reconstruct test images with the VAE, and decode latents sampled from its prior."""

    which: Flat[Which] = Which()
    drawing: Flat[Drawing] = Drawing()
    where: Flat[Where] = Where()
    num: Count = 100
    """Number of reconstructions, and of samples."""
    data: Path | None = None
    """The model's data set, if moved."""


@options_class
class Sample:
    """Sample from a diffusion model: a grid, the denoising, a sweep of the measures."""

    which: Flat[WhichDiffusion]
    drawing: Flat[Drawing] = Drawing()
    sampler: Flat[SamplerOptions] = SamplerOptions()
    ask: Flat[Ask] = Ask()
    where: Flat[Where] = Where()
    num: Count = 100
    """Images to sample."""
    process_rows: Count = 8
    """Number of samples whose denoising process.png shows."""
    gif: bool = False
    """Also write the denoising as an animation."""
    sweep: bool = True
    """Draw sweep.png, up to 80 images for each measure."""


@options_class
class Score:
    """Sample images into fake/, export real ones to real/, compare the two, and write result.json."""

    which: Flat[WhichDiffusion]
    drawing: Flat[Drawing] = Drawing()
    sampler: Flat[SamplerOptions] = SamplerOptions()
    where: Flat[Where] = Where()
    num: Annotated[int, Field(ge=2, le=10**5)] = 10_000
    """Images to sample, compared with as many real ones, or all there are."""
    label: ClassName = None
    """Sample this class only, by name or number."""
    data: Path | None = None
    """The model's data set, if moved."""
    real: Literal["test", "train"] = "test"
    """Set that the real images are from: held-out test images, or training images."""
    labels: Literal["train", "even", "test"] = "train"
    """Classes: as frequent as in training (train), in turn (even), or test images', with their measures (test)."""
    fid: bool = True
    """Also compute FID, if pytorch-fid's weights can be had, in minutes on a CPU."""
    inception_weights: FilePath | None = None
    """Local copy of pytorch-fid's weights (None: torch's cache, else a download)."""

    @model_validator(mode="after")
    def check_labels(self):
        if self.labels == "test" and self.label is not None:
            raise ValueError("labels: test images have classes of their own; leave out --label")
        return self

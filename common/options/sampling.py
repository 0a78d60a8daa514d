"""The options of the tst scripts: what to draw, with which model, and how it is scored."""
from dataclasses import replace
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, FilePath, model_validator

from common.errors import UserError
from common.options.fields import Count, Finite, Fraction, Positive, Seed, options_class
from common.options.networks import SamplerConfig

Digit = Annotated[int, Field(ge=0, le=9)]


@options_class
class Sample:
    """What the tst scripts have in common."""

    checkpoint: Path | None = None
    """The model: a run's folder or a checkpoint file (None: this tree's last run, else the shipped weights)."""
    out: Path | None = None
    """Folder for what is written (None: one in runs/ beside the script's folder)."""
    num: Count = 100
    """Images to draw."""
    seed: Seed = 0
    """Of the noise: image i of a seed is the same for any --num and --batch-size."""
    batch_size: Count = 500
    """Images computed at once."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute; auto takes a GPU where there is one."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Arithmetic of the network; auto takes bf16 where the hardware has it (Jittor: fp32)."""


@options_class
class SampleVAE(Sample):
    """Reconstruct test digits with the VAE, and decode latents drawn from its prior."""

    data: Path | None = None
    """Folder with the four files of a data set in MNIST's format (None: MNIST)."""


@options_class
class DiffusionSample(Sample):
    """What sampling from either diffusion model has in common. A sampler's None: as the model's checkpoint has it."""

    family: ClassVar[str] = "ddpm"

    distilled: bool = False
    """Draw by one network call, with the distilled model, if --checkpoint names none."""
    sampler: Literal["ddpm", "ddim", "dpmpp_2m"] | None = None
    """Ancestral DDPM, DDIM, or DPM-Solver++(2M)."""
    steps: Count | None = None
    """Network calls of the sampler."""
    shift: Positive | None = None
    """More than 1 puts more of the steps where there is much noise, less than 1 where there is little."""
    guidance: Finite | None = None
    """Classifier-free guidance scale: 0 ignores all that is asked, 1 is plain conditional, more is more typical."""
    eta: Fraction | None = None
    """Noise that DDIM adds: 0 none, 1 as much as ancestral sampling."""

    @property
    def kind(self):
        """Of the model that is drawn with, unless --checkpoint names another."""
        return f"{self.family}-distilled" if self.distilled else self.family

    def override(self, sampler: SamplerConfig) -> SamplerConfig:
        """A model's own sampler, changed where these options say so."""
        named = {**vars(self), "name": self.sampler}
        chosen = replace(sampler, **{name: named[name] for name in vars(sampler) if named[name] is not None})
        if self.eta and chosen.name != "ddim":
            raise UserError(f"--eta is DDIM's, and {chosen.name} draws: add --sampler ddim, or leave out --eta")
        return chosen


@options_class
class Asked:
    """What may be asked for."""

    digit: Digit | None = None
    """Draw this digit (None: 0 to 9 in turn; of an edited digit, what it was)."""
    thickness: Finite | None = None
    """Of the strokes, in pixels."""
    slant: Finite | None = None
    """In degrees: to the right above 0, to the left below."""
    width: Finite | None = None
    """Of the digit made upright, in pixels."""
    prompt: str | None = None
    """The same in words: "a thick 7 leaning right"; "向右倾的粗7"."""


@options_class
class SampleDDPM(Asked, DiffusionSample):
    """Draw digits with the pixel DDPM: a grid, the denoising, a sweep of measures. None: the model's own setting."""

    process_rows: Count = 8
    """Samples whose denoising is drawn."""
    gif: bool = False
    """Write the denoising as an animation too."""


@options_class
class ScoreDDPM(DiffusionSample):
    """Draw fake/ with the pixel DDPM, export real/, score one against the other, and write result.json."""

    digit: Digit | None = None
    """Draw this digit only."""
    num: Annotated[int, Field(ge=2, le=10**5)] = 10_000
    """Images to draw, and real ones to export, if there are as many."""
    data: Path | None = None
    """Folder with the four files of a data set in MNIST's format (None: MNIST)."""
    real: Literal["test", "train"] = "test"
    """Where the real images are from: the held-out test set, or the training set."""
    labels: Literal["train", "even", "test"] = "train"
    """The digits drawn: as often as in the training set; 0 to 9 in turn; or those of the test set with their thickness,
    slant and width, and how well these are followed is measured too. Not with --digit."""
    fid: bool = True
    """Compute FID too, where pytorch-fid's weights can be had; on a CPU it takes minutes."""
    inception_weights: FilePath | None = None
    """A local copy of pytorch-fid's weights (None: torch's own copy, else downloaded)."""

    @model_validator(mode="after")
    def check_labels(self):
        if self.labels == "test" and self.digit is not None:
            raise ValueError("labels: test digits have classes of their own; leave out --digit")
        return self


@options_class
class SampleLDM(SampleDDPM):
    """Draw digits with latent diffusion: a grid, the denoising, a sweep of measures. None: the model's own setting."""

    family: ClassVar[str] = "ldm"


@options_class
class ScoreLDM(ScoreDDPM):
    """Draw fake/ with the latent diffusion model, export real/, score one against the other, and write result.json."""

    family: ClassVar[str] = "ldm"

"""The options of the tst scripts: what to draw, with which model, and how it is scored."""
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, FilePath, model_validator
from tyro.conf import Suppress, arg

from common.data.measures import MEASURES
from common.errors import UserError
from common.options.fields import Count, Finite, Fraction, Label, Positive, Seed, options_class
from common.options.networks import SamplerConfig, SamplerName
from common.options.where import Flat, Where


@options_class
class Which:
    """Which model, and where what it draws goes."""

    checkpoint: Path | None = None
    """The model: a run's folder or a checkpoint file (None: this tree's last run, else the shipped weights)."""
    out: Path | None = None
    """Output folder (None: one in runs/ beside the script's folder)."""


@options_class
class WhichDiffusion(Which):
    """Which model."""

    base: Annotated[Literal["ddpm", "ldm"], Suppress]
    distilled: bool = False
    """Draw by one network call, with the distilled model, if --checkpoint names none."""

    @property
    def kind(self):
        """Of the model that is drawn with, unless --checkpoint names another."""
        return f"{self.base}-distilled" if self.distilled else self.base


@options_class
class Drawing:
    """The noise's seed and the batch size."""

    seed: Seed = 0
    """Of the noise: image i of a seed is the same for any --num and --batch-size."""
    batch_size: Count = 500
    """Images computed at once."""


@options_class
class SamplerOptions:
    """How to draw. None: as the model's checkpoint has it."""

    sampler: SamplerName | None = None
    """Ancestral DDPM, DDIM, DPM-Solver++(2M), or multistep consistency sampling, which distilled models take."""
    steps: Count | None = None
    """Network calls of the sampler."""
    shift: Positive | None = None
    """More than 1 puts more of the steps where there is much noise, less than 1 where there is little."""
    guidance: Finite | None = None
    """Classifier-free guidance scale: 0 ignores all conditions, 1 is plain conditional, more is more typical."""
    eta: Fraction | None = None
    """Noise that DDIM adds: 0 none, 1 as much as ancestral sampling."""

    def over(self, own: SamplerConfig) -> SamplerConfig:
        """A model's own sampler, changed where these options say so."""
        named = {**vars(self), "name": self.sampler}
        chosen = replace(own, **{name: named[name] for name in vars(own) if named[name] is not None})
        if self.eta and chosen.name != "ddim":
            raise UserError(f"--eta is DDIM's, and {chosen.name} draws: add --sampler ddim, or leave out --eta")
        return chosen


Ask = options_class(type("Ask", (), {
    "__module__": __name__, "__doc__": "The class and the measures to condition on.",
    "__annotations__": {
        "digit": Annotated[Label | None, arg(help="Class to draw (None: each in turn; of an edited digit its own).")],
        **{name: Annotated[Finite | None, arg(help=measure.help)] for name, measure in MEASURES.items()},
        "prompt": Annotated[str | None, arg(help='The same in words: "a thick 7 leaning right"; "向右倾的粗7".')],
    },
    **dict.fromkeys(("digit", *MEASURES, "prompt")),
}))  # fmt: skip


@options_class
class SampleVAE:
    """Reconstruct test images with the VAE, and decode latents drawn from its prior."""

    which: Flat[Which] = Which()
    drawing: Flat[Drawing] = Drawing()
    where: Flat[Where] = Where()
    num: Count = 100
    """Images of each kind."""
    data: Path | None = None
    """The data's folder, if moved."""


@options_class
class Sample:
    """Draw with a diffusion model: a grid, the denoising, a sweep of measures. None: the model's own setting."""

    which: Flat[WhichDiffusion]
    drawing: Flat[Drawing] = Drawing()
    sampler: Flat[SamplerOptions] = SamplerOptions()
    ask: Flat[Ask] = Ask()
    where: Flat[Where] = Where()
    num: Count = 100
    """Images to draw."""
    process_rows: Count = 8
    """Samples whose denoising is drawn."""
    gif: bool = False
    """Write the denoising as an animation too."""


@options_class
class Score:
    """Draw fake/ with a diffusion model, export real/, score one against the other, and write result.json."""

    which: Flat[WhichDiffusion]
    drawing: Flat[Drawing] = Drawing()
    sampler: Flat[SamplerOptions] = SamplerOptions()
    where: Flat[Where] = Where()
    num: Annotated[int, Field(ge=2, le=10**5)] = 10_000
    """Images to draw, and real ones to export, if there are as many."""
    digit: Label | None = None
    """Draw this class only."""
    data: Path | None = None
    """The data's folder, if moved."""
    real: Literal["test", "train"] = "test"
    """Where the real images are from: the held-out test set, or the training set."""
    labels: Literal["train", "even", "test"] = "train"
    """Classes drawn. train: as frequent as in training; even: each in turn; test: those of test images with their
    measures, and how well these are followed is scored. Not with --digit."""
    fid: bool = True
    """Compute FID too, where pytorch-fid's weights can be had; on a CPU it takes minutes."""
    inception_weights: FilePath | None = None
    """A local copy of pytorch-fid's weights (None: torch's own copy, else downloaded)."""

    @model_validator(mode="after")
    def check_labels(self):
        if self.labels == "test" and self.digit is not None:
            raise ValueError("labels: test images have classes of their own; leave out --digit")
        return self

"""The options of the training scripts, which a checkpoint remembers: recipes of what is shipped, by default.

A model has one name, its kind: of the run's folder, the shipped weights, the tables. RECIPES has them all."""
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator
from tyro.conf import Suppress
from tyro.constructors import PrimitiveConstructorSpec

from common.data.measures import MEASURES
from common.options.fields import Count, Fraction, NotNegative, Positive, Seed, options_class
from common.options.networks import DiffusionConfig, SamplerConfig, UNetConfig, VAEConfig
from common.options.where import Flat, Where

OneOptionalWord: Any = PrimitiveConstructorSpec(
    (0, 1), "[auto]",
    instance_from_str=lambda words: words[0] if words else True,
    is_instance=lambda value: value is not None, str_from_instance=lambda value: [str(value)],
)  # fmt: skip


@options_class
class Training:
    """What is learned from, how long and how fast, and what is kept of it."""

    out: Path | None = None
    """Folder of the run (None: runs/MODEL beside the script's folder)."""
    resume: Annotated[bool | Literal["auto"], OneOptionalWord] = False
    """Go on from the run's last checkpoint; `--resume auto`: if there is one, else begin."""
    data: Path | None = None
    """Folder with the four files of a data set in MNIST's format (None: MNIST, or the teacher's)."""
    limit: Count | None = None
    """The first so many training images."""
    epochs: Count = 10
    """Passes over the training set."""
    minutes: Positive | None = None
    """Wall-clock budget in minutes, if that ends sooner than the epochs; the learning rate decays to fit it."""
    batch_size: Count = 256
    """Images per step, over all processes."""
    learning_rate: Positive = 3e-3
    """Peak rate; a cosine takes it to 0."""
    hold: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the training at the peak."""
    warmup: Annotated[int, Field(ge=0)] = 200
    """Steps of linear warm-up."""
    weight_decay: NotNegative = 0.01
    """Decoupled weight decay."""
    clip_norm: Positive = 1.0
    """Largest norm of the gradient."""
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """Decay per step of the averaged weights, which draw all samples; at first it is smaller."""
    seed: Seed = 0
    """Of the initial weights, the data order and the noise."""
    save_every: Count = 500
    """Steps between checkpoints."""
    preview_every: Count = 2
    """Epochs between pictures."""
    tensorboard: bool = False
    """Write TensorBoard's event files too, to the run's folder."""


@options_class
class TrainVAE:
    """Train the KL-regularised autoencoder on MNIST at 32x32."""

    kind: ClassVar[str] = "vae"
    script: ClassVar[str] = "train_mnist_vae.py"

    training: Flat[Training] = Training()
    where: Flat[Where] = Where()
    kl_weight: NotNegative = 1e-4
    """Weight of the KL divergence (nats per latent element) beside the squared error (per pixel)."""
    vae: VAEConfig = VAEConfig()


def check_sampler(options):
    """ValueError where a diffusion model's own sampler is one that it cannot have."""
    if options.sampler.steps > options.diffusion.timesteps:
        raise ValueError(f"sampler.steps: the schedule has {options.diffusion.timesteps}")
    if options.sampler.guidance != 1 and not options.label_dropout:
        raise ValueError("sampler.guidance: without label dropout the model never sees the null label")
    return options


@options_class
class TrainDiffusion:
    """What the training scripts of the diffusion models have in common."""

    pixels: ClassVar[bool]  # where x_0 lives: in pixels, or in a VAE's latents

    training: Flat[Training] = Training()
    where: Flat[Where] = Where()
    measures: tuple[Literal[*MEASURES], ...] = tuple(MEASURES)
    """What the model is conditioned on besides the class, a token each."""
    label_dropout: Fraction = 0.15
    """Share of the images whose class is left out, for guidance and --guidance 0."""
    diffusion: DiffusionConfig = DiffusionConfig()
    sampler: SamplerConfig = SamplerConfig()
    unet: UNetConfig = UNetConfig()

    @model_validator(mode="after")
    def check(self):
        if self.diffusion.prediction == "epsilon" and self.diffusion.schedule == "cosine" and not self.pixels:
            told = "diffusion.prediction: the cosine schedule ends at alpha 5e-5, by which x_0 from epsilon is divided"
            raise ValueError(f"{told}: predict v, or take the linear schedule")
        return check_sampler(self)


@options_class
class TrainDDPM(TrainDiffusion):
    """Train the pixel DDPM on MNIST at 32x32."""

    kind: ClassVar[str] = "ddpm"
    script: ClassVar[str] = "train_mnist.py"
    pixels: ClassVar[bool] = True

    training: Flat[Training] = Training(epochs=24)


@options_class
class TrainLDM(TrainDiffusion):
    """Train latent diffusion, conditioned on the class and its measures, on the latents of a trained VAE."""

    kind: ClassVar[str] = "ldm"
    script: ClassVar[str] = "train_mnist_ldm.py"
    pixels: ClassVar[bool] = False

    training: Flat[Training] = Training(epochs=40)
    vae_checkpoint: Path | None = None
    """Checkpoint of the VAE, a folder or a file (None: the last run's, else the shipped one)."""
    sampler: SamplerConfig = SamplerConfig(steps=7, shift=2.0)
    unet: UNetConfig = UNetConfig(patch_size=1)


@options_class
class Distill:
    """What the distillation scripts have in common."""

    training: Flat[Training]
    where: Flat[Where] = Where()
    consistency: Fraction = 0.1
    """Share of the training, at its start, with the consistency loss alone."""
    teacher: Path | None = None
    """Checkpoint of the model to distil, a folder or a file (None: the last run's, else the shipped one)."""
    sampler: SamplerConfig = SamplerConfig(name="consistency", steps=1)
    label_dropout: Annotated[float, Suppress] = 0.0
    # Of the teacher, filled in by the script:
    teacher_digest: Annotated[str | None, Suppress] = None
    diffusion: Annotated[DiffusionConfig, Suppress] = DiffusionConfig()
    unet: Annotated[UNetConfig, Suppress] = UNetConfig()

    @model_validator(mode="after")
    def check(self):
        return check_sampler(self)


ADVERSARIAL = {"batch_size": 64, "learning_rate": 1e-4, "hold": 0.6}


@options_class
class DistillDDPM(Distill):
    """Distil the pixel DDPM into one that draws by one network call, and takes no guidance."""

    kind: ClassVar[str] = "ddpm-distilled"
    script: ClassVar[str] = "distill_mnist.py"

    training: Flat[Training] = Training(epochs=4, **ADVERSARIAL)


@options_class
class DistillLDM(Distill):
    """Distil a latent model into one that draws by one network call, and takes no guidance."""

    kind: ClassVar[str] = "ldm-distilled"
    script: ClassVar[str] = "distill_mnist_ldm.py"

    training: Flat[Training] = Training(epochs=10, **ADVERSARIAL)


RECIPES = {recipe.kind: recipe for recipe in (TrainDDPM, TrainVAE, TrainLDM, DistillDDPM, DistillLDM)}


def undistilled(kind):
    """The kind of the model that one of this kind was distilled from: itself, if it was not."""
    return kind.removesuffix("-distilled")

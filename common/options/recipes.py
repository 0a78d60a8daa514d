"""The options of the training scripts, stored in every checkpoint; weights/*.json has the shipped models' recipes.

A model's `kind` names it everywhere: its run's folder, its shipped weights, the tables. RECIPES lists all kinds."""
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator
from tyro.conf import Suppress
from tyro.constructors import PrimitiveConstructorSpec

from common.data.pictures import Preprocessing
from common.diffusion.schedule import alphas_cumprod
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
    """The data, the length and the speed of training, and what is saved."""

    out: Path | None = None
    """Folder of the run (None: runs/MODEL beside the script's folder)."""
    resume: Annotated[bool | Literal["auto"], OneOptionalWord] = False
    """Continue from the run's last checkpoint; with `auto`, begin if there is none."""
    data: Path | None = None
    """Data set: folders or a zip of pictures, or a file of arrays (None: the teacher's; in latents the VAE's; else
    MNIST)."""
    init_from: Path | None = None
    """Run folder or checkpoint file to take the initial weights from (None: random weights)."""
    limit: Count | None = None
    """Train on the first N images only."""
    mirror: bool = False
    """Mirror training images left to right with probability 1/2."""
    shift_pixels: Annotated[int, Field(ge=0, le=16)] = 0
    """Shift training images at random by up to this many pixels."""
    epochs: Count | None = None
    """Epochs to train (None: until --minutes end; with neither, a fixed number of images)."""
    minutes: Positive | None = None
    """Minutes to train, unless --epochs end first; the learning rate is 0 by then."""
    batch_size: Count | None = None
    """Images per step over all processes (None: 256, or 64 if x_0 is 64x64 or larger)."""
    learning_rate: Positive = 3e-3
    """Peak rate, before a cosine decay."""
    hold: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Fraction of training at peak rate."""
    warmup: Annotated[int, Field(ge=0)] = 200
    """Steps of linear warm-up, at most a tenth of training."""
    weight_decay: NotNegative = 0.01
    """Decoupled weight decay."""
    clip_norm: Positive = 1.0
    """Norm that gradients are clipped to."""
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """Decay per step of the averaged weights that samples are drawn from; smaller at first."""
    seed: Seed = 0
    """Seed of weights, data order and noise."""
    save_every: Count = 500
    """Most steps between checkpoints."""
    preview_every: Count | None = None
    """Epochs between sample pictures (None: ten in all, at least 100 steps apart)."""
    tensorboard: bool = False
    """Also write TensorBoard's event files to the run's folder."""

    def fitted(self, shape):
        """A copy with a batch size for x_0 of this shape: on large images, small batches learn more per minute."""
        return replace(self, batch_size=self.batch_size or (64 if shape[1] >= 64 else 256))

    @property
    def augments(self):
        """Whether training images are changed at random."""
        return self.mirror or self.shift_pixels > 0


@options_class
class TrainVAE:
    """Train the KL-regularised autoencoder, on MNIST or pictures of your own."""

    kind: ClassVar[str] = "vae"
    script: ClassVar[str] = "train_mnist_vae.py"
    pixels: ClassVar[bool] = True
    measures: ClassVar[tuple[str, ...]] = ()
    images: ClassVar[int] = 600_000

    training: Flat[Training] = Training(batch_size=32)
    where: Flat[Where] = Where()
    preprocessing: Flat[Preprocessing] = Preprocessing()
    kl_weight: NotNegative = 1e-4
    """Weight of the KL divergence (nats per latent element); the squared error per pixel has weight 1."""
    edge_weight: NotNegative = 4.0
    """Weight of the squared error of differences between neighbouring pixels, which keeps edges sharp."""
    detail_weight: NotNegative = 1.0
    """Weight of the squared error in the strength of fine detail, which keeps texture."""
    scale_weight: NotNegative = 0.25
    """Weight of the squared error at half the scale, which makes latents easier to diffuse (EQ-VAE)."""
    freeze_encoder: bool = False
    """Train only the decoder of --init-from, a VAE or latent model: the latents stay the same."""
    vae: VAEConfig = VAEConfig()

    def fitted(self, shape):
        """A copy with the settings that depend on the images' shape (C, H, W) filled in."""
        return replace(self, training=self.training.fitted(shape), vae=self.vae.fitted(shape))

    @property
    def weights(self):
        """The weight of each term of the loss, by name."""
        return {
            "reconstruction": 1.0, "edges": self.edge_weight, "detail": self.detail_weight, "kl": self.kl_weight,
            "half_scale": self.scale_weight,
        }  # fmt: skip


def check_sampler(options):
    """ValueError if the model's own sampler has more steps than the schedule, guidance without label dropout, or an eta
    that it does not use."""
    if options.sampler.steps > options.diffusion.timesteps:
        raise ValueError(f"sampler.steps: the schedule has {options.diffusion.timesteps} steps, choose fewer")
    if options.sampler.guidance != 1 and not options.label_dropout:
        raise ValueError("sampler.guidance: guidance needs label dropout in training, leave it at 1")
    if options.sampler.eta and options.sampler.name != "ddim":
        raise ValueError("sampler.eta: only ddim uses it, leave it at 0")
    return options


@options_class
class TrainDiffusion:
    """The options that train_mnist.py and train_mnist_ldm.py share."""

    pixels: ClassVar[bool]  # whether x_0 is the pixels, or else a VAE's latents
    images: ClassVar[int]  # to train on, repeats counted, if neither epochs nor minutes are given

    training: Flat[Training] = Training()
    where: Flat[Where] = Where()
    measures: tuple[str, ...] | None = None
    """Measures to condition on (None: columns of measures.csv; for MNIST thickness, slant, width)."""
    label_dropout: Fraction = 0.15
    """Probability of dropping the class in training, for classifier-free guidance."""
    diffusion: DiffusionConfig = DiffusionConfig()
    sampler: SamplerConfig = SamplerConfig()
    unet: UNetConfig = UNetConfig()

    def fitted(self, shape):
        """A copy with the settings that depend on the shape of x_0 (C, H, W) filled in."""
        return replace(self, training=self.training.fitted(shape), unet=self.unet.fitted(shape))

    @model_validator(mode="after")
    def check(self):
        diffusion = self.diffusion
        divides = diffusion.prediction == "epsilon" and not self.pixels
        if divides and (diffusion.schedule != "linear" or alphas_cumprod(diffusion)[-2] < 1e-8):
            reason = "diffusion.prediction: to find x_0, epsilon is divided by alpha, which falls below 1e-4"
            raise ValueError(f"{reason}: predict v, or take the linear schedule with 1000 time steps")
        return check_sampler(self)


@options_class
class TrainDDPM(TrainDiffusion):
    """Train the pixel DDPM, on MNIST or pictures of your own."""

    kind: ClassVar[str] = "ddpm"
    script: ClassVar[str] = "train_mnist.py"
    pixels: ClassVar[bool] = True
    images: ClassVar[int] = 1_440_000

    preprocessing: Flat[Preprocessing] = Preprocessing()
    sampler: SamplerConfig = SamplerConfig(end=0.3)


@options_class
class TrainLDM(TrainDiffusion):
    """Train latent diffusion on the latents of a trained VAE, conditioned on class and measures."""

    kind: ClassVar[str] = "ldm"
    script: ClassVar[str] = "train_mnist_ldm.py"
    pixels: ClassVar[bool] = False
    images: ClassVar[int] = 2_400_000

    vae_checkpoint: Path | None = None
    """Run folder or checkpoint of the VAE or a latent model (None: the last run, else the shipped weights)."""
    sampler: SamplerConfig = SamplerConfig(steps=7, shift=2.0, end=0.3)


@options_class
class Distill:
    """The options that both distillation scripts share."""

    training: Flat[Training] = Training(batch_size=64, learning_rate=1e-4, hold=0.6)
    where: Flat[Where] = Where()
    consistency: Fraction = 0.1
    """Fraction of training, at its start, by the consistency loss alone; then a discriminator joins."""
    teacher: Path | None = None
    """Run folder or checkpoint file of the teacher (None: the last run, else the shipped weights)."""
    sampler: SamplerConfig = SamplerConfig(name="consistency", steps=1)
    label_dropout: Annotated[float, Suppress] = 0.0
    # Copied from the teacher by the script:
    teacher_digest: Annotated[str | None, Suppress] = None
    diffusion: Annotated[DiffusionConfig, Suppress] = DiffusionConfig()
    unet: Annotated[UNetConfig, Suppress] = UNetConfig()

    @model_validator(mode="after")
    def check(self):
        return check_sampler(self)


@options_class
class DistillDDPM(Distill):
    """Distil the pixel DDPM into a model that samples in one network call, without guidance."""

    kind: ClassVar[str] = "ddpm-distilled"
    script: ClassVar[str] = "distill_mnist.py"
    images: ClassVar[int] = 240_000


@options_class
class DistillLDM(Distill):
    """Distil a latent model into one that samples in one network call, without guidance."""

    kind: ClassVar[str] = "ldm-distilled"
    script: ClassVar[str] = "distill_mnist_ldm.py"
    images: ClassVar[int] = 600_000


RECIPES = {recipe.kind: recipe for recipe in (TrainDDPM, TrainVAE, TrainLDM, DistillDDPM, DistillLDM)}


def undistilled(kind):
    """The kind of a distilled model's teacher; any other kind stays as it is."""
    return kind.removesuffix("-distilled")

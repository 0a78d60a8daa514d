"""The options of every script: its command line and, for a training script, what its checkpoint remembers."""
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from tyro.conf import Suppress

from common.cli import Count, Fraction, Positive, Seed, options
from common.networks import Diffusion, UNetConfig, VAEConfig

LATENT_STEPS, LATENT_SHIFT = 6, 2.0  # of the latent model's sampler, where none are named


@options
class Train:
    """What the three training scripts have in common."""

    out: Path | None = None
    """Folder of the run (None: runs/NAME beside the script's folder)."""
    resume: bool | Literal["auto"] = False
    """Go on from the run's last checkpoint; `--resume auto`: if there is one, else begin."""
    data: Path | None = None
    """Folder with the four files of a data set in MNIST's format (None: MNIST)."""
    epochs: Count = 10
    """Passes over the training set."""
    minutes: Positive | None = None
    """Wall-clock budget in minutes, if that ends sooner than the epochs; the learning rate decays to fit it."""
    batch_size: Count = 128
    """Images a step, over all processes."""
    learning_rate: Positive = 1e-3
    """Peak learning rate of AdamW, reached after the warm-up; then it decays along a cosine to 0."""
    warmup: Annotated[int, Field(ge=0)] = 200
    """Steps of linear warm-up."""
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.01
    """Decoupled weight decay of AdamW."""
    clip_norm: Positive = 1.0
    """Largest norm of the gradient."""
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """Decay a step of the averaged weights, which draw every sample; smaller in the first steps."""
    seed: Seed = 0
    """Of the initial weights, the data order and the noise."""
    limit: Count | None = None
    """Use the first so many training images only."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute; auto takes a GPU where there is one."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Arithmetic of the network; auto takes bf16 where the hardware has it."""
    save_every: Count = 500
    """Steps between checkpoints."""
    preview_every: Count = 2
    """Epochs between pictures."""
    tensorboard: bool = False
    """Write TensorBoard's event files too, to the run's folder."""


@options
class TrainDDPM(Train):
    """Train the pixel DDPM on MNIST at 32x32."""

    kind: ClassVar[str] = "ddpm"
    epochs: Count = 16
    """Passes over the training set."""
    label_dropout: Fraction = 0.15
    """Share of the labels replaced by the null label: what guidance and unconditional sampling need."""
    diffusion: Diffusion = Diffusion()
    unet: UNetConfig = UNetConfig(context_dim=64)


@options
class TrainVAE(Train):
    """Train the KL-regularised autoencoder on MNIST at 32x32."""

    kind: ClassVar[str] = "vae"
    epochs: Count = 10
    """Passes over the training set."""
    kl_weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1e-4
    """Weight of the KL divergence (nats a latent element) beside the squared error (a pixel)."""
    vae: VAEConfig = VAEConfig()


@options
class TrainLDM(Train):
    """Train the latent UNet, conditioned on the digit, on the latents of a trained VAE."""

    kind: ClassVar[str] = "ldm"
    epochs: Count = 40
    """Passes over the training set."""
    vae_checkpoint: Path | None = None
    """Checkpoint of the VAE, a folder or a file (None: the newest run's, else the shipped one)."""
    label_dropout: Fraction = 0.15
    """Share of the labels replaced by the null label: what guidance and unconditional sampling need."""
    diffusion: Diffusion = Diffusion(clip=False)
    unet: UNetConfig = UNetConfig(in_channels=4, patch_size=1, context_dim=64)


@options
class DistillLDM(Train):
    """Distil a latent model into one that needs a few network calls, without guidance beside them."""

    kind: ClassVar[str] = "ldm-distilled"
    epochs: Count = 4
    """Passes over the training set."""
    learning_rate: Positive = 3e-4
    """Peak learning rate of AdamW, reached after the warm-up; then it decays along a cosine to 0."""
    teacher: Path | None = None
    """Checkpoint of the model to distil, a folder or a file (None: the newest run's, else the shipped one)."""
    steps: Count = 3
    """Network calls of the distilled model: steps of DDIM."""
    substeps: Count = 3
    """DDIM steps of the teacher in each of those."""
    shift: Positive = LATENT_SHIFT
    """More than 1 puts more of the steps where there is much noise, less than 1 where there is little."""
    guidance: Annotated[float, Field(allow_inf_nan=False)] = 1.0
    """Classifier-free guidance scale of the teacher, which the distilled model has built in; not 1 costs twice."""
    diffusion: Annotated[Diffusion, Suppress] = Diffusion(clip=False)  # the teacher's
    unet: Annotated[UNetConfig, Suppress] = UNetConfig(in_channels=4, patch_size=1, context_dim=64)  # the teacher's


@options
class Sample:
    """What the three tst scripts have in common."""

    checkpoint: Path | None = None
    """The model: a run's folder or a checkpoint file (None: this tree's last run, else the shipped weights)."""
    out: Path | None = None
    """Folder for the PNGs (None: runs/NAME beside the script's folder)."""
    num: Count = 100
    """Images in the grid."""
    seed: Seed = 0
    """Of the noise: image i of a seed is the same for any --num and --batch-size."""
    batch_size: Count = 500
    """Images computed at once."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute; auto takes a GPU where there is one."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Arithmetic of the network; auto takes bf16 where the hardware has it."""


@options
class SampleVAE(Sample):
    """Reconstruct test digits with the VAE, and decode latents drawn from its prior."""

    data: Path | None = None
    """Folder with the four files of a data set in MNIST's format (None: MNIST)."""


@options
class DiffusionSample(Sample):
    """What sampling from either diffusion model has in common."""

    sampler: Literal["ddpm", "ddim", "dpmpp_2m"] = "dpmpp_2m"
    """Ancestral DDPM, DDIM, or DPM-Solver++(2M)."""
    steps: Count = 8
    """Network calls of the sampler."""
    eta: Fraction = 0.0
    """Noise that DDIM adds: 0 none, 1 as much as ancestral sampling."""
    shift: Positive = 3.0
    """More than 1 spends more of the steps where there is much noise, less than 1 where there is little."""
    digit: Annotated[int, Field(ge=0, le=9)] | None = None
    """Draw this digit only (None: 0 to 9 in turn)."""
    guidance: Annotated[float, Field(allow_inf_nan=False)] = 1.0
    """Classifier-free guidance scale: 0 ignores the digit, 1 is plain conditional, more is more typical digits."""


@options
class LatentSample:
    """What sampling from the latent model adds, or has otherwise; without a base, whose defaults would win again."""

    distilled: bool = False
    """Draw with the distilled model, if --checkpoint names none."""
    sampler: Literal["ddpm", "ddim", "dpmpp_2m"] | None = None
    """Ancestral DDPM, DDIM, or DPM-Solver++(2M) (None: dpmpp_2m; a distilled model: ddim)."""
    steps: Count | None = None
    """Network calls of the sampler (None: 6; a distilled model: as many as it was distilled to)."""
    shift: Positive | None = None
    """As for pixels (None: 2; a distilled model: what it was distilled with)."""


@options
class SampleDDPM(DiffusionSample):
    """Draw digits with the pixel DDPM: a grid, and the denoising process."""

    process_rows: Count = 8
    """Samples whose denoising is drawn."""


@options
class SampleLDM(LatentSample, SampleDDPM):
    """Draw digits with the latent diffusion model: a grid, and the denoising process, decoded."""


@options
class ScoreDDPM(DiffusionSample):
    """Draw fake/ with the pixel DDPM, export real/, score one against the other, and write result.json."""

    num: Annotated[int, Field(ge=2, le=10**6)] = 10_000
    """Images to draw, and real ones to export, if there are as many."""
    data: Path | None = None
    """Folder with the four files of a data set in MNIST's format (None: MNIST)."""
    real: Literal["test", "train"] = "test"
    """Where the real images are from: the held-out test set, or the training set."""
    fid: bool = True
    """Compute FID too, where pytorch-fid's weights can be had; on a CPU it takes minutes."""
    inception_weights: Path | None = None
    """A local copy of pytorch-fid's weights (None: torch's own copy, else downloaded)."""


@options
class ScoreLDM(LatentSample, ScoreDDPM):
    """Draw fake/ with the latent diffusion model, export real/, score one against the other, and write result.json."""

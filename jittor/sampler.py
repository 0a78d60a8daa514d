"""From a checkpoint to images, for the tst scripts and for the pictures that training shows."""
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from common.checkpoint import SCRIPTS, digest, load_checkpoint
from common.cli import UserError
from common.config import LATENT_SHIFT, LATENT_STEPS
from common.images import from_uint8, grid, save_png
from common.noise import SampleNoise
from common.paths import CHECKPOINT
from common.schedule import sampler_timesteps
from device import describe, jt, make_accelerator, to_array, to_tensor
from model.ddpm import DDPM, SAMPLERS, sample_ddim
from model.unet import ConditionalUNet
from model.vae import VAE, LatentSpace

TREE = Path(__file__).resolve().parent


def find_checkpoint(path, kind):
    """The checkpoint named, else the last run's, else the shipped one."""
    if path is not None:
        return path
    found = [p for p in (TREE / "runs" / kind / CHECKPOINT, TREE / "weights" / f"{kind}.safetensors") if p.is_file()]
    if not found:
        script = f"{TREE.name}/script/{SCRIPTS[kind]}"
        raise UserError(f"{TREE / 'runs' / kind} holds no trained model yet: run `python {script}` first")
    return found[0]


def load_weights(module, checkpoint, prefix):
    """Fill a module with the checkpoint's tensors under a prefix; UserError unless names and shapes are the same."""
    state = module.state_dict()
    found = checkpoint.take(prefix, {name: tuple(value.shape) for name, value in state.items()})
    module.load_state_dict({name: jt.array(array.astype(np.float32)) for name, array in found.items()})


def load_vae(path, device, carrier=None):
    """The VAE of a checkpoint, or the one that a latent model's checkpoint carries, ready to use."""
    checkpoint = carrier or load_checkpoint(find_checkpoint(path, "vae"), "vae")
    vae = VAE(checkpoint.vae if carrier else checkpoint.options.vae)
    load_weights(vae, checkpoint, "vae." if carrier else "model.")
    return vae.eval()


def reconstruct(accelerator, vae, images):
    """Images (N, 1, 32, 32) uint8 through the VAE's posterior mean and back, (N, 1, 32, 32) float32."""
    with jt.no_grad(), accelerator.autocast():
        return to_array(vae.decode(vae.encode(to_tensor(from_uint8(images), accelerator.device)).mean))


def decode_prior(accelerator, vae, options):
    """Images of latents drawn from the VAE's prior N(0, I), (num, 1, 32, 32)."""
    z = to_tensor(SampleNoise(options.seed, range(options.num), vae.latent_shape())(), accelerator.device)
    with jt.no_grad(), accelerator.autocast():
        return to_array(vae.decode(z))


class Pipeline:
    """A trained UNet with all that it takes to draw: noise in, images (N, 1, 32, 32) float32 in [-1, 1] out."""

    def __init__(self, accelerator, unet, diffusion, latent_space=None, checkpoint=None):
        self.accelerator = accelerator
        self.checkpoint = checkpoint
        self.kind = checkpoint and checkpoint.options.kind
        self.unet = unet
        self.ddpm = DDPM(diffusion)
        self.latent_space = latent_space  # of a latent model
        self.shape = latent_space.vae.latent_shape() if latent_space else (1, 32, 32)

    def predict(self, x_t, t, labels, guidance):
        """The UNet's output, with classifier-free guidance (Ho and Salimans 2022, equation 6, scale = 1 + w)."""
        if guidance == 1:
            return self.unet(x_t, t, labels)
        null = jt.full_like(labels, self.unet.config.num_classes)
        both = self.unet(jt.concat([x_t, x_t]), jt.concat([t, t]), jt.concat([labels, null]))
        conditional, unconditional = both.chunk(2)
        return unconditional + guidance * (conditional - unconditional)

    def trajectory(self, indices, options):
        """x_t of the samples with these indices, (N, *shape) each: the noise, then the result of every step.

        They are of options.digit, or of the digits 0 to 9 in turn.
        """
        device = self.accelerator.device
        digits = indices % 10 if options.digit is None else np.full(len(indices), options.digit)
        labels = to_tensor(digits, device)

        def denoise(x_t, t):
            steps = jt.full((len(x_t),), t)
            with jt.no_grad(), self.accelerator.autocast():
                output = self.predict(x_t, steps, labels, options.guidance)
            output.sync()  # Jittor is lazy: one step at a time
            return self.ddpm.predict_x_0(output, x_t, t)

        noise = SampleNoise(options.seed, indices, self.shape)
        x_t = to_tensor(noise(), device)
        yield x_t
        sample = partial(sample_ddim, eta=options.eta) if options.sampler == "ddim" else SAMPLERS[options.sampler]
        timesteps = sampler_timesteps(self.ddpm.config.timesteps, options.steps, options.shift)
        yield from sample(denoise, x_t, self.ddpm.alphas_cumprod, timesteps, lambda: to_tensor(noise(), device))

    def decode(self, x_t):
        """x_t, or the latents, as images (N, 1, 32, 32)."""
        if self.latent_space:
            with jt.no_grad(), self.accelerator.autocast():
                x_t = self.latent_space.decode(x_t)
        return to_array(x_t)

    def batch(self, indices, options):
        """The images with these indices of options.seed, (N, 1, 32, 32)."""
        for x_t in self.trajectory(indices, options):
            x_0 = x_t  # the last one; a list of them all would not fit into memory
        return self.decode(x_0)

    def images(self, options):
        """The images 0 to options.num - 1 of options.seed, (num, 1, 32, 32)."""
        batches = []
        starts = range(0, options.num, options.batch_size)
        for start in tqdm(starts, desc="sampling", unit="batch", leave=False, disable=None):  # None: not in a log file
            indices = np.arange(start, min(start + options.batch_size, options.num))
            batches.append(self.batch(indices, options))
        return np.concatenate(batches)

    def process(self, options, columns=10):
        """The denoising of the first samples, a row each from noise to digit, (process_rows * columns, 1, 32, 32)."""
        states = list(self.trajectory(np.arange(options.process_rows), options))
        shown = np.linspace(0, len(states) - 1, min(columns, len(states))).round().astype(int)
        return np.stack([self.decode(states[i]) for i in shown], axis=1).reshape(-1, 1, 32, 32), len(shown)

    def settle(self, options):
        """Options of a latent model with a sampler, its steps and their shift: those given, else the model's own."""
        distilled = self.kind == "ldm-distilled"
        if distilled and options.guidance != 1:
            raise UserError(f"{self.checkpoint.path} is distilled with its guidance built in: leave out --guidance")
        own = {"sampler": "dpmpp_2m", "steps": LATENT_STEPS, "shift": LATENT_SHIFT}
        if distilled:
            own = {"sampler": "ddim", "steps": self.checkpoint.options.steps, "shift": self.checkpoint.options.shift}
        return replace(options, **{name: getattr(options, name) or value for name, value in own.items()})

    def describe(self):
        """Which model this is and what computes it, for a result.json."""
        progress = self.checkpoint.progress
        return {
            "tree": TREE.name,
            "model": self.kind,
            "checkpoint": digest(self.checkpoint.path),
            "epochs": progress.epoch,
            "training_minutes": progress.seconds / 60,
            **describe(self.accelerator),
        }


def load_ddpm(options):
    """The pixel model of a tst script's options, ready to draw."""
    accelerator = make_accelerator(options.device, options.precision)
    checkpoint = load_checkpoint(find_checkpoint(options.checkpoint, "ddpm"), "ddpm")
    unet = ConditionalUNet(checkpoint.options.unet).eval()
    load_weights(unet, checkpoint, "model.")
    return Pipeline(accelerator, unet, checkpoint.options.diffusion, None, checkpoint)


def load_ldm(options):
    """The latent model of a tst script's options, its VAE included, ready to draw."""
    accelerator = make_accelerator(options.device, options.precision)
    kind = "ldm-distilled" if options.distilled else "ldm"
    checkpoint = load_checkpoint(find_checkpoint(options.checkpoint, kind), "ldm", "ldm-distilled")
    unet = ConditionalUNet(checkpoint.options.unet).eval()
    load_weights(unet, checkpoint, "model.")
    shape = (checkpoint.vae.latent_channels,)
    stats = checkpoint.take("latent.", {"mean": shape, "std": shape})
    latent_space = LatentSpace(load_vae(None, accelerator.device, carrier=checkpoint), stats["mean"], stats["std"])
    return Pipeline(accelerator, unet, checkpoint.options.diffusion, latent_space, checkpoint)


def output_folder(options, kind):
    """Where a tst script writes: --out, or the runs folder of this tree."""
    folder = options.out or TREE / "runs" / kind
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def draw(pipeline, options, kind):
    """Write samples.png, a grid, and process.png, a row a sample from noise to digit; print where they are."""
    folder = output_folder(options, kind)
    start = time.perf_counter()
    images = pipeline.images(options)
    seconds = time.perf_counter() - start
    save_png(folder / "samples.png", grid(images, columns=10))
    process, columns = pipeline.process(options)
    save_png(folder / "process.png", grid(process, columns))
    print(f"{folder / 'samples.png'}: {options.num} images in {seconds:.1f} s, {options.num / seconds:.0f} images/s")
    print(f"{folder / 'process.png'}: the denoising of the first {options.process_rows}")

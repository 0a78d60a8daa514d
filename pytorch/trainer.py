"""One training loop for the three train scripts."""
import math
import time
from pathlib import Path

import torch
from tqdm import tqdm

from common.checkpoint import Checkpoint, Progress, save_checkpoint
from common.cli import UserError
from common.noise import StepNoise, data_order
from common.runs import RunFolder
from common.schedule import ema_decay, learning_rate
from device import to_array
from sampler import load_weights

TREE = Path(__file__).resolve().parent


class Trainer:
    """A run: a model, its averaged weights, their optimiser, and the folder that keeps them.

    build() makes the model.
    """

    def __init__(self, options, accelerator, build):
        self.options, self.accelerator = options, accelerator
        self.folder = RunFolder(options.out or TREE / "runs" / options.kind, options)
        torch.manual_seed(options.seed)
        self.model, self.ema = build(), build()
        self.ema.load_state_dict(self.model.state_dict())
        self.ema.requires_grad_(False).to(self.accelerator.device).eval()
        optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=options.learning_rate, betas=(0.9, 0.99), weight_decay=options.weight_decay
        )
        self.wrapped, self.optimizer = self.accelerator.prepare(self.model, optimizer)
        self.progress = Progress()
        self.latent_space = None  # of a latent model: its checkpoint carries it
        self.resumed = None  # the checkpoint that the run goes on from
        if options.resume:
            self.restore()

    def fit(self, losses, count, preview):
        """Train on samples 0 to count - 1.

        losses(model, indices, noise) -> {"loss": scalar, and its parts}; preview(averaged model, path) draws a picture.
        """
        options, folder = self.options, self.folder
        steps_per_epoch = math.ceil(count / options.batch_size)
        total = options.epochs * steps_per_epoch
        begun = time.perf_counter() - self.progress.seconds
        order, share = None, self.progress.step / total
        bar = tqdm(total=total, initial=self.progress.step, desc=options.kind, unit="step", dynamic_ncols=True)
        while share < 1:
            epoch, first = divmod(self.progress.step, steps_per_epoch)
            if order is None or first == 0:
                order = data_order(options.seed, epoch, count)
            indices = order[first * options.batch_size : (first + 1) * options.batch_size]
            rate = learning_rate(options, self.progress.step, share)
            row = self.step(losses, indices, rate)

            step, seconds = self.progress.step + 1, time.perf_counter() - begun
            speed = len(indices) / (seconds - self.progress.seconds)
            folder.log(step=self.progress.step, epoch=step / steps_per_epoch, images_per_second=speed, **row)
            self.progress = Progress(step=step, epoch=step / steps_per_epoch, seconds=seconds)
            share = max(step / total, seconds / (60 * options.minutes) if options.minutes else 0)
            bar.update()
            bar.set_postfix_str(f"loss {row['loss']:.4f}, {speed:.0f} img/s", refresh=False)
            last_of_epoch = step % steps_per_epoch == 0
            if share >= 1 or step % options.save_every == 0:
                self.save()
            if share >= 1 or (last_of_epoch and (epoch + 1) % options.preview_every == 0):
                preview(self.ema, folder.picture(self.progress.epoch))
                folder.draw_losses(f"{options.kind}: training loss")
        bar.close()
        print(f"{folder.folder}: {self.progress.epoch:.1f} epochs in {self.progress.seconds / 60:.1f} minutes")

    def step(self, losses, indices, rate):
        """One AdamW step on these samples; its losses, the gradient's norm and the learning rate."""
        noise = StepNoise(self.options.seed, self.progress.step, len(indices))
        with self.accelerator.autocast():
            parts = losses(self.wrapped, indices, noise)
        self.accelerator.backward(parts["loss"])
        norm = self.accelerator.clip_grad_norm_(self.model.parameters(), self.options.clip_norm).item()
        row = {name: value.item() for name, value in parts.items()}
        if not math.isfinite(norm + row["loss"]):
            raise UserError(
                f"the loss is {row['loss']}, its gradient {norm}, at step {self.progress.step}: training stopped; "
                f"{self.folder.last_good()} Try a smaller --learning-rate, or --precision fp32."
            )
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad()
        decay = ema_decay(self.options, self.progress.step)
        with torch.no_grad():
            for average, weight in zip(self.ema.parameters(), self.model.parameters()):
                average.lerp_(weight, 1 - decay)
        return {**row, "grad_norm": norm, "learning_rate": rate}

    def save(self):
        """Write the checkpoint: averaged weights, and all that --resume needs."""
        tensors = {f"model.{name}": to_array(value) for name, value in self.ema.state_dict().items()}
        for name, weight in self.model.named_parameters():
            tensors[f"train.weight.{name}"] = to_array(weight)
            for moment in ("exp_avg", "exp_avg_sq"):
                tensors[f"train.{moment}.{name}"] = to_array(self.optimizer.state[weight][moment])
        vae = None
        if self.latent_space:
            vae = self.latent_space.vae.config
            tensors |= {f"vae.{name}": to_array(value) for name, value in self.latent_space.vae.state_dict().items()}
            tensors["latent.mean"] = to_array(self.latent_space.mean).ravel()
            tensors["latent.std"] = to_array(self.latent_space.std).ravel()
        self.folder.flush()
        save_checkpoint(self.folder.checkpoint, Checkpoint(self.options, tensors, self.progress, vae))

    def restore(self):
        """Go on from the run's checkpoint, bit for bit."""
        self.resumed = checkpoint = self.folder.load_resumed(self.options)
        load_weights(self.ema, checkpoint, "model.")
        load_weights(self.model, checkpoint, "train.weight.")
        shapes = {name: tuple(weight.shape) for name, weight in self.model.named_parameters()}
        moments = {m: checkpoint.take(f"train.{m}.", shapes) for m in ("exp_avg", "exp_avg_sq")}
        self.progress = checkpoint.progress
        for name, weight in self.model.named_parameters():
            state = {m: torch.from_numpy(arrays[name]).to(weight.device) for m, arrays in moments.items()}
            self.optimizer.state[weight] = {"step": torch.tensor(float(self.progress.step)), **state}
        self.folder.keep_metrics(self.progress.step)

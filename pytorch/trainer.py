"""One training loop for the three train scripts."""
import math
import signal
from pathlib import Path

import numpy as np
import torch

from common.checkpoint import Checkpoint, save_checkpoint
from common.noise import StepNoise
from common.runs import Run
from common.schedule import ema_decay
from device import to_array, to_tensor
from sampler import load_weights

TREE = Path(__file__).resolve().parent


class Trainer:
    """A model, its averaged weights and their optimiser, in a run that keeps them. build() makes the model."""

    def __init__(self, options, accelerator, build):
        self.options, self.accelerator = options, accelerator
        self.run = Run(options.out or TREE / "runs" / options.kind, options, accelerator.is_main_process)
        torch.manual_seed(options.seed)
        self.model, self.ema = build(), build()
        self.ema.load_state_dict(self.model.state_dict())
        self.ema.requires_grad_(False).to(accelerator.device).eval()
        optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=options.learning_rate, betas=(0.9, 0.99), weight_decay=options.weight_decay
        )
        self.wrapped, self.optimizer = accelerator.prepare(self.model, optimizer)
        self.latent_space = None  # of a latent model: its checkpoint carries it
        if self.run.resumed:
            self.restore(self.run.resumed)

    def start_from(self, checkpoint):
        """Begin a new run with the weights of a trained model; a resumed run has its own."""
        if not self.run.resumed:
            load_weights(self.model, checkpoint, "model.")
            load_weights(self.ema, checkpoint, "model.")

    def fit(self, losses, count, preview):
        """Train on samples 0 to count - 1.

        losses(model, indices, noise) -> {"loss": scalar, and its parts}; preview(averaged model, path) draws a picture.
        """
        for indices, learning_rate in self.run.batches(count):
            self.step(losses, indices, learning_rate)
            if self.run.save_due():
                self.save()
            if self.run.picture_due():
                self.draw(preview)
        if not self.run.save_due():
            self.save()
        self.run.interrupted()
        if not self.run.picture_due():
            self.draw(preview)
        if self.run.writes:
            progress = self.run.progress
            print(f"{self.run.folder}: {progress.epoch:.1f} epochs in {progress.seconds / 60:.1f} minutes")

    def draw(self, preview):
        """The averaged model's picture, and the losses'."""
        if self.run.writes:
            preview(self.ema, self.run.picture())
            self.run.drawn()

    def step(self, losses, indices, learning_rate):
        """One AdamW step on these samples, and what it does to the averaged weights."""
        step, processes = self.run.progress.step, self.accelerator.num_processes
        part = slice(self.accelerator.process_index, None, processes)  # of the batch: this process's
        weight = len(indices[part]) * processes / len(indices)  # so that the mean over processes is the batch's
        if weight == 0:
            part = slice(0, 1)  # a batch smaller than the number of processes: any image, at no weight
        with self.accelerator.autocast():
            noise = StepNoise(self.options.seed, step, len(indices), part)
            parts = losses(self.wrapped, indices[part], noise)
        self.accelerator.backward(parts["loss"] * weight if processes > 1 else parts["loss"])
        grad_norm = self.accelerator.clip_grad_norm_(self.model.parameters(), self.options.clip_norm).item()
        values, seconds = self.agree({name: part.item() for name, part in parts.items()}, weight)
        if not math.isfinite(values["loss"] + grad_norm):
            self.run.stop(f"training stopped: the loss is {values['loss']}, its gradient's norm {grad_norm},")
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.optimizer.step()
        self.optimizer.zero_grad()
        with torch.no_grad():
            for average, weight in zip(self.ema.parameters(), self.model.parameters()):
                average.lerp_(weight, 1 - ema_decay(self.options, step))
        self.run.record(
            len(indices), values, seconds=seconds, grad_norm=grad_norm, learning_rate=learning_rate
        )

    def agree(self, values, weight):
        """Losses of the whole batch and the first process's clock; a signal to one process becomes everyone's."""
        run, processes = self.run, self.accelerator.num_processes
        if processes == 1:
            run.stopped_by = next(iter(run.signals), None)
            return values, run.clock()
        mine = [*(weight * value for value in values.values()), len(run.signals), run.writes * run.clock()]
        mine = to_tensor(np.array(mine, np.float32), self.accelerator.device)
        *sums, signals, seconds = to_array(self.accelerator.reduce(mine, "sum")).tolist()
        if signals:
            run.stopped_by = next(iter(run.signals), signal.SIGTERM)
        return {name: value / processes for name, value in zip(values, sums)}, seconds

    def save(self):
        """Write the checkpoint: averaged weights, and all that --resume needs."""
        if not self.run.writes:
            return
        tensors = {f"model.{name}": to_array(value) for name, value in self.ema.state_dict().items()}
        for name, weight in self.model.named_parameters():
            tensors[f"train.weight.{name}"] = to_array(weight)
            tensors[f"train.exp_avg.{name}"] = to_array(self.optimizer.state[weight]["exp_avg"])
            tensors[f"train.exp_avg_sq.{name}"] = to_array(self.optimizer.state[weight]["exp_avg_sq"])
        vae = self.latent_space.vae if self.latent_space else None
        if vae:
            tensors |= {f"vae.{name}": to_array(value) for name, value in vae.state_dict().items()}
            tensors["latent.mean"] = to_array(self.latent_space.mean).ravel()
            tensors["latent.std"] = to_array(self.latent_space.std).ravel()
        self.run.flush()  # so that metrics.csv has every step before the checkpoint's
        save_checkpoint(
            self.run.checkpoint, Checkpoint(self.options, tensors, self.run.progress, vae.config if vae else None)
        )

    def restore(self, checkpoint):
        """Go on from a checkpoint of this run, bit for bit."""
        load_weights(self.ema, checkpoint, "model.")
        load_weights(self.model, checkpoint, "train.weight.")
        shapes = {name: tuple(weight.shape) for name, weight in self.model.named_parameters()}
        exp_avg, exp_avg_sq = (checkpoint.take(f"train.{moment}.", shapes) for moment in ("exp_avg", "exp_avg_sq"))
        for name, weight in self.model.named_parameters():
            self.optimizer.state[weight] = {
                "step": torch.tensor(float(checkpoint.progress.step)),
                "exp_avg": torch.from_numpy(exp_avg[name]).to(weight.device),
                "exp_avg_sq": torch.from_numpy(exp_avg_sq[name]).to(weight.device),
            }

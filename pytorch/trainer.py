"""One training loop for all training scripts."""
import torch

from common.run import Run
from common.schedule import ema_decay, learning_rate
from device import TREE, load_weights, sum_over_processes, to_array
from optimizer import Muon


class Trainer:
    """A model, its averaged weights and their optimiser, in a run that keeps them. build() makes the model."""

    def __init__(self, options, accelerator, build):
        self.options, self.accelerator = options, accelerator
        self.run = Run(options, TREE, accelerator, sum_over_processes)
        torch.manual_seed(options.seed)
        self.model, self.ema = build(), build()
        self.ema.load_state_dict(self.model.state_dict())
        self.ema.requires_grad_(False).to(accelerator.device).eval()
        self.wrapped = accelerator.prepare(self.model)
        self.optimizer = Muon(self.model, options.weight_decay)
        if self.run.resumed:
            self.restore(self.run.resumed)

    def fit(self, losses, count, preview, latent_space=None):
        """Take all the steps()."""
        for _ in self.steps(losses, count, preview, latent_space):
            pass

    def steps(self, losses, count, preview, latent_space=None):
        """Train on samples 0 to count - 1, a step for each next(), until the epochs or the minutes are spent.

        losses(model, indices, noise) -> {"loss": scalar, and its parts}; preview(averaged model) -> a picture, uint8
        (H, W); latent_space: what the checkpoint of a latent model carries. UserError where the loss is not finite;
        SystemExit after SIGINT or SIGTERM, with a checkpoint.
        """
        run, accelerator, self.latent_space = self.run, self.accelerator, latent_space
        with run.training(count):
            if run.finished and run.preview_due:  # a resumed run that ended before its last picture
                run.save_preview(preview(self.ema))
            while not run.finished:
                indices, noise, weight = run.next_batch()
                rate = learning_rate(self.options, run.progress.step, run.fraction_done)
                with accelerator.autocast():
                    parts = losses(self.wrapped, indices, noise)
                accelerator.backward(parts["loss"] * weight)
                grad_norm = accelerator.clip_grad_norm_(self.model.parameters(), self.options.clip_norm).item()
                parts = run.check({name: part.item() for name, part in parts.items()}, grad_norm)

                self.optimizer.step(rate)
                with torch.no_grad():
                    decay = ema_decay(self.options, run.progress.step)
                    for average, current in zip(self.ema.parameters(), self.model.parameters()):
                        average.lerp_(current, 1 - decay)

                run.record(parts, grad_norm=grad_norm, learning_rate=rate)
                if run.save_due:
                    self.save()
                if run.preview_due:
                    run.save_preview(preview(self.ema))
                yield

    def save(self):
        """Write the checkpoint: averaged weights, and all that --resume needs."""
        tensors = {f"model.{name}": to_array(value) for name, value in self.ema.state_dict().items()}
        for part, values in self.optimizer.state.items():
            tensors |= {f"train.{part}.{name}": to_array(value) for name, value in values.items()}
        space = self.latent_space
        if space:
            tensors |= {f"vae.{name}": to_array(value) for name, value in space.vae.state_dict().items()}
            tensors |= {"latent.mean": to_array(space.mean).ravel(), "latent.std": to_array(space.std).ravel()}
        self.run.save(tensors, space and space.vae.config)

    def restore(self, checkpoint):
        """Go on from a checkpoint of this run, bit for bit."""
        load_weights(self.ema, checkpoint, "model.")
        for part, values in self.optimizer.state.items():
            found = checkpoint.take(f"train.{part}.", {name: tuple(value.shape) for name, value in values.items()})
            for name, array in found.items():
                values[name].data.copy_(torch.from_numpy(array))
        self.optimizer.steps = checkpoint.progress.step

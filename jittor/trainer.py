"""One training loop for all training scripts."""
from common.run import Run
from common.schedule import ema_decay, learning_rate
from device import TREE, load_weights, sum_over_processes, to_array
from environment import jt
from optimizer import Muon

ADVERSARIAL = {"betas": (0.0, 0.99), "matrices": False}  # with a discriminator Adam without momentum does better
DISCRIMINATOR = {**ADVERSARIAL, "scale": 4}  # its rate, times the model's


class Trainer:
    """A model, its averaged weights and their optimiser, in a run that keeps them. build() makes the model.

    A discriminator, if there is one, is trained beside it, by its own loss.
    """

    def __init__(self, options, accelerator, build, build_discriminator=None):
        self.options, self.accelerator = options, accelerator
        self.run = Run(options, TREE, accelerator, sum_over_processes)
        jt.set_global_seed(options.seed, different_seed_for_mpi=False)  # the same weights everywhere
        self.model, self.ema = build(), build()
        self.ema.load_state_dict(self.model.state_dict(to="numpy"))  # a Var would be shared
        self.ema.eval()  # without gradients
        self.wrapped = accelerator.prepare(self.model)
        chosen = ADVERSARIAL if build_discriminator else {}
        self.optimizers = {"loss": Muon(self.model, options.weight_decay, **chosen)}  # whose weights each loss moves
        if build_discriminator:
            discriminator = build_discriminator()
            self.discriminator = accelerator.prepare(discriminator)
            self.optimizers["discriminator"] = Muon(discriminator, options.weight_decay, **DISCRIMINATOR)
        if self.run.resumed:
            self.restore(self.run.resumed)

    def fit(self, losses, count, preview, latent_space=None):
        """Take all the steps()."""
        for _ in self.steps(losses, count, preview, latent_space):
            pass

    def steps(self, losses, count, preview, latent_space=None):
        """Train on samples 0 to count - 1, a step for each next(), until the epochs or the minutes are spent.

        losses(model, indices, noise) -> {"loss": scalar, its parts, and "discriminator": its loss, while that learns};
        preview(averaged model) -> a picture, uint8 (H, W); latent_space: what the checkpoint of a latent model carries.
        UserError where a loss is not finite; SystemExit after SIGINT or SIGTERM, with a checkpoint.
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
                moved = {name: optimizer for name, optimizer in self.optimizers.items() if name in parts}
                for name, optimizer in moved.items():
                    optimizer.backward(parts[name] * weight, accelerator)
                norms = [optimizer.clip(self.options.clip_norm, accelerator) for optimizer in moved.values()]
                grad_norm = norms[0].item()
                idle = dict.fromkeys(self.optimizers.keys() - parts.keys(), 0.0)  # the discriminator before it learns
                values = run.reduce({name: part.item() for name, part in parts.items()} | idle, grad_norm)

                for optimizer in moved.values():
                    optimizer.step(rate)
                with jt.no_grad():
                    decay = ema_decay(self.options, run.progress.step)
                    for average, current in zip(self.ema.parameters(), self.model.parameters()):
                        average.update(average + (1 - decay) * (current - average))
                jt.sync(self.ema.parameters())  # Jittor is lazy: unsynced, the graph grows with every step

                run.record(values, grad_norm=grad_norm, learning_rate=rate)
                if run.save_due:
                    self.save()
                if run.preview_due:
                    run.save_preview(preview(self.ema))
                yield

    def save(self):
        """Write the checkpoint: averaged weights, and all that --resume needs."""
        tensors = {f"model.{name}": to_array(value) for name, value in self.ema.state_dict().items()}
        for part, values in self.state():
            tensors |= {f"train.{part}.{name}": to_array(value) for name, value in values.items()}
        space = self.latent_space
        if space:
            tensors |= {f"vae.{name}": to_array(value) for name, value in space.vae.state_dict().items()}
            tensors |= {"latent.mean": to_array(space.mean).ravel(), "latent.std": to_array(space.std).ravel()}
        self.run.save(tensors, space and space.vae.config)

    def restore(self, checkpoint):
        """Go on from a checkpoint of this run, bit for bit."""
        load_weights(self.ema, checkpoint, "model.")
        for part, values in self.state():
            found = checkpoint.take(f"train.{part}.", {name: tuple(value.shape) for name, value in values.items()})
            for name, array in found.items():
                values[name].update(jt.array(array))
        jt.sync_all()  # else the first step's kernels are fused with these arrays, and round otherwise

    def state(self):
        """What the optimisers keep, as pairs of a name and {weight's name: tensor}."""
        return [(f"{loss}.{part}", values) for loss, o in self.optimizers.items() for part, values in o.state.items()]

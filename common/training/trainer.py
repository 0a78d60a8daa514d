"""The training loop of all training scripts, in both frameworks; optimizers hide the difference between them."""
import math
import time

from common.diffusion.schedule import ema_decay, learning_rate
from common.training.batches import Batches
from common.training.clock import Clock
from common.training.log import Log
from common.training.stop import Stop


class Trainer:
    """Trains a model, keeps an average of its weights, and trains other networks beside it, such as a discriminator.

    players {name: (build, optimizer)}: the networks, "model" first, each with a loss of its own; build() -> module,
    optimizer(module, weight_decay) -> optimizer. run: saves checkpoints, and with them space, Pixels or Latents."""

    def __init__(self, run, space, players):
        self.run, self.space, self.device = run, space, run.device
        self.modules, self.optimizers = {}, {}
        initial = run.resumed or run.initial_checkpoint()
        self.device.seed(run.options.training.seed)
        for name, (build, optimizer) in players.items():
            module = build()
            if name == "model":
                if initial:  # frozen weights too, which no optimizer restores
                    begun = initial if run.resumed else initial.adapted(module, self.device)
                    begun.fill(module, "model.", self.device)
                self.ema = self.device.freeze(self.device.fill(build(), self.device.arrays(module)))
            self.modules[name] = self.device.prepare(module)
            self.optimizers[name] = optimizer(module, run.options.training.weight_decay)
        if run.resumed:
            self.restore(run.resumed)
        elif initial and run.device.is_main_process:
            self.note_differences(initial)

    def note_differences(self, initial):
        """Print what differs, apart from weights, in the checkpoint that this training begins with."""
        run, process = self.run, lambda options: getattr(options, "diffusion", None)
        conditional = run.options.kind != "vae"
        vae = lambda tensors: {n: a.astype("f4").tobytes() for n, a in tensors.items() if n.startswith("vae.")}
        differs = {
            "another VAE": vae(self.space.tensors(self.device)) != vae(initial.tensors),
            "another diffusion process": process(run.options) != process(initial.options),
            "other measures": conditional and [*run.spec.measures] != [*initial.spec.measures],
            "other classes": conditional and run.spec.classes != initial.spec.classes,
        }
        if names := [name for name, it_does in differs.items() if it_does]:
            print(f"note: {initial.path} had {', '.join(names)}: this training must learn that again")

    def fit(self, losses, count, preview):
        """Take all steps()."""
        for _ in self.steps(losses, count, preview):
            pass

    def steps(self, losses, count, preview):
        """Train on samples 0 to count - 1, one step per next(), until the epochs or the minutes are over.

        losses(modules, batch, done) -> ({player: loss}, for the players to train in this step; {name: other scalar to
        log}), where done is the fraction of training that is over; preview(averaged model) -> picture, uint8.
        UserError if a loss or a gradient is not finite; SystemExit after a signal in STOPPING, with a checkpoint."""
        run, device, options = self.run, self.device, self.run.options.training
        batches = Batches(options.seed, count, options.batch_size, device.process_index, device.num_processes)
        epochs = options.epochs or (None if options.minutes else math.ceil(run.options.images / count))
        clock = Clock(epochs, options.minutes, batches.epoch_steps, run.progress)
        with Stop() as stop, Log(run, clock) as log:
            if log.active and clock.done >= 1:  # a resumed run that ended before its last picture
                log.picture(clock, preview(self.ema))
            while clock.done < 1 and not stop.signal:
                batch, start = batches[clock.step], time.perf_counter()
                rate = learning_rate(options, clock.step, clock.done)
                with device.autocast():
                    player_losses, logged = losses(self.modules, batch, clock.done)
                for name, loss in player_losses.items():
                    self.optimizers[name].backward(loss * batch.weight, device)
                norms = {name: self.optimizers[name].clip(options.clip_norm, device).item() for name in player_losses}
                values, seconds = run.agree(self.numbers(player_losses, logged), batch.weight, clock.lap(), stop)
                run.check_finite(clock.step, values, norms)

                for name in player_losses:
                    self.optimizers[name].step(rate)
                self.optimizers["model"].average_into(self.ema, ema_decay(options, clock.step))

                part = clock.part(options.preview_every)
                clock.advance(seconds, values["loss"])
                speed = batch.size / (time.perf_counter() - start)
                log.row(clock, values, grad_norm=norms["model"], learning_rate=rate, images_per_second=speed)
                shown = clock.done >= 1 or clock.part(options.preview_every) > part
                if log.active and (shown or stop.signal or clock.step % options.save_every == 0):
                    log.flush()
                    self.save(clock.progress)
                if log.active and shown and not stop.signal:
                    log.picture(clock, preview(self.ema))
                yield
        run.end(clock, stop.signal)

    def numbers(self, player_losses, logged):
        """A step's scalars as numbers: the model's loss, those to log, the other players' losses (0 if idle)."""
        each = {name: player_losses[name].item() if name in player_losses else 0.0 for name in self.modules}
        return {"loss": each.pop("model"), **{name: value.item() for name, value in logged.items()}, **each}

    def save(self, progress):
        """Write the checkpoint: the averaged weights, and the state that --resume needs."""
        tensors = {f"model.{name}": array for name, array in self.device.arrays(self.ema).items()}
        for player, optimizer in self.optimizers.items():
            for part, values in optimizer.state.items():
                tensors |= {f"train.{player}.{part}.{name}": self.device.array(x) for name, x in values.items()}
        self.run.save(tensors | self.space.tensors(self.device), progress, self.space.vae and self.space.vae.config)

    def restore(self, checkpoint):
        """Continue from a checkpoint of this run, bit for bit."""
        checkpoint.fill(self.ema, "model.", self.device)
        for player, optimizer in self.optimizers.items():
            for part, values in optimizer.state.items():
                shapes = {name: tuple(value.shape) for name, value in values.items()}
                optimizer.restore(part, checkpoint.take(f"train.{player}.{part}.", shapes))

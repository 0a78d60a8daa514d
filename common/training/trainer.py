"""One training loop, of all training scripts and of both frameworks: what these differ in is the optimizer's."""
import time

from common.diffusion.schedule import ema_decay, learning_rate
from common.training.batches import Batches
from common.training.clock import Clock
from common.training.log import Log
from common.training.stop import Stop


class Trainer:
    """A model and its averaged weights, and the players beside it, if any, in a run that keeps them.

    players {name: (build, optimizer)}: networks trained together, "model" first, each on its own loss; build() ->
    module, optimizer(module, weight_decay) -> optimizer. space: of x_0, which the checkpoint keeps."""

    def __init__(self, run, space, players):
        self.run, self.space, self.device = run, space, run.device
        self.modules, self.optimizers = {}, {}
        self.device.seed(run.options.training.seed)
        for name, (build, optimizer) in players.items():
            module = build()
            if name == "model":
                self.ema = self.device.freeze(self.device.fill(build(), self.device.arrays(module)))
            self.modules[name] = self.device.prepare(module)
            self.optimizers[name] = optimizer(module, run.options.training.weight_decay)
        if run.resumed:
            self.restore(run.resumed)

    def fit(self, losses, count, preview):
        """Take all the steps()."""
        for _ in self.steps(losses, count, preview):
            pass

    def steps(self, losses, count, preview):
        """Train on samples 0 to count - 1, a step for each next(), until the epochs or the minutes are spent.

        losses(modules, batch, done) -> {player: its loss}, without players that are idle, and {name: other scalar to
        log}; preview(averaged model) -> a picture, uint8 (H, W). UserError if a loss or a gradient is not finite;
        SystemExit after SIGINT or SIGTERM, with a checkpoint."""
        run, device, options = self.run, self.device, self.run.options.training
        batches = Batches(options.seed, count, options.batch_size, device.process_index, device.num_processes)
        clock = Clock(options.epochs, options.minutes, batches.epoch_steps, run.progress)
        preview_steps = clock.epoch_steps * options.preview_every
        with Stop() as stop, Log(run, clock) as log:
            if log.active and clock.done >= 1:  # a resumed run that ended before its last picture
                log.picture(clock, preview(self.ema))
            while clock.done < 1 and not stop.signal:
                batch, start = batches[clock.step], time.perf_counter()
                rate = learning_rate(options, clock.step, clock.done)
                with device.autocast():
                    found, logged = losses(self.modules, batch, clock.done)
                for name, loss in found.items():
                    self.optimizers[name].backward(loss * batch.weight, device)
                norms = {name: self.optimizers[name].clip(options.clip_norm, device).item() for name in found}
                values, seconds = run.agree(self.numbers(found, logged), batch.weight, clock.lap(), stop)
                run.check_finite(clock.step, values, norms)

                for name in found:
                    self.optimizers[name].step(rate)
                self.optimizers["model"].average_into(self.ema, ema_decay(options, clock.step))

                clock.advance(seconds)
                speed = batch.size / (time.perf_counter() - start)
                log.row(clock, values, grad_norm=norms["model"], learning_rate=rate, images_per_second=speed)
                last = clock.done >= 1
                if log.active and (last or stop.signal or clock.step % options.save_every == 0):
                    log.flush()
                    self.save(clock.progress)
                if log.active and not stop.signal and (last or clock.step % preview_steps == 0):
                    log.picture(clock, preview(self.ema))
                yield
        run.end(clock, stop.signal)

    def numbers(self, found, logged):
        """All scalars of a step as numbers: the model's loss, those that are logged, the other players' (idle: 0)."""
        others = {name: found[name].item() if name in found else 0.0 for name in self.modules if name != "model"}
        return {"loss": found["model"].item(), **{name: value.item() for name, value in logged.items()}, **others}

    def save(self, progress):
        """Write the checkpoint: averaged weights, and all that --resume needs."""
        tensors = {f"model.{name}": array for name, array in self.device.arrays(self.ema).items()}
        for player, optimizer in self.optimizers.items():
            for part, values in optimizer.state.items():
                tensors |= {f"train.{player}.{part}.{name}": self.device.array(x) for name, x in values.items()}
        self.run.save(tensors | self.space.tensors(self.device), progress, self.space.vae and self.space.vae.config)

    def restore(self, checkpoint):
        """Go on from a checkpoint of this run, bit for bit."""
        checkpoint.fill(self.ema, "model.", self.device)
        for player, optimizer in self.optimizers.items():
            for part, values in optimizer.state.items():
                shapes = {name: tuple(value.shape) for name, value in values.items()}
                optimizer.restore(part, checkpoint.take(f"train.{player}.{part}.", shapes))

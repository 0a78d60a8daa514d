"""A training run but for the framework: its folder, its progress, its metrics, when to save and when to draw."""
import csv
import math
import sys
import time
from pathlib import Path

from tqdm import tqdm

from common.checkpoint import Progress, load_checkpoint, to_json, write_atomically, write_json
from common.cli import UserError, lock, naming, signals_noted
from common.figure import loss_curve
from common.noise import data_order
from common.paths import CHECKPOINT
from common.schedule import learning_rate

MAY_CHANGE = (
    "out", "resume", "epochs", "minutes", "device", "save_every", "preview_every", "tensorboard", "vae_checkpoint"
)  # fmt: skip


class Run:
    """options.json, metrics.csv (a row a step), loss.png, epoch-*.png and checkpoint.safetensors in one folder.

    UserError where the folder holds a run already, or none to resume, or another process is at it. Of several processes
    that train together only the first writes.
    """

    def __init__(self, folder, options, writes=True):
        self.folder, self.options, self.writes = Path(folder), options, writes
        self.checkpoint = self.folder / CHECKPOINT
        self.metrics = self.folder / "metrics.csv"
        there = self.checkpoint.is_file()
        if options.resume is True and not there:
            raise UserError(f"{self.checkpoint} does not exist, so there is nothing to go on from: leave out --resume")
        if there and not options.resume:
            raise UserError(f"{self.folder} holds a run: --resume goes on with it, --out starts another elsewhere")
        if writes:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.lock = lock(self.folder)
        self.resumed = self.load() if there else None  # the checkpoint that the run goes on from
        self.progress = self.resumed.progress if self.resumed else Progress()
        self.begun = time.perf_counter() - self.progress.seconds
        self.signals = []  # that came to this process
        self.stopped_by = None  # the signal that ends the run after this step, in all processes
        self.rows = []  # of metrics.csv, not yet written
        if writes:
            write_json(self.folder / "options.json", to_json(options))
        self.events = None
        if writes and options.tensorboard:
            from common.events import Events  # costs nothing where it is off

            self.events = Events(self.folder / "tensorboard", self.progress.step)

    def load(self):
        """The checkpoint to go on from; UserError where its run had other options than now, but for MAY_CHANGE."""
        checkpoint = load_checkpoint(self.checkpoint, self.options.kind)
        before, now = to_json(checkpoint.options), to_json(self.options)
        changed = [f"{name}={before[name]}" for name in now if before[name] != now[name] and name not in MAY_CHANGE]
        if changed:
            raise UserError(f"{self.checkpoint} has {', '.join(changed)}: resume with that, or choose another --out")
        return checkpoint

    def batches(self, count):
        """Yield (indices of samples 0 to count - 1, learning rate) until the epochs or the minutes are spent.

        Each is to be answered with record(); each epoch holds each index once. A signal ends it too: see interrupted().
        """
        options, self.resumed_at = self.options, self.progress.step
        self.steps_per_epoch = math.ceil(count / options.batch_size)
        total = options.epochs * self.steps_per_epoch
        self.begun = time.perf_counter() - self.progress.seconds
        if self.resumed_at and self.writes:
            self.keep_metrics(self.resumed_at)
        look = {"desc": options.kind, "unit": "step", "dynamic_ncols": True, "disable": not self.writes}
        bar = tqdm(total=total, initial=self.resumed_at, **look)
        with signals_noted() as self.signals, bar as self.bar:
            while (share := self.share(total)) < 1 and not self.stopped_by:
                epoch, first = divmod(self.progress.step, self.steps_per_epoch)
                if first == 0 or self.progress.step == self.resumed_at:
                    order = data_order(options.seed, epoch, count)
                indices = order[first * options.batch_size : (first + 1) * options.batch_size]
                yield indices, learning_rate(options, self.progress.step, share)

    def share(self, total):
        """The share of the epochs or of the minutes that is spent, in [0, 1]."""
        minutes = self.progress.seconds / (60 * self.options.minutes) if self.options.minutes else 0
        return max(self.progress.step / total, minutes)

    def clock(self):
        """Seconds of training so far."""
        return time.perf_counter() - self.begun

    def record(self, images, losses, seconds, **rest):
        """Count a step on so many images that ended at this clock, and keep its row for metrics.csv."""
        step = self.progress.step
        speed = images / (seconds - self.progress.seconds)
        if step == self.resumed_at:  # --minutes leaves out the first step: it waits for the framework's kernels
            self.begun += seconds - self.progress.seconds
            seconds = self.progress.seconds
        self.progress = Progress(step=step + 1, epoch=(step + 1) / self.steps_per_epoch, seconds=seconds)
        row = {"step": step, "epoch": self.progress.epoch, **losses, **rest, "images_per_second": speed}
        self.rows.append({name: f"{value:.6g}" if isinstance(value, float) else value for name, value in row.items()})
        if self.events:
            self.events.scalars(**row)
        if len(self.rows) >= 50:
            self.flush()
        self.bar.update()
        self.bar.set_postfix_str(f"loss {losses['loss']:.4f}, {speed:.0f} img/s", refresh=False)

    def save_due(self):
        """Whether this step ends with a checkpoint; the run's end has one in any case."""
        return self.progress.step % self.options.save_every == 0

    def picture_due(self):
        """Whether this step ends with a picture; the run's end has one in any case."""
        return self.progress.step % (self.steps_per_epoch * self.options.preview_every) == 0

    def picture(self):
        """Path of the picture drawn now."""
        return self.folder / f"epoch-{self.progress.epoch:05.1f}.png"

    def drawn(self):
        """After the picture: draw loss.png from metrics.csv, and show TensorBoard the picture."""
        self.flush()
        if self.events:
            self.events.picture(self.progress.step, self.picture())
            self.events.flush()
        loss_curve(self.metrics, self.folder / "loss.png", f"{self.options.kind}: training loss")

    def flush(self):
        """Bring every row recorded so far into metrics.csv; the first of a run starts it anew, with a header."""
        if not self.rows or not self.writes:
            return
        new = self.rows[0]["step"] == 0
        with naming(self.metrics), open(self.metrics, "w" if new else "a", newline="") as file:
            writer = csv.DictWriter(file, self.rows[0].keys(), lineterminator="\n")
            if new:
                writer.writeheader()
            writer.writerows(self.rows)
        self.rows = []
        if self.events:
            self.events.flush()

    def keep_metrics(self, step):
        """Of an interrupted run, keep the rows of the steps before this one: those after it are done again."""
        with open(self.metrics, newline="") as file:
            header, *rows = csv.reader(file)
        kept = [row for row in rows if len(row) == len(header) and int(row[0]) < step]
        write_atomically(self.metrics, "".join(",".join(row) + "\n" for row in [header, *kept]).encode())

    def interrupted(self):
        """After the last batch, its checkpoint written: end the process as the signal asks that cut the run short."""
        if self.stopped_by:
            if self.writes:
                where = f"stopped at step {self.progress.step}, {self.checkpoint} is written"
                print(f"{where}: the same command with --resume goes on", file=sys.stderr)
            raise SystemExit(128 + self.stopped_by)

    def stop(self, reason):
        """End a run that has failed: a UserError that says what is left of it."""
        self.bar.close()
        left = f"the last good checkpoint is {self.checkpoint}" if self.checkpoint.is_file() else "no checkpoint yet"
        raise UserError(f"{reason} at step {self.progress.step}; {left}; try a smaller --learning-rate")

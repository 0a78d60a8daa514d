"""A training run's folder: its options, progress, metrics, pictures and checkpoint. The loop is the trainer's."""
import csv
import math
import signal
import sys
import time
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from common.checkpoint import Checkpoint, Progress, load_checkpoint, save_checkpoint, to_json
from common.errors import UserError
from common.figure import loss_curve
from common.files import CHECKPOINT, lock, os_errors_about, run_folder, write_atomically, write_json
from common.images import save_png
from common.noise import StepNoise, data_order
from common.schedule import learning_rate

MAY_CHANGE = (  # between the parts of a run
    "out", "resume", "epochs", "minutes", "device", "save_every", "preview_every", "tensorboard",
    "vae_checkpoint", "teacher",  # the checkpoint carries the VAE, and knows its teacher by digest
)  # fmt: skip
ROWS_IN_MEMORY = 50


class Batch(NamedTuple):
    """What one training step is made of, in this process."""

    indices: np.ndarray  # of this process's samples
    size: int  # samples over all processes
    weight: float  # of this process's loss, so that the mean over processes is the whole batch's
    noise: StepNoise
    learning_rate: float


class Run:
    """options.json, metrics.csv (a row per step), loss.png, epoch-*.png and checkpoint.safetensors in one folder.

    UserError where the folder holds a run already, or none to resume, or another process is at it. Of several processes
    that train together only the first writes; sum_over_processes([number, ...]) adds up what they have.
    """

    def __init__(self, options, tree, accelerator, sum_over_processes):
        self.options, self.accelerator, self.sum_over_processes = options, accelerator, sum_over_processes
        self.is_main_process = accelerator.is_main_process
        self.folder = options.out or run_folder(tree, options.kind)
        self.checkpoint = self.folder / CHECKPOINT
        self.metrics = self.folder / "metrics.csv"
        exists = self.checkpoint.is_file()
        if options.resume is True and not exists:
            raise UserError(f"{self.checkpoint} does not exist, so there is nothing to go on from: leave out --resume")
        if exists and not options.resume:
            raise UserError(f"{self.folder} holds a run: --resume goes on with it, --out starts another elsewhere")
        if self.is_main_process:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.lock = lock(self.folder)
        self.resumed = self.load() if exists else None  # the checkpoint that the run goes on from
        self.progress = self.resumed.progress if self.resumed else Progress()
        self.stopped_by = None  # the signal that ends the run after this step, in all processes
        self.rows = []  # of metrics.csv, not yet written
        if self.is_main_process:
            write_json(self.folder / "options.json", to_json(options))
        self.events = None
        if self.is_main_process and options.tensorboard:
            from tensorboardX import SummaryWriter  # costs nothing where it is off

            self.events = SummaryWriter(str(self.folder / "tensorboard"), purge_step=self.progress.step)

    def load(self):
        """The checkpoint to go on from; UserError where its run had other options, beyond MAY_CHANGE."""
        checkpoint = load_checkpoint(self.checkpoint, self.options.model)
        before, now = ({"kind": o.kind, **to_json(o)} for o in (checkpoint.options, self.options))
        other = {name: before.get(name) for name in now if name not in MAY_CHANGE and before.get(name) != now[name]}
        if other:
            had = ", ".join(f"{name}={value}" for name, value in other.items())
            raise UserError(f"{self.checkpoint} has {had}: resume with that, or choose another --out")
        return checkpoint

    @contextmanager
    def training(self, count):
        """Inside, steps are taken on samples 0 to count - 1, a bar shows them, and a signal ends the run in order."""
        self.count = count
        self.steps_per_epoch = math.ceil(count / self.options.batch_size)
        self.first_step = self.progress.step
        self.start = time.perf_counter() - self.progress.seconds
        if self.first_step and self.is_main_process:
            self.drop_metrics_from(self.first_step)
        total = self.options.epochs * self.steps_per_epoch
        bar_options = {"desc": self.options.kind, "unit": "step", "dynamic_ncols": True}
        bar = tqdm(total=total, initial=self.first_step, disable=not self.is_main_process, **bar_options)
        with signals_noted() as self.signals, bar as self.bar:
            yield
        if self.stopped_by:
            if self.is_main_process:
                where = f"stopped at step {self.progress.step}, {self.checkpoint} is written"
                print(f"{where}: the same command with --resume goes on", file=sys.stderr)
            raise SystemExit(128 + self.stopped_by)
        if self.is_main_process:
            print(f"{self.folder}: {self.progress.epoch:.1f} epochs in {self.progress.seconds / 60:.1f} minutes")

    @property
    def fraction_done(self):
        """The part of the epochs or of the minutes that is spent, in [0, 1]."""
        epochs = self.progress.step / (self.options.epochs * self.steps_per_epoch)
        return max(epochs, self.progress.seconds / (60 * self.options.minutes) if self.options.minutes else 0)

    @property
    def finished(self):
        """Whether no step is left, or a signal has come."""
        return self.stopped_by is not None or self.fraction_done >= 1

    @property
    def save_due(self):
        """Whether this process writes a checkpoint after this step: every so many, and after the last."""
        return self.is_main_process and (self.finished or self.progress.step % self.options.save_every == 0)

    @property
    def preview_due(self):
        """Whether this process draws a picture after this step: every so many epochs, and after the last step."""
        due = self.finished or self.progress.step % (self.steps_per_epoch * self.options.preview_every) == 0
        return self.is_main_process and due and not self.stopped_by

    def next_batch(self):
        """This process's part of the next step's samples; each epoch has each sample once."""
        step, options, accelerator = self.progress.step, self.options, self.accelerator
        epoch, position = divmod(step, self.steps_per_epoch)
        if position == 0 or step == self.first_step:
            self.order = data_order(options.seed, epoch, self.count)
        indices = self.order[position * options.batch_size : (position + 1) * options.batch_size]
        part = slice(accelerator.process_index, None, accelerator.num_processes)
        weight = len(indices[part]) * accelerator.num_processes / len(indices)
        if weight == 0:
            part = slice(0, 1)  # fewer samples than processes: any of them, at no weight
        noise = StepNoise(options.seed, step, len(indices), part)
        return Batch(indices[part], len(indices), weight, noise, learning_rate(options, step, self.fraction_done))

    def record(self, batch, losses, grad_norm):
        """Count a step, and keep its row for metrics.csv. UserError where its loss or gradient is not finite."""
        losses, seconds = self.mean_over_processes(batch, losses)
        step = self.progress.step
        if not math.isfinite(losses["loss"] + grad_norm):
            self.bar.close()
            saved = self.checkpoint.is_file()
            last = f"the last good checkpoint is {self.checkpoint}" if saved else "no checkpoint yet"
            reason = f"training stopped: the loss is {losses['loss']}, its gradient's norm {grad_norm}, at step {step}"
            raise UserError(f"{reason}; {last}; try a smaller --learning-rate")
        speed = batch.size / (seconds - self.progress.seconds)
        if step == self.first_step:  # --minutes leaves out the first step: it waits for the framework's kernels
            self.start += seconds - self.progress.seconds
            seconds = self.progress.seconds
        self.progress = Progress(step=step + 1, epoch=(step + 1) / self.steps_per_epoch, seconds=seconds)
        values = {"epoch": self.progress.epoch, **losses, "grad_norm": grad_norm}
        values |= {"learning_rate": batch.learning_rate, "images_per_second": speed}
        self.rows.append({"step": step, **{name: f"{value:.6g}" for name, value in values.items()}})
        for name, value in values.items() if self.events else ():
            self.events.add_scalar(name, value, step)
        if len(self.rows) >= ROWS_IN_MEMORY:
            self.write_metrics()
        self.bar.update()
        self.bar.set_postfix_str(f"loss {losses['loss']:.4f}, {speed:.0f} img/s", refresh=False)

    def mean_over_processes(self, batch, losses):
        """The whole batch's losses and the first process's clock; a signal to one process becomes everyone's."""
        seconds = time.perf_counter() - self.start
        count = self.accelerator.num_processes
        if count > 1:
            mine = [*(batch.weight * loss for loss in losses.values()), seconds * self.is_main_process]
            *sums, seconds, signals = self.sum_over_processes([*mine, len(self.signals)])
            losses = {name: total / count for name, total in zip(losses, sums)}
            self.signals = self.signals or [signal.SIGTERM] * int(signals)
        self.stopped_by = next(iter(self.signals), None)
        return losses, seconds

    def save(self, tensors, vae=None):
        """Write the checkpoint, after the metrics, so that those of every step before it are there."""
        self.write_metrics()
        save_checkpoint(self.checkpoint, Checkpoint(self.options, tensors, self.progress, vae))

    def save_preview(self, picture):
        """Write a picture, uint8 (H, W), of what the model has come to, and loss.png from metrics.csv."""
        self.write_metrics()
        save_png(self.folder / f"epoch-{self.progress.epoch:05.1f}.png", picture)
        loss_curve(self.metrics, self.folder / "loss.png", f"{self.options.kind}: training loss")
        if self.events:
            self.events.add_image("samples", picture, self.progress.step, dataformats="HW")
            self.events.flush()

    def write_metrics(self):
        """Bring every row recorded so far into metrics.csv; the first of a run starts it anew, with a header."""
        if not self.rows or not self.is_main_process:
            return
        new = self.rows[0]["step"] == 0
        with os_errors_about(self.metrics), open(self.metrics, "w" if new else "a", newline="") as file:
            writer = csv.DictWriter(file, self.rows[0].keys(), lineterminator="\n")
            if new:
                writer.writeheader()
            writer.writerows(self.rows)
        self.rows = []
        if self.events:
            self.events.flush()

    def drop_metrics_from(self, step):
        """Of an interrupted run, keep the rows of the steps before this one: those after it are done again."""
        with open(self.metrics, newline="") as file:
            header, *rows = csv.reader(file)
        kept = [row for row in rows if len(row) == len(header) and int(row[0]) < step]
        write_atomically(self.metrics, "".join(",".join(row) + "\n" for row in [header, *kept]).encode())


@contextmanager
def signals_noted():
    """While inside, SIGINT and SIGTERM end nothing: they are appended to the list that this yields."""
    came = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda number, frame: came.append(number)) for number in numbers}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

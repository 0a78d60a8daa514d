"""A training run's folder: its options, progress, metrics, pictures and checkpoint. The loop is the trainer's."""
import csv
import math
import signal
import sys
import time
from contextlib import contextmanager

from pydantic_core import to_jsonable_python
from tqdm import tqdm

from common.checkpoint import Checkpoint, Progress, load_checkpoint, save_checkpoint
from common.errors import UserError
from common.figure import loss_curve
from common.files import CHECKPOINT, damage_told, lock, os_errors_about, run_folder, write_atomically, write_json
from common.images import save_png
from common.noise import StepNoise, data_order

MAY_CHANGE = (  # between the parts of a run
    "out", "resume", "epochs", "minutes", "device", "save_every", "preview_every", "tensorboard",
    "teacher",  # which is known by its digest
)  # fmt: skip


class Run:
    """options.json, metrics.csv (a row per step), loss.png, epoch-*.png and checkpoint.safetensors in one folder.

    UserError where the folder holds a run already, or none to resume, or another process is at it. Of several processes
    that train together only the first writes; sum_over_processes(accelerator, numbers) adds up what they have.
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
        count, step = accelerator.num_processes, self.progress.step
        if count > 1 and sum_over_processes(accelerator, [step]) != [count * step]:
            raise UserError(f"{self.folder} is not the same to every process: it must be on a disk that they share")
        self.stopped_by = None  # the signal that ends the run after this step, in all processes
        if self.is_main_process:
            write_json(self.folder / "options.json", to_jsonable_python(options))
        self.events = None
        if self.is_main_process and options.tensorboard:
            from common.events import Events  # costs nothing where it is off

            self.events = Events(self.folder / "tensorboard", self.progress.step)

    def load(self):
        """The checkpoint to go on from; UserError where its run had other options, beyond MAY_CHANGE."""
        checkpoint = load_checkpoint(self.checkpoint, self.options.family)
        if checkpoint.options.kind != self.options.kind:
            raise UserError(f"{self.folder} holds a run of {checkpoint.options.script}: choose another --out")
        before, now = to_jsonable_python(checkpoint.options), to_jsonable_python(self.options)
        differ = [name for name in now if name not in MAY_CHANGE and before[name] != now[name]]
        changed = [f"{name}={before[name]!s:.80}" for name in differ]  # some are long tables
        if changed:
            raise UserError(f"{self.checkpoint} has {', '.join(changed)}: resume with that, or choose another --out")
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
            try:
                yield
            except RuntimeError:  # Jittor's, whose compilers Ctrl-C ends too
                if not self.signals:
                    raise
                self.stopped_by = self.signals[0]
        if self.stopped_by:
            if self.is_main_process:
                goes_on = f"the same command with --resume goes on from {self.checkpoint}"
                advice = goes_on if self.checkpoint.is_file() else "before the first checkpoint"
                print(f"stopped at step {self.progress.step}: {advice}", file=sys.stderr)
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
        """This process's part of the next step: (indices of samples, StepNoise, weight of its loss).

        Each epoch has each sample once. The weights make the mean over the processes the whole batch's.
        """
        step, options, accelerator = self.progress.step, self.options, self.accelerator
        epoch, position = divmod(step, self.steps_per_epoch)
        if position == 0 or step == self.first_step:
            self.order = data_order(options.seed, epoch, self.count)
        batch = self.order[position * options.batch_size : (position + 1) * options.batch_size]
        part = slice(accelerator.process_index, None, accelerator.num_processes)
        self.batch_size, self.weight = len(batch), len(batch[part]) * accelerator.num_processes / len(batch)
        if self.weight == 0:
            part = slice(0, 1)  # fewer samples than processes: any of them, at no weight
        return batch[part], StepNoise(options.seed, step, len(batch), part), self.weight

    def reduce(self, losses, grad_norm):
        """The losses of the whole batch, over all processes, which agree here on how long the step took and whether a
        signal ends the run. UserError where a loss or the gradient is not finite."""
        seconds = time.perf_counter() - self.start - self.progress.seconds  # of this step: they travel in float32
        came, count = next(iter(self.signals), None), self.accelerator.num_processes
        if count > 1:  # the first process's clock is everyone's, and so is a signal to any
            mine = [*(self.weight * loss for loss in losses.values()), seconds * self.is_main_process]
            *sums, seconds, signals = self.sum_over_processes(self.accelerator, [*mine, len(self.signals)])
            losses = {name: total / count for name, total in zip(losses, sums)}
            came = came or (signal.SIGTERM if signals else None)
        self.step_seconds, self.stopped_by = seconds, came
        if not math.isfinite(sum(losses.values()) + grad_norm):
            self.bar.close()
            saved = self.checkpoint.is_file()
            last = f"the last good checkpoint is {self.checkpoint}" if saved else "no checkpoint yet"
            values = ", ".join(f"{name} {value}" for name, value in (losses | {"gradient": grad_norm}).items())
            reason = f"training stopped at step {self.progress.step}: {values}"
            raise UserError(f"{reason}; {last}; try a smaller --learning-rate")
        return losses

    def record(self, losses, **others):
        """Count a step, and write its numbers."""
        step, seconds = self.progress.step, self.progress.seconds + self.step_seconds
        speed = self.batch_size / self.step_seconds
        if step == self.first_step:  # --minutes leaves out the first step: it waits for the framework's kernels
            self.start += self.step_seconds
            seconds = self.progress.seconds
        self.progress = Progress(step=step + 1, epoch=(step + 1) / self.steps_per_epoch, seconds=seconds)
        values = {"epoch": self.progress.epoch, **losses, **others, "images_per_second": speed}
        if self.is_main_process:
            self.append_metrics({"step": step, **{name: f"{value:.6g}" for name, value in values.items()}})
        if self.events:
            self.events.scalars(step, **values)
        self.bar.update()
        self.bar.set_postfix_str(f"loss {losses['loss']:.4f}, {speed:.0f} img/s", refresh=False)

    def save(self, tensors, vae=None):
        """Write the checkpoint, when the numbers of every step before it are on the disk."""
        if self.events:
            self.events.flush()
        save_checkpoint(self.checkpoint, Checkpoint(self.options, tensors, self.progress, vae))

    def save_preview(self, picture):
        """Write a picture, uint8 (H, W), of what the model has come to, and loss.png from metrics.csv."""
        path = self.folder / f"epoch-{self.progress.epoch:05.1f}.png"
        save_png(path, picture)
        loss_curve(self.metrics, self.folder / "loss.png", f"{self.options.kind}: training loss")
        if self.events:
            self.events.picture(self.progress.step, path)
            self.events.flush()

    def append_metrics(self, row):
        """One more row of metrics.csv; the first of a run starts the file anew, with a header."""
        new = row["step"] == 0
        with os_errors_about(self.metrics), open(self.metrics, "w" if new else "a", newline="") as file:
            writer = csv.DictWriter(file, row.keys(), lineterminator="\n")
            if new:
                writer.writeheader()
            writer.writerow(row)

    def drop_metrics_from(self, step):
        """Of an interrupted run, keep the rows of the steps before this one: those after it are done again."""
        with damage_told(self.metrics, "restore it, or begin another run with --out"):
            header, *rows = csv.reader(self.metrics.read_text().splitlines())
            kept = [row for row in rows if len(row) == len(header) and int(row[0]) < step]
            if len([float(number) for row in kept for number in row]) != step * len(header):
                raise ValueError(f"{len(kept)} steps of {step}")
        write_atomically(self.metrics, "".join(",".join(row) + "\n" for row in [header, *kept]).encode())


@contextmanager
def signals_noted():
    """While inside, SIGINT and SIGTERM end nothing: they are appended to the list that this yields."""
    came = []
    note = lambda number, frame: came.append(number)
    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

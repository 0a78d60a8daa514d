"""The log of a training run: metrics.csv, loss.png, epoch-*.png, a progress bar, TensorBoard event files."""
import csv
import os
import sys

from tqdm import tqdm

from common.errors import UserError
from common.figure import loss_curve
from common.files import catch_damage, os_errors_about, write_atomically
from common.images import save_png


class Log:
    """The log in a run's folder, continued from the clock's step; only the first of several processes writes.

    metrics.csv has a row per step, with the columns of its header."""

    def __init__(self, run, clock):
        self.folder, self.title, self.active = run.folder, run.options.kind, run.device.is_main_process
        self.metrics = self.folder / "metrics.csv"
        self.columns = drop_rows(self.metrics, clock.step, clock.loss) if clock.step and self.active else None
        self.events = None
        if run.options.training.tensorboard and self.active:
            from common.training.events import Events  # imported only where it is on

            self.events = Events(self.folder / "tensorboard", clock.step)
        limit = f", {clock.minutes:.3g} minutes" if clock.minutes else ""
        bar = {"desc": self.title + limit, "unit": "step", "dynamic_ncols": True, "disable": not self.active}
        self.bar = tqdm(total=clock.total, initial=clock.step, **bar)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.bar.close()

    def row(self, clock, losses, **others):
        """Write the numbers of the last counted step."""
        if not self.active:
            return
        step, values = clock.step - 1, {"epoch": clock.epoch, **losses, **others}
        row = {"step": step, **{name: f"{value:.6g}" for name, value in values.items()}}
        new = self.columns is None or not self.metrics.exists()  # somebody may have moved it
        self.columns = self.columns or list(row)
        with os_errors_about(self.metrics), open(self.metrics, "w" if new else "a", newline="") as file:
            writer = csv.DictWriter(file, self.columns, restval="nan", extrasaction="ignore", lineterminator="\n")
            if new:
                writer.writeheader()
            writer.writerow(row)
        if self.events:
            self.events.scalars(step, **values)
        self.bar.update()
        speed = f"loss {values['loss']:.4f}, {values['images_per_second']:.0f} img/s"
        self.bar.set_postfix_str(speed, refresh=False)

    def picture(self, clock, picture):
        """Write a preview picture, uint8 (H, W) or (H, W, 3), and redraw loss.png from metrics.csv."""
        path = self.folder / f"epoch-{clock.epoch:07.3f}.png"
        save_png(path, picture)
        loss_curve(self.metrics, self.folder / "loss.png", f"{self.title}: training loss")
        if self.events:
            self.events.picture(clock.step - 1, path)

    def flush(self):
        """Return when all rows are on the disk."""
        with os_errors_about(self.metrics), open(self.metrics, "ab") as file:
            os.fsync(file.fileno())


def drop_rows(metrics, step, loss=None):
    """Delete an interrupted run's rows from this step on, as they will be repeated; returns the column names, or None
    if no row is left. Warns if rows are lost, as in a crash of the machine; the run continues from its checkpoint.
    UserError if the step before this one had another loss: the file belongs to another run."""
    with catch_damage(metrics, "move it away to continue the run without its rows"):
        text = metrics.read_text(errors="replace") if metrics.exists() else ""
    header, *rows = [line.split(",") for line in text.splitlines()] or [[]]
    kept = [row for row in rows if len(row) == len(header) and is_row(row, step)] if header[0:1] == ["step"] else []
    last = [row for row in kept if int(row[0]) == step - 1]
    if loss is not None and any(dict(zip(header, row)).get("loss") != f"{loss:.6g}" for row in last):
        raise UserError(f"{metrics} belongs to another run, with another loss at step {step - 1}: move it away")
    if len(kept) < step:
        print(f"warning: {metrics} has rows for {len(kept)} of {step} steps: the others are lost", file=sys.stderr)
    lines = [header, *kept] if kept else []
    write_atomically(metrics, "".join(",".join(row) + "\n" for row in lines).encode())
    return header if kept else None


def is_row(row, step):
    """Whether these cells are numbers, of a step before this one."""
    try:
        return len([float(cell) for cell in row]) > 0 and int(row[0]) < step
    except ValueError:
        return False

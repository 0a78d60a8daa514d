"""What a training leaves to look at: metrics.csv, loss.png, epoch-*.png, a progress bar, TensorBoard's event files."""
import csv

from tqdm import tqdm

from common.figure import loss_curve
from common.files import damage_told, os_errors_about, write_atomically
from common.images import save_png


class Log:
    """The log in a run's folder, which goes on from where the clock stands; of several processes the first one writes.

    metrics.csv has a row per step, whose columns are those of its header."""

    def __init__(self, run, clock):
        self.folder, self.title, self.active = run.folder, run.options.kind, run.device.is_main_process
        self.metrics = self.folder / "metrics.csv"
        self.columns = drop_rows(self.metrics, clock.step) if clock.step and self.active else None
        self.events = None
        if run.options.training.tensorboard and self.active:
            from common.training.events import Events  # costs nothing where it is off

            self.events = Events(self.folder / "tensorboard", clock.step)
        bar = {"desc": self.title, "unit": "step", "dynamic_ncols": True, "disable": not self.active}
        self.bar = tqdm(total=clock.total, initial=clock.step, **bar)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.bar.close()

    def row(self, clock, losses, **others):
        """Write the numbers of the step that was counted last."""
        if not self.active:
            return
        step, values = clock.step - 1, {"epoch": clock.epoch, **losses, **others}
        row = {"step": step, **{name: f"{value:.6g}" for name, value in values.items()}}
        new = self.columns is None
        self.columns = self.columns or list(row)
        with os_errors_about(self.metrics), open(self.metrics, "w" if new else "a", newline="") as file:
            writer = csv.DictWriter(file, self.columns, "nan", "ignore", lineterminator="\n")
            if new:
                writer.writeheader()
            writer.writerow(row)
        if self.events:
            self.events.scalars(step, **values)
        self.bar.update()
        speed = f"loss {values['loss']:.4f}, {values['images_per_second']:.0f} img/s"
        self.bar.set_postfix_str(speed, refresh=False)

    def picture(self, clock, picture):
        """Write a picture, uint8 (H, W), of what the model has come to, and loss.png from metrics.csv."""
        path = self.folder / f"epoch-{clock.epoch:05.1f}.png"
        save_png(path, picture)
        loss_curve(self.metrics, self.folder / "loss.png", f"{self.title}: training loss")
        if self.events:
            self.events.picture(clock.step, path)
            self.events.flush()

    def flush(self):
        """Return when all is written."""
        if self.events:
            self.events.flush()


def drop_rows(metrics, step):
    """Delete an interrupted run's rows from this step on, as they will be repeated; returns the column names."""
    with damage_told(metrics, "restore it, or begin another run with --out"):
        header, *rows = csv.reader(metrics.read_text().splitlines())
        kept = [row for row in rows if len(row) == len(header) and int(row[0]) < step]
        if len([float(number) for row in kept for number in row]) != step * len(header):
            raise ValueError(f"{len(kept)} steps of {step}")
    write_atomically(metrics, "".join(",".join(row) + "\n" for row in [header, *kept]).encode())
    return header

"""The folder of a training run: its options, its metrics, its pictures, its checkpoint."""
import csv
import json
from pathlib import Path

from common.checkpoint import load_checkpoint, to_json, write_atomically
from common.cli import UserError
from common.figure import loss_curve
from common.paths import CHECKPOINT

MAY_CHANGE = ("out", "resume", "epochs", "minutes", "device", "save_every", "preview_every", "vae_checkpoint")


class RunFolder:
    """options.json, metrics.csv (a row a step), loss.png, pictures and checkpoint.safetensors of one run."""

    def __init__(self, folder, options):
        self.folder = Path(folder)
        self.checkpoint = self.folder / CHECKPOINT
        self.metrics = self.folder / "metrics.csv"
        if options.resume and not self.checkpoint.is_file():
            raise UserError(f"{self.checkpoint} does not exist, so there is nothing to go on from: leave out --resume")
        if self.checkpoint.is_file() and not options.resume:
            raise UserError(f"{self.folder} holds a run: --resume goes on with it, --out starts another elsewhere")
        self.folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(to_json(options), indent=2) + "\n"
        write_atomically(self.folder / "options.json", text.encode())
        self.rows = []  # logged, not yet written

    def load_resumed(self, options):
        """The checkpoint to go on from; UserError where its run had other options than now, but for MAY_CHANGE."""
        checkpoint = load_checkpoint(self.checkpoint, options.kind)
        before, now = to_json(checkpoint.options), to_json(options)
        changed = [name for name in now if before[name] != now[name] and name not in MAY_CHANGE]
        if changed:
            raise UserError(
                f"{self.checkpoint} was trained with {', '.join(f'{name}={before[name]}' for name in changed)}: "
                "resume with the same options, or start another run with --out"
            )
        return checkpoint

    def keep_metrics(self, step):
        """Of an interrupted run, keep the rows of the steps before this one: those after it are done again."""
        with open(self.metrics, newline="") as file:
            header, *rows = csv.reader(file)
        kept = [row for row in rows if len(row) == len(header) and int(row[0]) < step]
        text = "\n".join(",".join(row) for row in [header, *kept]) + "\n"
        write_atomically(self.metrics, text.encode())

    def log(self, **row):
        """Append a row to metrics.csv, now or with one of the next calls. The names are the same in every call."""
        self.rows.append({name: f"{value:.6g}" if isinstance(value, float) else value for name, value in row.items()})
        if len(self.rows) >= 50:
            self.flush()

    def flush(self):
        """Bring every row logged so far into the file. The first row of a run starts it anew, with a header."""
        new = bool(self.rows) and self.rows[0]["step"] == 0
        with open(self.metrics, "w" if new else "a", newline="") as file:
            writer = csv.DictWriter(file, self.rows[0].keys() if self.rows else (), lineterminator="\n")
            if new:
                writer.writeheader()
            writer.writerows(self.rows)
        self.rows = []

    def draw_losses(self, title):
        """Draw loss.png from metrics.csv."""
        self.flush()
        loss_curve(self.metrics, self.folder / "loss.png", title)

    def picture(self, epoch):
        """Path of the picture drawn after so many epochs."""
        return self.folder / f"epoch-{epoch:05.1f}.png"

    def last_good(self):
        """What is left after a failed run, in a sentence."""
        return f"the last good checkpoint is {self.checkpoint}." if self.checkpoint.is_file() else "no checkpoint yet."

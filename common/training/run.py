"""The folder of a training run: its options, lock and checkpoint. The training loop is in trainer.py."""
import math
import signal
import sys
from dataclasses import asdict

from pydantic_core import to_jsonable_python

from common.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from common.errors import UserError
from common.files import CHECKPOINT, lock, run_folder, write_json
from common.options.recipes import undistilled
from common.training.clock import Progress

MAY_CHANGE = (  # options that may differ when a run is resumed
    "out", "resume", "epochs", "minutes", "device", "save_every", "preview_every", "tensorboard",
    "learning_rate", "clip_norm", "precision",  # if a loss was not finite
    "init_from",  # used only at the beginning of a run
    "data", "vae_checkpoint", "teacher", "measures",  # compared by digest, weights or percentiles instead
)  # fmt: skip
FEW_STEPS = 200  # with so few training steps no model learns to draw


class Run:
    """options.json and checkpoint.safetensors in one folder, which this process locks until it ends.

    UserError if the folder holds a run and --resume is missing, or the reverse; if another process uses it; if its run
    had other options or data. Of several processes that train together, only the first writes."""

    def __init__(self, options, spec, device):
        if options.training.mirror and "slant" in spec.measures:
            raise UserError("--mirror reverses the slant, which the model is conditioned on: leave out --mirror")
        if options.training.augments and spec.measures and device.is_main_process:
            names = ", ".join(spec.measures)
            print(f"warning: mirrored or shifted images keep their original {names}", file=sys.stderr)
        self.options, self.spec, self.device = options, spec, device
        self.folder = options.training.out or run_folder(device.tree, options.kind)
        self.checkpoint = self.folder / CHECKPOINT
        exists, resume = self.checkpoint.is_file(), options.training.resume
        if resume is True and not exists:
            raise UserError(f"{self.checkpoint} does not exist, so there is nothing to resume: leave out --resume")
        check_free(self.checkpoint, resume)
        if not exists and getattr(options, "freeze_encoder", False) and not options.training.init_from:
            raise UserError("--freeze-encoder needs a trained encoder: give a trained VAE with --init-from")
        if device.is_main_process:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.lock = lock(self.folder)
        self.resumed = self.load() if exists else None  # the checkpoint that the run continues from
        self.progress = self.resumed.progress if exists else Progress()
        step, count = self.progress.step, device.num_processes
        if count > 1 and device.total([step]) != [count * step]:
            raise UserError(f"{self.folder} is not the same for all processes: put it on a disk that they share")
        if device.is_main_process:
            write_json(self.folder / "options.json", to_jsonable_python(options))

    def load(self):
        """The checkpoint to continue from; UserError if its run had other data, or other options, MAY_CHANGE aside."""
        checkpoint = load_checkpoint(self.checkpoint)
        check_kind(checkpoint, self.options, self.folder)
        before, now = (flattened(options) for options in (checkpoint.options, self.options))
        if before.pop("teacher_digest", None) != now.pop("teacher_digest", None):
            raise UserError(f"{self.checkpoint} was distilled from another teacher: give that one, or change --out")
        changed = differing(before, now)
        if checkpoint.spec.digest != self.spec.digest:
            changed.append(f"data={checkpoint.spec.source or checkpoint.spec.name}, digest {checkpoint.spec.digest}")
        elif [*checkpoint.spec.measures] != [*self.spec.measures]:
            changed.append(f"--measures {' '.join(checkpoint.spec.measures)}".strip())
        elif checkpoint.spec.measures != self.spec.measures:
            raise UserError(f"{self.checkpoint}: measures.csv has changed since: restore it, or change --out")
        if changed:
            raise UserError(f"{self.checkpoint} was trained with {', '.join(changed)}: resume with it, or change --out")
        return checkpoint

    def initial_checkpoint(self):
        """The checkpoint that --init-from names, or None; UserError if its network does not fit this run."""
        options, spec, path = self.options, self.spec, self.options.training.init_from
        if not path:
            return None
        initial = load_checkpoint(path, options.kind)
        if getattr(options, "freeze_encoder", False) and initial.spec.shape[1:] != spec.shape[1:]:
            raise UserError(f"{path} was trained at another size: add --size {initial.spec.shape[1]}")
        network = "vae" if options.kind == "vae" else "unet"
        found = {network: asdict(getattr(initial.options, network))}
        wanted = {network: asdict(getattr(options, network))}
        if sizes := " ".join(differing(found, wanted)):
            cure = "choose a --teacher of that size" if hasattr(options, "teacher") else f"add {sizes}"
            raise UserError(f"{path} has another size than this model ({sizes}): {cure}, or leave out --init-from")
        if undistilled(options.kind) != "ldm" and initial.spec.shape[0] != spec.shape[0]:
            problem = f"was trained with {initial.spec.shape[0]} channels, and this data has {spec.shape[0]}"
            raise UserError(f"{path} {problem}: leave out --init-from")
        return initial

    def save(self, tensors, progress, vae=None):
        """Write the checkpoint."""
        save_checkpoint(self.checkpoint, Checkpoint(self.options, self.spec, tensors, progress, vae))

    def end(self, clock, number):
        """Print how long training took; or, after a signal of this number, where it stopped, and raise SystemExit."""
        main = self.device.is_main_process
        if number is None and main:
            print(f"{self.folder}: {clock.epoch:.1f} epochs in {clock.seconds / 60:.1f} minutes")
            if clock.step == clock.first:
                print("no training was left to do: --epochs and --minutes count from the start of the run; raise them")
            elif clock.step < FEW_STEPS:
                advice = "raise --epochs or --minutes, or take a smaller --batch-size"
                print(f"warning: {clock.step} steps are too few to learn from: {advice}", file=sys.stderr)
        if number is None:
            return
        if main:
            goes_on = f"add --resume to the same command to continue from {self.checkpoint}"
            advice = goes_on if self.checkpoint.is_file() else "no checkpoint was saved yet"
            print(f"stopped at step {clock.step}: {advice}", file=sys.stderr)
        raise SystemExit(128 + number)

    def agree(self, losses, weight, seconds, stop):
        """(the whole batch's losses, averaged over the processes; the step's seconds, by the first one's clock).
        Afterwards a signal to any process stops all."""
        stop.signal, count = stop.came, self.device.num_processes
        if count > 1:
            mine = [*(weight * loss for loss in losses.values()), seconds * self.device.is_main_process]
            *sums, seconds, signals = self.device.total([*mine, int(stop.signal is not None)])
            losses = {name: total / count for name, total in zip(losses, sums)}
            stop.signal = stop.signal or (signal.SIGTERM if signals else None)
        return losses, seconds

    def check_finite(self, step, losses, norms):
        """UserError if a loss, or the norm of a network's gradient, both {name: number}, is not finite."""
        values = losses | {"gradient" if name == "model" else f"{name}'s gradient": x for name, x in norms.items()}
        if all(map(math.isfinite, values.values())):
            return
        saved = self.checkpoint.is_file()
        last = f"the last good checkpoint is {self.checkpoint}" if saved else "no checkpoint yet"
        numbers = ", ".join(f"{name} {value}" for name, value in values.items())
        raise UserError(f"training stopped at step {step}: {numbers}; {last}; try a smaller --learning-rate")


def check_free(checkpoint, resume):
    """UserError if there is a checkpoint at this path that is not to be resumed."""
    if checkpoint.is_file() and not resume:
        raise UserError(f"{checkpoint.parent} holds a run: continue it with --resume, or choose another --out")


def check_kind(checkpoint, options, folder):
    """UserError if a run's folder holds a model of another kind than these options."""
    if checkpoint.options.kind != options.kind:
        raise UserError(f"{folder} holds a run of {checkpoint.options.script}: choose another --out")


def differing(before, now, prefix=""):
    """The options whose value in `before` is not that in `now`, MAY_CHANGE aside: a list, as on the command line."""
    found = []
    for name, value in before.items():
        if value == now[name] or name in MAY_CHANGE:
            continue
        if isinstance(value, dict):
            found += differing(value, now[name], f"{prefix}{name}.")
        elif isinstance(value, bool):
            found.append(f"--{prefix}{'' if value else 'no-'}{name}".replace("_", "-"))
        else:
            words = value if isinstance(value, list | tuple) else [value]
            found.append(" ".join([f"--{prefix}{name}".replace("_", "-"), *map(str, words)]))
    return found


def flattened(options):
    """All options as {name: value}, those of Flat groups among them."""
    found = to_jsonable_python(options)
    return found.pop("training") | found.pop("where") | found.pop("preprocessing", {}) | found

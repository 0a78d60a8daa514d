"""From a pipeline to pictures, whatever its framework: for the tst scripts and for what training shows."""
import sys
import time

import numpy as np
from tqdm import tqdm

from common.conditions import UNITS, at
from common.errors import UserError
from common.files import run_folder
from common.images import grid, save_gif, save_png
from common.prompt import parse


def labels_of(indices, digit=None):
    """The digit that each sample is asked to be, (N,) int64: the one given, or 0 to 9 in turn."""
    return indices % 10 if digit is None else np.full(len(indices), digit)


def batches_of(num, batch_size):
    """The indices 0 to num - 1 in batches, a list of arrays."""
    return [np.arange(start, min(start + batch_size, num)) for start in range(0, num, batch_size)]


def asked_for(pipeline, options):
    """The digit and the attributes {name: value} that a tst script's options ask for, its prompt's words among them.

    UserError where the model does not know them, or --prompt tells what another option tells. Warns of values that
    fewer than 2 in 100 such training digits have.
    """
    quantiles, words = pipeline.quantiles, parse(options.prompt) if options.prompt else {}
    named = {name: getattr(options, name) for name in ("digit", *UNITS) if getattr(options, name) is not None}
    for name in named.keys() & words.keys():
        raise UserError(f"--prompt and --{name} both tell the {name}: leave one out")
    for name in (named | words).keys() - {"digit", *quantiles}:
        raise UserError(f"{pipeline.checkpoint.path} learned no {name}: leave it out, or name another --checkpoint")
    digit = named.pop("digit", words.pop("digit", None))
    told = {name: at(quantiles, name, p, digit) if p else 0.0 for name, p in words.items()}  # no percentile: upright
    values = told | named
    for name, value in values.items():
        low, high = (at(quantiles, name, percentile, digit) for percentile in (1, 99))
        if not low <= value <= high:
            what = f"{name} of 98 % of such training digits is {low:g} to {high:g} {UNITS[name]}"
            print(f"warning: the {what}, not {value:g}: what is drawn may be anything", file=sys.stderr)
    return digit, values


def sample_images(pipeline, seed, y, batch_size=500):
    """The images 0 to N - 1 of a seed under conditions y (N, 1 + A): (N, 1, 32, 32) float32 in [-1, 1]."""
    batches = batches_of(len(y), batch_size)
    bar = tqdm(batches, desc="sampling", unit="batch", leave=False, disable=None)  # None: not in a log file
    return np.concatenate([pipeline.sample(seed, indices, y[indices]) for indices in bar])


def process_grid(pipeline, seed, y, columns=10):
    """The denoising of a seed's first samples under conditions y, a row each from noise to digit: uint8 (H, W)."""
    states = pipeline.denoising(seed, np.arange(len(y)), y, columns)
    return grid(np.stack(states, axis=1).reshape(-1, *states[0].shape[1:]), len(states))


def sweep_grid(pipeline, seed, columns=8):
    """A block per attribute, which goes from its 2nd to its 98th percentile; a row per digit, of the same noise."""
    blocks, digits = [], np.arange(10)
    labels = np.repeat(digits, columns)
    for name in pipeline.quantiles:
        low, high = ([at(pipeline.quantiles, name, percentile, i) for i in digits] for percentile in (2, 98))
        y = pipeline.conditions(labels, {name: np.linspace(low, high, columns, axis=1).ravel()})
        blocks.append(grid(pipeline.sample(seed, labels, y), columns))
    return np.hstack(blocks)


def sample_grid(pipeline, seed):
    """Ten samples of each digit: a grid, uint8 (H, W)."""
    return grid(sample_images(pipeline, seed, pipeline.conditions(labels_of(np.arange(100)))), columns=10)


def output_folder(options, tree, name):
    """Where a tst script writes: --out, or the folder of this name among the tree's runs. It is made."""
    folder = options.out or run_folder(tree, name)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def write_pictures(pipeline, options):
    """Write samples.png, a grid, and process.png, a row per sample from noise to digit; print where they are.

    Of a model that knows attributes sweep.png too.
    """
    digit, attributes = asked_for(pipeline, options)
    y_of = lambda count: pipeline.conditions(labels_of(np.arange(count), digit), attributes)
    folder = output_folder(options, pipeline.tree, pipeline.checkpoint.options.kind)
    start = time.perf_counter()
    images = sample_images(pipeline, options.seed, y_of(options.num), options.batch_size)
    seconds = time.perf_counter() - start
    save_png(folder / "samples.png", grid(images, columns=10))
    save_png(folder / "process.png", process_grid(pipeline, options.seed, y_of(options.process_rows)))
    print(f"{folder / 'samples.png'}: {options.num} images in {seconds:.1f} s, {options.num / seconds:.0f} images/s")
    print(f"{folder / 'process.png'}: the denoising of the first {options.process_rows}")
    if options.gif:
        y = y_of(min(options.num, 40))
        states = pipeline.denoising(options.seed, np.arange(len(y)), y, 50)
        save_gif(folder / "process.gif", [grid(state, columns=10) for state in states])
        print(f"{folder / 'process.gif'}: the denoising of the first {len(y)}")
    if pipeline.quantiles:
        save_png(folder / "sweep.png", sweep_grid(pipeline, options.seed))
        print(f"{folder / 'sweep.png'}: {', '.join(pipeline.quantiles)}, from little to much")

"""From a pipeline to pictures, whatever its framework: for the tst scripts and for what training shows."""
import time

import numpy as np
from tqdm import tqdm

from common.files import run_folder
from common.images import grid, save_png


def labels_of(indices, digit=None):
    """The digit that each sample is asked to be, (N,) int64: the one given, or 0 to 9 in turn."""
    return indices % 10 if digit is None else np.full(len(indices), digit)


def batches_of(num, batch_size):
    """The indices 0 to num - 1 in batches, a list of arrays."""
    return [np.arange(start, min(start + batch_size, num)) for start in range(0, num, batch_size)]


def sample_images(pipeline, seed=0, num=100, batch_size=500, digit=None):
    """The images 0 to num - 1 of a seed, (num, 1, 32, 32) float32 in [-1, 1]."""
    batches = batches_of(num, batch_size)
    bar = tqdm(batches, desc="sampling", unit="batch", leave=False, disable=None)  # None: not in a log file
    return np.concatenate([pipeline.sample(seed, indices, labels_of(indices, digit)) for indices in bar])


def process_grid(pipeline, seed, rows, digit=None, columns=10):
    """The denoising of the first samples, a row each from noise to digit: a grid, uint8 (H, W)."""
    indices = np.arange(rows)
    states = pipeline.denoising(seed, indices, labels_of(indices, digit), columns)
    return grid(np.stack(states, axis=1).reshape(-1, *states[0].shape[1:]), len(states))


def sample_grid(pipeline, seed):
    """Ten samples of each digit: a grid, uint8 (H, W)."""
    return grid(sample_images(pipeline, seed), columns=10)


def output_folder(options, tree, name):
    """Where a tst script writes: --out, or the folder of this name among the tree's runs. It is made."""
    folder = options.out or run_folder(tree, name)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def write_pictures(pipeline, options):
    """Write samples.png, a grid, and process.png, a row per sample from noise to digit; print where they are."""
    folder = output_folder(options, pipeline.tree, pipeline.checkpoint.options.kind)
    start = time.perf_counter()
    images = sample_images(pipeline, options.seed, options.num, options.batch_size, options.digit)
    seconds = time.perf_counter() - start
    save_png(folder / "samples.png", grid(images, columns=10))
    save_png(folder / "process.png", process_grid(pipeline, options.seed, options.process_rows, options.digit))
    print(f"{folder / 'samples.png'}: {options.num} images in {seconds:.1f} s, {options.num / seconds:.0f} images/s")
    print(f"{folder / 'process.png'}: the denoising of the first {options.process_rows}")

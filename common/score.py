"""The work of the tst_*_fid scripts but for the framework: draw fake/, export real/, score them, write result.json."""
import json
import platform
import time
from dataclasses import replace
from datetime import date

import numpy as np
from tqdm import tqdm

from common.checkpoint import to_json, write_json
from common.cli import UserError, lock
from common.images import image_path, to_uint8, write_images
from common.metric import digits, score_folders

NOT_SETTINGS = ("out", "checkpoint", "batch_size", "fid", "inception_weights", "process_rows", "device", "precision")


def settings(pipeline, options):
    """What decides which images are drawn, and with what: the same for every part of an interrupted run."""
    chosen = {name: value for name, value in to_json(options).items() if name not in NOT_SETTINGS}
    return {**pipeline.describe(), **chosen}


def claim(folder, stamp):
    """Make the folder this run's while the lock is kept that this returns.

    UserError where it holds images of other settings, or another process is at it.
    """
    held = lock(folder)
    path = folder / "settings.json"
    if path.is_file():
        before = json.loads(path.read_text())
        changed = [f"{name}={before.get(name)}" for name in stamp if before.get(name) != stamp[name]]
        if changed:
            raise UserError(f"{folder} holds images drawn with {', '.join(changed)}: delete it, or name another --out")
    for name in ("fake", "real"):
        (folder / name).mkdir(exist_ok=True)
    write_json(path, stamp)
    return held


def draw_fake(pipeline, options, folder):
    """Draw the images that are not in the folder yet, whole batches at a time; how long that took.

    Several processes take the batches in turn. `seconds` is the computation alone, of `drawn` images in all, on the
    first process, whose share is the largest: three steps of its first batch are computed before, for the frameworks'
    kernels (`warm_up_seconds`), and writing PNGs is counted apart (`png_seconds`).
    """
    accelerator, starts = pipeline.accelerator, range(0, options.num, options.batch_size)
    batches = [np.arange(start, min(start + options.batch_size, options.num)) for start in starts]
    missing = [batch for batch in batches if not all(image_path(folder, i).is_file() for i in batch)]
    accelerator.wait_for_everyone()  # before the first of these is drawn
    spent = {"drawn": sum(map(len, missing)), "seconds": 0.0, "warm_up_seconds": 0.0, "png_seconds": 0.0}
    look = {"desc": "drawing", "unit": "img", "dynamic_ncols": True, "disable": not accelerator.is_main_process}
    with tqdm(total=options.num, initial=options.num - spent["drawn"], **look) as bar:
        for batch in missing[accelerator.process_index :: accelerator.num_processes]:
            if not spent["seconds"]:
                start = time.perf_counter()
                pipeline.batch(batch, replace(options, steps=min(options.steps, 3)))
                spent["warm_up_seconds"] = time.perf_counter() - start
            start = time.perf_counter()
            images = pipeline.batch(batch, options)
            drawn = time.perf_counter()
            write_images(folder, batch, to_uint8(images))
            spent["seconds"] += drawn - start
            spent["png_seconds"] += time.perf_counter() - drawn
            bar.update(len(batch) * accelerator.num_processes)
    accelerator.wait_for_everyone()
    return {**spent, "processes": accelerator.num_processes}


def export_real(options, folder):
    """Write as many real images, of the test set or of the training set."""
    images = digits(options.real == "train", options.num, options.data)
    write_images(folder, range(len(images)), images)


def score(pipeline, options, folder):
    """Draw, export, score, and write result.json; an interrupted run goes on from the images that are there."""
    stamp, first = settings(pipeline, options), pipeline.accelerator.is_main_process
    if first:
        held = claim(folder, stamp)
    pipeline.accelerator.wait_for_everyone()
    spent = draw_fake(pipeline, options, folder / "fake")
    if not first:
        return
    if spent["drawn"]:
        spent["images_per_second"] = spent["drawn"] / spent["seconds"]
        print(f"{spent['drawn']} images in {spent['seconds']:.1f} s, {spent['images_per_second']:.0f} images/s", end="")
        print(f" (warm-up {spent['warm_up_seconds']:.1f} s and PNGs {spent['png_seconds']:.1f} s apart)")
    export_real(options, folder / "real")
    folders = folder / "fake", folder / "real"
    measured = score_folders(*folders, options.fid, options.inception_weights, options.data)
    result = {**stamp, **spent, **measured, "python": platform.python_version(), "date": date.today().isoformat()}
    write_json(folder / "result.json", result)
    print(folder / "result.json")
    held.release()

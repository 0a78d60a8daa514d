"""The work of the tst_*_fid scripts, for either framework: draw fake/, export real/, score them, write result.json."""
import platform
import time
from copy import copy
from dataclasses import replace
from datetime import date

import numpy as np
from pydantic_core import to_jsonable_python
from tqdm import tqdm

from common.draw import batches_of, labels_of, output_folder
from common.errors import UserError
from common.files import digest, lock, read_json, write_json
from common.images import image_path, read_images, to_uint8, write_images
from common.mnist import check_labels, load_labels, random_images
from common.noise import random_picks
from scoring.control import control, print_control, requests
from scoring.metric import score_folders

CHOSEN = "num", "seed", "digit", "labels", "data", "real"


def settings(pipeline, options):
    """What decides which images are drawn, and with what: the same for every part of an interrupted run."""
    checkpoint, sampler = pipeline.checkpoint, to_jsonable_python(pipeline.sampler)
    return {
        "tree": pipeline.tree.name,
        "model": checkpoint.options.kind,
        "checkpoint": digest(checkpoint.path),
        "epochs": checkpoint.progress.epoch,
        "training_minutes": checkpoint.progress.seconds / 60,
        **pipeline.hardware,
        "sampler": sampler.pop("name"),
        **sampler,
        **{name: to_jsonable_python(getattr(options, name)) for name in CHOSEN},
    }


def claim(folder, settings):
    """Make the folder this run's while the lock is kept that this returns.

    UserError where it holds images of other settings, or another process is at it.
    """
    held = lock(folder)
    path = folder / "settings.json"
    if path.exists():
        before = read_json(path, f"delete {folder}, or name another --out")
        changed = [f"{name}={before.get(name)}" for name in settings if before.get(name) != settings[name]]
        if changed:
            raise UserError(f"{folder} holds images drawn with {', '.join(changed)}: delete it, or name another --out")
    for name in ("fake", "real"):
        (folder / name).mkdir(exist_ok=True)
    write_json(path, settings)
    return held


def labels_to_draw(options, indices):
    """The digit that each sample is asked to be: for --labels train, that of a training image picked at random."""
    if options.labels == "even" or options.digit is not None:
        return labels_of(indices, options.digit)
    labels = load_labels(True, options.data)
    return labels[random_picks(options.seed, indices, len(labels))]


def conditions_to_draw(pipeline, options, folder):
    """y (num, 1 + A) of the samples: their labels alone, or for --labels test what test digits have."""
    if options.labels == "test":
        labels, values = requests(options.num, pipeline.quantiles, options.data, folder)
    else:
        labels, values = labels_to_draw(options, np.arange(options.num)), {}
    known = pipeline.checkpoint.options.unet.num_classes
    check_labels(labels, known, options.data, "leave --data or --checkpoint out, or choose another")
    return pipeline.conditions(labels, values)


def draw_fake(pipeline, options, folder, y):
    """Draw the images of conditions y that are not in the folder yet, whole batches at a time; how long that took.

    Several processes take the batches in turn. `seconds` is the computation alone, of `drawn` images in all, on the
    first process, whose share is the largest: three steps of its first batch are computed before, for the frameworks'
    kernels (`warm_up_seconds`), and writing PNGs is counted apart (`png_seconds`).
    """
    accelerator = pipeline.accelerator
    batches = batches_of(options.num, options.batch_size)
    missing = [batch for batch in batches if not all(image_path(folder, i).is_file() for i in batch)]
    accelerator.wait_for_everyone()  # before the first of these is drawn
    spent = {"drawn": sum(map(len, missing)), "seconds": 0.0, "warm_up_seconds": 0.0, "png_seconds": 0.0}
    few_steps = copy(pipeline)
    few_steps.sampler = replace(pipeline.sampler, steps=min(pipeline.sampler.steps, 3))
    bar_options = {"desc": "drawing", "unit": "img", "dynamic_ncols": True, "disable": not accelerator.is_main_process}
    with tqdm(total=options.num, initial=options.num - spent["drawn"], **bar_options) as bar:
        for batch in missing[accelerator.process_index :: accelerator.num_processes]:
            if not spent["seconds"]:
                start = time.perf_counter()
                few_steps.sample(options.seed, batch, y[batch])
                spent["warm_up_seconds"] = time.perf_counter() - start
            start = time.perf_counter()
            images = pipeline.sample(options.seed, batch, y[batch])
            computed = time.perf_counter()
            write_images(folder, batch, to_uint8(images))
            spent["seconds"] += computed - start
            spent["png_seconds"] += time.perf_counter() - computed
            bar.update(len(batch) * accelerator.num_processes)
    accelerator.wait_for_everyone()
    return {**spent, "processes": accelerator.num_processes}


def score(pipeline, options):
    """Draw, export, score, and write result.json; an interrupted run goes on from the images that are there."""
    if options.labels == "test" and not pipeline.quantiles:
        path = pipeline.checkpoint.path
        raise UserError(f"{path} learned no attributes, which --labels test asks for: leave it out")
    about, first = settings(pipeline, options), pipeline.accelerator.is_main_process
    folder = output_folder(options, pipeline.tree, f"{about['model']}-{about['sampler']}-{about['steps']}")
    if first:
        held = claim(folder, about)
    pipeline.accelerator.wait_for_everyone()
    y = conditions_to_draw(pipeline, options, folder)
    spent = draw_fake(pipeline, options, folder / "fake", y)
    if not first:
        return
    written = folder / "result.json"
    if spent["drawn"]:
        spent["images_per_second"] = spent["drawn"] / spent["seconds"]
        print(f"{spent['drawn']} images in {spent['seconds']:.1f} s, {spent['images_per_second']:.0f} images/s", end="")
        print(f" (warm-up {spent['warm_up_seconds']:.1f} s and PNGs {spent['png_seconds']:.1f} s apart)")
    elif written.is_file():  # only scored anew: what drawing took is known
        before = read_json(written, "delete it")
        spent |= {name: before[name] for name in (*spent, "images_per_second") if name in before}
    real = random_images(options.real == "train", options.num, options.data)
    write_images(folder / "real", range(len(real)), real)
    folders = folder / "fake", folder / "real"
    for path, count in zip(folders, (options.num, len(real))):
        if (found := len(list(path.glob("*.png")))) != count:
            raise UserError(f"{path} holds {found} PNGs, and {count} were written: delete the others")
    measures = score_folders(*folders, options.fid, options.inception_weights, options.data)
    if options.labels == "test":
        measures["control"] = control(pipeline, read_images(folders[0]), options.data, folder)
        print_control(measures["control"])
    result = {**about, **spent, **measures, "python": platform.python_version(), "date": date.today().isoformat()}
    write_json(written, result)
    print(written)
    held.release()

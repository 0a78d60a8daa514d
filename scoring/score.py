"""The work of the tst_*_fid scripts, for either framework: draw fake/, export real/, score them, write result.json."""
import platform
import time
from dataclasses import replace
from datetime import date

import numpy as np
from tqdm import tqdm

from common.data.dataset import data_of
from common.diffusion.noise import random_picks
from common.draw import batches_of, labels_of, output_folder
from common.errors import UserError
from common.files import digest, lock, read_json, write_json
from common.images import image_path, read_images, to_uint8, write_images
from scoring.control import control, print_control, requests
from scoring.metric import score_folders


def settings(model, sampler, options):
    """What decides which images are drawn, and with what: the same for every part of an interrupted run."""
    checkpoint, named = model.checkpoint, dict(vars(sampler))
    return {
        "tree": model.device.tree.name,
        "model": model.recipe.kind,
        "checkpoint": digest(checkpoint.path),
        "data": None if model.spec.source is None else model.spec.digest,
        "epochs": checkpoint.progress.epoch,
        "training_minutes": checkpoint.progress.seconds / 60,
        **model.device.describe(),
        "sampler": named.pop("name"),
        **named,
        "seed": options.drawing.seed,
        **{name: getattr(options, name) for name in ("num", "digit", "labels", "real")},
    }


def claim(folder, settings):
    """Make the folder this run's while the lock that this returns is held. UserError where it holds images of other
    settings, or another process is at it."""
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


def conditions_to_draw(model, data, options):
    """y (num, 1 + A) of the samples, by --labels: the classes of training images picked at random, each class in turn
    or one, or all that test images have."""
    indices, labels = np.arange(options.num), data.train.labels
    if options.labels == "test":
        return model.conditions(*requests(options.num, data.test))
    if options.labels == "even" or options.digit is not None:
        return model.conditions(labels_of(indices, model.spec, options.digit))
    return model.conditions(labels[random_picks(options.drawing.seed, indices, len(labels))])


def draw_fake(model, sampler, options, folder, y):
    """Draw the images of conditions y that are not in the folder yet, whole batches at a time; how long that took.

    Several processes take the batches in turn. `seconds`: of the first process, whose share is the largest, without
    three steps of its first batch, for the frameworks' kernels, and without writing PNGs, which are counted apart.
    """
    device, seed = model.device, options.drawing.seed
    batches = batches_of(options.num, options.drawing.batch_size)
    missing = [batch for batch in batches if not all(image_path(folder, i).is_file() for i in batch)]
    device.wait_for_everyone()  # before the first of these is drawn
    spent = {"drawn": sum(map(len, missing)), "seconds": 0.0, "warm_up_seconds": 0.0, "png_seconds": 0.0}
    few_steps = replace(sampler, steps=min(sampler.steps, 3))
    bar_options = {"desc": "drawing", "unit": "img", "dynamic_ncols": True, "disable": not device.is_main_process}
    with tqdm(total=options.num, initial=options.num - spent["drawn"], **bar_options) as bar:
        for batch in missing[device.process_index :: device.num_processes]:
            if not spent["seconds"]:
                start = time.perf_counter()
                model.sample(few_steps, seed, batch, y[batch])
                spent["warm_up_seconds"] = time.perf_counter() - start
            start = time.perf_counter()
            images = model.sample(sampler, seed, batch, y[batch])
            computed = time.perf_counter()
            write_images(folder, batch, to_uint8(images))
            spent["seconds"] += computed - start
            spent["png_seconds"] += time.perf_counter() - computed
            bar.update(len(batch) * device.num_processes)
    device.wait_for_everyone()
    return {**spent, "processes": device.num_processes}


def score(model, options):
    """Draw, export, score, and write result.json; an interrupted run goes on from the images that are there."""
    if options.labels == "test" and not model.spec.measures:
        path = model.checkpoint.path
        raise UserError(f"{path} learned no measures, which --labels test asks for: leave it out")
    data, sampler = data_of(model.checkpoint, options.data), model.choose_sampler(options.sampler)
    about, first = settings(model, sampler, options), model.device.is_main_process
    folder = output_folder(options.which.out, model.device.tree, f"{about['model']}-{sampler.name}-{sampler.steps}")
    y = conditions_to_draw(model, data, options)
    if first:
        held = claim(folder, about)
    spent = draw_fake(model, sampler, options, folder / "fake", y)
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
    real = (data.train if options.real == "train" else data.test).sample(options.num)
    write_images(folder / "real", range(len(real)), real)
    folders = folder / "fake", folder / "real"
    for path, count in zip(folders, (options.num, len(real))):
        if (found := len(list(path.glob("*.png")))) != count:
            raise UserError(f"{path} holds {found} PNGs, and {count} were written: delete the others")
    measures = score_folders(*folders, data, options.fid, options.inception_weights)
    if options.labels == "test":
        measures["control"] = control(model, read_images(folders[0], model.spec.shape), data.test)
        print_control(measures["control"])
    result = {**about, **spent, **measures, "python": platform.python_version(), "date": date.today().isoformat()}
    write_json(written, result)
    print(written)
    held.release()

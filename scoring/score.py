"""The work of the tst_*_fid scripts, for either framework: draw fake/, export real/, score them, write result.json."""
import platform
import time
from dataclasses import replace
from datetime import date

import numpy as np
from tqdm import tqdm

from common.batching import batches_of
from common.data.dataset import data_of
from common.data.strokes import measure
from common.diffusion.noise import random_picks
from common.diffusion.space import reconstruct
from common.draw import labels_of, output_folder
from common.errors import UserError
from common.files import digest, lock, read_json, write_json
from common.images import image_path, read_images, to_uint8, write_images
from scoring.classifiers import classes
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
    before = read_json(path, f"delete {folder}, or name another --out") if path.exists() else settings
    if changed := [f"{name}={before.get(name)}" for name in settings if before.get(name) != settings[name]]:
        raise UserError(f"{folder} holds images drawn with {', '.join(changed)}: delete it, or name another --out")
    for name in ("fake", "real"):
        (folder / name).mkdir(exist_ok=True)
    write_json(path, settings)
    return held


def requests(num, test):
    """Classes (num,) and values {measure: (num,)} of the test images, in their order, from the first one again."""
    chosen = np.arange(num) % len(test.labels)
    return test.labels[chosen], {name: values[chosen] for name, values in test.values.items()}


def conditions_to_draw(model, data, options):
    """y (num, 1 + A) of the samples, by --labels: the classes of training images picked at random, each class in turn
    or one, or all that test images have."""
    if options.labels == "test":
        if not model.spec.measures:
            raise UserError(f"{model.checkpoint.path} learned no measures, which --labels test asks for: leave it out")
        return model.conditions(*requests(options.num, data.test))
    indices = np.arange(options.num)
    if options.labels == "even" or options.digit is not None:
        return model.conditions(labels_of(indices, model.spec, options.digit))
    labels = data.train.labels
    return model.conditions(labels[random_picks(options.drawing.seed, indices, len(labels))])


def draw_fake(model, sampler, options, folder, y):
    """Draw the images of conditions y that are not in the folder yet, whole batches at a time; how long that took.

    Several processes take the batches in turn. `seconds` is the computation of the first, whose share is the largest;
    what is counted apart: three steps of a batch before, for the frameworks' kernels, and writing PNGs."""
    device, seed = model.device, options.drawing.seed
    batches = batches_of(options.num, options.drawing.batch_size)
    missing = [batch for batch in batches if not all(image_path(folder, i).is_file() for i in batch)]
    device.wait_for_everyone()  # before the first of these is drawn
    spent = {"drawn": sum(map(len, missing)), "seconds": 0.0, "warm_up_seconds": 0.0, "png_seconds": 0.0}
    few_steps = replace(sampler, steps=min(sampler.steps, 3))
    mine = missing[device.process_index :: device.num_processes]
    for batch in tqdm(mine, desc="drawing", unit="batch", dynamic_ncols=True, disable=not device.is_main_process):
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
    device.wait_for_everyone()
    return {**spent, "processes": device.num_processes}


def following(labels, asked, measured):
    """How measured values follow those asked for, both {measure: (N,)}, of digits that have all of them.

    `r`: Pearson's; `error`: the mean absolute error over the standard deviation of what was asked for; `partial`: their
    correlation, a row per measure asked for, where the class and the other requests are held fixed by regression."""
    whole = np.isfinite([*asked.values(), *measured.values()]).all(axis=0)
    asked, measured = ({name: x[whole].astype(np.float64) for name, x in found.items()} for found in (asked, measured))
    one_hot = np.eye(labels.max() + 1)[labels[whole]]
    partial = []
    for name in asked:
        held = np.column_stack([one_hot, *(x for other, x in asked.items() if other != name)])
        found = np.column_stack([asked[name], *measured.values()])
        residuals = found - held @ np.linalg.lstsq(held, found, rcond=None)[0]
        partial.append(np.corrcoef(residuals, rowvar=False)[0, 1:].tolist())
    return {
        "r": {name: float(np.corrcoef(asked[name], measured[name])[0, 1]) for name in asked},
        "error": {name: float(np.abs(asked[name] - measured[name]).mean() / asked[name].std()) for name in asked},
        "partial": partial,
    }


def control(model, images, test):
    """following() of images (N, 1, 32, 32) uint8 drawn as requests() asks; `accuracy`: how many of them have the class
    asked for; `ceiling`: the same of test images through the model's space and back; `shuffled`: of other requests."""
    labels, asked = requests(len(images), test)
    best = to_uint8(reconstruct(model.space, test.images[: len(images)], model.device))
    measured, of_best = ({name: found[name] for name in asked} for found in map(measure, (images, best)))
    order = np.random.default_rng(0).permutation(len(images))
    return {
        **following(labels, asked, measured),
        "accuracy": float((classes(images) == labels).mean()),
        "ceiling": following(labels[: len(best)], {name: x[: len(best)] for name, x in asked.items()}, of_best),
        "shuffled": following(labels[order], {name: x[order] for name, x in asked.items()}, measured),
    }


def print_control(found):
    """A line per measure: r and error beside the ceiling's and those of shuffled requests, and the partial row."""
    print(f"class accuracy {100 * found['accuracy']:.2f} %; measures: drawn (ceiling, shuffled requests)")
    parts = found, found["ceiling"], found["shuffled"]
    for name, row in zip(found["r"], found["partial"]):
        r, error = ("{:.3f} ({:.3f}, {:.3f})".format(*(part[key][name] for part in parts)) for key in ("r", "error"))
        moves = ", ".join(f"{other} {value:+.3f}" for other, value in zip(found["r"], row))
        print(f"{name:9} r {r}, error {error}; moves {moves}")


def score(model, options):
    """Draw, export, score, and write result.json; an interrupted run goes on from the images that are there."""
    data = data_of(model.checkpoint, options.data)
    sampler = model.choose_sampler(options.sampler)
    about = settings(model, sampler, options)
    y = conditions_to_draw(model, data, options)
    folder = output_folder(options.which.out, model.device.tree, f"{about['model']}-{sampler.name}-{sampler.steps}")
    if model.device.is_main_process:
        held = claim(folder, about)
    spent = draw_fake(model, sampler, options, folder / "fake", y)
    if not model.device.is_main_process:
        return
    written = folder / "result.json"
    if spent["drawn"]:
        spent["images_per_second"] = spent["drawn"] / spent["seconds"]
        print(f"{spent['drawn']} images in {spent['seconds']:.1f} s, {spent['images_per_second']:.0f} images/s", end="")
        print(f" (warm-up {spent['warm_up_seconds']:.1f} s and PNGs {spent['png_seconds']:.1f} s apart)")
    elif written.is_file():  # only scored anew: what drawing took is known
        spent = read_json(written, "delete it")
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

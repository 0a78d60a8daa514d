"""What the tst_*_fid scripts do, in either framework: sample fake/, export real/, compare them, write result.json."""
import platform
import time
from dataclasses import replace
from datetime import date
from hashlib import sha256
from itertools import zip_longest

import numpy as np
from tqdm import tqdm

from common.batching import batches_of
from common.data.columns import columns_of
from common.data.dataset import data_of
from common.data.strokes import measure_strokes
from common.diffusion.noise import random_picks
from common.diffusion.space import reconstruct
from common.draw import class_number, labels_of, output_folder
from common.errors import UserError
from common.files import digest, lock, read_json, remove_left, write_json
from common.images import image_path, read_images, to_uint8, write_images
from scoring.classifiers import classes, features, labelled
from scoring.metric import cache_inception_weights, real_picks, score_folders

LEAST = 20  # images from which correlations are computed


def settings(model, sampler, options, y):
    """All that determines the sampled images, their conditions y too, and the hardware; an interrupted run must resume
    with the same."""
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
        **{name: getattr(options, name) for name in ("num", "label", "labels", "real")},
        "conditions": sha256(y.astype("<f4").tobytes()).hexdigest()[:16],
    }


def claim(folder, settings):
    """Lock a folder for this run and return the lock. UserError if it holds images of other settings or of unknown
    origin, or another process uses it."""
    folder_lock = lock(folder)
    path = folder / "settings.json"
    before = read_json(path, f"delete {folder}, or choose another --out") if path.exists() else settings
    if changed := [name for name in settings | before if before.get(name) != settings.get(name)]:
        words = [f"{name}={before.get(name)}" for name in changed if name != "conditions"] or ["other conditions"]
        raise UserError(f"{folder} holds images drawn with {', '.join(words)}: delete it, or choose another --out")
    for name in ("fake", "real"):
        (folder / name).mkdir(exist_ok=True)
        remove_left(folder / name)
        if not path.exists() and any((folder / name).glob("*.png")):
            raise UserError(f"{folder / name} holds pictures of unknown origin: choose another --out")
    write_json(path, settings)
    return folder_lock


def requests(num, test):
    """(classes (num,), {measure: (num,)}) of the test images, in their order, repeated if there are fewer than num."""
    chosen = np.arange(num) % len(test.labels)
    return test.labels[chosen], {name: values[chosen] for name, values in test.values.items()}


def conditions_to_draw(model, data, options):
    """The conditions y (num, 1 + measures) of the samples, by --labels: classes of random training images,
    each class in turn or one, or the classes and measures of test images."""
    if options.labels == "test":
        if not model.spec.measures:
            raise UserError(f"{model.checkpoint.path} did not learn measures, which --labels test scores: leave it out")
        return model.conditions(*requests(options.num, data.test))
    indices = np.arange(options.num)
    if options.labels == "even" or options.label is not None:
        return model.conditions(labels_of(indices, model.spec, class_number(options.label, model.spec)))
    labels = data.train.labels
    return model.conditions(labels[random_picks(options.drawing.seed, indices, len(labels))])


def draw_fake(model, sampler, options, folder, y):
    """Sample the images of conditions y that are not in the folder yet, in whole batches; returns counts and times.

    Several processes take batches in turn. `seconds` is the sampling time of the first, which has the most batches,
    without a warm-up of up to 3 steps, which compiles kernels, and without writing PNGs."""
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


def following(labels, wanted, measured):
    """How measured values follow requested ones, both {measure: (N,)}, NaN where there is none.

    `r`: Pearson's correlation; `error`: mean absolute error over the standard deviation of the requested values;
    `partial`: partial correlations, a row per requested measure, controlling for class and other requests, over images
    that have all measures; [] unless these outnumber the classes and requests together by LEAST."""
    r, error, partial = {}, {}, []
    for name in wanted:
        pair = np.array([wanted[name], measured[name]], np.float64)
        pair = pair[:, np.isfinite(pair).all(axis=0)]
        r[name] = float(np.corrcoef(pair)[0, 1])
        error[name] = float(np.abs(pair[0] - pair[1]).mean() / pair[0].std())
    whole = np.isfinite([labels, *wanted.values(), *measured.values()]).all(axis=0)
    present, own = np.unique(labels[whole], return_inverse=True)
    residual = lambda x: x - (np.bincount(own, x) / np.bincount(own))[own]  # from the mean of the class
    wanted, measured = ({name: residual(x[whole]) for name, x in each.items()} for each in (wanted, measured))
    for name in wanted if whole.sum() - len(present) - len(wanted) >= LEAST else ():
        controls = np.column_stack([np.ones(whole.sum()), *(x for other, x in wanted.items() if other != name)])
        found = np.column_stack([wanted[name], *measured.values()])
        residuals = found - controls @ np.linalg.lstsq(controls, found, rcond=None)[0]
        partial.append(np.corrcoef(residuals, rowvar=False)[0, 1:].tolist())
    return {"r": r, "error": error, "partial": partial}


def measuring(data):
    """A function: images (N, C, H, W) uint8 -> their measures, {name: (N,)}. Stroke measures are computed; columns of
    measures.csv are predicted from features() by ridge regression on training images; they are left out if the data has
    no labels, or if fewer than LEAST of these images have a value."""
    from sklearn.linear_model import RidgeCV  # slow to import

    names, columns, train = data.spec.measures, columns_of(data.place), data.train
    strokes = [name for name in names if name not in columns]
    others = [name for name in names if name in columns and labelled(data)]
    picks, fits = train.picks(20_000), {}
    known = features(train.images[picks], data) if others else None
    for name in others:
        values = train.values[name][picks]
        given = np.isfinite(values)
        if given.sum() >= LEAST:
            fits[name] = RidgeCV(np.logspace(-1, 5, 7)).fit(known[given], values[given])

    def measured(images):
        found = measure_strokes(images) if strokes else {}
        seen = features(images, data) if fits else None
        return {name: found[name] for name in strokes} | {name: fit.predict(seen) for name, fit in fits.items()}

    return measured


def control(model, images, data, batch_size):
    """following() for images (N, C, H, W) uint8 sampled with requests(); `accuracy`: the fraction with the requested
    class; `ceiling`: following() for test images, encoded and decoded; `shuffled`: for requests in random order.
    Measures of fewer than LEAST of these test images are left out, and those that are all alike."""
    labels, wanted = requests(len(images), data.test)
    best = reconstruct(model.space, data.test.images[: len(images)], model.device, batch_size, to_uint8)
    measured, of_best = map(measuring(data), (images, best))
    given = {name: data.test.values[name][: len(best)] for name in measured}
    given = {name: values[np.isfinite(values)] for name, values in given.items()}
    wanted = {name: wanted[name] for name, values in given.items() if len(values) >= LEAST and np.ptp(values)}
    measured, of_best = ({name: each[name] for name in wanted} for each in (measured, of_best))
    order = np.random.default_rng(0).permutation(len(images))
    return {
        **following(labels, wanted, measured),
        "accuracy": float((classes(images, data) == labels).mean()) if labelled(data) else None,
        "ceiling": following(labels[: len(best)], {name: x[: len(best)] for name, x in wanted.items()}, of_best),
        "shuffled": following(labels[order], {name: x[order] for name, x in wanted.items()}, measured),
    }


def print_control(found, measures):
    """Print a line per measure: r and error, beside those of ceiling and shuffled, and the row of partial."""
    accuracy = "not measured" if found["accuracy"] is None else f"{100 * found['accuracy']:.2f} %"
    print(f"class accuracy {accuracy}; measures: drawn images (ceiling, shuffled requests)")
    parts = found, found["ceiling"], found["shuffled"]
    for name, row in zip_longest(found["r"], found["partial"], fillvalue=()):
        r, error = ("{:.3f} ({:.3f}, {:.3f})".format(*(part[key][name] for part in parts)) for key in ("r", "error"))
        partial = ", ".join(f"{other} {value:+.3f}" for other, value in zip(found["r"], row)) or "not measured"
        print(f"{name:9} r {r}, error {error}; partial r {partial}")
    for name in measures:
        if name not in found["r"]:
            print(f"{name:9} not scored: too few values, all alike, or no labels to predict it by")
        elif not found["ceiling"]["r"][name] >= 0.5:
            print(f"{name:9} can hardly be predicted from images: compare its scores with the ceiling")


def score(model, options):
    """Sample, export, score, and write result.json; an interrupted run continues from the images that exist."""
    if options.inception_weights:
        cache_inception_weights(options.inception_weights)  # before hours of work, if they are others
    data = data_of(model.checkpoint, options.data)
    sampler = model.choose_sampler(options.sampler)
    y = conditions_to_draw(model, data, options)
    about = settings(model, sampler, options, y)
    label = class_number(options.label, model.spec)
    split, picks = real_picks(options.num, data, options.real, label)
    folder = output_folder(options.which.out, model.device.tree, f"{about['model']}-{sampler.name}-{sampler.steps}")
    if model.device.is_main_process:
        folder_lock = claim(folder, about)
    spent = draw_fake(model, sampler, options, folder / "fake", y)
    if not model.device.is_main_process:
        return
    times = folder / "times.json"
    if spent["drawn"]:
        spent["images_per_second"] = spent["drawn"] / spent["seconds"]
        print(f"{spent['drawn']} images in {spent['seconds']:.1f} s, {spent['images_per_second']:.0f} images/s", end="")
        print(f" (without warm-up, {spent['warm_up_seconds']:.1f} s, and PNGs, {spent['png_seconds']:.1f} s)")
        write_json(times, spent)
    elif kept := [path for path in (times, folder / "result.json") if path.is_file()]:  # only scored again
        before = read_json(kept[0], "delete it")
        spent = {name: before[name] for name in (*spent, "images_per_second") if name in before}
    write_images(folder / "real", range(len(picks)), split.images[picks])
    folders = folder / "fake", folder / "real"
    for path, count in zip(folders, (options.num, len(picks))):
        if (found := len(list(path.glob("*.png")))) != count:
            raise UserError(f"{path} holds {found} PNGs, but {count} were written: delete the others")
    measures = score_folders(*folders, data, options.fid, options.inception_weights, options.real, label)
    if options.labels == "test":
        images = read_images(folders[0], model.spec.shape)
        measures["control"] = control(model, images, data, options.drawing.batch_size)
        print_control(measures["control"], model.spec.measures)
    result = {**about, **spent, **measures, "python": platform.python_version(), "date": date.today().isoformat()}
    write_json(folder / "result.json", result)
    print(folder / "result.json")
    folder_lock.release()

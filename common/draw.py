"""From a model of either framework to pictures, for the tst scripts and the previews of training."""
import sys
import time

import numpy as np

from common.batching import in_batches
from common.data.measures import MEASURES
from common.data.prompt import parse
from common.diffusion.noise import SampleNoise
from common.diffusion.space import Latents, reconstruct
from common.errors import UserError
from common.files import remove_left, run_folder
from common.images import from_uint8, grid, pairs, save_gif, save_png, to_uint8


def labels_of(indices, spec, label=None):
    """The class of each sample, (N,) int64: `label` for all, or each class in turn if it is None."""
    return indices % len(spec.classes) if label is None else np.full(len(indices), label)


def class_number(name, spec):
    """The index of the class that --label names or numbers; None for None. UserError if there is no such class."""
    if name is None:
        return None
    if name in spec.classes:
        return spec.classes.index(name)
    names = [known.casefold() for known in spec.classes]
    if name.casefold() in names:
        return names.index(name.casefold())
    if name.isdecimal() and int(name) < len(names) and not all(map(str.isdecimal, names)):  # else numbers are names
        return int(name)
    raise UserError(f"--label {name}: {spec.name} has the classes {spec.few_classes}")


def chosen_conditions(model, ask):
    """(class index or None, {measure: value}) to condition on, from a script's options and its prompt.

    UserError if the model did not learn a measure, or two options set the same one. Warns of values outside the 1st to
    99th percentile of the training images of that class."""
    measures, words = model.spec.measures, parse(ask.prompt, model.spec) if ask.prompt else {}
    named = {name: getattr(ask, name) for name in MEASURES if getattr(ask, name) is not None}
    if ask.label is not None:
        named["label"] = class_number(ask.label, model.spec)
    for first, second, option in ((named, ask.ask, "ask"), (named | ask.ask, words, "prompt")):
        for name in sorted(first.keys() & second.keys()):
            raise UserError(f"--{option} and another option both set the {name}: leave one out")
    named |= ask.ask
    for name in sorted((named | words).keys() - {"label", *measures}):
        learned = f"use {', '.join(measures)}" if measures else "leave it out"
        raise UserError(f"{model.checkpoint.path} did not learn {name}: {learned}, or choose another --checkpoint")
    label = named.pop("label", words.pop("label", None))
    prompted = {name: measures[name].at(p, label) if p else 0.0 for name, p in words.items()}  # None: upright, 0
    values = prompted | named
    for name, value in values.items():
        low, high = (measures[name].at(percentile, label) for percentile in (1, 99))
        if not low <= value <= high:
            usual = f"98 % of such training images have {low:g} to {high:g} {measures[name].unit}".rstrip()
            print(f"warning: {name} {value:g} is unusual, {usual}: samples may not follow it", file=sys.stderr)
    return label, values


def sample_images(model, sampler, seed, indices, y, batch_size):
    """Sample images of a seed, indices (N,), under conditions y (N, 1 + measures): (N, C, H, W) float32 in [-1, 1]."""
    draw = lambda part: model.sample(sampler, seed, indices[part], y[part])
    return in_batches(draw, len(y), batch_size, "sampling")


def denoising_states(model, sampler, seed, y, batch_size, count):
    """States of the denoising of a seed's first samples under conditions y: (N, states, C, H, W)."""
    denoising = lambda part: np.stack(model.denoising(sampler, seed, part, y[part], count), axis=1)
    return in_batches(denoising, len(y), batch_size, "denoising")


def process_grid(model, sampler, seed, y, batch_size):
    """The denoising of a seed's first samples under conditions y, a row each from noise to image: a grid, uint8."""
    states = denoising_states(model, sampler, seed, y, batch_size, count=10)
    return grid(states.reshape(-1, *states.shape[2:]), states.shape[1])


def sweep_grid(model, sampler, seed, batch_size):
    """A grid, uint8: a block per measure, from its 2nd to its 98th percentile; a row per class, of the same noise."""
    blocks, classes, columns = [], np.arange(min(len(model.spec.classes), 10)), 8
    labels = np.repeat(classes, columns)  # also the indices of the noise, so that a row shares its noise
    for name, measure in model.spec.measures.items():
        low, high = ([measure.at(percentile, label) for label in classes] for percentile in (2, 98))
        y = model.conditions(labels, {name: np.linspace(low, high, columns, axis=1).ravel()})
        blocks.append(grid(sample_images(model, sampler, seed, labels, y, batch_size), columns))
    return np.hstack(blocks)


def sample_grid(model, seed):
    """A hundred samples, each class in turn, by the model's own sampler, no more at a time than the network has in a
    training step, for which memory suffices: a grid, uint8."""
    y = model.conditions(labels_of(np.arange(100), model.spec))
    calls = 1 if model.sampler.guidance in (0, 1) else 2  # in one batch
    batch_size = max(1, (model.recipe.training.batch_size or 100) // model.device.num_processes // calls)
    return grid(sample_images(model, model.sampler, seed, np.arange(100), y, batch_size), columns=10)


def output_folder(out, tree, name):
    """Make and return the folder that a tst script writes to: --out, or runs/NAME of the tree."""
    folder = out or run_folder(tree, name)
    folder.mkdir(parents=True, exist_ok=True)
    remove_left(folder)
    return folder


def write_pictures(model, options):
    """Write samples.png, a grid, and process.png, a row per sample from noise to image; print their paths.

    With measures also sweep.png, and with --gif process.gif."""
    label, values = chosen_conditions(model, options.ask)
    sampler, seed = model.choose_sampler(options.sampler), options.drawing.seed
    batch_size = options.drawing.batch_size
    y_of = lambda count: model.conditions(labels_of(np.arange(count), model.spec, label), values)
    folder = output_folder(options.which.out, model.device.tree, f"pictures-{model.recipe.kind}")
    start = time.perf_counter()
    images = sample_images(model, sampler, seed, np.arange(options.num), y_of(options.num), batch_size)
    seconds = time.perf_counter() - start
    save_png(folder / "samples.png", grid(images, columns=10))
    save_png(folder / "process.png", process_grid(model, sampler, seed, y_of(options.process_rows), batch_size))
    print(f"{folder / 'samples.png'}: {options.num} images in {seconds:.1f} s, {options.num / seconds:.0f} images/s")
    print(f"{folder / 'process.png'}: the denoising of the first {options.process_rows}")
    if options.gif:
        y = y_of(min(options.num, 40))
        states = denoising_states(model, sampler, seed, y, batch_size, count=50)
        save_gif(folder / "process.gif", [grid(state, columns=10) for state in states.swapaxes(0, 1)])
        print(f"{folder / 'process.gif'}: the denoising of the first {len(y)}")
    if model.spec.measures and options.sweep:
        save_png(folder / "sweep.png", sweep_grid(model, sampler, seed, batch_size))
        print(f"{folder / 'sweep.png'}: {', '.join(model.spec.measures)}, from low to high")


def write_reconstructions(vae, images, device, options):
    """Write reconstructions.png, the first of these images (N, C, H, W) uint8 above their reconstructions, and
    prior.png, decoded noise; print their paths. Returns all reconstructions, uint8."""
    space, folder = Latents(vae), output_folder(options.which.out, device.tree, "pictures-vae")
    batch_size = options.drawing.batch_size
    decoded = reconstruct(space, images, device, batch_size, to_uint8)

    def decoded_noise(part):
        with device.inference():
            return device.array(space.decode(device.tensor(SampleNoise(options.drawing.seed, part, space.shape)())))

    drawn = in_batches(decoded_noise, options.num, batch_size, "decoding")
    shown = pairs(images[: options.num], from_uint8(decoded[: options.num]), columns=10)
    save_png(folder / "reconstructions.png", shown)
    save_png(folder / "prior.png", grid(drawn, columns=10))
    print(folder / "reconstructions.png", folder / "prior.png", sep="\n")
    return decoded

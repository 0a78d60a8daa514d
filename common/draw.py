"""From a model to pictures, whatever its framework: for the tst scripts and for what training shows."""
import sys
import time

import numpy as np

from common.batching import in_batches
from common.data.measures import MEASURES
from common.data.prompt import parse
from common.diffusion.noise import SampleNoise
from common.diffusion.space import Latents, reconstruct
from common.errors import UserError
from common.files import run_folder
from common.images import grid, pairs, save_gif, save_png, to_uint8


def labels_of(indices, spec, label=None):
    """The class of each sample, (N,) int64: the one given, or each in turn. UserError where there is no such class."""
    check_label(label, spec)
    return indices % len(spec.classes) if label is None else np.full(len(indices), label)


def check_label(label, spec):
    """UserError where a class is named that the data does not have."""
    if label is not None and label >= len(spec.classes):
        raise UserError(f"--digit {label}: {spec.name} has the classes 0 to {len(spec.classes) - 1}")


def asked_for(model, ask):
    """The class and the values {measure: value} that a script's options ask for, its prompt's words among them.

    UserError where the model does not know them, or --prompt tells what another option tells. Warns of values that
    fewer than 2 in 100 such training images have."""
    measures, words = model.spec.measures, parse(ask.prompt) if ask.prompt else {}
    named = {name: getattr(ask, name) for name in ("digit", *MEASURES) if getattr(ask, name) is not None}
    for name in named.keys() & words.keys():
        raise UserError(f"--prompt and --{name} both tell the {name}: leave one out")
    for name in (named | words).keys() - {"digit", *measures}:
        raise UserError(f"{model.checkpoint.path} learned no {name}: leave it out, or name another --checkpoint")
    label = named.pop("digit", words.pop("digit", None))
    check_label(label, model.spec)
    told = {name: measures[name].at(p, label) if p else 0.0 for name, p in words.items()}  # no percentile: upright
    values = told | named
    for name, value in values.items():
        low, high = (measures[name].at(percentile, label) for percentile in (1, 99))
        if not low <= value <= high:
            what = f"{name} of 98 % of such training digits is {low:g} to {high:g} {measures[name].unit}"
            print(f"warning: the {what}, not {value:g}: what is drawn may be anything", file=sys.stderr)
    return label, values


def sample_images(model, sampler, seed, y, batch_size=500):
    """The images 0 to N - 1 of a seed under conditions y (N, 1 + A): (N, C, H, W) float32 in [-1, 1]."""
    return in_batches(lambda part: model.sample(sampler, seed, part, y[part]), len(y), batch_size, "sampling")


def process_grid(model, sampler, seed, y, columns=10):
    """The denoising of a seed's first samples under conditions y, a row each from noise to image: uint8 (H, W)."""
    states = model.denoising(sampler, seed, np.arange(len(y)), y, columns)
    return grid(np.stack(states, axis=1).reshape(-1, *states[0].shape[1:]), len(states))


def sweep_grid(model, sampler, seed, columns=8):
    """A block per measure, which goes from its 2nd to its 98th percentile; a row per class, of the same noise."""
    blocks, classes = [], np.arange(min(len(model.spec.classes), 10))
    labels = np.repeat(classes, columns)  # which are the noise's numbers too
    for name, measure in model.spec.measures.items():
        low, high = ([measure.at(percentile, label) for label in classes] for percentile in (2, 98))
        y = model.conditions(labels, {name: np.linspace(low, high, columns, axis=1).ravel()})
        blocks.append(grid(model.sample(sampler, seed, labels, y), columns))
    return np.hstack(blocks)


def sample_grid(model, seed):
    """A hundred samples of each class in turn by the model's own sampler: a grid, uint8 (H, W)."""
    y = model.conditions(labels_of(np.arange(100), model.spec))
    return grid(sample_images(model, model.sampler, seed, y), columns=10)


def output_folder(out, tree, name):
    """Where a tst script writes: --out, or the folder of this name among the tree's runs. It is made."""
    folder = out or run_folder(tree, name)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def write_pictures(model, options):
    """Write samples.png, a grid, and process.png, a row per sample from noise to image; print where they are.

    Of a model that knows measures sweep.png too."""
    label, values = asked_for(model, options.ask)
    sampler, seed = model.choose_sampler(options.sampler), options.drawing.seed
    y_of = lambda count: model.conditions(labels_of(np.arange(count), model.spec, label), values)
    folder = output_folder(options.which.out, model.device.tree, f"pictures-{model.recipe.kind}")
    start = time.perf_counter()
    images = sample_images(model, sampler, seed, y_of(options.num), options.drawing.batch_size)
    seconds = time.perf_counter() - start
    save_png(folder / "samples.png", grid(images, columns=10))
    save_png(folder / "process.png", process_grid(model, sampler, seed, y_of(options.process_rows)))
    print(f"{folder / 'samples.png'}: {options.num} images in {seconds:.1f} s, {options.num / seconds:.0f} images/s")
    print(f"{folder / 'process.png'}: the denoising of the first {options.process_rows}")
    if options.gif:
        y = y_of(min(options.num, 40))
        states = model.denoising(sampler, seed, np.arange(len(y)), y, 50)
        save_gif(folder / "process.gif", [grid(state, columns=10) for state in states])
        print(f"{folder / 'process.gif'}: the denoising of the first {len(y)}")
    if model.spec.measures:
        save_png(folder / "sweep.png", sweep_grid(model, sampler, seed))
        print(f"{folder / 'sweep.png'}: {', '.join(model.spec.measures)}, from little to much")


def write_reconstructions(vae, images, device, options):
    """Write reconstructions.png, the first of these images (N, C, H, W) uint8 above what the VAE makes of them, and
    prior.png, decoded noise; print where they are. All reconstructions, uint8."""
    space, folder = Latents(vae, 0.0, 1.0), output_folder(options.which.out, device.tree, "pictures-vae")
    decoded = reconstruct(space, images, device, options.drawing.batch_size)
    with device.inference():
        z = device.tensor(SampleNoise(options.drawing.seed, range(options.num), space.shape)())
        drawn = device.array(space.decode(z))
    pictures = {
        "reconstructions": pairs(images[: options.num], decoded[: options.num], columns=10),
        "prior": grid(drawn, columns=10),
    }
    for name, picture in pictures.items():
        save_png(folder / f"{name}.png", picture)
        print(folder / f"{name}.png")
    return to_uint8(decoded)

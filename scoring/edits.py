"""How well digits are repainted, inverted and morphed: python script/edit_mnist.py score"""
import numpy as np
from tqdm import tqdm

from common.draw import batches_of, output_folder
from common.edit import read_mask
from common.files import digest, write_json
from common.images import from_uint8, to_uint8
from common.mnist import load_mnist
from common.options.editing import Repaint
from common.schedule import resampled
from scoring.classifiers import classes

COMPLETIONS = 10  # of each of the first digits, that are compared with each other


def rms(a, b, axis=None):
    """Root mean square difference."""
    return np.sqrt(((a - b) ** 2).mean(axis=axis))


def score_repainting(pipeline, editing, images, labels, options):
    """The right halves of digits drawn anew: is it the same digit again, told or not told; how much do they differ."""
    usual = Repaint()
    pipeline.sampler = usual.override(pipeline.sampler)
    kept, times = read_mask("right"), resampled(pipeline.timesteps(), usual.resample)

    def draw(x, asked):
        y, seed = pipeline.conditions(asked), options.seed
        parts = tqdm(batches_of(len(x), options.batch_size))
        pictures = [editing.repaint(pipeline, x[part], kept, times, seed, part, y[part]) for part in parts]
        return to_uint8(np.concatenate(pictures))

    told, untold = draw(images, labels), draw(images, np.full(len(images), np.nan))
    few = images[:COMPLETIONS]
    many = draw(np.repeat(few, COMPLETIONS, axis=0), np.repeat(labels[: len(few)], COMPLETIONS))
    many = from_uint8(many).reshape(len(few), COMPLETIONS, *few.shape[1:])[..., 16:]
    pairs = [(i, j) for i in range(COMPLETIONS) for j in range(i)]
    apart = np.mean([rms(many[:, i], many[:, j], axis=(1, 2, 3)) for i, j in pairs])
    right = from_uint8(images)[..., 16:]
    return {
        "same_class_told": float((classes(told) == labels).mean()),
        "same_class_untold": float((classes(untold) == labels).mean()),
        "completions_apart": float(apart),
        "test_digits_apart": float(rms(right[1:], right[:-1], axis=(1, 2, 3)).mean()),
    }


def score_inversion(pipeline, editing, images, options):
    """From an image to its noise and back; and between neighbours, the largest step of a morph over the mean one."""
    def there_and_back(part):
        nothing = pipeline.conditions(np.full(len(part), np.nan))
        return editing.draw_from(pipeline, editing.invert(pipeline, images[part], nothing), nothing)

    parts = batches_of(len(images), options.batch_size)
    back = np.concatenate([there_and_back(part) for part in parts])
    best = np.concatenate([pipeline.reconstruct(images[part]) for part in parts])
    frames = editing.morph(pipeline, images[:20], 11)
    steps = rms(frames[:, 1:], frames[:, :-1], axis=(2, 3, 4))
    return {
        "inversion_error": float(rms(back, from_uint8(images))),
        "vae_error": float(rms(best, from_uint8(images))),
        "largest_over_mean_step": float((steps.max(axis=1) / steps.mean(axis=1)).mean()),
    }


def score_edits(pipeline, editing, options):
    """Measure all of it on the first `num` test digits, print it, and write it to edits.json."""
    images, labels = load_mnist(train=False, limit=options.num)
    checkpoint = pipeline.checkpoint
    result = {"tree": pipeline.tree.name, "model": checkpoint.options.kind}
    result |= {"checkpoint": digest(checkpoint.path), "num": options.num}
    result |= score_inversion(pipeline, editing, images, options)
    result |= score_repainting(pipeline, editing, images, labels.astype(np.float32), options)
    folder = output_folder(options, pipeline.tree, f"edits-{result['model']}")
    write_json(folder / "edits.json", result)
    for name, value in result.items():
        print(f"{name:24} {value}")
    print(folder / "edits.json")

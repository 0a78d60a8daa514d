"""How well digits are repainted, inverted and morphed: python script/edit_mnist.py score"""
from itertools import combinations

import numpy as np

from common.batching import in_batches
from common.data.dataset import data_of
from common.diffusion import edit
from common.diffusion.space import reconstruct
from common.draw import output_folder
from common.edit import read_mask, repainted
from common.errors import UserError
from common.files import digest, write_json
from common.images import from_uint8, to_uint8
from common.options.editing import EditSampling, Morph, Repaint
from scoring.classifiers import classes, labelled

COMPLETIONS = 10  # per digit, compared with each other, of as many digits


def rms(a, b, axis=None):
    """Root mean square difference."""
    return np.sqrt(((a - b) ** 2).mean(axis=axis))


def score_repainting(model, images, labels, data, drawing):
    """Repaint the right halves of images: how often the class stays the same, with (told) and without (untold) the
    class as a condition, if there are classes; how far completions of an image lie apart (RMS)."""
    kept = read_mask("right", model.spec.shape)

    def draw(images, labels, num=1):
        own = EditSampling(num=num, seed=drawing.seed, batch_size=drawing.batch_size)
        options = Repaint(drawing=own, steps=min(Repaint().steps, model.timesteps))
        return to_uint8(repainted(model, images, labels, kept, options))

    asked = {"told": labels, "untold": np.full(len(images), np.nan)} if labelled(data) else {}
    found = {name: draw(images, y)[:, 0] for name, y in asked.items()}
    many = draw(images[:COMPLETIONS], labels[:COMPLETIONS], COMPLETIONS)
    right, many = (from_uint8(x)[..., ~kept[0, 0]] for x in (images, many))
    apart = [rms(many[:, i], many[:, j], axis=(1, 2, 3)) for i, j in combinations(range(COMPLETIONS), 2)]
    return {
        **{f"same_class_{name}": float((classes(drawn, data) == labels).mean()) for name, drawn in found.items()},
        "completions_apart": float(np.mean(apart)),
        "test_digits_apart": float(rms(right[1:], right[:-1], axis=(1, 2, 3)).mean()),
    }


def score_inversion(model, images, drawing):
    """The error of inverting images and sampling from that noise; the largest step of a morph over the mean step."""
    usual = Morph(steps=min(Morph().steps, model.timesteps))

    def there_and_back(part):
        y = model.conditions(np.full(len(part), np.nan))
        return edit.draw_from(model, usual.sampler, edit.invert(model, usual.sampler, images[part], y), y)

    back = in_batches(there_and_back, len(images), drawing.batch_size, "inverting")
    best = reconstruct(model.space, images, model.device, drawing.batch_size)
    frames = edit.morph(model, usual.sampler, images[:20], usual.num)
    steps = rms(frames[:, 1:], frames[:, :-1], axis=(2, 3, 4))
    return {
        "inversion_error": float(rms(back, from_uint8(images))),
        "vae_error": float(rms(best, from_uint8(images))),
        "largest_over_mean_step": float((steps.max(axis=1) / steps.mean(axis=1)).mean()),
    }


def score_edits(model, options):
    """Score inversion, morphing and repainting on the first `num` test images; print and write edits.json."""
    data = data_of(model.checkpoint, options.which.data)
    images, labels = data.test.images[: options.num], data.test.labels[: options.num].astype(np.float32)
    if len(images) < 2:
        raise UserError(f"{data.place} has one held-out picture, and scoring morphs needs two: add pictures")
    kind = model.recipe.kind
    folder = output_folder(options.which.out, model.device.tree, f"edits-{kind}")
    result = {
        "tree": model.device.tree.name, "model": kind, "checkpoint": digest(model.checkpoint.path), "num": len(images),
        **score_inversion(model, images, options.drawing),
        **score_repainting(model, images, labels, data, options.drawing),
    }  # fmt: skip
    write_json(folder / "edits.json", result)
    for name, value in result.items():
        print(f"{name:24} {value}")
    print(folder / "edits.json")

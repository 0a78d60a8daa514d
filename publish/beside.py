"""Real images beside samples, a row per class: python -m publish.beside CHECKPOINT beside.png [--help]"""
import sys
from pathlib import Path

import numpy as np
from tyro.conf import Positional

from common.data.dataset import data_of
from common.diffusion.space import from_uint8
from common.files import ROOT
from common.images import grid, save_png
from common.options.command_line import run
from common.options.fields import Count, Finite, Seed, options_class
from common.options.sampling import SamplerOptions
from common.options.where import Where

sys.path.insert(0, str(ROOT / "pytorch"))


@options_class
class Beside:
    """Sample each class of a model's data, and show held-out images of it beside."""

    checkpoint: Positional[Path]
    """Run folder or checkpoint file, of either tree."""
    out: Positional[Path]
    """PNG to write."""
    each: Count = 8
    """Real images per class, and as many samples."""
    guidance: Finite = 1.0
    """Classifier-free guidance scale; 1 is no guidance."""
    seed: Seed = 0
    """Seed of the noise."""


def main(options: Beside):
    from pipeline import pipeline

    model = pipeline.load_model(options.checkpoint, None, Where())
    test, each = data_of(model.checkpoint).test, options.each
    classes = np.arange(len(model.spec.classes))[:12]
    classes = np.array([label for label in classes if label in test.labels])
    real = [test.images[np.resize(np.flatnonzero(test.labels == label), each)] for label in classes]
    sampler = model.choose_sampler(SamplerOptions(guidance=options.guidance))
    labels = np.repeat(classes, each)
    drawn = model.sample(sampler, options.seed, np.arange(len(labels)), model.conditions(labels))
    rows = np.concatenate([from_uint8(np.stack(real)), drawn.reshape(-1, each, *model.spec.shape)], axis=1)
    save_png(options.out, grid(rows.reshape(-1, *model.spec.shape), 2 * each), scale=1)
    print(f"{options.out}: {', '.join(model.spec.classes[label] for label in classes)}")


if __name__ == "__main__":
    run(main, Beside)

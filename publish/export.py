"""What the page draws with, web/model/, from the latent models' shipped weights: python -m publish.export

Either tree's weights will do. They are stored in half precision, which halves what a visitor downloads; arithmetic is
in single. Needs onnx and onnxscript (requirements-dev.txt)."""
import json
import sys
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic_core import to_jsonable_python

from common.data.spec import PERCENTILES
from common.files import ROOT, shipped_weights, write_atomically
from common.options.command_line import run
from common.options.fields import options_class
from common.options.recipes import Where

sys.path.insert(0, str(ROOT / "pytorch"))
WEB = ROOT / "web" / "model"
KINDS = "ldm", "ldm-distilled"  # many calls, and one


@options_class
class Export:
    """Write the page's models."""

    tree: Literal["pytorch", "jittor"] = "pytorch"
    """Whose weights."""
    out: Path = WEB
    """Folder for the files."""


def halved(model):
    """An ONNX model whose larger weights are in half precision, cast to single where they are used."""
    from onnx import TensorProto, helper, numpy_helper

    for node in model.graph.node:
        del node.metadata_props[:]  # which line of which of this machine's files it came from

    for tensor in list(model.graph.initializer):
        if tensor.data_type == TensorProto.FLOAT and np.prod(tensor.dims) >= 64:
            array, name = numpy_helper.to_array(tensor), tensor.name
            tensor.CopyFrom(numpy_helper.from_array(array.astype(np.float16), f"{name}_half"))
            model.graph.node.insert(0, helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT))
    return model


def onnx_of(module, inputs):
    """A module as an ONNX file's bytes. inputs {name: example, its first axis the batch, of any size}."""
    import torch

    program = torch.onnx.export(
        module.eval(), tuple(torch.tensor(array) for array in inputs.values()), dynamo=True, verbose=False,
        input_names=list(inputs), output_names=["output"],
        dynamic_shapes=tuple({0: torch.export.Dim.DYNAMIC} for _ in inputs),
    )  # fmt: skip
    return halved(program.model_proto).SerializeToString()


def files_of(checkpoint):
    """The page's files for one model: their bytes by name."""
    import torch

    from pipeline import pipeline

    class Function(torch.nn.Module):
        """A function of the model's space and the VAE that it needs, as a module."""

        def __init__(self, function):
            super().__init__()
            self.function, self.vae = function, model.space.vae

        def forward(self, x):
            return self.function(x)

    model = pipeline.load_model(checkpoint, "ldm", Where(device="cpu", precision="fp32"))
    z, images = (np.zeros((3, *shape), np.float32) for shape in (model.space.shape, model.spec.shape))
    known = {
        "spec": model.spec,
        "percentiles": PERCENTILES,
        "shape": model.space.shape,
        "diffusion": model.diffusion.config,
        "sampler": model.sampler,
    }
    return {
        "unet.onnx": onnx_of(model.network, {"x_t": z, "t": np.arange(3), "y": model.conditions(np.arange(3))}),
        "encoder.onnx": onnx_of(Function(model.space.encode), {"x": images}),
        "decoder.onnx": onnx_of(Function(model.space.decode), {"x": z}),
        "model.json": json.dumps(to_jsonable_python(known), indent=1).encode(),
    }


def main(options: Export):
    for kind in KINDS:
        (options.out / kind).mkdir(parents=True, exist_ok=True)
        for name, content in files_of(shipped_weights(ROOT / options.tree, kind)).items():
            write_atomically(options.out / kind / name, content)
            print(f"{options.out / kind / name}: {len(content) / 1e6:.1f} MB")


if __name__ == "__main__":
    run(main, Export)

"""What the page draws with, web/model/, from the latent models' shipped weights: python -m publish.export

Either tree's weights will do. They are stored in half precision, which halves what a visitor downloads; arithmetic is
in single. Needs onnx and onnxscript (requirements-dev.txt).
"""
import json
import sys
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic_core import to_jsonable_python

from common.files import ROOT, shipped_weights, write_atomically
from common.options.command_line import run
from common.options.fields import options_class
from common.options.sampling import SampleLDM

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

    from pipeline import load_pipeline

    class Function(torch.nn.Module):
        """A function of a pipeline and the VAE that it needs, as a module."""

        def __init__(self, function):
            super().__init__()
            self.function, self.vae = function, pipeline.latent_space.vae

        def forward(self, x):
            return self.function(x)

    pipeline = load_pipeline(SampleLDM(checkpoint=checkpoint, device="cpu", precision="fp32"))
    z, pixels = (np.zeros((3, *shape), np.float32) for shape in (pipeline.shape, (1, 32, 32)))
    known = {"diffusion": pipeline.ddpm.config, "sampler": pipeline.sampler, "quantiles": pipeline.quantiles}
    inputs = {"x_t": z, "t": np.arange(3), "y": pipeline.conditions(np.arange(3))}
    return {
        "unet.onnx": onnx_of(pipeline.unet, inputs),
        "encoder.onnx": onnx_of(Function(pipeline.encode), {"x": pixels}),
        "decoder.onnx": onnx_of(Function(pipeline.pixels), {"x": z}),
        "model.json": json.dumps(to_jsonable_python({"shape": pipeline.shape, **known}), indent=1).encode(),
    }


def main(options: Export):
    for kind in KINDS:
        (options.out / kind).mkdir(parents=True, exist_ok=True)
        for name, content in files_of(shipped_weights(ROOT / options.tree, kind)).items():
            write_atomically(options.out / kind / name, content)
            print(f"{options.out / kind / name}: {len(content) / 1e6:.1f} MB")


if __name__ == "__main__":
    run(main)

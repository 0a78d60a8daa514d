"""What the page draws with: web/model/*.onnx and model.json, from a latent model's checkpoint: python -m publish.export

Either tree's checkpoint will do. Weights are stored in half precision, which halves what a visitor downloads;
arithmetic is in single. Needs onnx and onnxscript (requirements-dev.txt).
"""
import sys
from pathlib import Path

import numpy as np
from pydantic_core import to_jsonable_python

from common.files import ROOT, write_atomically, write_json
from common.options.command_line import run
from common.options.fields import options_class
from common.options.sampling import SampleLDM

sys.path.insert(0, str(ROOT / "pytorch"))
WEB = ROOT / "web" / "model"


@options_class
class Export:
    """Write the page's models."""

    checkpoint: Path = ROOT / "pytorch" / "weights" / "ldm.safetensors"
    """Of the latent model, from either tree."""
    out: Path = WEB
    """Folder for the files."""


def halved(model):
    """An ONNX model whose larger weights are in half precision, cast to single where they are used."""
    from onnx import TensorProto, helper, numpy_helper

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


def main(options: Export):
    import torch

    from pipeline import load_pipeline

    class Function(torch.nn.Module):
        """A function of a pipeline and the VAE that it needs, as a module."""

        def __init__(self, function):
            super().__init__()
            self.function, self.vae = function, pipeline.latent_space.vae

        def forward(self, x):
            return self.function(x)

    pipeline = load_pipeline(SampleLDM(checkpoint=options.checkpoint, device="cpu", precision="fp32"))
    z, pixels = (np.zeros((3, *shape), np.float32) for shape in (pipeline.shape, (1, 32, 32)))
    conditions = pipeline.conditions(np.arange(3))
    files = {
        "unet": onnx_of(pipeline.unet, {"x_t": z, "t": np.arange(3), "y": conditions}),
        "encoder": onnx_of(Function(pipeline.encode), {"x": pixels}),
        "decoder": onnx_of(Function(pipeline.pixels), {"x": z}),
    }
    options.out.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        write_atomically(options.out / f"{name}.onnx", content)
        print(f"{options.out / f'{name}.onnx'}: {len(content) / 1e6:.1f} MB")
    known = {"diffusion": pipeline.ddpm.config, "sampler": pipeline.sampler, "quantiles": pipeline.quantiles}
    write_json(options.out / "model.json", to_jsonable_python({"shape": pipeline.shape, **known}))


if __name__ == "__main__":
    run(main)

"""Export a function of tensors for the page: an optimized ONNX graph, and its weights in half precision.

To keep the page's start fast, the graph is optimized here, not in the browser, and its weights are in a separate file,
one array, which JavaScript unpacks."""
import tempfile
from pathlib import Path

import numpy as np

from common.errors import UserError
from publish.winograd import use_winograd

HALVED = 64  # tensors with as many numbers or more are stored in half precision


def to_onnx(compute, modules, inputs, batched):
    """Convert a function, which uses these modules, to an ONNX model. inputs: {name: example array}; batched: the names
    of those whose first axis is a batch of any size."""
    import torch

    class Computed(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.modules_used = modules

        def forward(self, *inputs):
            return compute(*inputs)

    batch = {0: torch.export.Dim.DYNAMIC}
    program = torch.onnx.export(
        Computed().eval(), tuple(torch.tensor(array) for array in inputs.values()), dynamo=True,
        verbose=False, input_names=list(inputs), output_names=["output"],
        dynamic_shapes=(tuple(batch if name in batched else {} for name in inputs),),
    )  # fmt: skip
    return program.model_proto


def to_files(place, *function):
    """(graph, weights, sizes) of a function, described as for to_onnx(). graph: bytes of an ONNX model that reads its
    large weights, as float32, from a file `place`. weights: these, as float16. sizes: how many are stored as they are;
    then, per convolution in Winograd form (winograd.py), its pairs of channels, stored as 9 taps each, which become 36
    numbers."""
    from onnx import TensorProto, numpy_helper
    from onnx.external_data_helper import set_external_data

    model = to_onnx(*function)
    for node in model.graph.node:
        del node.metadata_props[:]  # paths and lines of source files on this machine
    taps = use_winograd(model)
    model = optimized(model)
    del model.graph.value_info[:]  # shapes that the runtime infers itself
    large = [x for x in model.graph.initializer if x.data_type == TensorProto.FLOAT and np.prod(x.dims) >= HALVED]
    pieces, sizes, offset = [], [0], 0
    for tensor in sorted(large, key=lambda tensor: tensor.name in taps):
        with np.errstate(over="ignore"):
            pieces.append(taps.get(tensor.name, numpy_helper.to_array(tensor)).astype(np.float16).ravel())
        if not np.isfinite(pieces[-1]).all():
            raise UserError("the model has weights that are not finite in half precision: export an earlier checkpoint")
        if tensor.name in taps:
            sizes.append(taps[tensor.name].shape[1])
        else:
            sizes[0] += pieces[-1].size
        length = 4 * int(np.prod(tensor.dims))
        set_external_data(tensor, place, offset, length)
        tensor.ClearField("raw_data")
        offset += length
    return model.SerializeToString(), np.concatenate(pieces).tobytes(), sizes


def optimized(model):
    """The model after ONNX Runtime's graph optimizations that hold on any machine."""
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = str(Path(folder) / "optimized.onnx")
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return onnx.load(options.optimized_model_filepath)

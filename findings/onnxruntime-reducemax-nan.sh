#!/usr/bin/env bash
# onnxruntime 1.32.0, on the CPU: ReduceMax of numbers with a NaN among them gives a number.
#
# Expected: NaN, as Max of two tensors gives there, as onnx's reference evaluator gives for ReduceMax, and PyTorch's
# amax(), of which ReduceMax is exported. Seen: of three numbers, a NaN that comes first is the result and one that
# comes second is left out; of other counts other places decide (known: microsoft/onnxruntime, issue 10514), so a
# check of a network's output by its largest number finds it or not. Cure: IsNaN, or ReduceSum, which does become NaN.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet onnxruntime==1.32.0 onnx==1.23.2 ml_dtypes==0.5.4 numpy==1.26.4
cat >"$folder/program.py" <<'PYTHON'
import numpy as np
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator


def run(operator, *inputs, **attributes):
    names = [f"x{i}" for i in range(len(inputs))]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, x.shape) for name, x in zip(names, inputs)]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    graph = helper.make_graph([helper.make_node(operator, names, ["y"], **attributes)], "graph", values, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    given = dict(zip(names, inputs))
    found = [runner.run(None, given)[0].tolist() for runner in (session, ReferenceEvaluator(model))]
    print(operator, "onnxruntime", found[0], "reference", found[1])


x = np.array([1, np.nan, 0], np.float32)
run("ReduceMax", np.array([np.nan, 1, 0], np.float32), keepdims=0)
run("ReduceMax", x, keepdims=0)
run("ReduceSum", x, keepdims=0)
run("Max", x, x[::-1].copy())
PYTHON
"$folder/venv/bin/python" "$folder/program.py" | tee "$folder/out"
expected="ReduceMax onnxruntime nan reference nan
ReduceMax onnxruntime 1.0 reference nan
ReduceSum onnxruntime nan reference nan
Max onnxruntime [1.0, nan, 1.0] reference [1.0, nan, 1.0]"
[ "$(cat "$folder/out")" = "$expected" ] || { echo "changed"; exit 1; }

#!/usr/bin/env bash
# safetensors 0.8.0 with numpy and ml_dtypes 0.5.4: save() writes bfloat16 arrays, which load() cannot read.
#
# Expected: what save() takes without a word, load() of the same module gives back, or save() refuses it, as it refuses
# types that it does not know. Seen: save() writes a sound file (dtype BF16), and load() of it raises KeyError: 'BF16', so
# that a checkpoint is found to be unreadable only when it is needed. Cure: save as float32 or float16, or read the bytes
# with safetensors.deserialize() and view them as ml_dtypes.bfloat16.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet safetensors==0.8.0 ml_dtypes==0.5.4 numpy==1.26.4
cat >"$folder/program.py" <<'PYTHON'
import ml_dtypes
import numpy as np
from safetensors import deserialize
from safetensors.numpy import load, save

data = save({"x": np.array([1, 2.5], ml_dtypes.bfloat16)})
print("written:", b'"dtype":"BF16"' in data)
try:
    print("read:", load(data)["x"].tolist())
except KeyError as error:
    print("read: KeyError", error)
((name, tensor),) = deserialize(data)
print("by hand:", np.frombuffer(tensor["data"], ml_dtypes.bfloat16).astype(np.float32).tolist())
PYTHON
"$folder/venv/bin/python" "$folder/program.py" | tee "$folder/out"
expected="written: True
read: KeyError 'BF16'
by hand: [1.0, 2.5]"
[ "$(cat "$folder/out")" = "$expected" ] || { echo "changed"; exit 1; }

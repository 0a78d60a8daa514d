#!/usr/bin/env bash
# safetensors 0.8.0 with numpy: save() writes a transposed or strided array's memory under the shape of the view.
#
# Expected: what load() gives back equals the array that save() was given, as with 0.7.0, or an error says that it must be
# contiguous, as the PyTorch side of the library does. Seen: no error; the shape is right and the numbers stand in another
# order, so a matrix that was saved transposed comes back as other weights. Cure: np.ascontiguousarray before save().
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
cat >"$folder/program.py" <<'PYTHON'
from importlib.metadata import version

import numpy as np
from safetensors.numpy import load, save

a = np.arange(6, dtype=np.float32).reshape(2, 3)
views = {"transposed": a.T, "every other column": a[:, ::2], "contiguous": np.ascontiguousarray(a.T)}
same = {name: bool((load(save({"x": view}))["x"] == view).all()) for name, view in views.items()}
print(f"safetensors {version('safetensors')}: comes back as it was: {same}")
PYTHON
for number in 0.7.0 0.8.0; do
  "$folder/venv/bin/pip" install --quiet numpy==1.26.4 safetensors==$number
  "$folder/venv/bin/python" "$folder/program.py" | tee -a "$folder/out"
done
expect() { grep -qF "$1" "$folder/out" || { echo "changed"; exit 1; }; }
expect "0.7.0: comes back as it was: {'transposed': True, 'every other column': True, 'contiguous': True}"
expect "0.8.0: comes back as it was: {'transposed': False, 'every other column': False, 'contiguous': True}"

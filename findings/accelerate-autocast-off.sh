#!/usr/bin/env bash
# accelerate 1.15.0: autocast that is turned off around a prepared model stays on inside it.
#
# Expected, from the docstring of Accelerator.autocast ("useful in blocks under `autocast` where you want to revert to
# fp32"): within autocast(AutocastKwargs(enabled=False)) a layer computes in float32. Seen: a layer does so until it
# is prepared; then prepare() has put an autocast of its own into its forward(), and that is the innermost one. The
# output is float32 all the same, as forward() also converts it, so its type does not show that bf16 was used. torch's
# own torch.autocast("cpu", enabled=False) does nothing either. Cure: call accelerator.unwrap_model(model,
# keep_fp32_wrapper=False), which takes the wrapper off the model itself.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet accelerate==1.15.0 numpy==1.26.4 torch==2.14.1
cat >"$folder/program.py" <<'PYTHON'
import torch
from accelerate import Accelerator
from accelerate.utils import AutocastKwargs

torch.manual_seed(0)
accelerator = Accelerator(cpu=True, mixed_precision="bf16")
layer, x = torch.nn.Linear(256, 256), torch.randn(64, 256)
exact = layer(x).detach()


def compare(name, model):
    y = model(x).detach()
    error = (y - exact).abs().max()
    print(f"{name}: {y.dtype},", "exact" if error < 1e-5 else "off by more than 1e-3" if error > 1e-3 else error)


off = AutocastKwargs(enabled=False)
with accelerator.autocast(off):
    compare("autocast off", layer)
prepared = accelerator.prepare(layer)
with accelerator.autocast(off):
    compare("prepared, autocast off", prepared)
with torch.autocast("cpu", enabled=False):
    compare("prepared, torch's autocast off", prepared)
compare("unwrapped", accelerator.unwrap_model(prepared, keep_fp32_wrapper=False))
PYTHON
"$folder/venv/bin/python" "$folder/program.py" | tee "$folder/out"
expected="autocast off: torch.float32, exact
prepared, autocast off: torch.float32, off by more than 1e-3
prepared, torch's autocast off: torch.float32, off by more than 1e-3
unwrapped: torch.float32, exact"
[ "$(cat "$folder/out")" = "$expected" ] || { echo "changed"; exit 1; }

#!/usr/bin/env bash
# torchmetrics 1.9.0 and sewar 0.4.10: the VIF of pictures in [0, 1] differs from that of 0 to 255, and finds noise
# better than blur.
#
# Expected: visual information fidelity does not depend on the unit of the grey levels, as piq's vif_p() does not,
# which asks for data_range; or the documentation says which range is meant. Seen: the noise of the eye, a variance of
# 2, is that of levels 0 to 255. torchmetrics' visual_information_fidelity() and sewar's vifp() take floats of any
# range, and in [0, 1], as networks have them, nearly no noise counts: a noisy copy is at 0.99 instead of 0.43 and
# passes the blurred one. Cure: 255 times the pictures, or sigma_n_sq=2 / 255**2.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torchmetrics==1.9.0 sewar==0.4.10 piq==0.8.0 numpy==1.26.4 torch==2.14.1 \
  torchvision==0.29.1
cat >"$folder/program.py" <<'PYTHON'
import numpy as np
import torch
from piq import vif_p
from sewar import vifp
from torchmetrics.functional.image import visual_information_fidelity

y, x = np.mgrid[:64, :64]
clean = np.round(128 + 60 * np.sin(x / 5) * np.cos(y / 7) + 40 * np.sin((x + y) / 3))
noisy = clean + np.random.default_rng(0).integers(-20, 21, clean.shape)
blurred = np.round(sum(np.roll(clean, (i, j), (0, 1)) for i in range(-2, 3) for j in range(-2, 3)) / 25)
for name, copy in (("noisy", noisy), ("blurred", blurred)):
    for top in (255, 1):
        a, b = copy * top / 255, clean * top / 255
        pair = torch.tensor(a)[None, None], torch.tensor(b)[None, None]
        metrics, sewar, piq = visual_information_fidelity(*pair), vifp(b, a), vif_p(*pair, data_range=top)
        print(f"{name}, 0 to {top}: torchmetrics {metrics:.2f}, sewar {sewar:.2f}, piq {piq:.2f}")
PYTHON
"$folder/venv/bin/python" "$folder/program.py" | tee "$folder/out"
expected="noisy, 0 to 255: torchmetrics 0.43, sewar 0.43, piq 0.43
noisy, 0 to 1: torchmetrics 0.99, sewar 0.99, piq 0.43
blurred, 0 to 255: torchmetrics 0.74, sewar 0.74, piq 0.74
blurred, 0 to 1: torchmetrics 0.72, sewar 0.72, piq 0.74"
[ "$(cat "$folder/out")" = "$expected" ] || { echo "changed"; exit 1; }

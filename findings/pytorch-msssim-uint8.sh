#!/usr/bin/env bash
# pytorch-msssim 1.0.0, on the CPU: ssim() of uint8 pictures is 1, whatever they show.
#
# Expected: what it gives of the same values as floats, or an error, as the README takes "RGB images (0~255)" with
# data_range=255, and as pictures of 0 to 255 are mostly stored. Seen: the Gaussian window, whose numbers are all
# below 1, is cast to the pictures' type and becomes 0, so each mean and variance is 0 and black is a perfect copy of
# white. The same with int64. (Known of another package: Po-Hsun-Su/pytorch-ssim, issue 20.) Cure: .float() before it.
# Shown with a black and a white picture, and with noise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pytorch-msssim==1.0.0 numpy==1.26.4 torch==2.14.1
cat >"$folder/program.py" <<'PYTHON'
import torch
from pytorch_msssim import SSIM, ssim

torch.manual_seed(0)
black = torch.zeros(1, 1, 28, 28, dtype=torch.uint8)
white, noise = black + 255, torch.randint_like(black, 256)
module = SSIM(data_range=255, channel=1)
for kind in (torch.float32, torch.uint8, torch.int64):
    pairs = [(a.to(kind), b.to(kind)) for a, b in ((black, white), (black, noise), (noise, noise.flip(3)))]
    print(kind, *(f"{ssim(a, b, data_range=255):.2f} {module(a, b):.2f}" for a, b in pairs))
PYTHON
"$folder/venv/bin/python" "$folder/program.py" | tee "$folder/out"
expected="torch.float32 0.00 0.00 0.00 0.00 0.06 0.06
torch.uint8 1.00 1.00 1.00 1.00 1.00 1.00
torch.int64 1.00 1.00 1.00 1.00 1.00 1.00"
[ "$(cat "$folder/out")" = "$expected" ] || { echo "changed"; exit 1; }

#!/usr/bin/env bash
# pytorch-fid 0.3.0 with Pillow 13.0.0: grey pictures of 16 bits are cut off at 255 of 65,535.
#
# Expected: their values are scaled to 8 bits, or such pictures are refused, as a distance of what is not seen means
# nothing. Seen: Pillow's convert("RGB") cuts values off at 255 and pytorch-fid's data set calls it for every picture,
# so whatever is above 255 of 65,535 is white: folders of different scans whose values all lie above 255 are the same
# white to it. Cure: save 8 bits. Shown with the data set alone, which needs no weights.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pytorch-fid==0.3.0 pillow==13.0.0 numpy==1.26.4 scipy==1.17.1 torch==2.14.1 \
  torchvision==0.29.1
cat >"$folder/program.py" <<'PYTHON'
import sys

import numpy as np
from PIL import Image
from pytorch_fid.fid_score import ImagePathDataset

values = [0, 100, 255, 256, 30000, 65535]
Image.fromarray(np.array([values], np.uint16)).save(f"{sys.argv[1]}/deep.png")
print("stored", *values)
print("scored", *np.asarray(ImagePathDataset([f"{sys.argv[1]}/deep.png"])[0])[0, :, 0])
PYTHON
"$folder/venv/bin/python" "$folder/program.py" "$folder" | tee "$folder/out"
expected="stored 0 100 255 256 30000 65535
scored 0 100 255 255 255 255"
[ "$(cat "$folder/out")" = "$expected" ] || { echo "changed"; exit 1; }

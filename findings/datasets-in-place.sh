#!/usr/bin/env bash
# datasets 5.2.0 and litdata 0.2.76: a picture that was changed in place is stored as it was in its file.
#
# Expected: what a function of Dataset.map() or litdata.optimize() returns is stored, as what resize() returns is.
# Seen: a picture that Image.open() gave remembers its file, and that file is stored in its place, by datasets for
# JPEG and PNG, by litdata for JPEG. So thumbnail(), paste() and ImageDraw, which change the picture itself, are
# undone: the set that was made small has pictures of full size, and what was painted over is back. Cure:
# picture.copy() after the change, which has no file.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet datasets==5.2.0 huggingface-hub==2.4.0 litdata==0.2.76 numpy==1.26.4 \
  pillow==13.0.0 pyarrow==25.0.1 torch==2.14.1 torchvision==0.29.1
cat >"$folder/program.py" <<'PYTHON'
import os
import sys
from functools import partial

import datasets
import litdata
from PIL import Image


def thumbnail(picture):
    picture.thumbnail((16, 16))
    return picture


def copied(picture):
    return thumbnail(picture).copy()


def changed(sample, change):
    return {"image": change(sample["image"])}


def load(change, file):
    return {"image": change(Image.open(file))}


if __name__ == "__main__":
    for kind in ("jpg", "png"):
        folder = f"{sys.argv[1]}/{kind}"
        file = f"{folder}/picture.{kind}"
        os.makedirs(folder)
        Image.new("RGB", (64, 64)).save(file)
        pictures = datasets.load_dataset("imagefolder", data_dir=folder, split="train")
        for change in (thumbnail, copied):
            mapped = pictures.map(changed, fn_kwargs={"change": change})
            out = f"{sys.argv[1]}/{kind}-{change.__name__}"
            litdata.optimize(partial(load, change), [file], out, chunk_bytes="1MB", num_workers=1)
            stored = litdata.StreamingDataset(out)[0]["image"]
            width = stored.width if isinstance(stored, Image.Image) else stored.shape[2]
            print(f"{kind}, {change.__name__}: datasets {mapped[0]['image'].width}, litdata {width} pixels wide")
PYTHON
HF_HOME="$folder/cache" TMPDIR="$folder" "$folder/venv/bin/python" "$folder/program.py" "$folder" |
  grep wide | tee "$folder/out"
expected="jpg, thumbnail: datasets 64, litdata 64 pixels wide
jpg, copied: datasets 16, litdata 16 pixels wide
png, thumbnail: datasets 64, litdata 16 pixels wide
png, copied: datasets 16, litdata 16 pixels wide"
[ "$(cat "$folder/out")" = "$expected" ] || { echo "changed"; exit 1; }

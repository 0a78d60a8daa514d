#!/usr/bin/env bash
# ema-pytorch 0.8.3: with update_every, PostHocEMA averages over another length than the one that it was asked for.
#
# Expected, from the README ("how often to actually update, to save on compute"): an average whose sigma_rel, the
# spread of its weights over the steps of training, is nearly the one that was asked for, whatever update_every is.
# Seen: the decay of one step is applied once every update_every steps, so each update forgets as much as one step
# should. With 10, as in the README's example, a sigma_rel of 0.05 becomes 0.25; with 100, the default, the average's
# centre lies at 15% of the training instead of 95%. What synthesize_ema_model() makes of the checkpoints is as far
# off. It is no matter of a short training: of a million steps the numbers are about the same. Cure: update_every=1.
# Shown with a net whose weight has a place for each step, where a 1 stands in that step alone, so that an average is
# itself the share of each step in it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet ema-pytorch==0.8.3 numpy==1.26.4 torch==2.14.1
cat >"$folder/program.py" <<'PYTHON'
import sys
import tempfile

import torch
from ema_pytorch import PostHocEMA

STEPS = 2000
place = (torch.arange(STEPS) + 1) / STEPS


def profile(net):
    centre = (net.w * place).sum()
    return f"{centre:.2f} +- {(net.w * (place - centre) ** 2).sum().sqrt():.2f}"


for every in (1, 10, 100):
    net = torch.nn.Module()
    net.w = torch.nn.Parameter(torch.zeros(STEPS), requires_grad=False)
    with tempfile.TemporaryDirectory(dir=sys.argv[1]) as folder:
        emas = PostHocEMA(net, sigma_rels=(0.05, 0.28), update_every=every, checkpoint_every_num_steps=100,
                          checkpoint_folder=folder, checkpoint_dtype=torch.float32)
        for step in range(STEPS):
            net.w.zero_()[step] = 1
            emas.update()
        print(f"update_every={every}: 0.05 is at", profile(emas.ema_models[0].ema_model),
              "and 0.15, synthesized, at", profile(emas.synthesize_ema_model(sigma_rel=0.15).ema_model))
PYTHON
"$folder/venv/bin/python" "$folder/program.py" "$folder" | tee "$folder/out"
expected="update_every=1: 0.05 is at 0.95 +- 0.05 and 0.15, synthesized, at 0.82 +- 0.15
update_every=10: 0.05 is at 0.64 +- 0.25 and 0.15, synthesized, at 0.24 +- 0.32
update_every=100: 0.05 is at 0.15 +- 0.24 and 0.15, synthesized, at 0.04 +- 0.14"
[ "$(cat "$folder/out")" = "$expected" ] || { echo "changed"; exit 1; }

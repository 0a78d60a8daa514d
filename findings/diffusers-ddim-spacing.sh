#!/usr/bin/env bash
# diffusers 0.42.1: a step of DDIMScheduler does not lead to the time step of the next network call.
#
# Expected, as DDPMScheduler does it: from one of scheduler.timesteps step() leads to the next one. Seen: it leads to
# timestep - 1000 // steps, whatever the spacing. With "linspace" and five steps the picture has the noise of 50 when
# the network is called for 0, and keeps some of it. With "trailing" it is off by one where the steps do not divide
# 1,000, and the last step of seven ends at 0 instead of the clean image. Known: huggingface/diffusers, issue 12633.
# Cure: "leading", the default, or "trailing" with a number of steps that divides 1,000. The noise output is 0 here,
# so that a step only changes the picture's scale, which tells its time step.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet diffusers==0.42.1 huggingface-hub==1.33.0 numpy==1.26.4 torch==2.14.1
cat >"$folder/program.py" <<'PYTHON'
import torch
from diffusers import DDIMScheduler

picture = torch.ones(1, 1, 1, 1, dtype=torch.float64)
for spacing, steps in (("leading", 5), ("linspace", 5), ("trailing", 7)):
    scheduler = DDIMScheduler(timestep_spacing=spacing, clip_sample=False)
    scheduler.set_timesteps(steps)
    signal = torch.cat([scheduler.alphas_cumprod, torch.ones(1)]).double()  # the last is the clean image
    called, reached = scheduler.timesteps.tolist(), []
    for timestep in called:
        scale = scheduler.step(0 * picture, timestep, picture).prev_sample.item()
        number = (signal - signal[timestep] * scale**2).abs().argmin().item()
        reached.append(number if number < 1000 else -1)
    print(spacing, "calls at", *called, "lead to", *reached)
PYTHON
"$folder/venv/bin/python" "$folder/program.py" | tee "$folder/out"
expected="leading calls at 800 600 400 200 0 lead to 600 400 200 0 -1
linspace calls at 999 749 500 250 0 lead to 799 549 300 50 -1
trailing calls at 999 856 713 570 428 285 142 lead to 857 714 571 428 286 143 0"
[ "$(cat "$folder/out")" = "$expected" ] || { echo "changed"; exit 1; }

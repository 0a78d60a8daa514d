#!/usr/bin/env bash
# diffusers 0.42.1: add_noise() of DPM-Solver, UniPC and DEIS gives a clean picture the noise of the other end of
# time.
#
# Expected: add_noise(picture, noise, t) has the noise of time step t, as that of DDPMScheduler with the same betas
# has (its code provides for a scheduler that "is used for training"), or an error. Seen: a new scheduler keeps its
# sigmas from the least noise up and its timesteps from 999 down, and add_noise() takes the sigma at the place of t
# among the timesteps: that of 999 - t. So a network learns from it that 0 is pure noise, and set_timesteps(), whose
# sigmas are in the right order, has it sample as if 0 were the clean picture. After set_timesteps(20) a time step
# that is none of the 20 gets the noise of the last of them, where EulerDiscreteScheduler raises an IndexError. No
# word comes. Cure: add noise with a DDPMScheduler of the same betas, also where another one samples. Shown with a
# picture of zeros and noise of 1, so that what comes is the share of the noise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet diffusers==0.42.1 huggingface-hub==1.33.0 numpy==1.26.4 torch==2.14.1
cat >"$folder/program.py" <<'PYTHON'
import diffusers
import torch

times = torch.tensor([0, 10, 250, 500, 750, 999])
picture = torch.zeros(len(times), 1, 1, 1)
print("time step", *times.tolist())
for name in ("DDPM", "DPMSolverMultistep", "DPMSolverSinglestep", "UniPCMultistep", "DEISMultistep"):
    scheduler = getattr(diffusers, f"{name}Scheduler")()
    shares = []
    for steps in (None, 20):
        if steps:
            scheduler.set_timesteps(steps)
        shares.append([f"{share:.2f}" for share in scheduler.add_noise(picture, picture + 1, times).flatten()])
    print(name, "new", *shares[0], "set", *shares[1])
PYTHON
"$folder/venv/bin/python" "$folder/program.py" | tee "$folder/out"
expected="time step 0 10 250 500 750 999
DDPM new 0.01 0.05 0.69 0.96 1.00 1.00 set 0.01 0.05 0.69 0.96 1.00 1.00
DPMSolverMultistep new 1.00 1.00 1.00 0.96 0.69 0.01 set 0.17 0.17 0.69 0.96 0.17 1.00
DPMSolverSinglestep new 1.00 1.00 1.00 0.96 0.69 0.01 set 0.17 0.17 0.69 0.96 0.17 1.00
UniPCMultistep new 1.00 1.00 1.00 0.96 0.69 0.01 set 0.17 0.17 0.69 0.96 0.17 1.00
DEISMultistep new 1.00 1.00 1.00 0.96 0.69 0.01 set 0.17 0.17 0.69 0.96 0.17 1.00"
[ "$(cat "$folder/out")" = "$expected" ] || { echo "changed"; exit 1; }

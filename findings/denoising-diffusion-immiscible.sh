#!/usr/bin/env bash
# denoising-diffusion-pytorch 2.3.4: with immiscible=True the noise to be predicted is that of other pictures.
#
# Expected: GaussianDiffusion(..., immiscible=True) deals a batch's noises out to its pictures so that the sum of the
# distances is smallest, and the network is to predict that noise; one that gives exactly the noise in the picture
# that it was handed has a loss of 0, as without. Seen: q_sample() puts the noise in the new order for itself, and
# p_losses() takes its target from the order before: the noise of another picture. That perfect network's loss is 2.1
# for "pred_noise" and 1.0 for "pred_v", the default; "pred_x0" is as it should be. Cure: leave it False and hand
# p_losses() noise that is in that order, which noise_assignment() gives. Shown with a network that is told the clean
# pictures, and so computes the true noise; losses are divided by the library's weight of that time step.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet denoising-diffusion-pytorch==2.3.4 accelerate==1.15.0 numpy==1.26.4 \
  pillow==13.0.0 scipy==1.17.1 torch==2.14.1 torchvision==0.29.1
cat >"$folder/program.py" <<'PYTHON'
import torch
from denoising_diffusion_pytorch import GaussianDiffusion


class Perfect(torch.nn.Module):
    channels, out_dim, self_condition = 1, 1, False

    def forward(self, x, t, _):
        signal, share = (table[t].view(-1, 1, 1, 1) for table in self.tables)
        noise = (x - signal * self.clean) / share
        v = signal * noise - share * self.clean
        return {"pred_noise": noise, "pred_x0": self.clean, "pred_v": v}[self.objective]


torch.manual_seed(0)
pictures, times = torch.rand(64, 1, 8, 8), torch.full((64,), 500)
for objective in ("pred_noise", "pred_v", "pred_x0"):
    losses = []
    for immiscible in (False, True):
        network = Perfect()
        diffusion = GaussianDiffusion(network, image_size=8, objective=objective, immiscible=immiscible)
        network.objective, network.clean = objective, 2 * pictures - 1
        network.tables = diffusion.sqrt_alphas_cumprod, diffusion.sqrt_one_minus_alphas_cumprod
        weight = diffusion.loss_weight[500]
        losses.append(diffusion(pictures, times=times) / weight)
        if immiscible:
            diffusion.immiscible, noise = False, torch.randn(64, 1, 8, 8)
            noise = noise[diffusion.noise_assignment(network.clean, noise)]
            losses.append(diffusion.p_losses(network.clean, times, noise=noise) / weight)
    print(f"{objective}: without {losses[0]:.1f}, immiscible {losses[1]:.1f}, cure {losses[2]:.1f}")
PYTHON
"$folder/venv/bin/python" "$folder/program.py" | tee "$folder/out"
expected="pred_noise: without 0.0, immiscible 2.1, cure 0.0
pred_v: without 0.0, immiscible 1.0, cure 0.0
pred_x0: without 0.0, immiscible 0.0, cure 0.0"
[ "$(cat "$folder/out")" = "$expected" ] || { echo "changed"; exit 1; }

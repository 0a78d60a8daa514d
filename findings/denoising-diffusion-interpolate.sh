#!/usr/bin/env bash
# denoising-diffusion-pytorch 2.3.4: interpolate() speaks another range than forward() and sample(), and its mixture
# has less noise than the network is told.
#
# Expected: GaussianDiffusion.interpolate(x1, x2, t, lam) takes pictures from 0 to 1, as forward() does, and gives
# such pictures, as sample() does; the mixture that denoising starts from has the noise of step t. Seen: nothing is
# normalised on the way in (at step 0 pictures from 0 to 1 are only mixed with noise) or out (after denoising they
# come back going from -1 to 1); and the two noises are mixed linearly, as in the DDPM paper, which noises both
# pictures alike, so that at lam 0.5 their standard deviation is 0.7 of what step t has. Cure: hand it 2 x - 1 and
# take (y + 1) / 2 of what it gives; mix the noise by its root weights, or noise a mixture of the pictures. Shown with
# a network that knows the only picture there is, and so gives the true noise in any input.
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
        self.noises.append((noise - noise.mean(dim=(2, 3), keepdim=True)).std().item())
        return noise


torch.manual_seed(0)
picture = torch.zeros(64, 1, 16, 16)
picture[..., 8:] = 1
network = Perfect()
diffusion = GaussianDiffusion(network, image_size=16, objective="pred_noise", timesteps=200, auto_normalize=True)
network.clean = 2 * picture - 1
network.tables = diffusion.sqrt_alphas_cumprod, diffusion.sqrt_one_minus_alphas_cumprod
extremes = lambda x: f"{x.min():.1f} to {x.max():.1f}"
network.noises = []
print("loss of pictures from 0 to 1:", round(diffusion(picture).item(), 4))
print("sample():", extremes(diffusion.sample(batch_size=64)))
print("interpolate() of pictures from 0 to 1:", extremes(diffusion.interpolate(picture, picture, t=150)))
print("mean of a half white picture at step 0:", f"{diffusion.interpolate(picture, picture, t=0).mean():.1f}")
for lam in (0.0, 0.5):
    network.noises = []
    diffusion.interpolate(network.clean, network.clean, t=150, lam=lam)
    print(f"noise at the first step, over that of the schedule, lam {lam}: {network.noises[0]:.1f}")
PYTHON
"$folder/venv/bin/python" "$folder/program.py" | tee "$folder/out"
expected="loss of pictures from 0 to 1: 0.0
sample(): 0.0 to 1.0
interpolate() of pictures from 0 to 1: -1.0 to 1.0
mean of a half white picture at step 0: 0.5
noise at the first step, over that of the schedule, lam 0.0: 1.0
noise at the first step, over that of the schedule, lam 0.5: 0.7"
[ "$(cat "$folder/out")" = "$expected" ] || { echo "changed"; exit 1; }

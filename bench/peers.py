"""The pixel DDPM's speed over its peers', at equal parameters and network calls: python bench/peers.py [--rounds 7]

Peers: diffusers (with DPM-Solver++, at the time steps of ours) and denoising-diffusion-pytorch (with DDIM), each with
three levels at 32x32 and about as many parameters as ours, trained by AdamW with averaged weights at the same batch
size and precision (bf16 where the processor has it). Prints images/s as medians, the ratio of ours to each as median
(min-max), and how many GFLOP/s our samplers' networks reach beside a large matrix product of the same precision, which
is the machine's limit; writes all of it to asset/bench.json."""
import sys
from importlib.metadata import version

import numpy as np
from frameworks import BATCH, SAMPLES, STEPS, build
from rounds import ROOT, Rounds, compete, write

from common.files import shipped_weights
from common.options.command_line import run
from common.options.recipes import Where

sys.path.insert(0, str(ROOT / "pytorch"))
OURS, LIMIT = "this repository", "matrix product of 4096"
NETWORKS = {"pixel UNet": "ddpm", "latent UNet": "ldm"}


def diffusers(device):
    """(network, loss(images), function() that samples)."""
    import torch
    from diffusers import DDPMPipeline, DDPMScheduler, DPMSolverMultistepScheduler, UNet2DModel

    network = UNet2DModel(
        sample_size=32, in_channels=1, out_channels=1, layers_per_block=1, block_out_channels=(32, 64, 112),
        down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"), norm_num_groups=8,
    ).to(device)  # fmt: skip
    diffusion = {"beta_schedule": "squaredcos_cap_v2", "prediction_type": "v_prediction"}
    noising = DDPMScheduler(**diffusion)
    sampler = DPMSolverMultistepScheduler(**diffusion, timestep_spacing="trailing")  # as ours
    pipeline = DDPMPipeline(network, sampler)
    pipeline.set_progress_bar_config(disable=True)

    def loss(x):
        eps, t = torch.randn_like(x), torch.randint(0, 1000, (len(x),), device=device)
        output = network(noising.add_noise(x, eps, t), t).sample
        return ((output.float() - noising.get_velocity(x, eps, t)) ** 2).mean()

    return network, loss, lambda: pipeline(batch_size=SAMPLES, num_inference_steps=STEPS, output_type="np").images


def lucidrains(device):
    """(network, loss(images), function() that samples)."""
    from denoising_diffusion_pytorch import GaussianDiffusion, Unet

    network = Unet(dim=28, dim_mults=(1, 2, 4), channels=1, flash_attn=False)
    diffusion = GaussianDiffusion(network, image_size=32, objective="pred_v", sampling_timesteps=STEPS).to(device)
    return network, lambda x: diffusion(x / 2 + 0.5), lambda: diffusion.sample(batch_size=SAMPLES)


def build_peer(make, where):
    """{"training", "sampling": function() -> number of images done} of a peer."""
    import torch

    from device import Device

    device = Device(where)
    network, loss, sample = make(device.device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, betas=(0.9, 0.99))
    average = torch.optim.swa_utils.AveragedModel(network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn())
    x = torch.randn(BATCH, 1, 32, 32, device=device.device)

    def training():
        with device.autocast():
            value = loss(x)
        value.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        average.update_parameters(network)
        value.item()  # waits for a GPU, as our training does
        return BATCH

    def sampling():
        with device.inference():
            assert len(sample()) == SAMPLES
        return SAMPLES

    return {"training": training, "sampling": sampling}


def build_limit(name, where):
    """{"limits": function() -> GFLOP done} of one of our networks, or of the matrix product."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from device import Device
    from pipeline import pipeline

    device = Device(where)
    if name == LIMIT:
        dtype = torch.bfloat16 if device.describe()["dtype"] == "bf16" else torch.float32
        a = torch.randn(4096, 4096, dtype=dtype, device=device.device)
        work = lambda: a @ a
    else:
        model = pipeline.load_model(shipped_weights(device.tree, NETWORKS[name]), NETWORKS[name], where)
        denoiser = model.diffusion.denoiser(model.network, device.tensor(model.conditions(np.zeros(SAMPLES))))
        x = torch.randn(SAMPLES, *model.space.shape, device=device.device)
        work = lambda: denoiser(x, 500)

    def calls():
        with device.inference():
            work()
        if where.device == "cuda":
            torch.cuda.synchronize()
        return counter.get_total_flops() / 1e9

    with FlopCounterMode(display=False) as counter:
        calls()
    return {"limits": calls}


def main(options):
    """Compare training and sampling with the peers, and the networks with the machine's limit; write it down."""
    from device import Device

    where = Where(device=options.device)
    contestants = {OURS: (build, "pytorch", "ddpm", options.device, "auto")}
    for name, make in {"diffusers": diffusers, "denoising-diffusion-pytorch": lucidrains}.items():
        contestants[f"{name} {version(name)}"] = build_peer, make, where
    results = compete(contestants, ("training", "sampling"), options.rounds, lambda ours, other: ours / other)
    results |= compete({name: (build_limit, name, where) for name in (LIMIT, *NETWORKS)}, ("limits",), options.rounds)
    write("peers", options, results, precision=Device(where).describe()["dtype"], calls=STEPS)


if __name__ == "__main__":
    run(main, Rounds, __doc__)

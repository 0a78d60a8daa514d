"""The pixel DDPM's speed over its peers', at equal parameters and equal network calls, on the same cores in one run.

    python bench/peers.py [--rounds 7] [--device cpu]

Peers: diffusers (UNet2DModel, its DDPMPipeline with DPMSolverMultistepScheduler) and denoising-diffusion-pytorch (Unet,
GaussianDiffusion with DDIM), each with three levels at 32x32 and about as many parameters as ours, trained by AdamW
with averaged weights at the same batch size and precision (bf16 where the processor has it). Each has a process of its
own; the rounds go A B C A B C. Prints images/s as medians, the ratio of ours to each as median (min-max), and how many
GFLOP/s our samplers' networks reach beside a large matrix product of the same precision, which is the machine's limit;
writes all of it to asset/bench.json.
"""
import sys
from importlib.metadata import version

from frameworks import BATCH, SAMPLES, STEPS, build
from rounds import ROOT, Rounds, compete, write

from common.files import shipped_weights
from common.options.command_line import run
from common.options.recipes import Where

OURS, LIMIT = "this repository", "matrix product of 4096"
NETWORKS = {"pixel UNet": "ddpm", "latent UNet": "ldm"}
sys.path.insert(0, str(ROOT / "pytorch"))


def wrap(network, loss, sample, device):
    """A peer's training step and sampling, as two functions that return the number of images they went through.

    loss(x) of images x; sample() draws; both with the network, on the tree's Device.
    """
    import torch

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
        return BATCH

    def sampling():
        with device.inference():
            assert len(sample()) == SAMPLES
        return SAMPLES

    return {"training": training, "sampling": sampling}


def diffusers(where):
    import torch
    from diffusers import DDPMPipeline, DDPMScheduler, DPMSolverMultistepScheduler, UNet2DModel

    from device import Device

    device = Device(where)
    network = UNet2DModel(
        sample_size=32, in_channels=1, out_channels=1, layers_per_block=1, block_out_channels=(32, 64, 112),
        down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"), norm_num_groups=8,
    ).to(device.device)  # fmt: skip
    noising = DDPMScheduler(beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction")
    pipeline = DDPMPipeline(network, DPMSolverMultistepScheduler.from_config(noising.config))
    pipeline.set_progress_bar_config(disable=True)

    def loss(x):
        eps, t = torch.randn_like(x), torch.randint(0, 1000, (len(x),), device=x.device)
        output = network(noising.add_noise(x, eps, t), t).sample
        return ((output.float() - noising.get_velocity(x, eps, t)) ** 2).mean()

    def sample():
        return pipeline(batch_size=SAMPLES, num_inference_steps=STEPS, output_type="np").images

    return wrap(network, loss, sample, device)


def lucidrains(where):
    from denoising_diffusion_pytorch import GaussianDiffusion, Unet

    from device import Device

    device = Device(where)
    network = Unet(dim=28, dim_mults=(1, 2, 4), channels=1, flash_attn=False)
    diffusion = GaussianDiffusion(network, image_size=32, objective="pred_v", sampling_timesteps=STEPS)
    diffusion.to(device.device)
    return wrap(network, lambda x: diffusion(x / 2 + 0.5), lambda: diffusion.sample(batch_size=SAMPLES), device)


def limit(name, where):
    """A call of one of our networks, or the matrix product: a function that returns how many GFLOP it went through."""
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
        x = torch.randn(SAMPLES, *model.space.shape, device=device.device)
        t = torch.full((SAMPLES,), 500, device=device.device)
        y = torch.zeros(SAMPLES, 1 + len(model.spec.measures), device=device.device)
        work = lambda: model.network(x, t, y)

    def call():
        with device.inference():
            work()
        if where.device == "cuda":
            torch.cuda.synchronize()
        return counter.get_total_flops() / 1e9

    with FlopCounterMode(display=False) as counter:
        call()
    return {"limits": call}


def main(options):
    """Measure training and sampling beside the peers, and the networks beside the machine's limit; write it down."""
    from device import Device

    where = Where(device=options.device)
    contestants = {OURS: (build, "pytorch", "ddpm", options.device, "auto")}
    for name, peer in (("diffusers", diffusers), ("denoising-diffusion-pytorch", lucidrains)):
        contestants[f"{name} {version(name)}"] = peer, where
    ours_over = lambda ours, other: ours / other
    results = compete(contestants, ("training", "sampling"), options.rounds, "images/s", ours_over)
    limits = {name: (limit, name, where) for name in (LIMIT, *NETWORKS)}
    results |= compete(limits, ("limits",), options.rounds, "GFLOP/s")
    write("peers", options, results, precision=Device(where).describe()["dtype"], calls=STEPS)


if __name__ == "__main__":
    run(main, Rounds, __doc__)

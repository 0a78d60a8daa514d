"""The pixel DDPM's speed over its peers', at equal parameters and equal network calls, on the same cores in one run.

    python bench/peers.py [--rounds 7] [--device cpu]

Peers: diffusers (UNet2DModel, its DDPMPipeline with DPMSolverMultistepScheduler) and denoising-diffusion-pytorch (Unet,
GaussianDiffusion with DDIM), each with three levels at 32x32 and about as many parameters as ours, trained by AdamW
with averaged weights at the same batch size and precision (bf16 where the processor has it). Each has a process of its
own; the rounds go A B C A B C. Prints images/s as medians, the ratio of ours to each as median (min-max), and how many
GFLOP/s our samplers' networks reach beside a large matrix product of the same precision, which is the machine's limit.
"""
import argparse
import statistics
import sys

from frameworks import ROOT, SAMPLES, STEPS, build
from rounds import compete, end, ratio, serve, start

BATCH = 128


def wrap(network, loss, sample, device, bf16):
    """A peer's training step and sampling, as two functions that return the number of images they went through."""
    import torch

    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, betas=(0.9, 0.99))
    average = torch.optim.swa_utils.AveragedModel(network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn())
    x = torch.randn(BATCH, 1, 32, 32, device=device)
    autocast = lambda: torch.autocast(device, dtype=torch.bfloat16, enabled=bf16)  # noqa: E731

    def training():
        with autocast():
            value = loss(x)
        value.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        average.update_parameters(network)
        return BATCH

    def sampling():
        with torch.no_grad(), autocast():
            assert len(sample()) == SAMPLES
        return SAMPLES

    parameters = sum(parameter.numel() for parameter in network.parameters())
    print(f"{parameters / 1e6:.2f} M parameters", file=sys.stderr)
    return {"training": training, "sampling": sampling}


def diffusers(device, bf16):
    import torch
    from diffusers import DDPMPipeline, DDPMScheduler, DPMSolverMultistepScheduler, UNet2DModel

    network = UNet2DModel(
        sample_size=32, in_channels=1, out_channels=1, layers_per_block=1, block_out_channels=(32, 64, 112),
        down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"), norm_num_groups=8,
    ).to(device)  # fmt: skip
    noising = DDPMScheduler(beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction")
    pipeline = DDPMPipeline(network, DPMSolverMultistepScheduler.from_config(noising.config))
    pipeline.set_progress_bar_config(disable=True)

    def loss(x):
        eps, t = torch.randn_like(x), torch.randint(0, 1000, (len(x),), device=device)
        output = network(noising.add_noise(x, eps, t), t).sample
        return ((output.float() - noising.get_velocity(x, eps, t)) ** 2).mean()

    def sample():
        return pipeline(batch_size=SAMPLES, num_inference_steps=STEPS, output_type="np").images

    return wrap(network, loss, sample, device, bf16)


def lucidrains(device, bf16):
    from denoising_diffusion_pytorch import GaussianDiffusion, Unet

    network = Unet(dim=28, dim_mults=(1, 2, 4), channels=1, flash_attn=False).to(device)
    diffusion = GaussianDiffusion(network, image_size=32, objective="pred_v", sampling_timesteps=STEPS).to(device)

    def sample():
        return diffusion.sample(batch_size=SAMPLES)

    return wrap(network, lambda x: diffusion(x / 2 + 0.5), sample, device, bf16)


def limits(device, bf16):
    """Matrix products of 4096, and our two networks' calls, in GFLOP and how often a second."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from common.config import TrainDDPM, TrainLDM
    from model.unet import ConditionalUNet

    dtype = torch.bfloat16 if bf16 else torch.float32
    a = torch.randn(4096, 4096, dtype=dtype, device=device)
    networks = {
        "pixel UNet": (ConditionalUNet(TrainDDPM().unet), (1, 32, 32)),
        "latent UNet": (ConditionalUNet(TrainLDM().unet), (4, 8, 8)),
    }
    works = {"matmul": lambda: a @ a}
    for name, (network, shape) in networks.items():
        network.to(device).eval()
        x, t = torch.randn(SAMPLES, *shape, device=device), torch.full((SAMPLES,), 500, device=device)
        y = torch.arange(SAMPLES, device=device) % 10
        works[name] = lambda network=network, arguments=(x, t, y): network(*arguments)

    def call(work):
        with torch.no_grad(), torch.autocast(device, dtype=torch.bfloat16, enabled=bf16):
            work()
        if device == "cuda":
            torch.cuda.synchronize()

    measured = {}
    for name, work in works.items():
        with FlopCounterMode(display=False) as counter:
            call(work)
        gflop = counter.get_total_flops() / 1e9
        measured[name] = lambda work=work, gflop=gflop: call(work) or gflop
    return measured


def contestant(name, device):
    """What a process of its own measures: images or GFLOP a call."""
    if name == "ours":
        return build("pytorch", "ddpm", device, BATCH, precision="auto")
    sys.path[:0] = [str(path) for path in (ROOT / "pytorch", ROOT)]
    from device import make_accelerator

    bf16 = make_accelerator(device, "auto").mixed_precision == "bf16"
    return {"diffusers": diffusers, "lucidrains": lucidrains, "limits": limits}[name](device, bf16)


def compare(rounds, device):
    names = ("ours", "diffusers", "lucidrains")
    contestants = {name: start(__file__, "--worker", name, "--device", device) for name in names}
    for what in ("training", "sampling"):
        speeds = compete({name: (process, what) for name, process in contestants.items()}, rounds)
        for name in names:
            speed = f"{what} {name:10} {statistics.median(speeds[name]):6.0f} images/s"
            print(f"{speed}, ours / it {ratio(speeds['ours'], speeds[name])}", flush=True)
    end(contestants)
    alone = start(__file__, "--worker", "limits", "--device", device)
    speeds = compete({what: (alone, what) for what in ("matmul", "pixel UNet", "latent UNet")}, rounds)
    for what, found in speeds.items():
        speed = f"{what:11} {statistics.median(found):6.0f} GFLOP/s"
        print(f"{speed}, of the matrix product's {ratio(found, speeds['matmul'])}", flush=True)
    end({"limits": alone})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="rounds of two seconds each (default 7)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default cpu)")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        serve(contestant(arguments.worker, arguments.device))
    else:
        compare(arguments.rounds, arguments.device)

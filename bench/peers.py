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

from frameworks import SAMPLES, STEPS, build
from rounds import ROOT, compete, end, read_options, serve, start, write

OURS, PEERS, LIMIT = "this repository", ("diffusers", "denoising-diffusion-pytorch"), "matrix product of 4096"
BATCH = 128


def wrap(network, loss, sample, device, bf16):
    """A peer's training step and sampling, as two functions that return the number of images they went through."""
    import torch

    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, betas=(0.9, 0.99))
    average = torch.optim.swa_utils.AveragedModel(network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn())
    x = torch.randn(BATCH, 1, 32, 32, device=device)
    autocast = lambda: torch.autocast(device, dtype=torch.bfloat16, enabled=bf16)

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
    """A matrix product, and our two networks' calls: functions that return how many GFLOP they went through."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from common.options.recipes import TrainDDPM, TrainLDM
    from model.unet import ConditionalUNet

    dtype = torch.bfloat16 if bf16 else torch.float32
    a = torch.randn(4096, 4096, dtype=dtype, device=device)
    networks = {
        "pixel UNet": (ConditionalUNet(TrainDDPM().unet), (1, 32, 32)),
        "latent UNet": (ConditionalUNet(TrainLDM().unet), (4, 8, 8)),
    }
    works = {LIMIT: lambda: a @ a}
    for name, (network, shape) in networks.items():
        network.to(device).eval()
        x, t = torch.randn(SAMPLES, *shape, device=device), torch.full((SAMPLES,), 500, device=device)
        y = torch.zeros(SAMPLES, 1 + len(network.config.attributes), device=device)
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


def precision_of(device):
    """bf16 where the hardware multiplies it, else fp32: what our tree chooses."""
    sys.path[:0] = [str(ROOT / "pytorch")]
    from device import describe, make_accelerator

    return describe(make_accelerator(device, "auto"))["dtype"]


def contestant(name, device):
    """What a process of its own measures: images or GFLOP per call."""
    if name == OURS:
        return build("pytorch", "ddpm", device, BATCH, precision="auto")
    measure = {"diffusers": diffusers, "denoising-diffusion-pytorch": lucidrains, "limits": limits}[name]
    return measure(device, precision_of(device) == "bf16")


def compare(options):
    """Measure training and sampling beside the peers, and the networks beside the machine's limit; write it down."""
    device = ("--device", options.device)
    contestants = {OURS: start(__file__, "--worker", OURS, *device)}
    contestants |= {f"{name} {version(name)}": start(__file__, "--worker", name, *device) for name in PEERS}
    ratios, results = {name: (OURS, name) for name in list(contestants)[1:]}, {}
    for work in ("training", "sampling"):
        asked = {name: (process, work) for name, process in contestants.items()}
        results[work] = compete(asked, options.rounds, "images/s", ratios)
    end(contestants)
    networks, alone = ("pixel UNet", "latent UNet"), start(__file__, "--worker", "limits", *device)
    asked, ratios = {name: (alone, name) for name in (LIMIT, *networks)}, {name: (name, LIMIT) for name in networks}
    results["limits"] = compete(asked, options.rounds, "GFLOP/s", ratios)
    end({"limits": alone})
    write("peers", options, results, precision=precision_of(options.device), calls=STEPS)


if __name__ == "__main__":
    options = read_options(__doc__)
    if options.worker:
        serve(contestant(options.worker, options.device))
    else:
        compare(options)

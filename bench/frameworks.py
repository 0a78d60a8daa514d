"""The Jittor tree's speed over the PyTorch tree's, in float32, on the same cores in one run.

    python bench/frameworks.py [--rounds 7] [--device cpu]
    python bench/frameworks.py --memory 2000        # resident memory of Jittor's training instead

Each framework has a process of its own; the rounds go A B A B, so that a machine whose speed drifts hits both. Prints
images/s as medians and the ratio Jittor / PyTorch of each pair of rounds as median (min-max).
"""
import argparse
import statistics
import sys
import tempfile
from pathlib import Path

from rounds import compete, end, ratio, serve, start

ROOT = Path(__file__).resolve().parents[1]
TREES = ("pytorch", "jittor")
STEPS, SAMPLES = 5, 250


def build(tree, kind, device, batch=128, precision="fp32"):
    """The work of one kind, as two functions without arguments that return the number of images they went through."""
    sys.path[:0] = [str(ROOT / tree), str(ROOT)]
    import numpy as np

    from common.config import SampleLDM, SampleVAE, TrainDDPM, TrainLDM, TrainVAE
    from device import make_accelerator, to_tensor
    from model.ddpm import DDPM
    from model.unet import ConditionalUNet
    from model.vae import VAE, LatentSpace, vae_loss
    from sampler import Pipeline, decode_prior
    from trainer import Trainer

    options_type = {"ddpm": TrainDDPM, "ldm": TrainLDM, "vae": TrainVAE}[kind]
    options = options_type(out=Path(tempfile.mkdtemp()), warmup=0, batch_size=batch, device=device, precision=precision)
    accelerator = make_accelerator(options.device, options.precision)
    network = (lambda: VAE(options.vae)) if kind == "vae" else (lambda: ConditionalUNet(options.unet))
    trainer = Trainer(options, accelerator, network)
    trainer.run.record = lambda *_, **__: None
    shape = (4, 8, 8) if kind == "ldm" else (1, 32, 32)
    data = np.random.default_rng(0).standard_normal((batch, *shape)).astype(np.float32)
    labels = np.arange(batch) % 11
    ddpm = DDPM(TrainLDM().diffusion)

    def losses(model, indices, noise):
        x = to_tensor(data[indices], accelerator.device)
        eps = to_tensor(noise.normal(*((4, 8, 8) if kind == "vae" else shape)), accelerator.device)
        if kind == "vae":
            return vae_loss(model, x, eps, 1e-4)
        y = to_tensor(labels[indices], accelerator.device)
        return {"loss": ddpm.loss(lambda x_t, t: model(x_t, t, y), x, noise.integers(1000), eps)}

    def training():
        trainer.step(losses, np.arange(batch), 1e-4)
        return batch

    space = None
    if kind == "ldm":
        space = LatentSpace(VAE(TrainVAE().vae).eval(), np.zeros(4, np.float32), np.ones(4, np.float32))

    def sampling():
        if kind == "vae":
            decode_prior(accelerator, trainer.ema, SampleVAE(num=SAMPLES))
        else:
            pipeline = Pipeline(accelerator, trainer.ema, ddpm.config, space)
            pipeline.images(SampleLDM(num=SAMPLES, sampler="dpmpp_2m", steps=STEPS, shift=1))
        return SAMPLES

    return {"training": training, "sampling": sampling}


def compare(rounds, device):
    for kind in ("ddpm", "ldm", "vae"):
        trees = {tree: start(__file__, "--worker", tree, "--kind", kind, "--device", device) for tree in TREES}
        for what in ("training", "sampling"):
            speeds = compete({tree: (process, what) for tree, process in trees.items()}, rounds)
            torch, jittor = (statistics.median(speeds[tree]) for tree in TREES)
            speed = f"PyTorch {torch:.0f} images/s, Jittor {jittor:.0f}"
            print(f"{kind:4} {what}: {speed}, ratio {ratio(speeds['jittor'], speeds['pytorch'])}", flush=True)
        end(trees)


def memory(steps, device):
    """Print the resident memory of Jittor's latent training, 16 images a step, after 200 steps and after so many."""
    training = build("jittor", "ldm", device, batch=16)["training"]
    for step in range(1, steps + 1):
        training()
        if step in (200, steps):
            status = Path("/proc/self/status").read_text()
            resident = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
            print(f"after {step} steps: {int(resident) / 1024:.0f} MiB resident", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="pairs of rounds of two seconds (default 7)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default cpu)")
    parser.add_argument("--memory", type=int, metavar="STEPS", help="measure memory over so many steps instead")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--kind", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        serve(build(arguments.worker, arguments.kind, arguments.device))
    elif arguments.memory:
        memory(arguments.memory, arguments.device)
    else:
        compare(arguments.rounds, arguments.device)

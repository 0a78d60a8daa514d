"""The two trees compute the same: one set of weights and inputs made in numpy, float32, both frameworks."""
from dataclasses import replace

import numpy as np
import pytest
from conftest import FP32, ROOT, read_rows

from common.checkpoint import load_checkpoint
from common.data.dataset import open_dataset
from common.diffusion.samplers import SAMPLERS
from common.diffusion.schedule import sampler_timesteps
from common.diffusion.space import Pixels, latents
from common.machine import multiplies_bf16
from common.options.networks import DiffusionConfig, SamplerConfig, UNetConfig, VAEConfig
from common.options.recipes import DistillLDM, TrainDDPM, Training, TrainLDM, TrainVAE
from common.training.run import Run
from common.training.trainer import Trainer

NAN, PIXELS, LATENTS = np.nan, (1, 32, 32), (4, 8, 8)
CONDITIONS = np.array([  # every kind of what is given and what is not
    (3, 0.5, -1, 2), (7, NAN, 1, NAN), (NAN, NAN, NAN, NAN), (0, NAN, NAN, NAN),
    (NAN, -2, NAN, 0.1), (9, 0, 0, 0), (1, 0.3, NAN, -0.7), (NAN, 1, 1, 1),
], np.float32)  # fmt: skip
NETWORKS = {
    "ddpm": (lambda tree: tree.unet.ConditionalUNet(TrainDDPM().unet, PIXELS, 10, 3), PIXELS),
    "ldm": (lambda tree: tree.unet.ConditionalUNet(TrainLDM().unet, LATENTS, 10, 3), LATENTS),
    "vae": (lambda tree: tree.vae.VAE(TrainVAE().vae, PIXELS), PIXELS),
}


def weights_of(network):
    """A scaled-down random value for each tensor: none is zero, none makes the output overflow.

    The seed keeps all decoded pixels 0.02 from -1 and 1, one of them beyond: the loss of detail clips there, and
    rounding that takes one pixel across changes the gradient by up to 1e-2."""
    random = np.random.default_rng(47)
    return {
        name: random.standard_normal(value.shape).astype(np.float32)
        * (0.5 if len(value.shape) == 1 else 1 / np.sqrt(np.prod(value.shape[1:])))
        for name, value in sorted(network.state_dict().items())
    }


@pytest.fixture(scope="module", params=NETWORKS)
def pair(request, trees):
    """A network in both trees with the same weights, and the shape of its input: [(tree, network)], kind, shape."""
    build, shape = NETWORKS[request.param]
    networks = [(tree, build(tree)) for tree in trees.values()]
    ours, theirs = ({name: tuple(v.shape) for name, v in network.state_dict().items()} for _, network in networks)
    assert ours == theirs  # the tensors' names and shapes: checkpoints are interchangeable
    assert list(ours) == list(theirs)
    weights = weights_of(networks[0][1])
    for tree, network in networks:
        tree.cpu.fill(network, weights)
    return networks, request.param, shape


def both(networks, compute):
    """compute(tree, network, tensor) in both trees."""
    return [compute(tree, network, tree.cpu.tensor) for tree, network in networks]


def test_outputs(pair):
    networks, kind, shape = pair
    x, z = (np.random.default_rng(0).standard_normal((4, *size)).astype(np.float32) for size in (shape, LATENTS))
    t, y = np.array([0, 10, 500, 999]), CONDITIONS[:4]

    def outputs(tree, network, tensor):
        if kind == "vae":
            results = [network.encode(tensor(x)).mean, network.encode(tensor(x)).logvar, network.decode(tensor(z))]
        else:
            results = [network(tensor(x), tensor(t), tensor(y))]
        return [tree.cpu.array(result) for result in results]

    for a, b in zip(*both(networks, outputs)):
        assert np.abs(a).max() > 0.1
        np.testing.assert_allclose(a, b, atol=1e-4, rtol=0)


def losses_of(tree, kind):
    """The training loss of a kind on fixed data, as the train scripts compute it."""
    data = np.random.default_rng(1)
    x = data.standard_normal((8, *NETWORKS[kind][1])).astype(np.float32)
    eps = data.standard_normal((8, *(LATENTS if kind == "vae" else NETWORKS[kind][1]))).astype(np.float32)
    t, y = data.integers(0, 1000, 8), CONDITIONS
    x, eps, y = (tree.cpu.tensor(array) for array in (x, eps, y))
    diffusion = tree.ddpm.GaussianDiffusion(DiffusionConfig(), clip=kind == "ddpm")
    if kind == "vae":
        weights = TrainVAE().weights
        parts = lambda network: tree.vae.vae_losses(network, x, eps)
        return lambda network: sum(weights[name] * part for name, part in parts(network).items())
    return lambda network: diffusion.loss(network, x, t, eps, y)


def trainer_of(tree, options, space, players):
    """A Trainer in a run of its own."""
    return Trainer(Run(options, open_dataset().spec, tree.cpu), space, players)


def two_steps(trainer, losses):
    """Epochs of 8 samples each; the rows of metrics.csv and the checkpoint."""
    assert len(list(trainer.steps(losses, count=8, preview=lambda ema: np.zeros((4, 4), np.uint8)))) == 2
    folder = trainer.run.folder
    rows, checkpoint = read_rows(folder), load_checkpoint(folder, trainer.run.options.kind)
    assert checkpoint.progress.step == len(rows) == 2
    return rows, checkpoint.tensors


@pytest.mark.skipif(not multiplies_bf16(), reason="this processor does not multiply bf16")
def test_bf16(pair):
    """Gradients in bf16 are as far from those in float32 in both trees, and no farther from each other."""
    import torch

    networks, kind, _ = pair

    def gradients(bf16):
        found = []
        for tree, network in networks:
            weights = dict(network.named_parameters())
            with (torch.autocast("cpu", enabled=bf16) if tree.name == "pytorch" else tree.device.bf16.autocast(bf16)):
                loss = losses_of(tree, kind)(network)
            grad = torch.autograd.grad if tree.name == "pytorch" else tree.device.jt.grad
            grads = dict(zip(weights, grad(loss, list(weights.values()))))
            found.append(np.concatenate([tree.cpu.array(grads[name]).ravel() for name in sorted(grads)]))
        return found

    error = lambda a, b: np.linalg.norm(a - b) / np.linalg.norm(b)
    exact, rounded = gradients(False), gradients(True)
    ours, theirs = error(rounded[1], exact[1]), error(rounded[0], exact[0])
    assert error(exact[1], exact[0]) < 1e-4 and 1e-3 < ours < 1.2 * theirs < 0.1
    assert error(rounded[1], rounded[0]) < 2 * theirs


def test_training_step(pair, tmp_path):
    """Loss, gradients, Muon and the averaged weights after two steps of the Trainer with each tree's own parts."""
    networks, kind, _ = pair
    options = {"ddpm": TrainDDPM, "ldm": TrainLDM, "vae": TrainVAE}[kind]
    found = []
    for tree, network in networks:
        training = Training(out=tmp_path / tree.name, warmup=0, epochs=2, batch_size=8, clip_norm=0.5, save_every=1)
        space = Pixels(PIXELS)
        if kind == "ldm":  # whose checkpoint carries a VAE
            mean, std = np.zeros(4, np.float32), np.ones(4, np.float32)
            space = latents(tree.vae.VAE(VAEConfig(), PIXELS), mean, std, tree.cpu)
        players = {"model": (NETWORKS[kind][0].__get__(tree), tree.optimizer.Muon)}
        trainer = trainer_of(tree, options(training=training, where=FP32), space, players)
        state = tree.cpu.arrays(network)
        for module in (trainer.modules["model"], trainer.ema):
            tree.cpu.fill(module, state)
        loss, computed = losses_of(tree, kind), []

        def losses(modules, batch, done, loss=loss, computed=computed):
            computed.append(loss(modules["model"]))
            return {"model": computed[-1]}, {}

        rows, tensors = two_steps(trainer, losses)
        assert len(computed) == 2
        for row, value in zip(rows, computed):  # metrics.csv has six digits
            row["exact"] = float(tree.cpu.array(value).item())
            assert row["loss"] == pytest.approx(row["exact"], rel=1e-5)
        found.append((rows, tensors, state))
    (rows, tensors, state), (other_rows, other_tensors, _) = found
    for row, other in zip(rows, other_rows):
        assert other["exact"] == pytest.approx(row["exact"], rel=1e-5)
        assert other["grad_norm"] == pytest.approx(row["grad_norm"], rel=1e-4)
    assert list(tensors) == list(other_tensors)
    averages = [name for name in tensors if ".exp_avg" in name]
    assert len(state) < len(averages) < 2 * len(state)
    for name in averages:  # after two steps these are the gradients, and their squares
        a, b = tensors[name], other_tensors[name]
        assert np.linalg.norm(a - b) <= 1e-4 * np.linalg.norm(a), name
    for prefix in ("train.model.weights.", "model."):  # Muon makes rounding larger where a matrix has almost no rank
        updates = [np.concatenate([(found[prefix + name] - state[name]).ravel() for name in state])
                   for found in (tensors, other_tensors)]  # fmt: skip
        assert np.linalg.norm(updates[0]) > 0.1
        assert np.linalg.norm(updates[0] - updates[1]) <= 1e-3 * np.linalg.norm(updates[0]), prefix


def two_distillation_steps(tree, out):
    """The first with the consistency loss alone, the second with the discriminator's: metrics.csv, the checkpoint."""
    teacher = tree.pipeline.load_model(ROOT / "pytorch" / "weights" / "ldm.safetensors", "ldm", FP32)
    unet, diffusion = teacher.recipe.unet, teacher.recipe.diffusion
    training = replace(DistillLDM().training, out=out, epochs=2, batch_size=8, warmup=0)
    options = DistillLDM(training=training, where=FP32, consistency=0.5, unet=unet, diffusion=diffusion)
    random, tensor = np.random.default_rng(8), lambda array: tree.cpu.tensor(array.astype(np.float32))
    z_0, y = tensor(random.standard_normal((8, *LATENTS))), tensor(CONDITIONS)

    def build():
        return teacher.checkpoint.fill(tree.pipeline.build_unet(unet, teacher.space, teacher.spec), "model.", tree.cpu)

    def build_discriminator():
        network = tree.discriminator.Discriminator(unet)
        shapes = {name: value.shape for name, value in network.state_dict().items()}
        return tree.cpu.fill(network, {name: 0.1 * random.standard_normal(shape) for name, shape in shapes.items()})

    def losses(modules, batch, done):
        adversarial = done >= options.consistency
        return tree.distillation.distillation_losses(teacher, modules, z_0, y, batch.noise, adversarial)

    generator, discriminator = tree.distillation.GENERATOR, tree.distillation.DISCRIMINATOR
    players = {"model": (build, generator), "discriminator": (build_discriminator, discriminator)}
    return two_steps(trainer_of(tree, options, teacher.space, players), losses)


def test_distillation(trees, tmp_path):
    found = [two_distillation_steps(tree, tmp_path / name) for name, tree in trees.items()]
    (rows, tensors), (other_rows, other_tensors) = found
    assert set(rows[0]) >= {"consistency", "discriminator"}
    for row, other in zip(rows, other_rows):
        for name in ("loss", "consistency", "discriminator"):
            assert other[name] == pytest.approx(row[name], rel=1e-3), name
        assert other["grad_norm"] == pytest.approx(row["grad_norm"], rel=1e-2)
    assert rows[1]["loss"] > rows[0]["loss"] + 0.1 and rows[1]["discriminator"] > rows[0]["discriminator"] == 0
    assert list(tensors) == list(other_tensors) and any(name.startswith("train.discriminator.") for name in tensors)
    for part in ("train.model.exp_avg.", "train.discriminator.exp_avg."):
        names = [name for name in tensors if name.startswith(part)]
        a, b = (np.concatenate([found[name].ravel() for name in names]) for found in (tensors, other_tensors))
        assert np.linalg.norm(a - b) <= 1e-2 * np.linalg.norm(a), part


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_trajectories(trees, sampler):
    """Every step of 20 from the same noise, with a guided network in float32."""
    config = UNetConfig(patch_size=1, base_channels=32, attention_levels=(0, 1), context_dim=16)
    states, weights = [], None
    for tree in trees.values():
        unet = tree.unet.ConditionalUNet(config, LATENTS, 10, 3)
        weights = weights or weights_of(unet)
        tree.cpu.fill(unet, weights)
        diffusion, noise = tree.ddpm.GaussianDiffusion(DiffusionConfig(), clip=False), np.random.default_rng(5)
        denoise = diffusion.denoiser(unet, tree.cpu.tensor(CONDITIONS[[0, 1, 4]]), guidance=2.0)

        def draw(tree=tree, noise=noise):
            return tree.cpu.tensor(noise.standard_normal((3, *LATENTS)).astype(np.float32))

        timesteps = sampler_timesteps(1000, SamplerConfig(steps=20, shift=1.0))
        trajectory = SAMPLERS[sampler](denoise, draw(), diffusion.alphas_cumprod, timesteps, draw)
        states.append([tree.cpu.array(x) for x in trajectory])
    assert len(states[0]) == len(states[1]) == 20
    for a, b in zip(*states):
        np.testing.assert_allclose(a, b, atol=1e-3 * max(1, np.abs(a).max()), rtol=0)

"""The two trees compute the same: one set of weights and inputs made in numpy, float32, both frameworks."""
import numpy as np
import pytest
from conftest import ROOT, read_rows

from common.checkpoint import load_checkpoint
from common.options.networks import DiffusionConfig, UNetConfig
from common.options.recipes import DistillLDM, TrainDDPM, TrainLDM, TrainVAE
from common.schedule import sampler_timesteps

rng = np.random.default_rng(0)


def floats(*shape):
    return rng.standard_normal(shape).astype(np.float32)


NAN = np.nan
CONDITIONS = np.array([  # every kind of what is given and what is not
    (3, 0.5, -1, 2), (7, NAN, 1, NAN), (NAN, NAN, NAN, NAN), (0, NAN, NAN, NAN),
    (NAN, -2, NAN, 0.1), (9, 0, 0, 0), (1, 0.3, NAN, -0.7), (NAN, 1, 1, 1),
], np.float32)  # fmt: skip
NETWORKS = {
    "ddpm": (lambda tree: tree.unet.ConditionalUNet(TrainDDPM().unet), (1, 32, 32)),
    "ldm": (lambda tree: tree.unet.ConditionalUNet(TrainLDM().unet), (4, 8, 8)),
    "vae": (lambda tree: tree.vae.VAE(TrainVAE().vae), (1, 32, 32)),
}


def weights_of(network):
    """A scaled-down random value for each tensor: none is zero, none makes the output overflow."""
    return {
        name: floats(*value.shape) * (0.5 if len(value.shape) == 1 else 1 / np.sqrt(np.prod(value.shape[1:])))
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
        network.load_state_dict({name: tree.device.to_tensor(value, "cpu") for name, value in weights.items()})
    return networks, request.param, shape


def both(networks, compute):
    """compute(tree, network, tensor) in both trees, as float arrays."""
    results = []
    for tree, network in networks:
        results.append(compute(tree, network, lambda array, tree=tree: tree.device.to_tensor(array, "cpu")))
    return results


def test_outputs(pair):
    networks, kind, shape = pair
    x, t, y, z = floats(4, *shape), np.array([0, 10, 500, 999]), CONDITIONS[:4], floats(4, 4, 8, 8)

    def outputs(tree, network, tensor):
        if kind == "vae":
            results = [network.encode(tensor(x)).mean, network.encode(tensor(x)).logvar, network.decode(tensor(z))]
        else:
            results = [network(tensor(x), tensor(t), tensor(y))]
        return [tree.device.to_array(result) for result in results]

    for a, b in zip(*both(networks, outputs)):
        assert np.abs(a).max() > 0.1
        np.testing.assert_allclose(a, b, atol=1e-4, rtol=0)


def losses_of(tree, kind):
    """The training loss of a kind on fixed data, as the train scripts compute it."""
    data = np.random.default_rng(1)
    x = data.standard_normal((8, *NETWORKS[kind][1])).astype(np.float32)
    eps = data.standard_normal((8, *((4, 8, 8) if kind == "vae" else NETWORKS[kind][1]))).astype(np.float32)
    t, y = data.integers(0, 1000, 8), CONDITIONS
    x, eps, y = (tree.device.to_tensor(array, "cpu") for array in (x, eps, y))
    ddpm = tree.ddpm.DDPM(DiffusionConfig())
    if kind == "vae":
        return lambda network: tree.vae.vae_loss(network, x, eps, 1e-4)["loss"]
    return lambda network: ddpm.loss(network, x, t, eps, y)


def test_training_step(pair, tmp_path):
    """Loss, gradients, Muon and the averaged weights after two steps of each tree's own Trainer."""
    networks, kind, _ = pair
    options = {"ddpm": TrainDDPM, "ldm": TrainLDM, "vae": TrainVAE}[kind]
    found = []
    for tree, network in networks:
        accelerator = tree.device.make_accelerator("cpu", "fp32")
        trainer = tree.trainer.Trainer(
            options(out=tmp_path / tree.name, warmup=0, epochs=2, batch_size=8, clip_norm=0.5, save_every=1),
            accelerator, build=NETWORKS[kind][0].__get__(tree),
        )
        state = {name: tree.device.to_array(value) for name, value in network.state_dict().items()}
        for module in (trainer.model, trainer.ema):
            module.load_state_dict({name: tree.device.to_tensor(value, "cpu") for name, value in state.items()})
        loss, computed = losses_of(tree, kind), []

        def losses(model, indices, noise, loss=loss, computed=computed):
            computed.append(loss(model))
            return {"loss": computed[-1]}

        steps = trainer.steps(losses, count=8, preview=lambda ema: np.zeros((4, 4), np.uint8))
        assert len(list(steps)) == 2  # epochs of 8 samples each
        rows = read_rows(tmp_path / tree.name)
        for row, value in zip(rows, computed):  # metrics.csv has six digits
            row["exact"] = float(tree.device.to_array(value).item())
            assert row["loss"] == pytest.approx(row["exact"], rel=1e-5)
        checkpoint = load_checkpoint(tmp_path / tree.name, kind)
        assert checkpoint.progress.step == len(rows) == len(computed) == 2
        found.append((rows, checkpoint.tensors, state))
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
    for prefix in ("train.loss.weight.", "model."):  # Muon makes rounding larger where a matrix has almost no rank
        updates = [np.concatenate([(found[prefix + name] - state[name]).ravel() for name in state])
                   for found in (tensors, other_tensors)]  # fmt: skip
        assert np.linalg.norm(updates[0]) > 0.1
        assert np.linalg.norm(updates[0] - updates[1]) <= 1e-3 * np.linalg.norm(updates[0]), prefix


def two_distillation_steps(tree, out):
    """The first with the consistency loss alone, the second with the discriminator's: metrics.csv, the checkpoint."""
    options = DistillLDM(
        out=out, teacher=ROOT / "pytorch" / "weights" / "ldm.safetensors", device="cpu", precision="fp32",
        epochs=2, batch_size=8, warmup=0, consistency=0.5,
    )  # fmt: skip
    teacher, options = tree.distillation.load_teacher(options)
    random, tensor = np.random.default_rng(8), lambda array: tree.device.to_tensor(array.astype(np.float32), "cpu")
    z_0, y = tensor(random.standard_normal((8, 4, 8, 8))), tensor(CONDITIONS)

    def build():
        return tree.device.load_weights(tree.unet.ConditionalUNet(options.unet), teacher.checkpoint, "model.")

    def build_discriminator():
        network = tree.discriminator.Discriminator(options.unet)
        shapes = {name: value.shape for name, value in network.state_dict().items()}
        network.load_state_dict({n: tensor(0.1 * random.standard_normal(shape)) for n, shape in shapes.items()})
        return network

    def losses(generator, indices, noise):
        return tree.distillation.distillation_losses(teacher, trainer, generator, z_0, y, noise)

    trainer = tree.trainer.Trainer(options, teacher.accelerator, build, build_discriminator)
    assert len(list(trainer.steps(losses, count=8, preview=lambda ema: np.zeros((4, 4), np.uint8)))) == 2
    return read_rows(out), load_checkpoint(out, "ldm").tensors


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
    for part in ("train.loss.exp_avg.", "train.discriminator.exp_avg."):
        names = [name for name in tensors if name.startswith(part)]
        a, b = (np.concatenate([found[name].ravel() for name in names]) for found in (tensors, other_tensors))
        assert np.linalg.norm(a - b) <= 1e-2 * np.linalg.norm(a), part


@pytest.mark.parametrize("sampler", ["ddpm", "ddim", "dpmpp_2m"])
def test_trajectories(trees, sampler):
    """Every step of 20 from the same noise, with a guided network in float32."""
    config = UNetConfig(in_channels=4, patch_size=1, base_channels=32, attention_levels=(0, 1), context_dim=16,
                        attributes=("thickness", "slant", "width"))  # fmt: skip
    states, weights = [], None
    for tree in trees.values():
        unet = tree.unet.ConditionalUNet(config)
        weights = weights or weights_of(unet)
        unet.load_state_dict({name: tree.device.to_tensor(value, "cpu") for name, value in weights.items()})
        ddpm, noise = tree.ddpm.DDPM(DiffusionConfig(clip=False)), np.random.default_rng(5)
        y = tree.device.to_tensor(CONDITIONS[[0, 1, 4]], "cpu")
        denoise = tree.ddpm.Denoiser(unet, ddpm, y, guidance=2.0)

        def draw(tree=tree, noise=noise):
            return tree.device.to_tensor(noise.standard_normal((3, 4, 8, 8)).astype(np.float32), "cpu")

        sample = tree.samplers.SAMPLERS[sampler]
        trajectory = sample(denoise, draw(), ddpm.alphas_cumprod, sampler_timesteps(1000, 20), draw)
        states.append([tree.device.to_array(x) for x in trajectory])
    assert len(states[0]) == len(states[1]) == 20
    for a, b in zip(*states):
        np.testing.assert_allclose(a, b, atol=1e-3 * max(1, np.abs(a).max()), rtol=0)

"""The UNet: shapes, attention, time, and what the context does to it."""
import numpy as np
import pytest
import torch
from diffusers.models.embeddings import get_timestep_embedding
from torch.nn import functional as F

from common.options.networks import DiffusionConfig, UNetConfig
from common.options.recipes import TrainDDPM, TrainLDM
from common.options.sampling import SamplerOptions

SHAPE, CLASSES = (2, 8, 8), 10  # of x_t, of the labels
SMALL = UNetConfig(base_channels=16, attention_levels=(0, 1), head_dim=8, context_dim=8).fitted(SHAPE)
rng, NAN = np.random.default_rng(0), np.nan


def tensor(tree, *shape):
    return tree.cpu.tensor(rng.standard_normal(shape).astype(np.float32))


def integers(tree, *values):
    return tree.cpu.tensor(np.array(values))


def filled(tree, module):
    """Every weight at random: the layers that start at zero would hide what stands behind them."""
    state = {k: rng.standard_normal(v.shape).astype(np.float32) / 5 for k, v in module.state_dict().items()}
    return tree.cpu.fill(module, state)


def run(tree, network, *inputs):
    return tree.cpu.array(network(*inputs))


def output_of(unet):
    """The output of a UNet without conditions, as a function."""
    return lambda *inputs: unet.features(*inputs)[-1]


@pytest.mark.parametrize("config, shape, millions", [
    (TrainDDPM().unet, (1, 32, 32), 2.20), (TrainLDM().unet, (4, 8, 8), 2.20),
])  # fmt: skip
def test_default_sizes(tree, config, shape, millions):
    """Output as input, and about as many parameters as the README says."""
    unet = tree.unet.UNet(config.fitted(shape), shape[0])
    x, t = tensor(tree, 3, *shape), integers(tree, 0, 500, 999)
    context = tensor(tree, 3, config.context_tokens, config.context_dim)
    assert run(tree, output_of(unet), x, t, context).shape == (3, *shape)
    assert sum(p.numel() for p in unet.parameters()) / 1e6 == pytest.approx(millions, abs=0.01)


def test_sinusoids_agree_with_diffusers(tree):
    t = np.array([0, 1, 10, 500, 999])
    expected = get_timestep_embedding(torch.from_numpy(t), 64, flip_sin_to_cos=True, downscale_freq_shift=0).numpy()
    ours = tree.cpu.array(tree.unet.sinusoids(tree.cpu.tensor(t), 64))
    np.testing.assert_allclose(ours, expected, atol=1e-4)


@pytest.mark.parametrize("context_dim", [None, 8])
def test_attention_agrees_with_torch(tree, context_dim):
    """The written-out attention against torch's fused one."""
    attention = filled(tree, tree.blocks.Attention(16, head_dim=8, context_dim=context_dim))
    weights = {k: torch.from_numpy(tree.cpu.array(v)) for k, v in attention.state_dict().items()}
    x = tensor(tree, 2, 16, 4, 4)
    context = tensor(tree, 2, 5, 8) if context_dim else None
    plain = torch.from_numpy(tree.cpu.array(x))
    tokens = F.group_norm(plain, 8, weights["norm.weight"], weights["norm.bias"]).flatten(2).transpose(1, 2)
    source = torch.from_numpy(tree.cpu.array(context)) if context_dim else tokens
    q, k, v = (
        (a @ weights[f"{name}.weight"].T).unflatten(2, (2, 8)).transpose(1, 2)
        for name, a in (("query", tokens), ("key", source), ("value", source))
    )
    h = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
    h = h @ weights["out.weight"].T + weights["out.bias"]
    expected = plain + h.transpose(1, 2).unflatten(2, (4, 4))
    np.testing.assert_allclose(run(tree, attention, x, context), expected.numpy(), atol=1e-5)


def test_time_and_context_change_the_output(tree):
    unet = output_of(filled(tree, tree.unet.UNet(SMALL, SHAPE[0])))
    x, t, context = tensor(tree, 2, 2, 8, 8), integers(tree, 10, 10), tensor(tree, 2, 4, 8)
    output = run(tree, unet, x, t, context)
    assert np.abs(run(tree, unet, x, integers(tree, 900, 900), context) - output).max() > 1e-2
    assert np.abs(run(tree, unet, x, t, tensor(tree, 2, 4, 8)) - output).max() > 1e-2
    np.testing.assert_array_equal(run(tree, unet, x, t, context), output)


def conditions(tree, *rows):
    """y, NaN for none."""
    return tree.cpu.tensor(np.array(rows, np.float32))


def test_conditions_are_tokens_and_what_is_not_given_is_a_null_one(tree):
    unet = filled(tree, tree.unet.ConditionalUNet(SMALL, SHAPE, CLASSES, 2))
    x, t = tensor(tree, 3, 2, 8, 8), integers(tree, 10, 10, 10)
    output = run(tree, unet, x, t, conditions(tree, (3, 0.5, NAN), (7, NAN, -1), (NAN, NAN, NAN)))
    state = tree.cpu.arrays(unet)
    classes = state["context.weight"].reshape(11, 4, 8)[[3, 7, 10]]

    def token(i, value):
        """The name's vector and the value's embedding, by hand."""
        if np.isnan(value):
            return state["attributes.null.weight"][i]
        angles = 10 * value * np.exp(-np.log(10_000) * np.arange(4) / 4)
        h = state["attributes.value.0.weight"] @ np.concatenate([np.cos(angles), np.sin(angles)])
        h = h + state["attributes.value.0.bias"]
        h = state["attributes.value.2.weight"] @ (h / (1 + np.exp(-h))) + state["attributes.value.2.bias"]
        return state["attributes.name.weight"][i] + h

    tokens = [[token(0, a), token(1, b)] for a, b in ((0.5, NAN), (NAN, -1), (NAN, NAN))]
    context = tree.cpu.tensor(np.concatenate([classes, tokens], axis=1).astype(np.float32))
    np.testing.assert_allclose(run(tree, output_of(unet.unet), x, t, context), output, atol=1e-5)
    nothing = run(tree, unet, x, t, conditions(tree, *[(NAN, NAN, NAN)] * 3))
    assert np.abs(nothing - output)[:2].max() > 1e-2
    np.testing.assert_allclose(nothing[2], output[2], atol=1e-6)


@pytest.mark.parametrize("clip", [False, True])
def test_guidance(tree, clip):
    """Scale 1 is plain conditional, 0 unconditional, and between and beyond them it is a straight line."""
    unet = filled(tree, tree.unet.ConditionalUNet(SMALL, SHAPE, CLASSES, 0))
    diffusion = tree.ddpm.GaussianDiffusion(DiffusionConfig(), clip)
    x, t, y = tensor(tree, 2, *SHAPE), 500, conditions(tree, [3], [7])
    conditional = run(tree, unet, x, integers(tree, t, t), y)
    unconditional = run(tree, unet, x, integers(tree, t, t), conditions(tree, [NAN], [NAN]))
    assert np.abs(conditional - unconditional).max() > 1e-2

    def implied(output):
        """The x_0 that an output of the network implies."""
        return run(tree, diffusion.predict_x_0, tree.cpu.tensor(output), x, t)

    def guided(scale):
        return run(tree, diffusion.denoiser(unet, y, scale), x, t)

    np.testing.assert_array_equal(guided(1), implied(conditional))
    np.testing.assert_allclose(guided(0), implied(unconditional), atol=1e-5)
    expected = implied(unconditional + np.float32(2.5) * (conditional - unconditional))
    np.testing.assert_allclose(guided(2.5), expected, atol=1e-4)
    np.testing.assert_array_equal(run(tree, diffusion.denoiser(unet, y), x, t), guided(1))
    assert SamplerOptions().over(TrainLDM().sampler).guidance == 1

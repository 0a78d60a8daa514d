"""The UNet: shapes, attention, time, and what the context does to it."""
import numpy as np
import pytest
import torch
from diffusers.models.embeddings import get_timestep_embedding
from torch.nn import functional as F

from common.options.networks import DiffusionConfig, UNetConfig
from common.options.recipes import TrainDDPM, TrainLDM
from common.options.sampling import SampleLDM

SMALL = UNetConfig(in_channels=2, patch_size=1, base_channels=16, attention_levels=(0, 1), head_dim=8, context_dim=8)
rng = np.random.default_rng(0)


def tensor(tree, *shape):
    return tree.device.to_tensor(rng.standard_normal(shape).astype(np.float32), "cpu")


def integers(tree, *values):
    return tree.device.to_tensor(np.array(values), "cpu")


def filled(tree, module):
    """Every weight at random: the layers that start at zero would hide what stands behind them."""
    state = {k: rng.standard_normal(v.shape).astype(np.float32) / 5 for k, v in module.state_dict().items()}
    module.load_state_dict({k: tree.device.to_tensor(v, "cpu") for k, v in state.items()})
    return module


def run(tree, network, *inputs):
    return tree.device.to_array(network(*inputs))


@pytest.mark.parametrize("config, millions", [(TrainDDPM().unet, 2.20), (TrainLDM().unet, 2.20)])
def test_default_sizes(tree, config, millions):
    """Output as input, and about as many parameters as the README says."""
    unet = tree.unet.UNet(config)
    side = 32 if config.in_channels == 1 else 8
    context = (tensor(tree, 3, config.context_tokens, config.context_dim),) if config.context_dim else ()
    x = tensor(tree, 3, config.in_channels, side, side)
    assert run(tree, unet, x, integers(tree, 0, 500, 999), *context).shape == (3, config.in_channels, side, side)
    assert sum(p.numel() for p in unet.parameters()) / 1e6 == pytest.approx(millions, abs=0.01)


def test_timestep_embedding_agrees_with_diffusers(tree):
    t = np.array([0, 1, 10, 500, 999])
    expected = get_timestep_embedding(torch.from_numpy(t), 64, flip_sin_to_cos=True, downscale_freq_shift=0).numpy()
    ours = tree.device.to_array(tree.unet.timestep_embedding(tree.device.to_tensor(t, "cpu"), 64))
    np.testing.assert_allclose(ours, expected, atol=1e-4)


@pytest.mark.parametrize("context_dim", [None, 8])
def test_attention_agrees_with_torch(tree, context_dim):
    """The written-out attention against torch's fused one."""
    attention = filled(tree, tree.blocks.Attention(16, head_dim=8, context_dim=context_dim))
    weights = {k: torch.from_numpy(tree.device.to_array(v)) for k, v in attention.state_dict().items()}
    x = tensor(tree, 2, 16, 4, 4)
    context = tensor(tree, 2, 5, 8) if context_dim else None
    plain = torch.from_numpy(tree.device.to_array(x))
    tokens = F.group_norm(plain, 8, weights["norm.weight"], weights["norm.bias"]).flatten(2).transpose(1, 2)
    source = torch.from_numpy(tree.device.to_array(context)) if context_dim else tokens
    q, k, v = (
        (a @ weights[f"{name}.weight"].T).unflatten(2, (2, 8)).transpose(1, 2)
        for name, a in (("query", tokens), ("key", source), ("value", source))
    )
    h = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
    h = h @ weights["out.weight"].T + weights["out.bias"]
    expected = plain + h.transpose(1, 2).unflatten(2, (4, 4))
    np.testing.assert_allclose(run(tree, attention, x, context), expected.numpy(), atol=1e-5)


def test_time_and_context_change_the_output(tree):
    unet = filled(tree, tree.unet.UNet(SMALL))
    x, t, context = tensor(tree, 2, 2, 8, 8), integers(tree, 10, 10), tensor(tree, 2, 4, 8)
    output = run(tree, unet, x, t, context)
    assert np.abs(run(tree, unet, x, integers(tree, 900, 900), context) - output).max() > 1e-2
    assert np.abs(run(tree, unet, x, t, tensor(tree, 2, 4, 8)) - output).max() > 1e-2
    np.testing.assert_array_equal(run(tree, unet, x, t, context), output)


def test_labels_are_contexts_and_a_dropped_label_is_the_null_one(tree):
    unet = filled(tree, tree.unet.ConditionalUNet(SMALL))
    x, t = tensor(tree, 3, 2, 8, 8), integers(tree, 10, 10, 10)
    output = run(tree, unet, x, t, integers(tree, 3, 7, 10))
    table = tree.device.to_array(unet.context.weight).reshape(11, 4, 8)
    context = tree.device.to_tensor(table[[3, 7, 10]], "cpu")
    np.testing.assert_allclose(run(tree, unet.unet, x, t, context), output, atol=1e-6)  # label 10: the null context
    assert np.abs(run(tree, unet, x, t, integers(tree, 10, 10, 10)) - output)[:2].max() > 1e-2


def test_guidance(tree):
    """Scale 1 is plain conditional, 0 unconditional, and between and beyond them it is a straight line."""
    unet = filled(tree, tree.unet.ConditionalUNet(SMALL))
    ddpm = tree.ddpm.DDPM(DiffusionConfig())
    x, t, labels = tensor(tree, 2, 2, 8, 8), integers(tree, 10, 10), integers(tree, 3, 7)
    conditional = run(tree, unet, x, t, labels)
    unconditional = run(tree, unet, x, t, integers(tree, 10, 10))

    def guided(scale):
        return run(tree, tree.ddpm.Denoiser(unet, ddpm, labels, scale).predict, x, t)

    np.testing.assert_array_equal(guided(1), conditional)
    np.testing.assert_allclose(guided(0), unconditional, atol=1e-5)
    np.testing.assert_allclose(guided(2.5), unconditional + 2.5 * (conditional - unconditional), atol=1e-4)
    x_0 = run(tree, tree.ddpm.Denoiser(unet, ddpm, labels, 2.5), x, 10)
    output = tree.device.to_tensor(guided(2.5), "cpu")
    np.testing.assert_allclose(x_0, run(tree, ddpm.predict_x_0, output, x, 10), atol=1e-4)
    assert tree.ddpm.Denoiser(unet, ddpm, labels).guidance == 1
    assert SampleLDM().override(TrainLDM().sampler).guidance == 1

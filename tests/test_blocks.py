"""What both networks are made of: against torch, and one class for both."""
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from common.diffusion.patches import pixel_shuffle, pixel_unshuffle
from common.options.networks import UNetConfig, VAEConfig

rng = np.random.default_rng(0)


def arrays(*shape):
    return rng.standard_normal(shape).astype(np.float32)


def compute(tree, function, *inputs):
    """A function of tensors and plain values, as numpy."""
    tensors = [tree.cpu.tensor(x) if isinstance(x, np.ndarray) else x for x in inputs]
    return tree.cpu.array(function(*tensors))


@pytest.mark.parametrize("side", [1, 2, 4])
def test_pixel_shuffles_agree_with_torch_and_are_inverses(tree, side):
    x = arrays(2, 3, 8, 12)
    folded = compute(tree, pixel_unshuffle, x, side)
    assert folded.shape == (2, 3 * side**2, 8 // side, 12 // side)
    np.testing.assert_array_equal(folded, F.pixel_unshuffle(torch.from_numpy(x), side).numpy())
    np.testing.assert_array_equal(compute(tree, pixel_shuffle, folded, side), x)
    channels = arrays(2, 3 * side**2, 4, 5)
    unfolded = compute(tree, pixel_shuffle, channels, side)
    np.testing.assert_array_equal(unfolded, F.pixel_shuffle(torch.from_numpy(channels), side).numpy())
    np.testing.assert_array_equal(compute(tree, pixel_unshuffle, unfolded, side), channels)


def test_adversarial_losses(tree):
    """R3GAN's, with APT's penalty of the first images, by a discriminator that is one product."""
    real, fake, noise, weights = arrays(5, 4, 1, 1), arrays(5, 4, 1, 1), arrays(2, 4, 1, 1), arrays(4, 1)
    discriminator = lambda x: (x[0].reshape(-1, 4) @ tree.cpu.tensor(weights)).reshape(-1)
    tensors = [tree.cpu.tensor(x) for x in (real, fake, noise)]
    found = tree.discriminator.adversarial_losses(discriminator, lambda x_0: [x_0], *tensors)
    logits = lambda x: (x.reshape(-1, 4) @ weights)[:, 0]
    changes = [logits(x[:2]) - logits(x[:2] + 0.1 * noise) for x in (real, fake)]
    softplus = lambda x: np.log1p(np.exp(x)).mean()
    d_loss = softplus(logits(fake) - logits(real)) + 10 * sum((change**2).mean() for change in changes)
    expected = softplus(logits(real) - logits(fake)), d_loss
    np.testing.assert_allclose([tree.cpu.array(loss).item() for loss in found], expected, rtol=1e-4)


def test_both_networks_share_one_residual_block(tree):
    assert tree.unet.ResidualBlock is tree.vae.ResidualBlock is tree.blocks.ResidualBlock
    small, shape = UNetConfig(base_channels=16, head_dim=8, context_dim=8), (1, 32, 32)
    for network in (tree.unet.ConditionalUNet(small, shape, 10, 0), tree.vae.VAE(VAEConfig(base_channels=8), shape)):
        blocks = [module for module in network.modules() if type(module).__name__ == "ResidualBlock"]
        assert len(blocks) >= 4 and {type(block) for block in blocks} == {tree.blocks.ResidualBlock}


@pytest.mark.parametrize("out_channels", [16, 24])
@pytest.mark.parametrize("time_dim", [None, 12])
def test_residual_block_agrees_with_torch(tree, out_channels, time_dim):
    """With a time embedding and without, as a UNet's and as a VAE's block; new, it adds a bias alone."""
    block = tree.blocks.ResidualBlock(16, out_channels, time_dim)
    x, time = arrays(3, 16, 4, 4), (arrays(3, time_dim),) if time_dim else ()
    if out_channels == 16:
        bias = tree.cpu.array(block.conv2.bias)[:, None, None]
        np.testing.assert_allclose(compute(tree, block, x, *time), x + bias, atol=1e-6)
    weights = {name: arrays(*value.shape) / 3 for name, value in block.state_dict().items()}
    tree.cpu.fill(block, weights)
    w = {name: torch.from_numpy(value) for name, value in weights.items()}
    plain = torch.from_numpy(x)
    h = F.silu(F.group_norm(plain, 8, w["norm1.weight"], w["norm1.bias"]))
    h = F.conv2d(h, w["conv1.weight"], w["conv1.bias"], padding=1)
    if time_dim:
        h = h + F.linear(torch.from_numpy(time[0]), w["time.weight"], w["time.bias"])[:, :, None, None]
    h = F.silu(F.group_norm(h, 8, w["norm2.weight"], w["norm2.bias"]))
    h = F.conv2d(h, w["conv2.weight"], w["conv2.bias"], padding=1)
    skip = F.conv2d(plain, w["skip.weight"], w["skip.bias"]) if out_channels != 16 else plain
    np.testing.assert_allclose(compute(tree, block, x, *time), (skip + h).numpy(), atol=1e-4)

"""The autoencoder: its posterior against torch.distributions, its shapes; and the two spaces that x_0 lives in."""
import numpy as np
import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from common.diffusion.space import Pixels, fit_latents, latents, posterior_means, reconstruct
from common.images import from_uint8
from common.options.networks import VAEConfig

SHAPE = (1, 32, 32)
rng = np.random.default_rng(0)


def arrays(*shape):
    return rng.standard_normal(shape).astype(np.float32)


def test_kl_agrees_with_torch_distributions(tree):
    parameters = 2 * arrays(5, 8, 8, 8)
    mean, logvar = map(torch.from_numpy, np.split(parameters, 2, axis=1))
    posterior = Independent(Normal(mean, torch.exp(0.5 * logvar)), 3)
    prior = Independent(Normal(torch.zeros_like(mean), torch.ones_like(mean)), 3)
    ours = tree.vae.DiagonalGaussian(tree.cpu.tensor(parameters)).kl()
    np.testing.assert_allclose(tree.cpu.array(ours), kl_divergence(posterior, prior).numpy(), rtol=1e-5)


def test_posterior_samples_have_its_mean_and_std(tree):
    parameters = np.repeat(arrays(1, 2, 1, 1), 50_000, axis=0)
    posterior = tree.vae.DiagonalGaussian(tree.cpu.tensor(parameters))
    z = tree.cpu.array(posterior.sample(tree.cpu.tensor(arrays(50_000, 1, 1, 1))))
    assert z.mean() == pytest.approx(parameters[0, 0, 0, 0], abs=0.02)
    assert z.std() == pytest.approx(np.exp(0.5 * parameters[0, 1, 0, 0]), rel=0.02)


def test_shapes(tree):
    vae = tree.vae.VAE(VAEConfig(), SHAPE)
    assert vae.latent_shape == (4, 8, 8)
    reconstruction, posterior = vae(tree.cpu.tensor(arrays(3, *SHAPE)), tree.cpu.tensor(arrays(3, 4, 8, 8)))
    assert tuple(reconstruction.shape) == (3, 1, 32, 32)
    assert tuple(posterior.mean.shape) == tuple(posterior.logvar.shape) == (3, 4, 8, 8)


def pictures(count):
    return rng.integers(0, 256, (count, *SHAPE)).astype(np.uint8)


def test_latents_are_normalised_and_come_back(tree):
    vae, images = tree.vae.VAE(VAEConfig(), SHAPE), pictures(600)
    means = posterior_means(vae, images, tree.cpu)
    assert means.shape == (600, 4, 8, 8)
    space, _ = fit_latents(vae, images, tree.cpu)
    for found, expected in ((space.mean, means.mean(axis=(0, 2, 3))), (space.std, means.std(axis=(0, 2, 3)))):
        np.testing.assert_allclose(tree.cpu.array(found), expected.reshape(1, 4, 1, 1), rtol=1e-6)
    with tree.cpu.inference():
        x = tree.cpu.tensor(from_uint8(images))
        z = tree.cpu.array(space.encode(x))
        np.testing.assert_allclose(z.mean(axis=(0, 2, 3)), 0, atol=1e-3)
        np.testing.assert_allclose(z.std(axis=(0, 2, 3)), 1, atol=1e-3)
        np.testing.assert_allclose(tree.cpu.array(space.normalize(tree.cpu.tensor(means))), z, atol=1e-3)
        direct = tree.cpu.array(vae.decode(vae.encode(x).mean))
        np.testing.assert_allclose(tree.cpu.array(space.decode(space.encode(x))), direct, atol=1e-4)
    np.testing.assert_allclose(reconstruct(space, images, tree.cpu), direct, atol=1e-4)


def spaces(tree):
    """Pixels, and latents whose statistics are not 0 and 1."""
    mean, std = arrays(4), np.array([0.5, 1, 2, 3], np.float32)
    return Pixels(SHAPE), latents(tree.vae.VAE(VAEConfig(), SHAPE), mean, std, tree.cpu)


def test_what_a_space_says_of_itself(tree):
    """The shape of x_0, whether estimates of it are clipped, the VAE, and what a checkpoint keeps of it."""
    pixels, in_latents = spaces(tree)
    assert (pixels.shape, pixels.clip, pixels.vae, pixels.tensors(tree.cpu)) == (SHAPE, True, None, {})
    assert (in_latents.shape, in_latents.clip) == ((4, 8, 8), False) and in_latents.vae.config == VAEConfig()
    kept = in_latents.tensors(tree.cpu)
    expected = {f"vae.{name}": array for name, array in tree.cpu.arrays(in_latents.vae).items()}
    assert kept.keys() == {*expected, "latent.mean", "latent.std"}
    for name, array in expected.items():
        np.testing.assert_array_equal(kept[name], array, err_msg=name)
    mean, std = (tree.cpu.array(tensor).ravel() for tensor in (in_latents.mean, in_latents.std))
    np.testing.assert_array_equal(kept["latent.mean"], mean)
    np.testing.assert_array_equal(kept["latent.std"], std)
    assert std.tolist() == [0.5, 1, 2, 3]


def test_batches_are_the_encoded_images(tree):
    """x_0 of any images, in any order, as a training asks for them."""
    images, indices = pictures(7), np.array([5, 0, 3])
    x = tree.cpu.tensor(from_uint8(images[indices]))
    in_pixels, in_latents = spaces(tree)
    fitted, batches = fit_latents(in_latents.vae, images, tree.cpu)
    with tree.cpu.inference():
        for space, x_0_of in (
            (in_pixels, in_pixels.batches(images, tree.cpu)),
            (in_latents, in_latents.batches(images, tree.cpu)),
            (fitted, batches),
        ):
            x_0, expected = tree.cpu.array(x_0_of(indices)), tree.cpu.array(space.encode(x))
            assert x_0.shape == (3, *space.shape) and x_0.std() > 0.1
            np.testing.assert_allclose(x_0, expected, atol=1e-5)


def test_pixels_are_the_images(tree):
    """decode(encode(x)) is x, and so is encode(decode(x)): nothing is rounded or clipped on the way."""
    space, x = Pixels(SHAPE), tree.cpu.tensor(3 * arrays(2, *SHAPE))
    np.testing.assert_array_equal(tree.cpu.array(space.decode(space.encode(x))), tree.cpu.array(x))
    np.testing.assert_array_equal(tree.cpu.array(space.encode(space.decode(x))), tree.cpu.array(x))
    images = pictures(3)
    np.testing.assert_array_equal(reconstruct(space, images, tree.cpu), from_uint8(images))

"""The autoencoder: its posterior against torch.distributions, its shapes, its latent space."""
import numpy as np
import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from common.options.networks import VAEConfig

rng = np.random.default_rng(0)


def arrays(*shape):
    return rng.standard_normal(shape).astype(np.float32)


def test_kl_agrees_with_torch_distributions(tree):
    parameters = 2 * arrays(5, 8, 8, 8)
    mean, logvar = map(torch.from_numpy, np.split(parameters, 2, axis=1))
    posterior = Independent(Normal(mean, torch.exp(0.5 * logvar)), 3)
    prior = Independent(Normal(torch.zeros_like(mean), torch.ones_like(mean)), 3)
    ours = tree.vae.DiagonalGaussian(tree.device.to_tensor(parameters, "cpu")).kl()
    np.testing.assert_allclose(tree.device.to_array(ours), kl_divergence(posterior, prior).numpy(), rtol=1e-5)


def test_posterior_samples_have_its_mean_and_std(tree):
    parameters = np.repeat(arrays(1, 2, 1, 1), 50_000, axis=0)
    posterior = tree.vae.DiagonalGaussian(tree.device.to_tensor(parameters, "cpu"))
    z = tree.device.to_array(posterior.sample(tree.device.to_tensor(arrays(50_000, 1, 1, 1), "cpu")))
    assert z.mean() == pytest.approx(parameters[0, 0, 0, 0], abs=0.02)
    assert z.std() == pytest.approx(np.exp(0.5 * parameters[0, 1, 0, 0]), rel=0.02)


def test_shapes(tree):
    vae = tree.vae.VAE(VAEConfig())
    assert vae.latent_shape() == (4, 8, 8)
    x = tree.device.to_tensor(arrays(3, 1, 32, 32), "cpu")
    reconstruction, posterior = vae(x, tree.device.to_tensor(arrays(3, 4, 8, 8), "cpu"))
    assert tuple(reconstruction.shape) == (3, 1, 32, 32)
    assert tuple(posterior.mean.shape) == tuple(posterior.logvar.shape) == (3, 4, 8, 8)


def test_latents_are_normalised_and_come_back(tree):
    vae = tree.vae.VAE(VAEConfig())
    images = rng.integers(0, 256, (600, 1, 32, 32)).astype(np.uint8)
    latents = tree.pipeline.encode_latents(vae, images, "cpu")
    assert latents.shape == (600, 4, 8, 8)
    mean, std = latents.mean(axis=(0, 2, 3)), latents.std(axis=(0, 2, 3))
    space = tree.vae.LatentSpace(vae, mean, std)
    x = tree.device.to_tensor(images.astype(np.float32) / 127.5 - 1, "cpu")
    mean_of_x = vae.encode(x).mean
    z = tree.device.to_array(space.normalize(mean_of_x))
    np.testing.assert_allclose(z.mean(axis=(0, 2, 3)), 0, atol=1e-3)
    np.testing.assert_allclose(z.std(axis=(0, 2, 3)), 1, atol=1e-3)
    normalised = tree.device.to_array(space.normalize(tree.device.to_tensor(latents, "cpu")))
    np.testing.assert_allclose(normalised, z, atol=1e-3)
    direct = tree.device.to_array(vae.decode(vae.encode(x).mean))
    np.testing.assert_allclose(tree.device.to_array(space.decode(space.normalize(mean_of_x))), direct, atol=1e-4)

"""The autoencoder: its posterior against torch.distributions, its shapes; and the two spaces that x_0 lives in."""
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from common.data.augment import augmented
from common.diffusion.noise import StepNoise
from common.diffusion.patches import detail
from common.diffusion.space import Pixels, fit_latents, latents, posterior_means, reconstruct
from common.draw import write_reconstructions
from common.images import from_uint8
from common.options.networks import VAEConfig
from common.options.recipes import Training
from common.options.sampling import Drawing
from common.options.where import Where
from common.training.batches import Batch

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


def test_blacker_than_black_is_no_error(tree):
    """Where the image is black or white, what is cut off in the picture does not count; everywhere else it does."""
    x = np.array([-1, -1, 1, 1, -0.5, 0.5], np.float32).reshape(1, 1, 2, 3)
    decoded = x + np.array([-0.3, 0.2, 0.3, -0.2, -0.7, 0.7], np.float32).reshape(x.shape)
    posterior = tree.vae.DiagonalGaussian(tree.cpu.tensor(np.zeros((1, 2, 1, 1), np.float32)))  # its KL is 0
    vae = lambda x, eps: (tree.cpu.tensor(decoded), posterior, None)
    losses = tree.vae.vae_losses(vae, tree.cpu.tensor(x), None)
    expected = (2 * 0.2**2 + 2 * 0.7**2) / 6
    assert tree.cpu.array(losses["reconstruction"]).item() == pytest.approx(expected, rel=1e-5)
    right, down = (2 * 0.2**2 + 0.5**2 + 1.4**2) / 4, (0.2**2 + 0.9**2 + 0.7**2) / 3  # of errors 0 .2 0 over -.2 -.7 .7
    assert tree.cpu.array(losses["edges"]).item() == pytest.approx(right + down, rel=1e-5)


def test_detail_is_compared_by_its_strength_not_by_its_place(tree):
    """A checkerboard's second differences are 16 times its amplitude; moved by a pixel it is as strong, at half the
    amplitude half as strong. A ramp has none."""
    strength = lambda x: tree.cpu.array(detail(tree.cpu.tensor(np.float32(x))))
    rows, columns = np.indices((14, 10))
    board, ramp = (x.reshape(1, 1, 14, 10) for x in ((-1.0) ** (rows + columns), 0.03 * rows + 0.02 * columns))
    for x, expected in ((board, 16), (-board, 16), (board / 2, 8), (ramp, 0)):
        np.testing.assert_allclose(strength(x), np.full((1, 1, 3, 2), np.sqrt(expected**2 + 1e-3)), rtol=1e-4)
    posterior = tree.vae.DiagonalGaussian(tree.cpu.tensor(np.zeros((1, 2, 1, 1), np.float32)))
    losses = lambda decoded, x: tree.vae.vae_losses(lambda *_: (decoded, posterior, None), x, None)
    loss = losses(*(tree.cpu.tensor(np.float32(x)) for x in (3 * board, board / 2)))["detail"]  # clipped, 3 is as 1
    assert tree.cpu.array(loss).item() == pytest.approx(64, rel=1e-3)
    assert "detail" not in losses(*(tree.cpu.tensor(np.float32(x[..., :5])) for x in (board, board)))
    pair = [np.random.default_rng(i).uniform(-1, 1, (400, 1, 32, 32)) for i in range(2)]
    expected = ((strength(pair[0]) - strength(pair[1])) ** 2).mean(dtype="f8")  # jittor's full mean is 1e-4 from it
    assert float(losses(*(tree.cpu.tensor(np.float32(x)) for x in pair))["detail"]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("side", [7, 1])
def test_at_half_the_scale(tree, side):
    """Of half of a batch, averaged latents are decoded against averaged images; an odd row and column are left out."""
    vae = tree.vae.VAE(VAEConfig(), (1, 4 * side, 4 * side))
    x, eps = tree.cpu.tensor(arrays(3, 1, 4 * side, 4 * side)), tree.cpu.tensor(arrays(3, 4, side, side))
    _, posterior, small = vae(x, eps)
    losses = tree.vae.vae_losses(vae, x, eps)
    if side == 1:
        assert small is None and "half_scale" not in losses
        return
    half = side // 2
    z = tree.cpu.array(posterior.sample(eps))[:2, :, : 2 * half, : 2 * half].reshape(2, 4, half, 2, half, 2)
    expected = tree.cpu.array(vae.decode(tree.cpu.tensor(z.mean(axis=(3, 5)))))
    np.testing.assert_allclose(tree.cpu.array(small), expected, atol=1e-5)
    target = tree.cpu.array(x)[:2, :, : 8 * half, : 8 * half].reshape(2, 1, 4 * half, 2, 4 * half, 2).mean(axis=(3, 5))
    beyond = ((target <= -1) & (expected < target)) | ((target >= 1) & (expected > target))
    error = np.where(beyond, 0, expected - target)
    assert tree.cpu.array(losses["half_scale"]).item() == pytest.approx((error**2).mean(), rel=1e-3)


@pytest.mark.parametrize("shape, latent_shape", [(SHAPE, (4, 8, 8)), ((3, 16, 16), (8, 4, 4))])
def test_shapes(tree, shape, latent_shape):
    vae = tree.vae.VAE(VAEConfig(), shape)
    assert vae.latent_shape == latent_shape
    reconstruction, posterior, _ = vae(tree.cpu.tensor(arrays(3, *shape)), tree.cpu.tensor(arrays(3, *latent_shape)))
    assert tuple(reconstruction.shape) == (3, *shape)
    assert tuple(posterior.mean.shape) == tuple(posterior.logvar.shape) == (3, *latent_shape)


def pictures(count):
    return rng.integers(0, 256, (count, *SHAPE)).astype(np.uint8)


def test_exact_inference_is_in_float32_everywhere(trees):
    """Within autocast, in a prepared model, and beside a Device of another precision in the same process."""
    exact, rounded = (trees["pytorch"].device.Device(Where(device="cpu", precision=p)) for p in ("fp32", "bf16"))
    assert [device.describe()["dtype"] for device in (exact, rounded)] == ["fp32", "bf16"]
    layer, x = torch.nn.Linear(64, 64), torch.rand(8, 64)
    expected = layer(x)
    for device, is_exact in ((exact, True), (rounded, False)):
        prepared = device.prepare(layer)
        with device.autocast():
            assert torch.equal(prepared(x).float(), expected) == is_exact
            with device.inference(exact=True):
                assert torch.equal(prepared(x), expected)


def test_latents_are_normalised_and_come_back(tree):
    vae, images = tree.vae.VAE(VAEConfig(base_channels=8), SHAPE), pictures(600)
    means = posterior_means(vae, images, tree.cpu)
    assert means.shape == (600, 4, 8, 8)
    space, _ = fit_latents(vae, images, tree.cpu, Training())
    for found, expected in ((space.mean, means.mean(axis=(0, 2, 3))), (space.std, means.std(axis=(0, 2, 3)))):
        np.testing.assert_allclose(tree.cpu.array(found), expected.reshape(1, 4, 1, 1), rtol=1e-6)
    with tree.cpu.inference():
        x = tree.cpu.tensor(from_uint8(images))
        z = tree.cpu.array(space.encode(x))
        np.testing.assert_allclose(z.mean(axis=(0, 2, 3)), 0, atol=1e-3)
        np.testing.assert_allclose(z.std(axis=(0, 2, 3)), 1, atol=1e-3)
        np.testing.assert_allclose(tree.cpu.array(space.normalize(tree.cpu.tensor(means))), z, atol=1e-3)
        direct = tree.cpu.array(vae.decode(vae.encode(x).mean)).clip(-1, 1)
        np.testing.assert_allclose(tree.cpu.array(space.decode(space.encode(x))), direct, atol=1e-4)
    np.testing.assert_allclose(reconstruct(space, images, tree.cpu), direct, atol=1e-4)


def spaces(tree):
    """Pixels, and latents whose statistics are not 0 and 1."""
    mean, std = arrays(4), np.array([0.5, 1, 2, 3], np.float32)
    return Pixels(SHAPE), latents(tree.vae.VAE(VAEConfig(base_channels=8), SHAPE), mean, std, tree.cpu)


def test_what_a_space_says_of_itself(tree):
    """The shape of x_0, whether estimates of it are clipped, the VAE, and what a checkpoint keeps of it."""
    pixels, in_latents = spaces(tree)
    assert (pixels.shape, pixels.clip, pixels.vae, pixels.tensors(tree.cpu)) == (SHAPE, True, None, {})
    assert (in_latents.shape, in_latents.clip) == ((4, 8, 8), False)
    assert in_latents.vae.config == VAEConfig(base_channels=8).fitted(SHAPE)
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
    images, indices, training = pictures(7), np.array([5, 0, 3]), Training()
    batch = Batch(indices, None, 1.0, 3)  # without noise: none is asked for
    x = tree.cpu.tensor(from_uint8(images[indices]))
    in_pixels, in_latents = spaces(tree)
    fitted, batches = fit_latents(in_latents.vae, images, tree.cpu, training)
    with tree.cpu.inference():
        for space, x_0_of in (
            (in_pixels, in_pixels.batches(images, tree.cpu, training)),
            (in_latents, in_latents.batches(images, tree.cpu, training)),
            (fitted, batches),
        ):
            x_0, expected = tree.cpu.array(x_0_of(batch)), tree.cpu.array(space.encode(x))
            assert x_0.shape == (3, *space.shape) and x_0.std() > 0.1
            np.testing.assert_allclose(x_0, expected, atol=1e-5)


@pytest.mark.parametrize("training", [Training(mirror=True), Training(shift_pixels=3)])
def test_batches_of_augmented_images_are_encoded_anew(tree, training):
    """The same augmented images in pixels and in latents, other ones in another step."""
    images, indices = pictures(7), np.array([5, 0, 3])
    in_pixels, in_latents = spaces(tree)
    seen = []
    for step in (4, 4, 5):
        batch = lambda step=step: Batch(indices, StepNoise(0, step, 3), 1.0, 3)
        x, x_0 = (space.batches(images, tree.cpu, training)(batch()) for space in (in_pixels, in_latents))
        expected = from_uint8(augmented(images[indices], batch().noise, training))
        np.testing.assert_array_equal(tree.cpu.array(x), expected)
        with tree.cpu.inference():
            np.testing.assert_allclose(tree.cpu.array(x_0), tree.cpu.array(in_latents.encode(x)), atol=1e-5)
        seen.append(tree.cpu.array(x))
    np.testing.assert_array_equal(seen[0], seen[1])
    assert (seen[1] != seen[2]).any() and (seen[0] != from_uint8(images[indices])).any()


def test_pixels_are_the_images(tree):
    """decode(encode(x)) is x, and so is encode(decode(x)): nothing is rounded or clipped on the way."""
    space, x = Pixels(SHAPE), tree.cpu.tensor(3 * arrays(2, *SHAPE))
    np.testing.assert_array_equal(tree.cpu.array(space.decode(space.encode(x))), tree.cpu.array(x))
    np.testing.assert_array_equal(tree.cpu.array(space.encode(space.decode(x))), tree.cpu.array(x))
    images = pictures(3)
    np.testing.assert_array_equal(reconstruct(space, images, tree.cpu), from_uint8(images))


def test_reconstructions_and_the_prior_s_images_are_decoded_in_batches(tree, tmp_path):
    vae, seen = tree.vae.VAE(VAEConfig(base_channels=8), SHAPE), []
    decode = vae.decode
    vae.decode = lambda z: seen.append(len(z)) or decode(z)
    images = np.random.default_rng(0).integers(0, 256, (5, *SHAPE), np.uint8)
    options = SimpleNamespace(num=3, drawing=Drawing(batch_size=2), which=SimpleNamespace(out=tmp_path))
    assert write_reconstructions(vae, images, tree.cpu, options).shape == images.shape
    assert seen == [2, 2, 1, 2, 1]

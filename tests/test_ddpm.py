"""The scheduler, the denoiser and the samplers: against diffusers, and against data whose best denoiser is known."""
from dataclasses import FrozenInstanceError
from itertools import pairwise

import numpy as np
import pytest
import torch
from conftest import FP32, ROOT
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler

from common.data.dataset import open_dataset
from common.diffusion.noise import StepNoise
from common.diffusion.samplers import sample_consistency, sample_ddim, sample_ddpm, sample_dpmpp_2m
from common.diffusion.schedule import alphas_cumprod, less_noisy, lognormal_timesteps, sampler_timesteps
from common.diffusion.space import from_uint8
from common.files import shipped_weights
from common.options.networks import DiffusionConfig, SamplerConfig
from common.options.sampling import SamplerOptions

BETAS = {"linear": "linear", "cosine": "squaredcos_cap_v2"}
PREDICTIONS = {"epsilon": "epsilon", "v": "v_prediction"}
STEPS = 20
TIMESTEPS = sampler_timesteps(1000, SamplerConfig(steps=STEPS, shift=1.0))
kinds = pytest.mark.parametrize("schedule, prediction", [(s, p) for s in BETAS for p in PREDICTIONS])


def theirs(cls, schedule, prediction, clip=False, **options):
    scheduler = cls(
        beta_schedule=BETAS[schedule], prediction_type=PREDICTIONS[prediction], timestep_spacing="trailing",
        **({} if cls is DPMSolverMultistepScheduler else {"clip_sample": clip}), **options,
    )
    scheduler.set_timesteps(STEPS)
    # Its own are a float32 product, 1e-3 off at t = 999; test_schedule.py compares the schedules themselves.
    scheduler.alphas_cumprod = torch.from_numpy(alphas_cumprod(DiffusionConfig(schedule=schedule))[:-1])
    return scheduler


def network(x, t):
    """Any smooth function of x_t and t will do."""
    return 0.8 * x + 0.3 * np.sin(3 * x + t / 200)


def trajectory(tree, schedule, prediction, sampler, noise=None, clip=False, timesteps=TIMESTEPS, **options):
    """Every x_t of a sampler from fixed noise, as numpy."""
    diffusion = tree.ddpm.GaussianDiffusion(DiffusionConfig(schedule=schedule, prediction=prediction), clip)

    def denoise(x_t, t):
        output = tree.cpu.tensor(network(tree.cpu.array(x_t), t).astype(np.float32))
        return diffusion.predict_x_0(output, x_t, t)

    states = sampler(denoise, tree.cpu.tensor(start()), diffusion.alphas_cumprod, timesteps, noise, **options)
    return [tree.cpu.array(x) for x in states]


def start():
    return np.random.default_rng(0).standard_normal((3, 1, 4, 4)).astype(np.float32)


def follow(scheduler, step):
    """Every x_t of a diffusers scheduler from the same noise."""
    x, states = torch.from_numpy(start()), []
    for t in scheduler.timesteps:
        output = torch.from_numpy(network(x.numpy(), int(t)).astype(np.float32))
        x = step(output, t, x)
        states.append(x.numpy())
    return states


def assert_close(ours, expected):
    assert len(ours) == len(expected) == STEPS
    for i, (a, b) in enumerate(zip(ours, expected)):
        np.testing.assert_allclose(a, b, atol=1e-5 * max(1, np.abs(b).max()), rtol=1e-5, err_msg=f"step {i}")


@kinds
@pytest.mark.parametrize("clip", [False, True])
def test_ancestral_sampling_agrees_with_diffusers(tree, schedule, prediction, clip):
    scheduler = theirs(DDPMScheduler, schedule, prediction, clip)
    generator, copy = torch.Generator().manual_seed(1), torch.Generator().manual_seed(1)
    expected = follow(scheduler, lambda o, t, x: scheduler.step(o, t, x, generator=generator).prev_sample)

    def noise():
        return tree.cpu.tensor(torch.randn(3, 1, 4, 4, generator=copy).numpy())

    assert_close(trajectory(tree, schedule, prediction, sample_ddpm, noise, clip), expected)


@kinds
@pytest.mark.parametrize("eta, clip", [(0.0, False), (0.0, True), (0.5, False), (1.0, False)])
def test_ddim_agrees_with_diffusers(tree, schedule, prediction, eta, clip):
    scheduler = theirs(DDIMScheduler, schedule, prediction, clip)
    draws = iter(np.random.default_rng(2).standard_normal((STEPS, 3, 1, 4, 4)).astype(np.float32))
    again = iter(np.random.default_rng(2).standard_normal((STEPS, 3, 1, 4, 4)).astype(np.float32))

    def step(output, t, x):
        noise = torch.from_numpy(next(draws))
        options = {"variance_noise": noise} if eta else {}
        return scheduler.step(output, t, x, eta=eta, use_clipped_model_output=clip, **options).prev_sample

    def noise():
        return tree.cpu.tensor(next(again))

    ours = trajectory(tree, schedule, prediction, sample_ddim, noise, clip, eta=eta)
    assert_close(ours, follow(scheduler, step))


def straight_path():
    """Of flow matching (Lipman et al. 2023): t in 0..1, and the scale that makes (1 - t) x_0 + t eps of x_t."""
    abar = alphas_cumprod(DiffusionConfig(schedule="flow"))
    t = 1 / (1 + np.sqrt(abar / (1 - abar).clip(1e-300)))
    np.testing.assert_allclose(t[:-1], (np.arange(1000) + 1) / 1000, atol=1e-4)  # the last is short of 1: see betas()
    return t, np.sqrt((1 - t) ** 2 + t**2)


def test_ddim_on_the_flow_schedule_is_euler_on_the_straight_path(tree):
    """Euler's step of x = (1 - t) x_0 + t eps by a network that predicts the velocity eps - x_0, in float64. What it
    says of x_t is what ours says as v: each is a linear function of the other."""
    t, scale = straight_path()
    alpha, sigma = (1 - t) / scale, t / scale
    velocity = lambda x_t, i: (sigma[i] - alpha[i]) * x_t + network(x_t, i) / scale[i]  # of v, as eps and x_0 are
    x = start() * scale[TIMESTEPS[0]]
    expected = []
    for i, j in pairwise(TIMESTEPS):
        x = x + (t[j] - t[i]) * velocity(x / scale[i], i)
        expected.append(x / scale[j])
    assert_close(trajectory(tree, "flow", "v", sample_ddim), expected)


def test_the_flow_schedule_weighs_errors_as_flow_matching_does():
    """The squared error of x_0, per step of log-SNR: of the velocity, drawn at even t, and of v on the cosine schedule
    the same up to a constant (Kingma and Gao 2023, Understanding Diffusion Objectives); of v on the flow schedule
    (1 - t)^2 + t^2 times that, at most 1 and at least 1/2."""
    log_snr = np.linspace(-4, 4, 17)

    def weights(schedule, of_error):
        abar = alphas_cumprod(DiffusionConfig(schedule=schedule))[:-1]
        levels = np.log(abar / (1 - abar))
        density = -1 / np.gradient(levels)
        return np.interp(-log_snr, -levels, density * of_error(abar))

    v_error = lambda abar: 1 / (1 - abar)  # v = (alpha x_t - x_0) / sigma
    t, _ = straight_path()
    velocity = weights("flow", lambda abar: 1 / t[:-1] ** 2)  # eps - x_0 = (x - x_0) / t, x on the straight path
    ratio = velocity / weights("cosine", v_error)
    np.testing.assert_allclose(ratio / ratio.mean(), 1, atol=0.03)
    ratio = weights("flow", v_error) / velocity
    share = 1 / (1 + np.exp(log_snr / 2))  # t, where alpha / sigma = (1 - t) / t
    np.testing.assert_allclose(ratio, (1 - share) ** 2 + share**2, atol=0.01)


@kinds
def test_dpm_solver_agrees_with_diffusers(tree, schedule, prediction):
    scheduler = theirs(DPMSolverMultistepScheduler, schedule, prediction)
    expected = follow(scheduler, lambda o, t, x: scheduler.step(o, t, x).prev_sample)
    assert_close(trajectory(tree, schedule, prediction, sample_dpmpp_2m), expected)


@pytest.mark.parametrize("schedule, prediction, clip", [
    ("linear", "epsilon", False), ("linear", "epsilon", True), ("cosine", "epsilon", True),
    ("linear", "v", False), ("cosine", "v", False), ("cosine", "v", True),
])  # fmt: skip
def test_consistency_sampling_is_algorithm_1(tree, schedule, prediction, clip):
    """Song et al. 2023, Consistency Models, algorithm 1, in numpy and in their symbols: x = f(x_T, T), then for each
    noise level tau_n, x + tau_n z and x = f of that. Theirs are x_t / alpha_t and tau = sigma_t / alpha_t, epsilon 0.
    """
    abar = alphas_cumprod(DiffusionConfig(schedule=schedule))
    draws = np.random.default_rng(2).standard_normal((STEPS - 1, 3, 1, 4, 4)).astype(np.float32)

    def f(x, t):
        """The network's estimate of the clean image."""
        alpha, sigma = np.sqrt(abar[t]), np.sqrt(1 - abar[t])
        output = network(alpha * x, t)
        x_0 = x - sigma / alpha * output if prediction == "epsilon" else alpha * alpha * x - sigma * output
        return np.clip(x_0, -1, 1) if clip else x_0

    x, expected = f(start() / np.sqrt(abar[TIMESTEPS[0]]), TIMESTEPS[0]), []
    for t, z in zip(TIMESTEPS[1:-1], draws):
        noised = x + np.sqrt(1 / abar[t] - 1) * z
        expected.append(np.sqrt(abar[t]) * noised)
        x = f(noised, t)
    again = iter(draws)
    noise = lambda: tree.cpu.tensor(next(again))
    assert_close(trajectory(tree, schedule, prediction, sample_consistency, noise, clip), [*expected, x])
    assert next(again, None) is None  # no noise after the last step


@kinds
def test_one_step_of_consistency_sampling_is_ddims(tree, schedule, prediction):
    """What distilled models draw by: bit for bit the estimate of x_0 at the last time step."""
    found = [
        trajectory(tree, schedule, prediction, sampler, timesteps=[999, -1])
        for sampler in (sample_consistency, sample_ddim)
    ]
    ((consistency,), (ddim,)) = found
    np.testing.assert_array_equal(consistency, ddim)
    assert np.abs(ddim).max() > 0.1


@kinds
def test_q_sample_and_loss_agree_with_diffusers(tree, schedule, prediction):
    diffusion = tree.ddpm.GaussianDiffusion(DiffusionConfig(schedule=schedule, prediction=prediction), clip=False)
    scheduler = theirs(DDPMScheduler, schedule, prediction)
    rng = np.random.default_rng(3)
    x_0, eps = rng.standard_normal((2, 8, 1, 4, 4)).astype(np.float32)
    t = np.array([0, 1, 10, 100, 400, 800, 998, 999])
    x_t = scheduler.add_noise(*map(torch.from_numpy, (x_0, eps, t)))
    our_x_0, our_eps = tree.cpu.tensor(x_0), tree.cpu.tensor(eps)
    np.testing.assert_allclose(tree.cpu.array(diffusion.q_sample(our_x_0, t, our_eps)), x_t.numpy(), atol=1e-5)

    velocity = scheduler.get_velocity(*map(torch.from_numpy, (x_0, eps, t)))
    expected = ((0.5 * x_t - (velocity if prediction == "v" else torch.from_numpy(eps))) ** 2).mean().item()
    conditions, given = np.arange(8.0).reshape(8, 1), []

    def unet(x_t, steps, y):
        given.append((tree.cpu.array(x_t), np.asarray(steps), y))
        return 0.5 * x_t

    loss = diffusion.loss(unet, our_x_0, t, our_eps, conditions)
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    ((noisy, steps, y),) = given
    np.testing.assert_allclose(noisy, x_t.numpy(), atol=1e-5)
    np.testing.assert_array_equal(steps, t)
    assert y is conditions


@kinds
@pytest.mark.parametrize("clip", [False, True])
def test_denoiser(tree, schedule, prediction, clip):
    """One time step for all images or one for each: the x_0 that diffusers computes from the network's output."""
    diffusion = tree.ddpm.GaussianDiffusion(DiffusionConfig(schedule=schedule, prediction=prediction), clip)
    scheduler = theirs(DDIMScheduler, schedule, prediction, clip)
    conditions = tree.cpu.tensor(np.array([[3.0], [1.0], [4.0]], np.float32))

    def unet(x_t, t, y):
        assert y is conditions
        steps = np.asarray(t).reshape(-1, 1, 1, 1)
        assert len(steps) == len(x_t)  # a time step for each image
        return tree.cpu.tensor(network(tree.cpu.array(x_t), steps).astype(np.float32))

    denoise, x_t = diffusion.denoiser(unet, conditions), tree.cpu.tensor(start())
    steps = np.array([999, 500, 0])
    alone = [tree.cpu.array(denoise(x_t, int(t)))[i] for i, t in enumerate(steps)]
    np.testing.assert_allclose(tree.cpu.array(denoise(x_t, steps)), np.stack(alone), rtol=1e-5, atol=1e-6)
    for i, t in enumerate(steps):
        x = torch.from_numpy(start()[i : i + 1])
        output = torch.from_numpy(network(x.numpy(), t).astype(np.float32))
        expected = scheduler.step(output, int(t), x).pred_original_sample.numpy()[0]
        np.testing.assert_allclose(alone[i], expected, rtol=1e-5, atol=1e-5 * max(1, np.abs(expected).max()))


# Gaussian data N(MEAN, STD^2): the best denoiser is E[x_0 | x_t] in closed form, and a deterministic sampler an affine
# map a x_T + b, whose mean b and standard deviation |a| two samples tell exactly.
MEAN, STD = 0.3, 0.25


ABAR = alphas_cumprod(DiffusionConfig())


def denoise_gaussian(x_t, t):
    gain = np.sqrt(ABAR[t]) * STD**2 / (ABAR[t] * STD**2 + 1 - ABAR[t])
    return MEAN + float(gain) * (x_t - float(np.sqrt(ABAR[t])) * MEAN)


def gaussian_error(tree, sampler, steps):
    """How far a deterministic sampler's mean and standard deviation are off."""
    x_t = tree.cpu.tensor(np.array([-1, 1], np.float32).reshape(2, 1, 1, 1))
    timesteps = sampler_timesteps(1000, SamplerConfig(steps=steps, shift=1.0))
    for x_0 in sampler(denoise_gaussian, x_t, ABAR, timesteps, None):
        low, high = tree.cpu.array(x_0).ravel()
    return abs((low + high) / 2 - MEAN), abs(abs(high - low) / 2 - STD)


@pytest.mark.parametrize("sampler, tolerance", [(sample_ddim, 0.01), (sample_dpmpp_2m, 3e-4)])
def test_deterministic_samplers_recover_a_gaussian(tree, sampler, tolerance):
    mean_error, std_error = gaussian_error(tree, sampler, 100)
    assert mean_error < 1e-3 and std_error < tolerance
    errors = [gaussian_error(tree, sampler, steps)[1] for steps in (10, 20, 50, 100)]
    assert errors == sorted(errors, reverse=True), errors


def test_ancestral_sampling_recovers_a_gaussian(tree):
    rng = np.random.default_rng(0)

    def noise():
        return tree.cpu.tensor(rng.standard_normal((20_000, 1, 1, 1)).astype(np.float32))

    timesteps = sampler_timesteps(1000, SamplerConfig(steps=200, shift=1.0))
    for x_t in sample_ddpm(denoise_gaussian, noise(), ABAR, timesteps, noise):
        x_0 = tree.cpu.array(x_t)  # at every step: Jittor would put all steps into one graph
    assert abs(x_0.mean() - MEAN) < 0.01 and abs(x_0.std() - STD) < 0.01


@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_consistency_of_gaussian_data(tree, shift):
    """Of N(MEAN, STD^2) the probability flow is known: it leads x_t to f(x_t, t), on one quantile of the data.

    A network that says so, but for `shift` in v at t alone, is as far from itself as shift and the pairs' own distance.
    """
    diffusion, rng = tree.ddpm.GaussianDiffusion(DiffusionConfig(), clip=False), np.random.default_rng(0)
    tensor = lambda array: tree.cpu.tensor(np.asarray(array, np.float32))
    x_0, eps = MEAN + STD * rng.standard_normal((400, 1, 4, 4)), rng.standard_normal((400, 1, 4, 4))
    t = rng.integers(50, 1000, 400)
    t[:2], r = (50, 999), np.where(np.arange(400) % 2, t - 3, -1)
    alpha, sigma = (lambda t, a=a: np.sqrt(a[t]).reshape(-1, 1, 1, 1) for a in (ABAR, 1 - ABAR))

    def flow(x_t, t):
        return MEAN + STD * (x_t - alpha(t) * MEAN) / np.sqrt((alpha(t) * STD) ** 2 + sigma(t) ** 2)

    def network(x_t, at, y):
        at, x_t = tree.cpu.array(at).astype(int), tree.cpu.array(x_t).astype(float)
        v = (alpha(at) * x_t - flow(x_t, at)) / np.maximum(sigma(at), 1e-9)
        return tensor(v + shift * (at == t).all())

    x_t, x_r = (alpha(s) * x_0 + sigma(s) * eps for s in (t, r))
    apart = (np.where((r < 0).reshape(-1, 1, 1, 1), x_0, flow(x_r, r)) - flow(x_t, t)) / sigma(t) + shift
    loss = tree.distillation.consistency_loss(diffusion, network, tensor(x_0), t, r, tensor(eps), y=None)
    expected = np.sqrt((apart**2).mean(axis=(1, 2, 3))).mean()
    assert float(tree.cpu.array(loss).item()) == pytest.approx(expected, rel=1e-3) and expected > shift
    near = np.sqrt((apart[1::2] ** 2).mean(axis=(1, 2, 3))).mean()
    assert near < 0.1 or shift  # three steps of time apart, the flow hardly differs


def test_bf16_leaves_the_gradient_of_the_consistency_loss(trees):
    """The outputs of a pair of near time steps hardly differ, and bf16 rounds both: with a distance of 2 of 1,000 steps
    the gradient's cosine with that in float32 was 0.89."""
    model = trees["pytorch"].pipeline.load_model(shipped_weights(ROOT / "pytorch", "ldm-distilled"), None, FP32)
    distillation, noise, test = trees["pytorch"].distillation, StepNoise(0, 0, 64), open_dataset().test
    t = lognormal_timesteps(noise.normal(), model.diffusion.alphas_cumprod, *distillation.CONSISTENCY_LEVELS)
    r = less_noisy(t, model.timesteps)
    x_0 = model.space.encode(torch.from_numpy(from_uint8(test.images[:64]))).detach()
    y = model.conditions(test.labels[:64])
    eps, weights = torch.from_numpy(noise.normal(*model.space.shape)), list(model.network.parameters())
    gradients = []
    for bf16 in (False, True):
        model.network.requires_grad_(True).zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = distillation.consistency_loss(model.diffusion, model.network, x_0, t, r, eps, torch.from_numpy(y))
        loss.backward()
        gradients.append(torch.cat([weight.grad.ravel() for weight in weights if weight.grad is not None]))
    assert torch.cosine_similarity(*gradients, dim=0) > 0.95


@pytest.mark.parametrize("kind", ["ddpm", "ldm"])
def test_a_model_does_not_change(tree, untrained, kind):
    """It draws by the sampler that it is given, keeps its own, and then draws by that what it drew before."""
    model = tree.pipeline.load_model(untrained / f"{kind}.safetensors", kind, FP32)
    own, weights, y = model.sampler, tree.cpu.arrays(model.network), model.conditions(np.array([3, 7]))
    before = model.sample(own, 0, range(2), y)
    chosen = model.choose_sampler(SamplerOptions(sampler="ddim", steps=2, shift=1.0, guidance=2.0, eta=0.5))
    assert np.abs(model.sample(chosen, 0, range(2), y) - before).max() > 1e-3
    assert model.sampler == own == model.recipe.sampler == type(model.recipe)().sampler != chosen
    np.testing.assert_array_equal(model.sample(own, 0, range(2), y), before)
    for name, array in tree.cpu.arrays(model.network).items():
        np.testing.assert_array_equal(array, weights[name], err_msg=name)
    with pytest.raises(FrozenInstanceError):
        model.sampler = chosen
    with pytest.raises(FrozenInstanceError):
        model.space = None

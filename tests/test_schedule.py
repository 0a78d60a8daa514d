"""The schedules against diffusers, float64 against float32."""
import importlib

import numpy as np
import pytest
import torch
from conftest import ROOT
from diffusers import DDIMScheduler, DDPMScheduler, FlowMatchEulerDiscreteScheduler, UNet2DModel
from pydantic import ValidationError

from common.diffusion.noise import SampleNoise, StepNoise, data_order
from common.diffusion.schedule import (
    alphas_cumprod,
    betas,
    ema_decay,
    learning_rate,
    less_noisy,
    lognormal_timesteps,
    sampler_timesteps,
)
from common.errors import UserError
from common.options.networks import DiffusionConfig, SamplerConfig
from common.options.recipes import Training

BETAS = {"linear": "linear", "cosine": "squaredcos_cap_v2"}


@pytest.mark.parametrize("schedule", BETAS)
def test_betas_agree_with_diffusers(schedule):
    theirs = DDPMScheduler(num_train_timesteps=1000, beta_schedule=BETAS[schedule])
    config = DiffusionConfig(schedule=schedule)
    np.testing.assert_allclose(betas(config), theirs.betas.numpy(), rtol=1e-5, atol=1e-7)
    ours = alphas_cumprod(config)
    np.testing.assert_allclose(ours[:-1], theirs.alphas_cumprod.numpy(), atol=1e-5)
    assert ours[-1] == 1 and ours.dtype == np.float64 and (np.diff(ours[:-1]) < 0).all()


@pytest.mark.parametrize("schedule", [*BETAS, "flow"])
@pytest.mark.parametrize("timesteps", [50, 100, 4000])
def test_every_schedule_ends_in_noise(schedule, timesteps):
    """However many its steps: their alpha_bar is that of the 1,000 at the same time."""
    abar, usual = (alphas_cumprod(DiffusionConfig(schedule=schedule, timesteps=t)) for t in (timesteps, 1000))
    assert abar[timesteps - 1] < 1e-3
    assert abar[timesteps // 2 - 1] == pytest.approx(usual[499], rel=0.15)


def timesteps_of(steps, shift=1.0, end=1.0):
    """Where a sampler of so many steps calls the network, of the usual 1,000."""
    return sampler_timesteps(1000, SamplerConfig(steps=steps, shift=shift, end=end))


@pytest.mark.parametrize("steps", [1, 5, 7, 10, 50, 999, 1000])
def test_timesteps_agree_with_diffusers(steps):
    theirs = DDIMScheduler(timestep_spacing="trailing")
    theirs.set_timesteps(steps)
    ours = timesteps_of(steps)
    assert ours == [*theirs.timesteps.tolist()[:steps], -1]
    assert ours[0] == 999 and len(ours) == steps + 1 and (np.diff(ours) < 0).all()


def test_the_peer_of_the_bench_is_called_where_ours_is(monkeypatch):
    """from_config() of another scheduler's config leaves out what stands there at its default, as the spacing does."""
    monkeypatch.syspath_prepend(ROOT / "bench")
    peers, forward, called = importlib.import_module("peers"), UNet2DModel.forward, []
    monkeypatch.setattr(peers, "SAMPLES", 1)
    monkeypatch.setattr(UNet2DModel, "forward", lambda *given: called.append(int(given[2])) or forward(*given))
    *_, draw = peers.diffusers("cpu")
    with torch.no_grad():
        draw()
    assert called == timesteps_of(peers.STEPS)[:-1]


def test_a_shift_moves_time_steps_towards_the_noise():
    """As diffusers' flow scheduler shifts its sigmas, which are t / 1000; never a time step twice."""
    for shift in (0.5, 3.0):
        theirs = FlowMatchEulerDiscreteScheduler(shift=shift)
        even = np.array(timesteps_of(8)[:-1]) + 1
        theirs.set_timesteps(sigmas=even / 1000)
        np.testing.assert_allclose(np.array(timesteps_of(8, shift)[:-1]) + 1, theirs.timesteps, atol=0.51)
    for steps in (2, 300, 999, 1000):
        for shift in (0.01, 5.0, 100.0):
            shifted = timesteps_of(steps, shift)
            assert shifted[0] == 999 and shifted[-1] == -1 and (np.diff(shifted) < 0).all()


def test_an_end_moves_the_last_call_towards_the_clean_image():
    """And the others evenly with it; the first stays, and no time step comes twice."""
    assert timesteps_of(5, end=0.5) == [999, 774, 549, 324, 99, -1]
    assert timesteps_of(1, end=0.5) == timesteps_of(1)
    for steps in (2, 7, 999, 1000):
        calls = timesteps_of(steps, 2.0, 0.01)
        assert calls[0] == 999 and calls[-1] == -1 and (np.diff(calls) < 0).all()


def test_more_steps_than_the_schedule_has():
    with pytest.raises(UserError, match="1 to 1000"):
        timesteps_of(1001)


def test_a_sampler_has_a_step():
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        timesteps_of(0)


def test_noise_levels_are_lognormal():
    """As the continuous ones are, until they meet the ends of the schedule."""
    abar, normal = alphas_cumprod(DiffusionConfig()), np.random.default_rng(0).standard_normal(20_000)
    t = lognormal_timesteps(normal, abar, -1.2, 1.2)
    levels = 0.5 * np.log((1 - abar[t]) / abar[t])
    assert np.percentile(abs(levels - (-1.2 + 1.2 * normal)), 95) < 0.05
    assert levels.mean() == pytest.approx(-1.2, abs=0.03) and levels.std() == pytest.approx(1.2, abs=0.03)
    assert lognormal_timesteps(np.array([-99, 99]), abar, 0, 1).tolist() == [0, 999]


def test_learning_rate_warms_up_and_ends_at_zero():
    options = Training(learning_rate=1e-3, warmup=99)
    assert learning_rate(options, 0, 0.0) == pytest.approx(1e-5)
    assert learning_rate(options, 99, 0.0) == pytest.approx(1e-3)
    assert learning_rate(options, 1000, 0.5) == pytest.approx(5e-4)
    assert learning_rate(options, 1000, 1.0) == pytest.approx(0, abs=1e-12)
    short = [learning_rate(options, step, step / 20) for step in range(4)]  # of 20 steps in all, 2 warm up
    assert short == pytest.approx([1e-5, 5e-4 * 0.99384, 1e-3 * 0.97553, 1e-3 * 0.94550], rel=1e-4)
    held = Training(learning_rate=1e-3, warmup=99, hold=0.6)
    assert [learning_rate(held, 1000, done) for done in (0.1, 0.6, 0.8, 1)] == pytest.approx([1e-3, 1e-3, 5e-4, 0])


def test_ema_forgets_the_initial_weights():
    """After 200 steps a fixed decay of 0.999 would keep 82 % of the initial weights."""
    kept = np.prod([ema_decay(Training(ema_decay=0.999), step) for step in range(200)])
    assert kept < 1e-6
    assert ema_decay(Training(ema_decay=0.999), 10**6) == 0.999


def test_sample_noise_depends_on_seed_and_index_alone():
    together, apart = SampleNoise(3, range(6), (2, 4)), SampleNoise(3, [4], (2, 4))
    for _ in range(3):
        np.testing.assert_array_equal(together()[4], apart()[0])
    assert not np.array_equal(SampleNoise(4, [4], (2, 4))(), SampleNoise(3, [4], (2, 4))())


def test_noise_is_standard_normal_and_independent_of_the_data_order():
    x = SampleNoise(0, range(1000), (1, 32, 32))()
    assert x.dtype == np.float32 and abs(x.mean()) < 4e-3 and abs(x.std() - 1) < 3e-3
    assert abs(np.corrcoef(x[0].ravel(), x[1].ravel())[0, 1]) < 0.15
    np.testing.assert_array_equal(StepNoise(0, 5, 8).normal(3), StepNoise(0, 5, 8).normal(3))
    assert not np.array_equal(StepNoise(0, 5, 8).normal(3), StepNoise(0, 6, 8).normal(3))
    assert sorted(data_order(0, 2, 100)) == list(range(100))
    assert not np.array_equal(data_order(0, 2, 100), data_order(0, 3, 100))


def test_consistency_pairs_end_at_the_clean_image():
    assert less_noisy(np.array([0, 7, 8, 999]), 1000).tolist() == [-1, -1, 0, 991]
    assert less_noisy(np.array([0, 5]), 22).tolist() == [-1, 4]  # a step at least

"""The options themselves: how --resume is read, and networks of a size that a machine can hold."""
import pytest
import tyro
from pydantic import ValidationError

from common.errors import UserError
from common.options.command_line import run
from common.options.networks import DiffusionConfig, SamplerConfig, UNetConfig, VAEConfig
from common.options.recipes import DistillLDM, TrainDDPM, TrainLDM, TrainVAE
from common.options.sampling import Score, WhichDiffusion


@pytest.mark.parametrize("arguments, expected", [
    ([], False), (["--resume"], True), (["--resume", "auto"], "auto"),
    (["--resume", "--epochs", "3"], True), (["--epochs", "3", "--resume"], True),
    (["--resume", "auto", "--epochs", "3"], "auto"),
])  # fmt: skip
def test_resume_is_read(arguments, expected):
    options = tyro.cli(TrainVAE, args=arguments).training
    assert options.resume is expected or (options.resume, expected) == ("auto", "auto")
    assert options.epochs == (3 if "3" in arguments else TrainVAE().training.epochs)


@pytest.mark.parametrize("word", ["other", "Auto", "automatic", "3", ""])
def test_another_word_to_resume_is_refused(word, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["train_mnist_vae.py", "--resume", word])
    with pytest.raises(SystemExit) as error:
        run(None, TrainVAE)
    assert error.value.code == 2
    assert "resume" in capsys.readouterr().err


@pytest.mark.parametrize("recipe, options, message", [
    (TrainDDPM, {"sampler": SamplerConfig(steps=1001)}, "the schedule has 1000"),
    (TrainLDM, {"diffusion": DiffusionConfig(timesteps=5)}, "the schedule has 5"),
    (TrainLDM, {"diffusion": DiffusionConfig(prediction="epsilon")}, "predict v, or take the linear"),
    (TrainLDM, {"sampler": SamplerConfig(guidance=2.0), "label_dropout": 0.0}, "never sees the null label"),
    (DistillLDM, {"sampler": SamplerConfig(name="ddim", guidance=2.0)}, "never sees the null label"),
])  # fmt: skip
def test_a_sampler_that_the_model_cannot_have_is_refused_before_training(recipe, options, message):
    with pytest.raises(ValidationError, match=message):
        recipe(**options)


def test_test_digits_have_classes_of_their_own():
    with pytest.raises(ValidationError, match="leave out --digit"):
        Score(which=WhichDiffusion(base="ldm"), labels="test", digit=3)


@pytest.mark.parametrize("sizes, shape", [
    ({}, (1, 32, 32)), ({"base_channels": 128, "channel_mults": (1, 2, 2), "blocks": 2}, (1, 32, 32)),
    ({"base_channels": 128, "channel_mults": (1, 2, 4), "blocks": 3, "attention_levels": (1, 2)}, (3, 64, 64)),
    ({"patch_size": 1}, (16, 8, 8)),
])  # fmt: skip
def test_usual_sizes_are_allowed(sizes, shape):
    UNetConfig(**sizes).check_data(shape, classes=10)


def test_usual_sizes_of_the_vae_are_allowed():
    assert VAEConfig(base_channels=256, channel_mults=(1, 2, 4)).latent_shape((1, 32, 32)) == (4, 4, 4)


@pytest.mark.parametrize("cls, sizes", [
    (UNetConfig, {"base_channels": 4096, "channel_mults": (1, 4)}), (UNetConfig, {"blocks": 4096}),
    (UNetConfig, {"channel_mults": (1,) * 20_000, "base_channels": 32}), (VAEConfig, {"base_channels": 4096}),
    (VAEConfig, {"latent_channels": 4096, "base_channels": 4096, "channel_mults": (1,)}),
])  # fmt: skip
def test_networks_larger_than_memory_are_refused(cls, sizes):
    """On the command line and in a checkpoint alike, before anything is built."""
    with pytest.raises(ValidationError, match=r"more than 3e\+08 parameters|at most 8 items|less than or equal to 64"):
        cls(**sizes)


@pytest.mark.parametrize("sizes, classes", [
    ({"patch_size": 4096, "channel_mults": (1,), "attention_levels": ()}, 10),
    ({"context_tokens": 4096, "context_dim": 64}, 4096),
])  # fmt: skip
def test_networks_larger_than_memory_for_this_data_are_refused(sizes, classes):
    """As soon as the data is known: what a patch and a class cost follows from it."""
    with pytest.raises(UserError, match=r"more than 3e\+08 parameters"):
        UNetConfig(**sizes).check_data((1, 4096, 4096), classes)


@pytest.mark.parametrize("config, name", [(UNetConfig(), "unet"), (VAEConfig(), "vae")])
def test_images_that_the_levels_do_not_divide_are_refused(config, name):
    with pytest.raises(UserError, match=rf"32x30 does not divide by 4 .*--{name}\.patch-size, --{name}\.channel-mults"):
        config.check_data((1, 32, 30), 10) if name == "unet" else config.latent_shape((1, 32, 30))

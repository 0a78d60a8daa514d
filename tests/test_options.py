"""The options themselves: how --resume is read, and networks of a size that a machine can hold."""
import pytest
import tyro
from pydantic import ValidationError

from common.options.networks import DiffusionConfig, SamplerConfig, UNetConfig, VAEConfig
from common.options.recipes import DistillLDM, TrainDDPM, TrainLDM, TrainVAE
from common.options.sampling import ScoreLDM


@pytest.mark.parametrize("arguments, expected", [
    ([], False), (["--resume"], True), (["--resume", "auto"], "auto"),
    (["--resume", "--epochs", "3"], True), (["--epochs", "3", "--resume"], True),
    (["--resume", "auto", "--epochs", "3"], "auto"),
])  # fmt: skip
def test_resume_is_read(arguments, expected):
    options = tyro.cli(TrainVAE, args=arguments)
    assert options.resume is expected or (options.resume, expected) == ("auto", "auto")
    assert options.epochs == (3 if "3" in arguments else TrainVAE().epochs)


@pytest.mark.parametrize("word", ["other", "Auto", "automatic", "3", ""])
def test_another_word_to_resume_is_refused(word, capsys):
    with pytest.raises(SystemExit) as error:
        tyro.cli(TrainVAE, args=["--resume", word])
    assert error.value.code == 2
    assert "resume" in capsys.readouterr().err


@pytest.mark.parametrize("recipe, options, message", [
    (TrainDDPM, {"sampler": SamplerConfig(steps=1001)}, "the schedule has 1000"),
    (TrainLDM, {"diffusion": DiffusionConfig(timesteps=5)}, "the schedule has 5"),
    (TrainLDM, {"diffusion": DiffusionConfig(prediction="epsilon", clip=False)}, "predict v, or take the linear"),
    (TrainLDM, {"sampler": SamplerConfig(guidance=2.0), "label_dropout": 0.0}, "never sees the null label"),
    (DistillLDM, {"sampler": SamplerConfig(name="ddim", guidance=2.0)}, "never sees the null label"),
])  # fmt: skip
def test_a_sampler_that_the_model_cannot_have_is_refused_before_training(recipe, options, message):
    with pytest.raises(ValidationError, match=message):
        recipe(**options)


def test_test_digits_have_classes_of_their_own():
    with pytest.raises(ValidationError, match="leave out --digit"):
        ScoreLDM(labels="test", digit=3)


@pytest.mark.parametrize("cls, sizes", [
    (UNetConfig, {}), (UNetConfig, {"base_channels": 128, "channel_mults": (1, 2, 2), "blocks": 2}),
    (UNetConfig, {"base_channels": 128, "channel_mults": (1, 2, 4), "blocks": 3, "attention_levels": (1, 2)}),
    (UNetConfig, {"in_channels": 16, "patch_size": 1}), (VAEConfig, {"base_channels": 256, "channel_mults": (1, 2, 4)}),
])  # fmt: skip
def test_usual_sizes_are_allowed(cls, sizes):
    cls(**sizes)


@pytest.mark.parametrize("cls, sizes", [
    (UNetConfig, {"base_channels": 4096, "channel_mults": (1, 4)}), (UNetConfig, {"blocks": 4096}),
    (UNetConfig, {"patch_size": 4096}), (UNetConfig, {"context_tokens": 4096, "num_classes": 4096}),
    (UNetConfig, {"channel_mults": (1,) * 20_000, "base_channels": 32}), (VAEConfig, {"base_channels": 4096}),
    (VAEConfig, {"latent_channels": 4096, "base_channels": 4096, "channel_mults": (1,)}),
])  # fmt: skip
def test_networks_larger_than_memory_are_refused(cls, sizes):
    """On the command line and in a checkpoint alike, before anything is built."""
    with pytest.raises(ValidationError, match=r"more than 3e\+08 parameters|at most 8 items|less than or equal to 64"):
        cls(**sizes)

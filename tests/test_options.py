"""The options themselves: how --resume is read, networks of a size that a machine can hold, one sentence of help."""
import ast
import re

import pytest
import tyro
from conftest import ROOT
from pydantic import ValidationError

from common.errors import UserError
from common.options.command_line import run
from common.options.networks import DiffusionConfig, SamplerConfig, UNetConfig, VAEConfig
from common.options.recipes import DistillLDM, TrainDDPM, Training, TrainLDM, TrainVAE
from common.options.sampling import Sample, SamplerOptions, Score, WhichDiffusion


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


@pytest.mark.parametrize("words", ["--epochs 1 2", "2", "--minutes 3 --out my 2", "--vae.base-channels 16 2 3"])
def test_a_value_of_no_option_is_told_in_one_line(words, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["train_mnist_vae.py", *words.split()])
    with pytest.raises(SystemExit) as stop:
        run(lambda options: None, TrainVAE)
    told = capsys.readouterr().err
    assert stop.value.code == 2 and told.startswith("error: unexpected '2': write each value after its option"), told
    assert told.count("\n") == 1


def test_an_option_that_is_misspelt_is_told_with_the_nearest(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["train_mnist_vae.py", "--epoch", "1"])
    with pytest.raises(SystemExit) as stop:
        run(lambda options: None, TrainVAE)
    assert stop.value.code == 2 and "Perhaps you meant" in capsys.readouterr().err


@pytest.mark.parametrize("recipe, options, message", [
    (TrainDDPM, {"sampler": SamplerConfig(steps=1001)}, "the schedule has 1000"),
    (TrainLDM, {"diffusion": DiffusionConfig(timesteps=5)}, "the schedule has 5"),
    (TrainLDM, {"diffusion": DiffusionConfig(prediction="epsilon")}, "predict v, or take the linear"),
    (TrainLDM, {"diffusion": DiffusionConfig(timesteps=20, schedule="linear", prediction="epsilon")}, "predict v, or"),
    (TrainLDM, {"diffusion": DiffusionConfig(timesteps=100, prediction="epsilon")}, "predict v, or take the linear"),
    (TrainLDM, {"sampler": SamplerConfig(eta=1.0)}, "only ddim uses it"),
    (TrainLDM, {"sampler": SamplerConfig(guidance=2.0), "label_dropout": 0.0}, "guidance needs label dropout"),
    (DistillLDM, {"sampler": SamplerConfig(name="ddim", guidance=2.0)}, "guidance needs label dropout"),
])  # fmt: skip
def test_a_sampler_that_the_model_cannot_have_is_refused_before_training(recipe, options, message):
    with pytest.raises(ValidationError, match=message):
        recipe(**options)


@pytest.mark.parametrize("shift", [1e-308, 1e308])
def test_steps_are_not_shifted_beyond_what_numbers_hold(shift):
    for options in (SamplerConfig, SamplerOptions):
        with pytest.raises(ValidationError, match="than or equal to"):
            options(shift=shift)


@pytest.mark.parametrize("arguments, label, asked", [
    (["--label", "night heron", "--ask", "age=40", "angle=-10"], "night heron", {"age": 40, "angle": -10}),
    (["--digit", "7", "--ask", "age=1e2"], "7", {"age": 100}), ([], None, {}),
])  # fmt: skip
def test_what_is_asked_for_is_read(arguments, label, asked):
    ask = tyro.cli(Sample, default=Sample(which=WhichDiffusion(base="ddpm")), args=arguments).ask
    assert (ask.label, ask.ask) == (label, asked)


@pytest.mark.parametrize("words, said", [
    (["age"], "write NAME=NUMBER, without spaces, as in age=40"), (["age="], "write NAME=NUMBER"),
    (["age", "=", "4"], "write NAME=NUMBER"), (["=3"], "write NAME=NUMBER"), (["age=old"], "could not convert"),
    (["age=nan"], "finite"), (["age=inf"], "finite"), (["age=1", "age=2"], "give each measure once"),
    (["label=3"], "the class with --label"), (["age=1", "digit=3"], "the class with --label"),
])  # fmt: skip
def test_what_cannot_be_asked_for_is_refused(words, said, capsys):
    with pytest.raises((SystemExit, ValidationError)) as error:
        tyro.cli(Sample, default=Sample(which=WhichDiffusion(base="ddpm")), args=["--ask", *words])
    assert said in f"{error.value} {' '.join(capsys.readouterr().err.replace('│', ' ').split())}"


@pytest.mark.parametrize("arguments, measures", [
    ([], None), (["--measures"], ()), (["--measures", "age", "width"], ("age", "width")),
])  # fmt: skip
def test_measures_are_read(arguments, measures):
    assert tyro.cli(TrainLDM, args=arguments).measures == measures


def test_test_digits_have_classes_of_their_own():
    with pytest.raises(ValidationError, match="leave out --label"):
        Score(which=WhichDiffusion(base="ldm"), labels="test", label="3")


@pytest.mark.parametrize("sizes, shape", [
    ({}, (1, 32, 32)), ({"base_channels": 128, "channel_mults": (1, 2, 2), "blocks": 2}, (1, 32, 32)),
    ({"base_channels": 128, "channel_mults": (1, 2, 4), "blocks": 3, "attention_levels": (1, 2)}, (3, 64, 64)),
    ({"patch_size": 1}, (16, 8, 8)),
])  # fmt: skip
def test_usual_sizes_are_allowed(sizes, shape):
    UNetConfig(**sizes).fitted(shape).check_data(shape, classes=10)


def test_usual_sizes_of_the_vae_are_allowed():
    vae = VAEConfig(base_channels=256, channel_mults=(1, 2, 4), latent_channels=4).fitted((1, 32, 32))
    assert vae.latent_shape((1, 32, 32)) == (4, 4, 4)


FITTED = {  # size: the UNet's patches and multiples; the VAE's patches and width, latents of grey and of colour
    16: (1, (1, 2), 2, 32, (4, 4, 4), (8, 4, 4)),
    24: (2, (1, 2), 2, 32, (4, 6, 6), (8, 6, 6)),
    32: (2, (1, 2), 2, 32, (4, 8, 8), (8, 8, 8)),
    48: (4, (1, 2), 2, 32, (4, 12, 12), (8, 12, 12)),
    64: (4, (1, 2), 4, 64, (8, 8, 8), (16, 8, 8)),
    96: (4, (1, 2, 2), 4, 64, (8, 12, 12), (16, 12, 12)),
    128: (4, (1, 2, 2), 4, 64, (8, 16, 16), (16, 16, 16)),
}


@pytest.mark.parametrize("size", FITTED)
@pytest.mark.parametrize("channels", [1, 3])
def test_what_is_not_named_follows_the_data(size, channels):
    """Of pixels and of latents at most 16 positions to a side, 24 to 32 with a level more; of 32x32 what is shipped."""
    shape, (patch, mults, vae_patch, width, *latents) = (channels, size, size), FITTED[size]
    unet, vae = UNetConfig().fitted(shape), VAEConfig().fitted(shape)
    assert (unet.patch_size, unet.channel_mults, unet.attention_levels) == (patch, mults, (len(mults) - 1,))
    assert (vae.patch_size, vae.base_channels, vae.channel_mults) == (vae_patch, width, (1, 2))
    assert vae.latent_shape(shape) == latents[channels == 3]
    in_latents = UNetConfig().fitted(vae.latent_shape(shape))
    assert (in_latents.patch_size, in_latents.channel_mults, in_latents.attention_levels) == (1, (1, 2), (1,))
    unet.check_data(shape, classes=4096)
    in_latents.check_data(vae.latent_shape(shape), classes=4096)
    assert unet.fitted((1, 16, 16)) == unet and vae.fitted((1, 128, 128)) == vae  # what is known stays


def test_networks_fit_images_of_any_size():
    """Of an odd number of positions by one level; the VAE halves the sides of images twice or more."""
    for size in range(16, 129):
        shape = 3, size, size
        UNetConfig().fitted(shape).check_data(shape, classes=10)
        if size % 4 == 0:
            latent_shape = VAEConfig().fitted(shape).latent_shape(shape)
            UNetConfig().fitted(latent_shape).check_data(latent_shape, classes=10)
            assert latent_shape[1] <= 32


@pytest.mark.parametrize("recipe", [TrainDDPM, TrainLDM, TrainVAE])
def test_large_images_are_trained_on_in_small_batches(recipe):
    fitted = lambda *shape, **training: recipe(training=Training(**training)).fitted(shape)
    assert [fitted(1, side, side).training.batch_size for side in (8, 32, 48, 64, 128)] == [256, 256, 256, 64, 64]
    assert fitted(3, 64, 64, batch_size=100).training.batch_size == 100
    network = fitted(3, 64, 64).vae if recipe is TrainVAE else fitted(3, 64, 64).unet
    assert network == type(network)().fitted((3, 64, 64))


def test_what_is_named_stays():
    unet = UNetConfig(patch_size=4, channel_mults=(1, 2, 2), attention_levels=()).fitted((1, 16, 16))
    assert (unet.patch_size, unet.channel_mults, unet.attention_levels) == (4, (1, 2, 2), ())
    vae = VAEConfig(latent_channels=3, base_channels=16, channel_mults=(1, 2, 4)).fitted((3, 64, 64))
    assert (vae.patch_size, vae.base_channels, vae.latent_shape((3, 64, 64))) == (4, 16, (3, 4, 4))


@pytest.mark.parametrize("cls, sizes", [
    (UNetConfig, {"base_channels": 4096, "channel_mults": (1, 4)}), (UNetConfig, {"blocks": 4096}),
    (UNetConfig, {"channel_mults": (1,) * 20_000, "base_channels": 32}), (VAEConfig, {"base_channels": 4096}),
    (VAEConfig, {"latent_channels": 4096, "base_channels": 4096, "channel_mults": (1,)}),
])  # fmt: skip
def test_networks_larger_than_memory_are_refused(cls, sizes):
    """On the command line and in a checkpoint alike, before anything is built."""
    with pytest.raises(ValidationError, match=r"more than 3e\+08 parameters|at most 8 items|less than or equal to 64"):
        cls(**sizes)


@pytest.mark.parametrize("sizes, problem", [
    ({"attention_levels": (2,)}, "attention_levels: the levels are 0 to 1"),
    ({"attention_levels": (-1,)}, "attention_levels: the levels are 0 to 1"),
    ({"head_dim": 48}, "head_dim: it must divide the channels of every level with attention"),
    ({"head_dim": 64, "base_channels": 32, "attention_levels": (0,)}, "head_dim: it must divide"),  # level 1, not 0
])  # fmt: skip
def test_attention_that_the_levels_cannot_have_is_refused(sizes, problem):
    with pytest.raises(ValidationError, match=problem):
        UNetConfig(channel_mults=(1, 2), **sizes)


@pytest.mark.parametrize("sizes, classes", [
    ({"patch_size": 4096, "channel_mults": (1,), "attention_levels": ()}, 10),
    ({"context_tokens": 4096, "context_dim": 64}, 4096),
])  # fmt: skip
def test_networks_larger_than_memory_for_this_data_are_refused(sizes, classes):
    """As soon as the data is known: what a patch and a class cost follows from it."""
    with pytest.raises(UserError, match=r"more than 3e\+08 parameters"):
        UNetConfig(**sizes).fitted((1, 4096, 4096)).check_data((1, 4096, 4096), classes)


@pytest.mark.parametrize("config, name", [(UNetConfig(), "unet"), (VAEConfig(), "vae")])
def test_images_that_the_levels_do_not_divide_are_refused(config, name):
    config = config.fitted((1, 32, 32))
    with pytest.raises(UserError, match=rf"32x30 is not divisible by 4: .*--{name}\.patch-size or --{name}\.channel"):
        config.check_data((1, 32, 30), 10) if name == "unet" else config.latent_shape((1, 32, 30))


def helps():
    """{option: its help, "" for none}: the string below a field of an options class, or that tyro's arg() is given."""
    found = {}
    paths = [path for part in ("common", "scoring", "publish", "bench") for path in (ROOT / part).rglob("*.py")]
    for path in (path for path in paths if path.name not in ("spec.py", "clock.py")):  # those of a checkpoint alone
        nodes = [*ast.walk(ast.parse(path.read_text()))]
        words = [word for node in nodes if isinstance(node, ast.Call) for word in node.keywords if word.arg == "help"]
        found |= {ast.unparse(word): word.value.value for word in words if isinstance(word.value, ast.Constant)}
        classes = [node for node in nodes if isinstance(node, ast.ClassDef) and node.decorator_list]
        for kind in [node for node in classes if ast.unparse(node.decorator_list[0]) == "options_class"]:
            for field, below in zip(kind.body, [*kind.body[1:], None]):
                helped = isinstance(below, ast.Expr)
                if isinstance(field, ast.AnnAssign) and (helped or not GROUP.search(ast.unparse(field.annotation))):
                    found[f"{path.name}, {kind.name}.{field.target.id}"] = below.value.value if helped else ""
    return {option: " ".join(text.split()) for option, text in found.items()}


GROUP = re.compile("ClassVar|Flat|Suppress|Config")  # what is no option by itself


def test_every_help_is_one_sentence():
    faults = {option: text for option, text in helps().items() if not re.fullmatch(r"[^.]((?!\. \D).)*\.", text)}
    assert not faults and len(helps()) > 100

"""Training runs: options out of range, losses and gradients that are not finite, minutes, what metrics.csv says, which
data and which VAE a run goes on with, the weights after some steps."""
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import (
    FP32,
    ROOT,
    SMALL,
    TREES,
    assert_picture,
    assert_same_run,
    assert_user_error,
    quick_in,
    read_metrics,
    read_rows,
    run_script,
    run_scripts,
    steps_of,
)

from common.checkpoint import Checkpoint, carries, load_checkpoint, save_checkpoint
from common.data.dataset import open_dataset
from common.data.spec import Measure, Spec
from common.diffusion.schedule import ema_decay, learning_rate
from common.diffusion.space import Pixels
from common.draw import sample_grid
from common.errors import UserError
from common.files import shipped_weights
from common.options.networks import SamplerConfig, UNetConfig, VAEConfig
from common.options.recipes import RECIPES, DistillDDPM, DistillLDM, TrainDDPM, Training, TrainLDM, TrainVAE
from common.training.clock import Clock, Progress
from common.training.log import Log, drop_rows
from common.training.run import Run
from common.training.trainer import Trainer

SMALL_VAE = ("--vae.base-channels", 8, "--limit", 64, "--batch-size", 32, "--warmup", 0, "--precision", "fp32")
FEW_STEPS = ("--limit", 8, "--batch-size", 8, "--warmup", 0, "--precision", "fp32")


@pytest.mark.parametrize("tree_name", TREES)
def test_a_loss_that_is_not_finite_stops_training(tree_name, tmp_path):
    arguments = ("--limit", 640, "--epochs", 2, "--learning-rate", 1e30, "--warmup", 0, "--save-every", 1)
    result = run_script(tree_name, "train_mnist_vae.py", *arguments, "--out", tmp_path)
    assert_user_error(result, "nan", "training stopped", tmp_path / "checkpoint.safetensors", "--learning-rate")
    step = load_checkpoint(tmp_path, "vae").progress.step
    assert 1 <= step < 10 and f"at step {step}" in result.stderr
    assert steps_of(tmp_path) == list(range(step))


@pytest.mark.parametrize("tree_name", quick_in("jittor"))
def test_minutes_end_the_run_with_the_learning_rate_at_zero(tree_name, tmp_path):
    arguments = ("--limit", 2000, "--epochs", 1000, "--minutes", 0.05, "--warmup", 5, "--vae.base-channels", 8)
    arguments += ("--preview-every", 1000)  # none on the way: its kernels may have to be compiled
    result = run_script(tree_name, "train_mnist_vae.py", *arguments, "--out", tmp_path)
    assert result.returncode == 0, result.stderr
    assert load_checkpoint(tmp_path, "vae").progress.seconds == pytest.approx(3, abs=1.5)
    assert read_metrics(tmp_path)["learning_rate"][-1] < 0.1 * read_metrics(tmp_path)["learning_rate"].max()
    assert_picture(tmp_path / "loss.png")


def test_columns_are_the_header_s(tmp_path):
    """Whatever order or number of losses a step returns: one that is missing later is nan, one more is left out."""
    recipe = SimpleNamespace(kind="ddpm", training=SimpleNamespace(tensorboard=False))
    run = SimpleNamespace(folder=tmp_path, options=recipe, device=SimpleNamespace(is_main_process=True))
    clock = Clock(epochs=1, minutes=None, epoch_steps=4, progress=Progress())
    rows = {"loss": 1, "a": 2, "b": 3}, {"b": 6, "a": 5, "loss": 4}, {"b": 9, "loss": 7}, {"c": 13, "a": 11, "loss": 10}
    with Log(run, clock) as log:
        for losses in rows:
            clock.advance(seconds=1)
            log.row(clock, losses, images_per_second=8)
    found = read_metrics(tmp_path)
    assert list(found) == ["step", "epoch", "loss", "a", "b", "images_per_second"]
    assert [found[name].tolist() for name in ("step", "loss")] == [[0, 1, 2, 3], [1, 4, 7, 10]]
    np.testing.assert_array_equal(found["a"], [2, 5, np.nan, 11])
    np.testing.assert_array_equal(found["b"], [3, 6, 9, np.nan])
    assert drop_rows(tmp_path / "metrics.csv", step=4) == list(found)  # the run goes on
    (tmp_path / "metrics.csv").rename(tmp_path / "taken away.csv")
    log.row(clock, rows[0], images_per_second=8)
    assert read_metrics(tmp_path)["loss"].tolist() == [1]  # with its header
    for clock.step in (100, 200, 300):  # of a long epoch
        clock.epoch_steps = 20_000
        log.picture(clock, blank())
    assert len(list(tmp_path.glob("epoch-*.png"))) == 3


def blank(module=None):
    """A preview that shows nothing."""
    return np.zeros((4, 4), np.uint8)


def begin(tree, folder, players=("model",), recipe=TrainVAE, **options):
    """A Trainer of players that are a matrix each, in a run of its own."""
    training = Training(out=folder, batch_size=2, **options)
    run = Run(recipe(training=training, where=FP32), open_dataset().spec, tree.cpu)
    build = lambda: tree.blocks.nn.Linear(2, 2, bias=False)
    return Trainer(run, Pixels((1, 1, 2)), dict.fromkeys(players, (build, tree.distillation.GENERATOR)))


def test_a_run_of_minutes_alone_has_no_end_in_epochs():
    clock, parts = Clock(epochs=None, minutes=2, epoch_steps=10, progress=Progress(step=40, seconds=6)), []
    assert clock.done == pytest.approx(0.05)
    for seconds in (6, 24, 84):
        clock.advance(seconds)
        parts.append(clock.done)
    assert parts == pytest.approx([0.05, 0.25, 0.95]) and clock.epoch == 4.3  # the first step's are not counted


def test_the_first_step_with_all_that_it_compiles_is_not_counted(monkeypatch):
    """Neither what came before its lap was read, nor what came after it, as the optimizer's."""
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    clock = Clock(epochs=None, minutes=1, epoch_steps=10, progress=Progress())
    for first, after in ((30, 40), (2, 1)):
        now[0] += first
        seconds = clock.lap()
        now[0] += after
        clock.advance(seconds)
    assert clock.seconds == 2 and clock.lap() == 1


def test_previews_take_no_more_memory_than_a_step():
    """Guidance computes each image twice in one batch."""
    sizes, spec = [], Spec(name="some", shape=(1, 4, 4), classes=("a", "b"), digest="0" * 16)
    sample = lambda sampler, seed, part, y: sizes.append(len(part)) or np.zeros((len(part), *spec.shape), np.float32)
    recipe = SimpleNamespace(training=Training(batch_size=64))
    model = SimpleNamespace(spec=spec, conditions=lambda labels: labels, recipe=recipe, sample=sample)
    for guidance, processes, most in ((1, 1, 64), (2, 1, 32), (2, 4, 8)):
        sizes.clear()
        model.device = SimpleNamespace(num_processes=processes)
        model.sampler = SamplerConfig(guidance=guidance)
        sample_grid(model, 0)
        assert max(sizes) <= most and sum(sizes) == 100


def test_ten_pictures_of_a_run_100_steps_apart():
    """Or one in so many epochs."""
    for steps, every, expected in (
        (3000, None, range(300, 3001, 300)), (250, None, [100, 200]), (90, None, []), (60, 2, [20, 40, 60]),
    ):  # fmt: skip
        clock, seen = Clock(epochs=steps / 10, minutes=None, epoch_steps=10, progress=Progress()), []
        for step in range(1, steps + 1):
            part = clock.part(every)
            clock.advance(seconds=1)
            if clock.part(every) > part:
                seen.append(step)
        assert seen == [*expected]


def test_the_shortest_of_runs_has_an_end():
    clock = Clock(epochs=None, minutes=1e-300, epoch_steps=10, progress=Progress(step=1, seconds=1))
    assert clock.done == 1 and clock.part(None) == 0


def test_what_a_run_that_did_little_says(tree, tmp_path, capsys, monkeypatch):
    """Too few steps to learn from; nothing left to do. Rows are on the disk before the checkpoint is."""
    images, order = np.zeros((4, 1, 1, 2), np.uint8), []
    sync, fitted = os.fsync, {"losses": picture_losses(tree, images, Training()), "count": 4}
    name_of = lambda file: os.path.basename(os.readlink(f"/proc/self/fd/{file}"))
    monkeypatch.setattr(os, "fsync", lambda file: (order.append(name_of(file)), sync(file)))
    begin(tree, tmp_path, epochs=1, warmup=0).fit(**fitted, preview=blank)
    assert "2 steps are too few to learn from" in capsys.readouterr().err
    written = [name.partition(".")[0] for name in order]
    assert written.index("metrics") < written.index("checkpoint")
    again = begin(tree, tmp_path, epochs=1, warmup=0, resume=True)
    again.fit(**fitted, preview=blank)
    said = capsys.readouterr()
    assert "no training was left to do: --epochs and --minutes count from" in said.out and "too few" not in said.err


def picture_losses(tree, images, training):
    """The losses of a Linear(2, 2) on the rows of these images."""
    x_of = Pixels((1, 1, 2)).batches(images, tree.cpu, training)
    return lambda modules, batch, done: ({"model": (modules["model"](x_of(batch)) ** 2).mean()}, {})


def test_without_epochs_a_run_sees_as_many_images_as_its_recipe_s(tree, tmp_path, monkeypatch):
    """In whole epochs: of 7 images, where there are 4, two."""
    monkeypatch.setattr(TrainVAE, "images", 7)
    trainer, images = begin(tree, tmp_path), np.zeros((4, 1, 1, 2), np.uint8)
    trainer.fit(picture_losses(tree, images, Training()), 4, blank)
    assert load_checkpoint(tmp_path).progress.step == 4 and load_checkpoint(tmp_path).progress.epoch == 2


def test_a_run_that_begins_with_another_s_weights(tree, tmp_path):
    """Its first step is at a tiny rate: it still has them. A model of another size is refused in one line."""
    images = np.ones((6, 1, 1, 2), np.uint8)
    losses = picture_losses(tree, images, Training())
    first = {"epochs": 1, "seed": 1}
    begin(tree, tmp_path / "first", **first).fit(losses, 6, blank)
    weights = {name: a for name, a in load_checkpoint(tmp_path / "first").tensors.items() if name.startswith("model.")}
    trainer = begin(tree, tmp_path / "next", init_from=tmp_path / "first", epochs=1, learning_rate=1e-9, weight_decay=0)
    for player in (trainer.modules["model"], trainer.ema):
        for name, array in tree.cpu.arrays(player).items():
            np.testing.assert_array_equal(array, weights[f"model.{name}"])
    trainer.fit(losses, 6, blank)
    for name, array in weights.items():
        np.testing.assert_allclose(load_checkpoint(tmp_path / "next").tensors[name], array, atol=1e-6)
    save_vae(tree, tmp_path / "vae.safetensors", seed=1)
    with pytest.raises(UserError, match=r"vae\.safetensors has another size .*: add .*--vae\.base-channels 8"):
        begin(tree, tmp_path / "other", init_from=tmp_path / "vae.safetensors", epochs=1)


def test_what_differs_from_the_weights_that_a_run_begins_with_is_said(trees, tmp_path, capsys):
    trainer, spec = begin(trees["pytorch"], tmp_path, recipe=TrainDDPM, epochs=1), open_dataset().spec
    initial = Checkpoint(trainer.run.options, spec, {}, path="first")
    trainer.note_differences(initial)
    assert capsys.readouterr().out == ""
    width = Measure(unit="pixels", rows=((0.0,) * 7,) * 11)
    others = replace(initial, tensors={"vae.a": np.ones(2)}, spec=replace(spec, measures={"width": width}))
    trainer.note_differences(others)
    assert capsys.readouterr().out.startswith("note: first had another VAE, other measures: this training")


def test_a_run_of_augmented_images_goes_on_bit_for_bit(tree, tmp_path):
    """What a step sees is a function of the seed and the step."""
    images = np.random.default_rng(0).integers(0, 256, (6, 1, 1, 2), np.uint8)
    options = {"epochs": 3, "warmup": 0, "save_every": 1, "mirror": True, "shift_pixels": 1}
    losses = picture_losses(tree, images, Training(mirror=True, shift_pixels=1))
    begin(tree, tmp_path / "straight", **options).fit(losses, 6, blank)
    steps = begin(tree, tmp_path / "ended", **options).steps(losses, 6, blank)
    for _ in range(4):
        next(steps)
    steps.close()
    begin(tree, tmp_path / "ended", resume=True, **options).fit(losses, 6, blank)
    assert_same_run(tmp_path / "ended", tmp_path / "straight", steps=9)
    plain = begin(tree, tmp_path / "plain", epochs=3, warmup=0)
    plain.fit(picture_losses(tree, images, Training()), 6, blank)
    assert (read_metrics(tmp_path / "plain")["loss"] != read_metrics(tmp_path / "straight")["loss"]).any()


def test_mirrored_images_have_no_slant(trees, tmp_path):
    spec = replace(open_dataset().spec, measures={"slant": Measure(unit="degrees", rows=((0.0,) * 7,) * 11)})
    options = TrainDDPM(training=Training(out=tmp_path / "run", mirror=True))
    with pytest.raises(UserError, match="--mirror reverses the slant"):
        Run(options, spec, trees["pytorch"].cpu)
    assert not (tmp_path / "run").exists()


def weights_squared(module):
    return (module.weight**2).sum()


def test_the_weights_after_six_steps(tree, tmp_path):
    """By the rate of each step, clipped gradients, Adam without momentum and weight decay; saved is their average."""
    training = {"epochs": 3, "warmup": 1, "learning_rate": 0.1, "clip_norm": 0.5, "weight_decay": 0.1}
    trainer, options = begin(tree, tmp_path, **training), Training(**training)
    weights = average = tree.cpu.arrays(trainer.modules["model"])["weight"].astype(float)
    losses = lambda modules, batch, done: ({"model": weights_squared(modules["model"])}, {})
    trainer.fit(losses, 4, blank)
    square = 0.0
    for step in range(6):
        grad = 2 * weights
        grad = grad * min(1, 0.5 / np.linalg.norm(grad))
        square = 0.99 * square + 0.01 * grad**2
        update = grad / np.sqrt(square / (1 - 0.99 ** (step + 1)))
        rate = learning_rate(options, step, step / 6)
        weights = (1 - 0.1 * rate) * weights - rate * update
        kept = ema_decay(options, step)
        average = kept * average + (1 - kept) * weights
    saved = load_checkpoint(tmp_path).tensors
    for name, expected in (("train.model.weights.weight", weights), ("model.weight", average)):
        np.testing.assert_allclose(saved[name], expected, rtol=1e-4, atol=1e-6, err_msg=name)
    assert np.abs(weights - average).max() > 0.01


def test_step_times_are_without_checkpoints_and_pictures(trees, tmp_path, monkeypatch):
    """By a clock that goes on by 1 second in a step, 50 in a checkpoint and 100 in a picture; the minutes count all."""
    clock = SimpleNamespace(now=0.0, perf_counter=lambda: clock.now)
    for module in ("clock", "trainer"):
        monkeypatch.setattr(f"common.training.{module}.time", clock)
    trainer = begin(trees["pytorch"], tmp_path, epochs=3, save_every=3, preview_every=1)
    save = trainer.save

    def losses(modules, batch, done):
        clock.now += 1
        return {"model": weights_squared(modules["model"])}, {}

    def slow_save(progress):
        clock.now += 50
        save(progress)

    def slow_preview(module):
        clock.now += 100
        return blank()

    monkeypatch.setattr(trainer, "save", slow_save)
    trainer.fit(losses, 4, slow_preview)
    assert read_metrics(tmp_path)["images_per_second"].tolist() == [2] * 6
    # of the first step, which waits for kernels, none; pictures after 2, 4 and 6, checkpoints before them and after 3
    assert load_checkpoint(tmp_path, "vae").progress.seconds == 5 + 3 * 50 + 2 * 100


def test_a_gradient_of_the_discriminator_alone_that_is_not_finite_stops_training(tree, tmp_path):
    """Its loss is finite, and so are the model's loss and gradient: the last checkpoint stays finite, and goes on."""
    arguments = {"players": ("model", "discriminator"), "recipe": DistillDDPM, "epochs": 4, "save_every": 1}
    taken = []

    def losses(modules, batch, done):
        model, discriminator = (weights_squared(modules[name]) for name in ("model", "discriminator"))
        if len(taken) == 3:
            discriminator = (discriminator - discriminator.detach()) ** 0.5  # 0, whose gradient is infinite
        taken.append(done)
        return {"model": model, "discriminator": discriminator}, {}

    with pytest.raises(UserError) as error:
        begin(tree, tmp_path, **arguments).fit(losses, 4, None)
    message = str(error.value)
    assert "training stopped at step 3: " in message and "discriminator's gradient " in message and "\n" not in message
    assert str(tmp_path / "checkpoint.safetensors") in message and "--learning-rate" in message
    checkpoint = load_checkpoint(tmp_path)
    assert checkpoint.progress.step == 3 and steps_of(tmp_path) == [0, 1, 2]
    assert all(np.isfinite(tensor).all() for tensor in checkpoint.tensors.values())


def test_the_losses_of_a_distillation_come_in_any_order(trees, untrained, tmp_path):
    """Two steps of consistency alone, two with the discriminator: the same numbers, columns and weights."""
    tree = trees["pytorch"]
    teacher = tree.pipeline.load_model(untrained / "ddpm.safetensors", "ddpm", FP32)
    device, space, config = teacher.device, teacher.space, teacher.recipe.unet
    images, conditions = open_dataset().train.first(4).images, teacher.conditions(np.arange(4))
    x_0_of = space.batches(images, device, Training())
    players = {
        "model": (lambda: tree.pipeline.build_unet(config, space, teacher.spec), tree.distillation.GENERATOR),
        "discriminator": (lambda: tree.discriminator.Discriminator(config), tree.distillation.DISCRIMINATOR),
    }

    def train(folder, order):
        options = DistillDDPM(training=Training(out=folder, batch_size=2, epochs=2, warmup=0), where=FP32)

        def losses(modules, batch, done):
            y, adversarial = device.tensor(conditions[batch.indices]), done >= 0.5
            found = tree.distillation.distillation_losses(
                teacher, modules, x_0_of(batch), y, batch.noise, adversarial
            )
            return (dict(order(part.items())) for part in found)

        trainer = Trainer(Run(options, teacher.spec, device), space, players)
        trainer.fit(losses, 4, blank)
        return read_rows(folder)

    straight, turned = train(tmp_path / "straight", order=list), train(tmp_path / "turned", order=reversed)
    assert_same_run(tmp_path / "turned", tmp_path / "straight", steps=4, kind="ddpm")
    for a, b in zip(straight, turned):
        assert list(a) == list(b) and a["consistency"] > 0
        assert {**a, "images_per_second": 0} == {**b, "images_per_second": 0}
    assert straight[1]["discriminator"] == 0 < straight[2]["discriminator"]


def test_a_run_goes_on_with_the_same_data_wherever_it_is(few, tmp_path):
    """Known by its digest: from a relative path, then from a copy elsewhere; other files there are refused."""
    out, copy = tmp_path / "out", tmp_path / "copy"
    shutil.copytree(few, copy)
    command = ("train_mnist_vae.py", *SMALL_VAE, "--out", out, "--resume", "auto")
    for epochs, data in enumerate((os.path.relpath(few, ROOT), copy), start=1):
        result = run_script("pytorch", *command, "--epochs", epochs, "--data", data)
        assert result.returncode == 0, result.stderr
        checkpoint = load_checkpoint(out, "vae")
        assert (checkpoint.progress.step, checkpoint.spec.digest) == (2 * epochs, open_dataset(few).spec.digest)
        assert checkpoint.spec.source == open_dataset(data).place

    for part in ("images-idx3", "labels-idx1"):
        shutil.copy(copy / f"t10k-{part}-ubyte.gz", copy / f"train-{part}-ubyte.gz")
    result = run_script("pytorch", *command, "--epochs", 3, "--data", copy)
    assert_user_error(result, f"{copy} has the digest", out / "checkpoint.safetensors", "resume with that")
    assert load_checkpoint(out, "vae").progress.step == 4 and steps_of(out) == list(range(4))


def save_vae(tree, path, seed, channel_mults=(1, 2)):
    """Write a checkpoint of a small VAE, untrained, of this seed."""
    tree.cpu.seed(seed)
    spec = open_dataset().spec
    options = TrainVAE(vae=VAEConfig(base_channels=8, channel_mults=channel_mults).fitted(spec.shape))
    weights = tree.cpu.arrays(tree.vae.VAE(options.vae, spec.shape))
    save_checkpoint(path, Checkpoint(options, spec, {f"model.{name}": array for name, array in weights.items()}))


def test_classes_without_an_image_are_said(trees, capsys):
    tree = trees["pytorch"]
    for limit, said in ((3, "the first 3 images have none of the classes 1, 2, 3"), (1000, "")):
        tree.pipeline.open_data(TrainDDPM(training=Training(limit=limit)), tree.cpu)
        found = capsys.readouterr().err
        assert said in found and bool(found) == bool(said)


def test_rows_without_a_loss_are_another_run_s(tmp_path):
    (tmp_path / "metrics.csv").write_text("step,epoch\n0,0.5\n")
    with pytest.raises(UserError, match=r"metrics\.csv belongs to another run"):
        drop_rows(tmp_path / "metrics.csv", step=1, loss=0.25)


def test_a_run_whose_stderr_is_closed(tmp_path):
    script = ROOT / "pytorch" / "script" / "train_mnist_vae.py"
    words = map(str, (sys.executable, script, *SMALL_VAE, "--epochs", 1, "--out", tmp_path))
    assert subprocess.run(f"{shlex.join(words)} 2>&-", shell=True, stdout=subprocess.DEVNULL).returncode == 0
    assert load_checkpoint(tmp_path, "vae").progress.step == 2


def test_a_decoder_is_trained_alone(tree, tmp_path):
    """The encoder keeps each bit, also in a run that goes on; every weight of the decoder changes."""
    save_vae(tree, tmp_path / "vae.safetensors", seed=1)
    start = load_checkpoint(tmp_path / "vae.safetensors", "vae")
    command = ["train_mnist_vae.py", *SMALL_VAE, "--freeze-encoder", "--init-from", start.path, "--save-every", 1]
    runs = [  # at a rate that does not depend on the number of epochs
        (*command, "--epochs", epochs, "--hold", 0.999, "--resume", "auto", "--out", tmp_path / name)
        for name, epochs in (("straight", 2), ("ended", 1), ("ended", 2))
    ]
    result = run_scripts(tree.name, *runs)
    assert result.returncode == 0, result.stderr
    straight, ended = (load_checkpoint(tmp_path / name, "vae").tensors for name in ("straight", "ended"))
    assert straight.keys() == ended.keys()
    for name, array in straight.items():
        np.testing.assert_array_equal(array, ended[name])
        if name.startswith("model."):
            assert np.array_equal(array, start.tensors[name]) == name.startswith("model.encoder."), name
    assert not any("encoder" in name for name in straight if name.startswith("train."))


def test_an_encoder_that_was_never_trained_is_not_frozen(trees, tmp_path):
    device, spec = trees["pytorch"].cpu, open_dataset().spec
    for resume in (False, "auto"):
        with pytest.raises(UserError, match="needs a trained encoder: give a trained VAE with --init-from"):
            Run(TrainVAE(training=Training(out=tmp_path / "run", resume=resume), freeze_encoder=True), spec, device)
    assert not (tmp_path / "run").exists()


def test_a_decoder_is_trained_at_the_size_of_its_encoder(trees, tmp_path):
    spec = open_dataset().spec
    larger, path = replace(spec, shape=(1, 64, 64)), tmp_path / "first.safetensors"
    save_checkpoint(path, Checkpoint(TrainVAE(vae=VAEConfig().fitted(larger.shape)), larger, {}))
    training = Training(out=tmp_path / "run", init_from=path)
    options = TrainVAE(training=training, freeze_encoder=True).fitted(spec.shape)
    with pytest.raises(UserError, match=r"first\.safetensors was trained at another size: add --size 64$"):
        Run(options, spec, trees["pytorch"].cpu).initial_checkpoint()


def test_what_the_weights_to_begin_with_must_share_is_said(trees, tmp_path):
    """The size of the network, with the options that give it; in pixels and for a VAE the channels."""
    device, spec = trees["pytorch"].cpu, open_dataset().spec
    few = replace(spec, classes=("a", "b"))
    unet = UNetConfig(channel_mults=(1, 2, 2)).fitted((4, 8, 8))
    save_checkpoint(tmp_path / "first.safetensors", Checkpoint(TrainLDM(unet=unet), few, {}, vae=VAEConfig()))
    for name, recipe, fitted, message in (
        ("size", TrainLDM, {"blocks": 2}, r"another size .*: add --unet\.channel-mults 1 2 2 --unet\.blocks 1 --unet"),
        ("teacher", DistillLDM, {}, r"another size .*: choose a --teacher of that size, or leave out --init-from"),
    ):
        training = Training(out=tmp_path / name, init_from=tmp_path / "first.safetensors")
        options = recipe(training=training, unet=UNetConfig(**fitted).fitted((4, 8, 8)))
        with pytest.raises(UserError, match=message):
            Run(options, spec, device).initial_checkpoint()
    save_checkpoint(tmp_path / "first.safetensors", Checkpoint(TrainVAE(), replace(spec, shape=(3, 32, 32)), {}))
    training = Training(out=tmp_path / "channels", init_from=tmp_path / "first.safetensors")
    with pytest.raises(UserError, match="with 3 channels, and this data has 1: leave out --init-from"):
        Run(TrainVAE(training=training), spec, device).initial_checkpoint()


def test_weights_of_a_model_of_other_classes_and_measures(tree):
    """All are taken but the tokens of classes and of measures, of which there are more or fewer."""
    config = UNetConfig(base_channels=8, head_dim=8, context_dim=8, context_tokens=2).fitted((4, 8, 8))
    spec, space = open_dataset().spec, Pixels((4, 8, 8))
    measure = lambda classes: Measure(unit="", rows=((0.0,) * 7,) * (classes + 1))
    first, second = (tree.pipeline.build_unet(config, space, each) for each in (
        replace(spec, measures=dict.fromkeys("abc", measure(10))),
        replace(spec, classes=("a", "b"), measures={"d": measure(2)})))  # fmt: skip
    before = tree.cpu.arrays(second)
    tensors = {f"model.{name}": array + 1 for name, array in tree.cpu.arrays(first).items()}
    Checkpoint(TrainLDM(), spec, tensors).adapted(second, tree.cpu).fill(second, "model.", tree.cpu)
    own = {"context.weight", "attributes.name.weight", "attributes.null.weight"}
    for name, array in tree.cpu.arrays(second).items():
        expected = before[name] if name in own else tensors[f"model.{name}"]
        np.testing.assert_array_equal(array, expected, err_msg=name)


def test_a_vae_has_no_conditions_to_learn_again(trees, capsys):
    cpu, latent = trees["pytorch"].cpu, shipped_weights(ROOT / "pytorch", "ldm")
    space, spec = SimpleNamespace(tensors=lambda device: {}), replace(open_dataset().spec, classes=("a", "b"))
    told = "had another VAE, other measures, other classes: this training must learn that again"
    for options, said in ((TrainVAE(), ""), (TrainLDM(), told)):
        trainer = SimpleNamespace(run=SimpleNamespace(options=options, spec=spec), space=space, device=cpu)
        Trainer.note_differences(trainer, load_checkpoint(latent, options.kind))
        found = capsys.readouterr().out
        assert said in found and bool(found) == bool(said)


def test_a_run_goes_on_with_its_own_vae_wherever_that_is(trees, tmp_path):
    """Its checkpoint carries it: the file may be renamed, moved or gone; another VAE, at any path, is refused."""
    out, vae, moved = tmp_path / "out", tmp_path / "vae.safetensors", tmp_path / "moved" / "renamed.safetensors"
    save_vae(trees["pytorch"], vae, seed=1)
    command = ("train_mnist_ldm.py", *SMALL, *FEW_STEPS, "--out", out, "--resume", "auto")
    named = lambda path: ("--vae-checkpoint", path)
    for epochs, way in enumerate((named(vae), named(moved), named(vae)), start=1):
        result = run_script("pytorch", *command, "--epochs", epochs, *way)
        assert result.returncode == 0, result.stderr
        assert load_checkpoint(out, "ldm").progress.step == epochs
        if epochs == 1:
            moved.parent.mkdir()
            vae.rename(moved)

    stored = load_checkpoint(out, "ldm")
    stored.tensors["latent.std"] *= 2  # as on another device, but more: x_0 keeps the statistics that it had
    save_checkpoint(stored.path, stored)
    assert run_script("pytorch", *command, "--epochs", 4).returncode == 0
    np.testing.assert_array_equal(load_checkpoint(out, "ldm").tensors["latent.std"], stored.tensors["latent.std"])

    save_vae(trees["pytorch"], moved, seed=2)
    assert not carries(load_checkpoint(out, "ldm"), load_checkpoint(moved, "vae"))
    save_vae(trees["pytorch"], moved, seed=1, channel_mults=(1, 2, 2))
    result = run_script("pytorch", *command, "--epochs", 5, *named(moved))
    assert_user_error(result, out / "checkpoint.safetensors", f"has another VAE than {moved}")
    assert load_checkpoint(out, "ldm").progress.step == 4 and steps_of(out) == list(range(4))


def test_a_run_goes_on_with_its_own_percentiles(trees, tmp_path):
    """Measured anew by another library they may differ: y would change its scale in the middle of a run."""
    row = tuple(map(float, range(7)))
    for top in (6.0, 6.5):
        measures = {"width": Measure(unit="pixels", rows=((*row[:6], top),) * 11)}
        spec = replace(open_dataset().spec, measures=measures)
        options = TrainDDPM(training=Training(out=tmp_path, resume="auto"))
        if top == 6.0:
            Run(options, spec, trees["pytorch"].cpu).save({}, Progress())
        else:
            with pytest.raises(UserError, match=r"measures\.csv has changed since: restore it"):
                Run(options, spec, trees["pytorch"].cpu)
    with pytest.raises(UserError, match="was trained with --measures width: resume with it"):
        Run(options, open_dataset().spec, trees["pytorch"].cpu)


def test_a_run_whose_loss_was_not_finite_goes_on_at_a_lower_rate(trees, tmp_path):
    """As its message says; other batches would be another run."""
    tree, spec = trees["pytorch"], open_dataset().spec
    resumed = lambda **changed: TrainDDPM(training=Training(out=tmp_path, resume="auto", batch_size=256, **changed))
    Run(resumed(), spec, tree.cpu).save({}, Progress(step=7))
    assert Run(resumed(learning_rate=1e-4, clip_norm=0.5), spec, tree.cpu).progress.step == 7
    assert Run(replace(resumed(), where=FP32), spec, tree.cpu).progress.step == 7
    with pytest.raises(UserError, match=r"was trained with --weight-decay 0\.01"):
        Run(resumed(weight_decay=0.1), spec, tree.cpu)
    begun = TrainDDPM(training=Training(out=tmp_path, data=tmp_path / "nowhere"))
    with pytest.raises(UserError, match="holds a run: continue it with --resume"):  # before it opens the data
        tree.pipeline.open_data(begun, tree.cpu)


@pytest.mark.parametrize("script, kind", [("train_mnist_ldm.py", "ddpm"), ("train_mnist.py", "ldm")])
def test_a_folder_that_holds_another_kind_of_run(untrained, tmp_path, script, kind):
    shutil.copy(untrained / f"{kind}.safetensors", tmp_path / "checkpoint.safetensors")
    result = run_script("pytorch", script, "--out", tmp_path, "--resume")
    assert_user_error(result, f"{tmp_path} holds a run of {RECIPES[kind].script}: choose another --out")

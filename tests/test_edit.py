"""Repainting, varying and morphing, with the shipped weights: what is kept, what comes out, and what is refused."""
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import FP32, ROOT, assert_user_error, run_script
from PIL import Image, ImageSequence

from common.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from common.data.dataset import open_dataset
from common.data.pictures import Preprocessing
from common.diffusion import edit
from common.diffusion.model import Model
from common.diffusion.noise import SampleNoise
from common.diffusion.samplers import sample_ddpm
from common.diffusion.schedule import resampled, sampler_timesteps
from common.diffusion.space import Pixels, reconstruct
from common.draw import process_grid, sweep_grid
from common.edit import (
    PARTS,
    digits_of,
    edited,
    morph,
    read_digit,
    read_mask,
    read_picture,
    repainted,
    write_edit,
)
from common.errors import UserError
from common.files import shipped_weights
from common.images import from_uint8, to_uint8
from common.options.editing import Digits, EditSampling, Morph, Repaint, Score, Vary
from common.options.networks import DiffusionConfig, SamplerConfig
from common.options.recipes import TrainDDPM
from scoring.classifiers import classes
from scoring.edits import rms, score_edits

WEIGHTS = ROOT / "pytorch" / "weights"
COUNT = 12
MNIST = open_dataset()
SHAPE = MNIST.spec.shape


@pytest.fixture(scope="module")
def digits():
    return MNIST.test.images[:COUNT], MNIST.test.labels[:COUNT].astype(np.float32)


@pytest.fixture(scope="module", params=["ldm", pytest.param("ddpm", marks=pytest.mark.slow)])  # one code, two spaces
def both(request, trees):
    """The shipped PyTorch weights in float32 in both trees: their kind, [Model]."""
    kind = request.param
    path = WEIGHTS / f"{kind}.safetensors"
    return kind, [tree.pipeline.load_model(path, kind, FP32) for tree in trees.values()]


def close(found, most=0.01):
    """The trees' results agree: rarely is a pixel off by more than a grey level or two, nowhere by much."""
    a, b = (to_uint8(x).astype(int) for x in found)
    assert a.std() > 20 and (np.abs(a - b) > 2).mean() < most, (np.abs(a - b) > 2).mean()


def test_repainting(both, digits):
    """What is kept is kept to the last bit, and the rest becomes the digit that it was; the same in both trees."""
    (_, models), (images, labels), found = both, digits, []
    kept, sampler = read_mask("right", SHAPE), Repaint().sampler
    for model in models:
        times = resampled(sampler_timesteps(model.timesteps, sampler), 10)
        drawn = edit.repaint(model, sampler, images, kept, times, 3, range(COUNT), model.conditions(labels))
        np.testing.assert_array_equal(to_uint8(drawn)[:, kept], images[:, kept])
        assert rms(drawn, from_uint8(images)) > 0.1  # it is not just the picture again
        found.append(drawn)
    assert (classes(to_uint8(found[0]), MNIST) == labels).mean() >= 0.8
    close(found, 0.05)


def test_varying(both, digits):
    """The stronger, the farther; towards another digit it becomes that one; the same in both trees."""
    (kind, models), (images, labels), found = both, digits, []
    for model in models:

        def vary(strength, asked, model=model):
            y = model.conditions(np.broadcast_to(asked, COUNT))
            return edit.vary(model, Vary().sampler, images, strength, 0, range(COUNT), y)

        drawn = {strength: vary(strength, labels) for strength in (0, 0.3, 0.6, 1)}
        distances = [rms(drawn[strength], from_uint8(images)) for strength in drawn]
        assert distances[0] < (1e-6 if kind == "ddpm" else 0.05)
        assert distances == sorted(distances) and distances[3] > 0.4
        assert (classes(to_uint8(drawn[0.6]), MNIST) == labels).mean() >= 0.9
        found += [np.concatenate(list(drawn.values())), vary(0.9, 8)]
    assert (classes(to_uint8(found[1]), MNIST) == 8).mean() >= 0.75
    close(found[::2])


def test_inversion_and_morphing(both, digits):
    """The noise leads back to the image; a morph begins and ends at its images; the same in both trees."""
    (_, models), (images, _), found, sampler = both, digits, [], Morph().sampler
    for model in models:
        unconditional = model.conditions(np.full(COUNT, np.nan))
        noise = edit.invert(model, sampler, images, unconditional)
        assert 0.4 < noise.std() < 1.1 and np.abs(noise.mean()) < 0.3
        best = reconstruct(model.space, images, model.device)
        assert rms(edit.draw_from(model, sampler, noise, unconditional), best) < 0.08
        frames = edit.morph(model, sampler, images[:3], 5)
        assert frames.shape == (2, 5, 1, 32, 32)
        for pair, i in ((0, 0), (1, 1)):
            assert rms(frames[pair, 0], best[i]) < 0.1 and rms(frames[pair, -1], best[i + 1]) < 0.1
        found.append(frames)
    close(found)


def test_slerp():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 4, 8, 8)).astype(np.float32)
    np.testing.assert_allclose(edit.slerp(a, b, 0), a, atol=1e-6)
    np.testing.assert_allclose(edit.slerp(a, b, 1), b, atol=1e-6)
    middle = edit.slerp(a, b * np.linalg.norm(a) / np.linalg.norm(b), 0.5)
    assert np.linalg.norm(middle) == pytest.approx(np.linalg.norm(a), rel=1e-5)  # on the sphere


def test_between_equal_noises_there_is_nothing_else():
    """Their cosine is 1 or more, as it is rounded: no angle, and not 0 / 0."""
    for a in np.random.default_rng(0).standard_normal((10, 4, 8, 8)).astype(np.float32):
        np.testing.assert_allclose(edit.slerp(a, a, 0.5), a, rtol=1e-3)


def pixel_model(tree, network):
    """A pixel model of a tree, on the CPU, that is this function (x_t, t, y)."""
    diffusion = tree.ddpm.GaussianDiffusion(DiffusionConfig(), clip=False)
    return Model(tree.cpu, network, diffusion, Pixels(SHAPE), MNIST.spec, TrainDDPM())


def test_repainting_resamples_and_keeps_what_is_known(tree, monkeypatch):
    """Ten steps, nine of them ten times; every estimate gets the known pixels before the next call."""
    calls, estimates = [], []
    model = pixel_model(tree, lambda x, t, y: calls.append(tree.cpu.array(t)[0]) or 0 * x)
    encode = lambda x: estimates.append(tree.cpu.array(x)) or x
    monkeypatch.setattr(model.space, "encode", encode, raising=False)
    images, kept = MNIST.test.images[:2], read_mask("right", SHAPE)
    options = Repaint(drawing=EditSampling(num=1), steps=10, resample=10)
    (found,) = repainted(model, images, np.array([7.0, 2.0]), kept, options).swapaxes(0, 1)
    assert len(calls) == len(estimates) == 91 and calls.count(calls[0]) == 10
    known = np.broadcast_to(kept, images.shape)
    for estimate in (*estimates, found):
        np.testing.assert_allclose(estimate[known], from_uint8(images)[known], atol=1e-6)


def test_a_trajectory_goes_on_after_the_noise_it_began_with(tree):
    """Given the noise that it would begin with, it is the same: the sampler's own noise is not that again."""
    model, sampler = pixel_model(tree, lambda x, t, y: 0 * x), SamplerConfig(name="ddpm", steps=4, shift=1.0)
    y, x_t = model.conditions(np.arange(2)), SampleNoise(0, range(2), SHAPE)()
    given = (), (tree.cpu.tensor(x_t),)
    states = [[tree.cpu.array(x) for x in model.trajectory(sampler, 0, range(2), y, *noise)] for noise in given]
    assert len(states[0]) == 5
    np.testing.assert_array_equal(*states)


def test_the_rows_of_a_process_are_drawn_in_batches(tree):
    seen = []
    model = pixel_model(tree, lambda x, t, y: seen.append(len(x)) or 0 * x)
    sampler, y = SamplerConfig(steps=3), model.conditions(np.arange(5))
    pictures = [process_grid(model, sampler, 0, y, batch_size) for batch_size in (2, 5)]
    assert seen == [2] * 6 + [1] * 3 + [5] * 3
    np.testing.assert_array_equal(*pictures)


def test_a_process_goes_from_noise_to_the_sample(tree):
    """With fewer columns than steps too."""
    model, sampler = pixel_model(tree, lambda x, t, y: 0 * x), SamplerConfig(steps=20)
    y = model.conditions(np.arange(2))
    states = model.denoising(sampler, 3, np.arange(2), y, 10)
    assert len(states) == 10
    np.testing.assert_array_equal(states[0], SampleNoise(3, range(2), SHAPE)())
    np.testing.assert_allclose(states[-1], model.sample(sampler, 3, np.arange(2), y), atol=1e-5)


def test_a_sweep_goes_from_low_to_high(tree):
    """A row per class, from the measure's 2nd to its 98th percentile, in batches."""
    seen = []
    model = pixel_model(tree, lambda x, t, y: seen.append(tree.cpu.array(y)) or 0 * x)
    model = replace(model, spec=open_dataset().measured(["slant"]).spec)
    sweep_grid(model, SamplerConfig(steps=1), 0, batch_size=32)
    y, slant = np.concatenate(seen), model.spec.measures["slant"]
    assert len(seen) == 3 and y[:, 0].tolist() == np.repeat(np.arange(10), 8).tolist()
    for column, percentile in ((0, 2), (7, 98)):
        values = np.array([slant.at(percentile, label) for label in range(10)])
        np.testing.assert_allclose(y[column::8], model.conditions(np.arange(10), {"slant": values}), rtol=1e-5)


@pytest.mark.parametrize("guidance, rows", [(0.0, 5), (1.0, 5), (1.5, 10)])
def test_what_guidance_costs(tree, guidance, rows):
    """Of 5 images the network sees 10 where it draws with and without conditions; with guidance 0 only without."""
    seen = []

    def network(x_t, t, y):
        seen.append((len(x_t), np.isnan(tree.cpu.array(y)).all(axis=1).sum()))
        return 0 * x_t

    model = pixel_model(tree, network)
    sampler = SamplerConfig(name="ddim", steps=3, guidance=guidance)
    model.sample(sampler, 0, range(5), model.conditions(np.arange(5)))
    assert seen == [(rows, 0 if guidance == 1 else 5)] * 3


def test_a_model_that_never_saw_a_null_label_draws_no_digit_of_any_class(tree, tmp_path):
    model = pixel_model(tree, None)
    checkpoints = [Checkpoint(TrainDDPM(label_dropout=share), MNIST.spec, {}, path=tmp_path) for share in (0.1, 0.0)]
    sees, never = (replace(model, recipe=c.options, checkpoint=c) for c in checkpoints)
    assert np.isnan(sees.conditions([3, np.nan])).tolist() == [[False], [True]]
    with pytest.raises(UserError, match=f"{tmp_path} was trained without label dropout,.*another --checkpoint$"):
        never.conditions([3, np.nan])
    with pytest.raises(UserError, match="label dropout, which editing without a class needs: give --label, or choose"):
        edited(never, None, np.zeros((1, *SHAPE), np.uint8), np.array([np.nan]), Vary())


def test_resampled():
    assert resampled([9, 5, 2, -1], 1) == [9, 5, 2, -1]
    assert resampled([9, 5, 2, -1], 3) == [9, 5, 9, 5, 9, 5, 2, 5, 2, 5, 2, -1]


def test_ancestral_sampling_goes_back_by_the_forward_process(tree):
    """From t to a greater s: x_s = sqrt(abar_s / abar_t) x_t + sqrt(1 - abar_s / abar_t) eps."""
    abar = np.array([0.9, 0.5, 0.1, 1.0])
    ones = tree.cpu.tensor(np.ones((1, 1, 2, 2), np.float32))
    steps = list(sample_ddpm(lambda x, t: ones, ones, abar, [1, 2, -1], lambda: 3 * ones))
    assert len(steps) == 2
    first, last = (tree.cpu.array(x).ravel()[0] for x in steps)
    assert first == pytest.approx(np.sqrt(0.1 / 0.5) + 3 * np.sqrt(1 - 0.1 / 0.5))
    assert last == pytest.approx(1)


@pytest.fixture
def picture(tmp_path):
    """A test digit as somebody would draw it: large, dark on light, off the centre."""
    large = np.full((700, 500), 250, np.uint8)
    large[100:420, 30:350] = 250 - np.kron(MNIST.test.images[0, 0], np.ones((10, 10), np.uint8)) // 2
    path = tmp_path / "digit.png"
    Image.fromarray(large).save(path)
    return path


def test_a_picture_is_made_as_mnist_was(picture, tmp_path):
    found = read_digit(picture, SHAPE)
    assert found.shape == (1, 32, 32) and found.dtype == np.uint8 and found.max() > 230
    assert np.corrcoef(found.ravel(), MNIST.test.images[0].ravel())[0, 1] > 0.9
    light = tmp_path / "light.png"
    Image.eval(Image.open(picture), lambda value: 255 - value).convert("RGB").save(light)
    assert np.abs(read_digit(light, SHAPE).astype(int) - found).max() <= 1
    transparent, black = tmp_path / "transparent.png", Image.new("RGBA", (500, 700), "black")
    black.putalpha(Image.eval(Image.open(picture), lambda value: 2 * (250 - value)))
    black.save(transparent)
    assert np.corrcoef(read_digit(transparent, SHAPE).ravel(), found.ravel())[0, 1] > 0.99
    turned, exif = tmp_path / "turned.png", Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter to the right, as phones write
    Image.open(picture).transpose(Image.Transpose.ROTATE_90).save(turned, exif=exif)
    np.testing.assert_array_equal(read_digit(turned, SHAPE), found)


def test_a_photograph_of_a_digit(picture, tmp_path):
    """Paper that darkens by a quarter, grainy and with faint ink; light ink on transparency."""
    found, path = read_digit(picture, SHAPE).ravel(), tmp_path / "photograph.png"
    grey, rng = np.asarray(Image.open(picture), np.float32), np.random.default_rng(0)
    for contrast, noise in ((1, 0), (0.8, 5)):
        paper = 250 * (1 - 0.25 * np.linspace(0, 1, grey.shape[1]) ** 2)
        photograph = paper * (1 - contrast * (250 - grey) / 250) + noise * rng.standard_normal(grey.shape)
        Image.fromarray(photograph.clip(0, 255).astype(np.uint8)).save(path)
        assert np.corrcoef(read_digit(path, SHAPE).ravel(), found)[0, 1] > 0.97
    ink = Image.new("RGBA", (500, 700), "white")
    ink.putalpha(Image.fromarray((2 * (250 - grey)).astype(np.uint8)))
    ink.save(path)
    assert np.corrcoef(read_digit(path, SHAPE).ravel(), found)[0, 1] > 0.97


def test_a_digit_of_a_thin_pen(tmp_path):
    """A fiftieth of its height is as bright as other strokes."""
    paper = np.full((600, 400), 220, np.uint8)
    paper[100:500, 195:203] = paper[100:108, 120:280] = 40
    Image.fromarray(paper).save(tmp_path / "thin.png")
    assert read_digit(tmp_path / "thin.png", SHAPE).max() > 180


@pytest.mark.parametrize("name, deepened", [
    ("16 bits.png", lambda grey: (257 * grey).astype(np.uint16)), ("12 bits.png", lambda grey: 16 * grey),
    ("floats.tiff", lambda grey: (grey / 255).astype(np.float32)),
])  # fmt: skip
def test_deep_pictures_are_read_as_others(picture, tmp_path, name, deepened):
    """Digits, but for pixels at the threshold between paper and ink (8 of 255 were seen); and masks."""
    grey = np.asarray(Image.open(picture)).astype(np.uint16)
    Image.fromarray(deepened(grey)).save(tmp_path / name)
    difference = np.abs(read_digit(tmp_path / name, SHAPE).astype(int) - read_digit(picture, SHAPE))
    assert difference.mean() < 0.5 and difference.max() < 20
    mask = np.zeros((32, 32), np.uint16)
    mask[3:9] = 255
    Image.fromarray(deepened(mask)).save(tmp_path / name)
    np.testing.assert_array_equal(read_mask(str(tmp_path / name), SHAPE)[0], mask == 0)


def test_a_picture_of_other_data_is_made_as_that_was(picture, tmp_path):
    """As it is, of the data's size and colour; MNIST in colour stays a digit."""
    own = replace(MNIST.spec, digest="0" * 16, shape=(1, 16, 16), preprocessing=Preprocessing(size=16, fit="pad"))
    found = read_picture(picture, own)
    assert found.shape == (1, 16, 16) and found[0, 0, 0] > 240  # dark on light
    np.testing.assert_array_equal(read_picture(picture, replace(own, shape=(3, 16, 16))), found.repeat(3, axis=0))
    coloured = read_picture(picture, replace(MNIST.spec, shape=(3, 32, 32)))
    np.testing.assert_array_equal(coloured, read_digit(picture, SHAPE).repeat(3, axis=0))
    (tmp_path / "text.png").write_text("7")
    with pytest.raises(UserError, match=r"text\.png is damaged or missing .*: choose another picture"):
        read_picture(tmp_path / "text.png", own)


def test_pictures_that_are_no_digit(tmp_path):
    Image.new("L", (50, 50), 200).save(tmp_path / "flat.png")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 50), np.uint8)).save(tmp_path / "noise.png")
    specks = np.full((800, 800), 255, np.uint8)
    specks[[10, 780], [10, 780]] = 0
    Image.fromarray(specks).save(tmp_path / "specks.png")
    (tmp_path / "text.png").write_text("7")
    Image.new("L", (1, 1)).save(tmp_path / "dot.png")
    told = {"flat": "no digit", "specks": "no digit", "noise": "no digit", "text": "damaged", "none": "missing"}
    told["dot"] = "no digit"
    for name, words in told.items():
        with pytest.raises(UserError, match=words):
            read_digit(tmp_path / f"{name}.png", SHAPE)


def test_masks(tmp_path):
    for name in PARTS:
        kept = read_mask(name, SHAPE)
        assert kept.shape == (1, 32, 32) and kept.mean() == (0.75 if name == "centre" else 0.5)
    assert read_mask("left", SHAPE)[0, :, 16:].all() and read_mask("top", SHAPE)[0, 16:].all()
    own = np.zeros((32, 32), np.uint8)
    own[3:9] = 255
    Image.fromarray(own).save(tmp_path / "own.png")
    np.testing.assert_array_equal(read_mask(str(tmp_path / "own.png"), SHAPE)[0], own == 0)
    Image.new("L", (28, 32)).save(tmp_path / "small.png")
    Image.new("L", (32, 32)).save(tmp_path / "black.png")
    Image.new("L", (32, 32), 255).save(tmp_path / "white.png")
    Image.fromarray(np.tile(np.arange(0, 256, 8, dtype=np.uint8), (32, 1))).save(tmp_path / "ramp.png")
    problems = {"small": "is 28x32", "black": "all black", "white": "all white", "no": "missing", "ramp": "is grey"}
    for name, problem in problems.items():
        with pytest.raises(UserError, match=problem):
            read_mask(str(tmp_path / f"{name}.png"), SHAPE)


@pytest.mark.parametrize("name", ["pytorch", "jittor"])
def test_the_script(picture, tmp_path, name):
    def edit(*arguments):
        shipped = shipped_weights(ROOT / name, "ldm")  # not what was trained here last
        return run_script(name, "edit_mnist.py", *arguments, "--checkpoint", shipped, "--out", tmp_path, "--steps", 3)

    result = edit("repaint", "--image", picture, "--num", 4, "--mask", "bottom", "--resample", 2, "--digit", 7)
    assert result.returncode == 0, result.stderr
    with Image.open(tmp_path / "repaint.png") as grid:
        assert grid.size == (2 * (6 * 34 + 2), 2 * 36)
    result = edit("morph", "--index", 3, 1, 4, "--num", 6, "--gif")
    assert result.returncode == 0, result.stderr
    with Image.open(tmp_path / "morph.gif") as animation:
        assert animation.n_frames == 10 and animation.size == (2 * (2 * 34 + 2), 2 * 36)
        times = [frame.info["duration"] for frame in ImageSequence.Iterator(animation)]
        assert times == [1000, *[100] * 4, 1000, *[100] * 4]  # each digit is looked at, the way there and back is not
    assert_user_error(edit("repaint", "--mask", "middle"), "middle", "left, right, top, bottom, centre, or a PNG")


def test_digits_that_cannot_be_edited(trees):
    model = replace(pixel_model(trees["pytorch"], None), checkpoint=Checkpoint(TrainDDPM(), MNIST.spec, {}))
    with pytest.raises(UserError, match="--index: give one or more numbers from 0 to 9999"):
        digits_of(model, Vary(which=Digits(index=(10_000,))))
    with pytest.raises(UserError, match="two or more"):
        morph(model, Morph(which=Digits(index=(3,))))


def test_edits_of_pixels_and_of_latents_lie_apart(tree, untrained, tmp_path, monkeypatch):
    """Without --out: those with --pixels do not overwrite the others."""
    (tmp_path / "weights").symlink_to(untrained)
    monkeypatch.setattr(tree.device.Device, "tree", tmp_path)
    for pixels in (True, False):
        options = Vary(which=Digits(pixels=pixels, index=(0,)), drawing=EditSampling(num=1), steps=1, where=FP32)
        write_edit(tree.pipeline.load_model(options.which.checkpoint, options.which.kind, options.where), options)
    found = [path.relative_to(tmp_path / "runs") for path in sorted((tmp_path / "runs").rglob("*.png"))]
    assert [*map(str, found)] == ["edits-ddpm/vary.png", "edits-ldm/vary.png"]


def test_one_held_out_picture_is_too_few_to_score(monkeypatch):
    test = SimpleNamespace(images=MNIST.test.images[:1], labels=MNIST.test.labels[:1])
    monkeypatch.setattr("scoring.edits.data_of", lambda *_: SimpleNamespace(test=test, place="mine"))
    with pytest.raises(UserError, match="mine has one held-out picture, and scoring morphs needs two: add pictures"):
        score_edits(SimpleNamespace(checkpoint=None), Score())


def test_scores_of_an_untrained_model(untrained, tmp_path):
    """Of fewer time steps than edits have: all are printed, written and finite; the next test is of their values."""
    ldm = load_checkpoint(untrained / "ldm.safetensors")
    options = replace(ldm.options, diffusion=DiffusionConfig(timesteps=9))
    save_checkpoint(tmp_path / "nine.safetensors", replace(ldm, options=options))
    model = ("--checkpoint", tmp_path / "nine.safetensors", "--out", tmp_path)
    result = run_script("pytorch", "edit_mnist.py", "score", "--num", 20, *model)
    assert result.returncode == 0, result.stderr
    found = json.loads((tmp_path / "edits.json").read_text())
    assert all(name in result.stdout for name in found) and found["num"] == 20
    assert len(found) == 11 and np.isfinite([value for value in found.values() if isinstance(value, float)]).all()
    assert found["completions_apart"] > 0.05  # of the half that is repainted


@pytest.mark.slow  # most of a minute
def test_scores(tmp_path):
    arguments = ("--num", 20, "--checkpoint", shipped_weights(ROOT / "pytorch", "ldm"), "--out", tmp_path)
    result = run_script("pytorch", "edit_mnist.py", "score", *arguments)
    assert result.returncode == 0, result.stderr
    for measure in ("same_class_told", "completions_apart", "inversion_error", "largest_over_mean_step"):
        assert measure in result.stdout
    found = json.loads((tmp_path / "edits.json").read_text())
    assert found["same_class_told"] >= 0.8 and found["inversion_error"] < 0.15

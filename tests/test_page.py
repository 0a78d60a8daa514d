"""The page in a real browser, of MNIST and of data sets that are exported here: it draws what is asked for, offline, in
two languages, and by the same numbers."""
import base64
import functools
import http.server
import io
import json
import os
import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from conftest import FP32, ROOT, SMALL, run_scripts
from PIL import Image

from common.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from common.data.dataset import open_dataset
from common.data.spec import Spec
from common.diffusion import edit
from common.diffusion.noise import SampleNoise
from common.diffusion.schedule import alphas_cumprod, resampled, sampler_timesteps
from common.diffusion.space import Pixels
from common.edit import read_mask
from common.files import shipped_weights
from common.images import from_uint8, to_uint8
from common.options.networks import DiffusionConfig, SamplerConfig, UNetConfig
from common.options.recipes import TrainDDPM
from common.options.sampling import SamplerOptions
from publish import export
from publish.ship import half_precision
from scoring.classifiers import classes

WEB = ROOT / "web"
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
THREE = ["python", "train_mnist_vae.py", "train_mnist_ldm.py", "publish.export"]  # of the README's commands
DRAWN = "/^[0-9.]+ /.test(document.getElementById('status').textContent)"
pytestmark = pytest.mark.skipif(
    not BROWSER or not (WEB / "node_modules").is_dir(), reason="no chromium, or no `npm ci` in web/"
)  # fmt: skip


def exported(folder, checkpoint, **options):
    """A page of a checkpoint in a folder."""
    export.main(export.Export(checkpoint=checkpoint, out=folder, **options))
    return folder


@pytest.fixture(scope="module")
def plain(few, tmp_path_factory):
    """The page of a small latent model without measures that saw a few steps."""
    folder = tmp_path_factory.mktemp("plain")
    short = "--measures", "--epochs", 3, "--batch-size", 64, "--warmup", 1, "--device", "cpu"
    vae = "train_mnist_vae.py", "--data", few, "--out", folder / "vae", "--vae.base-channels", 8, *short[1:]
    ldm = "train_mnist_ldm.py", "--vae-checkpoint", folder / "vae", "--out", folder / "ldm", *SMALL, *short
    result = run_scripts("pytorch", vae, ldm)
    assert result.returncode == 0, result.stderr
    return exported(folder / "site", folder / "ldm", title="Plain")


@pytest.fixture(scope="module")
def birds_site(birds, clone):
    """The page that the README's three commands make, in seconds rather than minutes, of coloured 64x64 pictures."""
    blocks = [text for text in (ROOT / "README.md").read_text().split("```") if all(word in text for word in THREE)]
    (code,) = blocks
    code = code.removeprefix("bash").replace("my-pictures", f"{birds} --size 64 --vae.base-channels 16")
    code = code.replace("--minutes 3", "--epochs 20")
    code = code.replace("--minutes 10", f"--epochs 20 {' '.join(map(str, SMALL))}")
    (clone / "web" / "node_modules").symlink_to(WEB / "node_modules")
    path = f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"
    command = ["bash", "-euo", "pipefail", "-c", code]
    result = subprocess.run(command, cwd=clone, env={**os.environ, "PATH": path}, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "site: " in result.stdout and "web/serve.py site" in result.stdout
    assert (clone / "site" / "serve.py").is_file()  # for whoever is given the folder
    return clone / "site"


def stamps_site(folder, tree, shape, count):
    """The page of an untrained model in pixels, of so many classes, with options that are not the default."""
    spec = Spec(name="stamps", shape=shape, classes=tuple(f"stamp {i}" for i in range(count)), digest="0" * 16)
    unet = UNetConfig(base_channels=16, head_dim=8, context_dim=16, context_tokens=1).fitted(spec.shape)
    diffusion = DiffusionConfig(timesteps=200, schedule="linear", prediction="epsilon")
    sampler = SamplerConfig(name="ddim", steps=3, eta=0.5, guidance=1.125)
    options = TrainDDPM(unet=unet, diffusion=diffusion, sampler=sampler)
    tensors = tree.cpu.arrays(tree.pipeline.build_unet(unet, Pixels(spec.shape), spec))
    rng = np.random.default_rng(0)
    moved = {name: x + 0.02 * rng.standard_normal(x.shape).astype(np.float32) for name, x in tensors.items()}
    tensors = {f"model.{name}": x.astype(np.float16).astype(np.float32) for name, x in moved.items()}  # as the page's
    save_checkpoint(folder / "stamps.safetensors", Checkpoint(options, spec, tensors))
    return exported(folder / "site", folder / "stamps.safetensors")


@pytest.fixture(scope="module")
def many(trees, tmp_path_factory):
    """4,096 classes."""
    return stamps_site(tmp_path_factory.mktemp("many"), trees["pytorch"], (3, 20, 20), 4096)


@pytest.fixture(scope="module")
def large(trees, tmp_path_factory):
    """128x128 pixels, the most there are."""
    return stamps_site(tmp_path_factory.mktemp("large"), trees["pytorch"], (1, 128, 128), 2)


def site_of(request, name):
    """The folder of one of the sites."""
    return WEB if name == "mnist" else request.getfixturevalue(name)


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield browser
        browser.close()


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A host that sends no headers of ours."""

    def log_message(self, *_):
        pass


@pytest.fixture
def show(browser):
    """A function that shows a site from a subfolder of a plain host: a page, which keeps what its console says."""
    opened = []

    def show(site, query="", **context):
        handler = functools.partial(Quiet, directory=site.parent)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = browser.new_context(**context).new_page()
        opened.extend((page.context.close, server.shutdown))
        page.said, page.url_of = [], f"http://127.0.0.1:{server.server_port}/{site.name}/"
        page.on("console", lambda message: page.said.append(message.text))
        page.on("pageerror", lambda error: page.said.append(str(error)))
        page.goto(page.url_of + query)
        return page

    yield show
    for close in opened:
        close()


@pytest.fixture(scope="module")
def page(browser):
    """MNIST's page, as `python web/serve.py` serves it, that has drawn its first digits."""
    command = [sys.executable, WEB / "serve.py", "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    page = browser.new_context(reduced_motion="reduce").new_page()
    page.said, page.url_of = [], server.stdout.readline().strip()
    page.on("console", lambda message: page.said.append(message.text))
    page.on("pageerror", lambda error: page.said.append(str(error)))
    page.goto(page.url_of)
    drawn(page)
    yield page
    page.context.close()
    server.terminate()
    server.wait()


def drawn(page):
    """Wait until the view has been drawn."""
    page.wait_for_function(DRAWN, timeout=60_000)


def after(page, action):
    """Do something that has pictures drawn anew, and wait for them."""
    page.evaluate("document.getElementById('status').textContent = ''")
    action()
    drawn(page)


def tab(page, name):
    """Open a view."""
    page.click(f"[role=tab][data-word={name}]")


def pictures(page, canvas, count=20, side=32):
    """The pictures that a canvas shows, uint8 (count, 3, side, side)."""
    url = page.evaluate(f"document.getElementById('{canvas}').toDataURL()")
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB"))
    corners = [((side + 1) * (i // 5), (side + 1) * (i % 5)) for i in range(count)]
    return np.stack([pixels[y : y + side, x : x + side].transpose(2, 0, 1) for y, x in corners])


def digits(page, canvas, count=20):
    """The digits that a canvas of MNIST's page seems to show, (count,)."""
    return classes(pictures(page, canvas, count)[:, :1], open_dataset())


def move(page, slider, value):
    """Move a slider, as a hand does."""
    script = f"e => {{ e.value = {value}; e.dispatchEvent(new Event('input', {{bubbles: true}})) }}"
    page.locator(slider).evaluate(script)


def all_fetched(page):
    """Wait until the page has all that it may need, before the network goes."""
    count = page.evaluate("""async () => {
        const known = await (await fetch(`${document.getElementById("model").value}/model.json`)).json();
        return Object.keys(known.files).length;
    }""")
    seen = "performance.getEntriesByType('resource').filter(({name}) => /[.](onnx|f16)[?]/.test(name)).length"
    page.wait_for_function(f"{seen} >= {count}")


def test_draws_what_is_asked_for(page):
    assert (digits(page, "pictures") == np.arange(20) % 10).sum() >= 18
    all_fetched(page)
    ink = []
    try:
        page.context.set_offline(True)
        after(page, lambda: page.check("[name=class][value='7']", force=True))
        assert (digits(page, "pictures") == 7).sum() >= 18
        for end in ("min", "max"):
            after(page, lambda end=end: move(page, "[type=range][data-of=thickness]", f"e.{end}"))
            ink.append(pictures(page, "pictures").mean())
        after(page, lambda: move(page, "#calls", 3))
        assert (digits(page, "pictures") == 7).sum() >= 18
    finally:
        page.context.set_offline(False)
    assert ink[1] > 1.5 * ink[0]
    assert not page.said


def test_every_view(page):
    after(page, lambda: page.goto(page.url_of))  # whatever was asked for before
    after(page, lambda: tab(page, "watch"))
    assert page.is_hidden("#pictures")
    after(page, lambda: move(page, "#time", 0))
    noise, first = pictures(page, "noised"), pictures(page, "estimate")
    after(page, lambda: move(page, "#time", 99))
    last = pictures(page, "noised")
    assert (digits(page, "noised") == np.arange(20) % 10).sum() >= 18
    distance = [np.abs(last.astype(float) - shown).mean() for shown in (noise, first)]
    assert distance[0] > 1.5 * distance[1] > 0  # the estimate is nearer to the end than noise is
    after(page, lambda: tab(page, "walk"))
    for way, digit in ((0, 3), (1, 8)):
        after(page, lambda way=way: move(page, "#way", way))
        assert (digits(page, "between") == digit).sum() >= 16
    assert not page.said


def test_a_walk_passes_through_digits(page):
    """Half-way between 3 and 8 lie sharp strokes: no more grey than at the ends."""
    after(page, lambda: page.goto(f"{page.url_of}?view=walk"))
    grey = {}
    for way in (0, 0.5, 1):
        after(page, lambda way=way: move(page, "#way", way))
        shown = pictures(page, "between").astype(float)
        grey[way] = ((shown > 40) & (shown < 215)).sum() / (shown > 40).sum()
    assert grey[0.5] < 1.25 * max(grey[0], grey[1])


def test_a_drawing(page):
    tab(page, "yours")
    page.click("#vary")
    assert page.inner_text("#status") == "Draw something first."
    assert page.is_hidden("#upload")
    box = page.locator("#pad").bounding_box()
    place = lambda x, y: (box["x"] + x * box["width"], box["y"] + y * box["height"])
    page.mouse.move(*place(0.3, 0.2))
    page.mouse.down()
    for point in ((0.7, 0.2), (0.45, 0.85)):
        page.mouse.move(*place(*point), steps=8)
    page.mouse.up()
    for button in ("right", "vary"):
        after(page, lambda button=button: page.click(f"#{button}"))
        assert (digits(page, "result", 10) == 7).sum() >= 6, button
        assert len(np.unique(pictures(page, "result", 10).reshape(10, -1), axis=0)) == 10
    page.click("#clear")  # with what was made of the drawing
    assert page.inner_text("#status") == "" and not pictures(page, "result", 10).any()
    page.mouse.click(*place(0.5, 0.5), button="right")  # a menu, not a dot
    page.click("#vary")
    assert page.inner_text("#status") == "Draw something first."
    assert not page.said


def test_a_download_that_fails_is_tried_again(page):
    page.route("**/unet.onnx*", lambda route: route.abort())
    after(page, lambda: page.goto(page.url_of))
    tab(page, "watch")
    page.wait_for_function("/fetch.*load the page again/.test(document.getElementById('status').textContent)")
    after(page, lambda: tab(page, "draw"))
    page.unroute("**/unet.onnx*")
    after(page, lambda: tab(page, "watch"))
    assert page.is_visible("#noised") and page.said
    page.said.clear()


def test_a_download_that_fails_ends_the_animation(show):
    page = show(WEB)
    drawn(page)
    asked = []
    page.route("**/unet.onnx*", lambda route: (asked.append(route), route.abort()))
    page.goto(page.url_of + "?view=watch")
    page.wait_for_function("/fetch/.test(document.getElementById('status').textContent)")
    page.wait_for_timeout(1500)
    assert page.get_attribute("[data-play=time]", "data-word") == "play" and len(asked) <= 4


def test_a_host_that_sends_modules_as_text_is_told(page):
    text = {"content-type": "text/plain"}
    page.route("**/*.mjs", lambda route: route.fulfill(response=route.fetch(), headers=text))
    page.goto(page.url_of)
    told = "was sent as text/plain: this host must send .mjs as text/javascript"
    page.wait_for_function(f"document.getElementById('status').textContent.includes('{told}')")
    page.unroute("**/*.mjs")
    page.said.clear()


def test_files_of_two_exports_do_not_mix(page):
    other = (WEB / "model" / "emoji" / "decoder.onnx").read_bytes()
    page.route("**/decoder.onnx*", lambda route: route.fulfill(body=other))
    page.goto(page.url_of)
    said = "decoder.onnx is from another export"
    page.wait_for_function(f"document.getElementById('status').textContent.includes('{said}')")
    page.unroute("**/decoder.onnx*")
    page.said.clear()


def test_chinese_and_keys(page):
    after(page, lambda: page.goto(f"{page.url_of}/?lang=zh"))
    assert "噪声" in page.inner_text("h1") and page.get_attribute("html", "lang") == "zh"
    words = page.evaluate("import('./words.js').then(({WORDS}) => Object.values(WORDS).map(Object.keys))")
    assert words[0] == words[1]
    page.focus("[role=tab][data-word=draw]")
    page.evaluate("addEventListener('keydown', (event) => event.altKey && event.preventDefault())")  # not back
    page.keyboard.press("Alt+ArrowRight")
    assert page.is_hidden("#noised")
    after(page, lambda: page.keyboard.press("ArrowRight"))
    assert page.is_visible("#noised") and page.get_attribute("[role=tab][data-word=watch]", "aria-selected") == "true"
    assert not page.said


def test_a_link_shows_what_one_saw(page, show):
    after(page, lambda: page.goto(page.url_of))
    after(page, lambda: page.check("[name=class][value='4']", force=True))
    after(page, lambda: move(page, "[type=range][data-of=slant]", 20))
    after(page, lambda: move(page, "#seed", 1234567891))
    other = show(WEB, page.url.partition("?")[1] + page.url.partition("?")[2])
    drawn(other)
    np.testing.assert_allclose(pictures(other, "pictures").astype(int), pictures(page, "pictures"), atol=1)
    after(page, lambda: tab(page, "walk"))
    after(page, lambda: move(page, "#way", 0.3))
    query = page.url.partition("?")[2]
    assert {"view=walk", "way=0.3", "seed=1234567891", "class=4", "ask.slant=20"} <= set(query.split("&"))
    after(page, lambda: move(page, "#way", 0.5))
    assert "way=0.5" in page.url  # where it begins
    after(other, lambda: other.goto(f"{other.url_of}?{query}"))
    other.wait_for_timeout(500)
    assert other.is_visible("#between") and other.input_value("#way") == "0.3"  # nothing plays by itself


def test_going_back_to_the_page(page):
    """Browsers put inputs back as they were left, before the page runs, or with the page as it was."""
    after(page, lambda: page.goto(page.url_of))
    after(page, lambda: move(page, "#seed", 7))
    page.goto("about:blank")
    page.go_back()
    drawn(page)
    assert page.input_value("#seed") == "7" and "seed=7" in page.evaluate("location.search")
    page.locator("#model").evaluate("e => { e.value = 'model/emoji' }")
    page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
    assert page.input_value("#model") == "model/mnist"
    assert not page.said


def test_a_browser_that_refuses_so_many_addresses(page):
    """Safari keeps a hundred in half a minute: pictures are drawn all the same, and the address follows."""
    after(page, lambda: page.goto(page.url_of))
    refuse = "() => { throw new DOMException('too many', 'SecurityError') }"
    page.evaluate(f"() => {{ history.replaceState = {refuse} }}")
    after(page, lambda: move(page, "#seed", 7))
    assert "seed" not in page.url
    page.evaluate("delete history.replaceState")
    page.wait_for_function("location.search === '?seed=7'")
    assert not page.said


def test_controls_while_something_is_computed(page):
    """What plays ends at the calls that are computed; an edit begins anew with what is changed while it is painted."""
    after(page, lambda: page.goto(page.url_of))
    buttons = "['[role=tab][data-word=watch]', '[data-play=time]']"
    page.evaluate(f"for (const each of {buttons}) document.querySelector(each).click()")
    page.wait_for_function("document.querySelector('[data-play=time]').dataset.word === 'play'", timeout=60_000)
    assert page.input_value("#time") == page.get_attribute("#time", "max") == "7"
    tab(page, "yours")
    stroke = "{ const context = pad.getContext('2d'); context.fillStyle = '#fff'; context.fillRect(120, 40, 26, 180); }"
    page.locator("#pad").evaluate(f"pad => {stroke}")
    found, paints = [], "CanvasRenderingContext2D.prototype.putImageData"
    change = "e => { e.value = 5; e.dispatchEvent(new Event('input', {bubbles: true})) }"
    once = f"function (...x) {{ {paints} = put; ({change})(document.getElementById('seed')); put.apply(this, x) }}"
    for during in ("", f"const put = {paints}; {paints} = {once};"):
        click = f"() => {{ {during} document.getElementById('vary').click() }}"
        after(page, lambda click=click: page.evaluate(click))
        found.append(pictures(page, "result", 10))
    assert page.input_value("#seed") == "5"
    assert len(np.unique(found[1].reshape(10, -1), axis=0)) == 10 and not np.array_equal(*found)
    assert not page.said


def test_settings_change_the_pictures(page):
    """Calls, guidance and noise; and the page's other model, of emoji, on a phone."""
    after(page, lambda: page.goto(page.url_of))
    assert page.evaluate("crossOriginIsolated")  # by the headers of serve.py: threads
    found = [pictures(page, "pictures")]
    page.click("summary")
    for change in (lambda: move(page, "#calls", 4), lambda: move(page, "#calls", 5), lambda: move(page, "#guidance", 3),
                   lambda: page.click("#another")):  # fmt: skip
        after(page, change)
        found.append(pictures(page, "pictures"))
    assert len({shown.tobytes() for shown in found}) == 5
    page.set_viewport_size({"width": 360, "height": 700})
    after(page, lambda: page.goto(f"{page.url_of}?model=emoji"))
    assert page.locator("[name=class]").count() == 1 + 9
    assert len(np.unique(pictures(page, "pictures").reshape(20, -1), axis=0)) == 20
    for view in ("walk", "yours"):
        tab(page, view)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, view
    page.set_viewport_size({"width": 1280, "height": 720})
    assert not page.said


def test_what_plays_by_itself(show):
    page = show(WEB, "?view=watch")
    page.wait_for_function("document.querySelector('[data-play=time]').dataset.word === 'stop'", timeout=60_000)
    page.wait_for_function("document.querySelector('[data-play=time]').dataset.word === 'play'", timeout=60_000)
    assert page.input_value("#time") == page.get_attribute("#time", "max")
    tab(page, "draw")
    after(page, lambda: tab(page, "watch"))
    page.wait_for_timeout(500)
    assert page.get_attribute("[data-play=time]", "data-word") == "play"  # once
    assert not page.said


def test_saved(page):
    after(page, lambda: page.goto(page.url_of))
    with page.expect_download() as download:
        page.click("[data-save=pictures]")
    saved = np.asarray(Image.open(download.value.path()).convert("L"))
    scale = saved.shape[1] // (5 * 33 - 1)
    np.testing.assert_array_equal(saved[::scale, ::scale][:32, :32], pictures(page, "pictures")[0, 0])
    after(page, lambda: tab(page, "walk"))
    with page.expect_download(timeout=120_000) as download:
        page.click("#record")
        assert page.locator("nav").evaluate("e => e.inert")  # other controls would change its frames
    assert not page.locator("nav").evaluate("e => e.inert")
    assert page.evaluate("document.activeElement.id") == "record"
    video = Path(download.value.path()).read_bytes()
    assert download.value.suggested_filename == "MNIST-walk.webm" and video[:4] == b"\x1a\x45\xdf\xa3"
    assert len(video) > 20_000
    assert not page.said


@pytest.mark.parametrize("name, shape, labels, measures", [
    ("mnist", (1, 32), 10, ["thickness", "slant", "width"]), ("plain", (1, 32), 10, []),
    ("birds_site", (3, 64), 3, ["age", "angle"]), ("large", (1, 128), 2, []),
])  # fmt: skip
def test_any_model(request, show, name, shape, labels, measures):
    """From a subfolder of a host that sends no headers, on a phone, in the dark."""
    page = show(site_of(request, name), viewport={"width": 360, "height": 700}, color_scheme="dark",
                reduced_motion="reduce")  # fmt: skip
    drawn(page)
    channels, side = shape
    shown = pictures(page, "pictures", side=side)
    assert shown.std() > 1 and len(np.unique(shown.reshape(20, -1), axis=0)) == 20
    assert (shown == shown[:, :1]).all() == (channels == 1)
    assert page.locator("[name=class]").count() == 1 + labels
    assert page.locator("[type=range][data-of]").evaluate_all("all => all.map(({dataset}) => dataset.of)") == measures
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(22, 22, 26)"
    all_fetched(page)
    page.context.set_offline(True)
    for view in ("watch", "walk"):
        after(page, lambda view=view: tab(page, view))
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
    tab(page, "yours")
    assert page.is_visible("#yours") and page.evaluate("document.documentElement.scrollWidth") <= 360
    after(page, lambda: tab(page, "draw"))
    page.focus("[name=class]:checked")
    after(page, lambda: page.keyboard.press("ArrowRight"))
    assert not np.array_equal(pictures(page, "pictures", side=side), shown)
    for measure in measures:
        before = pictures(page, "pictures", side=side)
        after(page, lambda measure=measure: move(page, f"[type=range][data-of={measure}]", "e.max"))
        assert not np.array_equal(pictures(page, "pictures", side=side), before)
    page.click("#language")
    assert page.get_attribute("html", "lang") == "zh" and page.inner_text("[data-save=pictures]") == "存为 PNG"
    assert not page.said


def test_a_picture_is_uploaded(birds, birds_site, show, tmp_path):
    page = show(birds_site, "?view=yours")
    page.wait_for_selector("#file")
    assert page.is_hidden("#clear")
    page.click("#vary")
    page.wait_for_function("document.getElementById('status').textContent === 'Choose a picture first.'")
    (tmp_path / "no.png").write_text("no picture")
    page.set_input_files("#file", tmp_path / "no.png")
    page.wait_for_function("/cannot read that picture/.test(document.getElementById('status').textContent)")
    page.set_input_files("#file", birds / "owl" / "0.png")
    page.wait_for_function("document.getElementById('pad').width === 64")
    chosen = pictures(page, "pad", 1, 64)[0].astype(float)
    with Image.open(birds / "owl" / "0.png") as image:  # 20x16: the centre's 16x16 is taken
        real = np.asarray(image.crop((2, 0, 18, 16)).resize((64, 64), Image.Resampling.BILINEAR)).transpose(2, 0, 1)
    assert np.abs(chosen - real).mean() < 10
    slow = "const real = createImageBitmap; let wait = 500; window.createImageBitmap = async (file) => {"
    slow += "const after = wait; wait = 0; await new Promise((done) => setTimeout(done, after)); return real(file) };"
    page.evaluate(f"() => {{ {slow} }}")
    for name in ("duck", "owl"):  # the first takes longer
        page.set_input_files("#file", birds / name / "0.png")
    page.wait_for_timeout(1000)
    np.testing.assert_array_equal(pictures(page, "pad", 1, 64)[0], chosen)
    after(page, lambda: page.click("#right"))
    found = pictures(page, "result", 10, 64)
    np.testing.assert_allclose(found[0, :, :, :32], chosen[:, :, :32], atol=1)
    assert len(np.unique(found.reshape(10, -1), axis=0)) == 10
    after(page, lambda: page.click("#bottom"))
    np.testing.assert_allclose(pictures(page, "result", 10, 64)[0, :, :32], chosen[:, :32], atol=1)
    page.evaluate("document.getElementById('vary').click()")  # and, while it is computed, another picture
    page.set_input_files("#file", birds / "duck" / "0.png")
    page.wait_for_function("document.getElementById('status').textContent === ''")
    page.wait_for_timeout(1000)
    assert not np.array_equal(pictures(page, "pad", 1, 64)[0], chosen)
    assert page.evaluate("""() => {
        const { data } = result.getContext("2d").getImageData(0, 0, result.width, result.height);
        return data.every((value) => value === 0);
    }""")
    assert not page.said


def test_a_large_picture_is_made_small_first(page):
    """Safari leaves canvases of 17 million pixels empty."""
    sizes = page.evaluate("""async () => {
        const { pictured } = await import(new URL("editing.js", location));
        const { OffscreenCanvas } = window, sizes = [];
        const large = new OffscreenCanvas(5000, 4000);
        window.OffscreenCanvas = class extends OffscreenCanvas {
            constructor(width, height) { super(width, height); sizes.push(width * height); }
        };
        const pixels = pictured(large, [1, 32, 32], "crop");
        window.OffscreenCanvas = OffscreenCanvas;
        return [Math.max(...sizes), pixels.length, Math.min(...pixels)];
    }""")
    assert sizes == [2048 * 1638, 1024, 1]  # transparent, so white


@pytest.mark.parametrize("how", ["crop", "pad"])
def test_transparent_pixels_become_white(page, how):
    """Whatever the margin's colour."""
    centre = page.evaluate(f"""async () => {{
        const {{ pictured }} = await import(new URL("editing.js", location));
        const context = new OffscreenCanvas(64, 64).getContext("2d");
        context.fillStyle = "#00f";
        context.fillRect(0, 0, 64, 64);
        context.clearRect(16, 16, 32, 32);
        const pixels = pictured(context.canvas, [3, 32, 32], "{how}");
        return [0, 1, 2].map((channel) => pixels[channel * 1024 + 16 * 32 + 16]);
    }}""")
    assert centre == [1, 1, 1]
    darkest = page.evaluate("""async () => {
        const { pictured } = await import(new URL("editing.js", location));
        const context = new OffscreenCanvas(100, 67).getContext("2d");
        context.fillRect(0, 0, 100, 67);
        return Math.max(...pictured(context.canvas, [1, 64, 64], "pad"));
    }""")
    assert darkest == -1  # no light between picture and margin


def test_many_classes(many, show):
    page = show(many)
    drawn(page)
    assert page.locator("#class input").count() == 1 and page.input_value("#guidance") == "1.125"  # the model's own
    assert page.evaluate("getComputedStyle(document.querySelector('#class input')).opacity") == "1"
    first = pictures(page, "pictures", side=20)
    after(page, lambda: page.fill("#class input", "stamp 4095"))
    assert page.inner_text("#class output") == "stamp 4095" and page.url.endswith("class=4095")
    assert not np.array_equal(pictures(page, "pictures", side=20), first)
    after(page, lambda: page.goto(f"{page.url_of}?class=17"))
    assert page.input_value("#class input") == "stamp 17"
    found = page.evaluate("""import("./controls.js").then(({classCalled}) =>
        ["", "b", "B", "an owl", "ow", "nothing"].map(text => classCalled(text, ["a", "b", "B", "an owl"])))""")
    assert [None if x is None or np.isnan(x) else x for x in found] == [None, 1, 2, 3, 3, None]
    assert not page.said


def test_data_without_classes(many, show):
    known = json.loads((many / "model" / "model.json").read_text())
    page = show(many)
    drawn(page)
    page.route("**/model.json", lambda route: route.fulfill(json={**known, "classes": ["picture"]}))
    page.goto(page.url_of)
    drawn(page)
    tab(page, "walk")
    assert page.is_visible("#between")
    assert all(page.is_hidden(f"#{chooser}") for chooser in ("class", "from", "to"))
    assert not page.said


@pytest.mark.parametrize("name, network, sampler, steps, guidance", [
    ("mnist", 0, "dpmpp_2m", 6, 1), ("mnist", 0, "ddim", 5, 2), ("mnist", 1, "consistency", 3, 1),
    ("birds_site", 0, "ddpm", 7, 1), ("birds_site", 0, "dpmpp_2m", 5, 0), ("many", 0, "ddim", 6, 1.5),
])  # fmt: skip
def test_numbers(request, show, trees, name, network, sampler, steps, guidance, tmp_path):
    """From the same noise the page's samplers come to PyTorch's x_t, step by step."""
    tree, site = trees["pytorch"], site_of(request, name)
    if name == "mnist":
        path = shipped_weights(tree.cpu.tree, ("ldm", "ldm-distilled")[network])
    else:
        path = site.parent / ("pytorch/runs/ldm" if name == "birds_site" else "stamps.safetensors")
    model = halved(tree, path, tmp_path)
    chosen = model.choose_sampler(SamplerOptions(sampler=sampler, steps=steps, guidance=guidance))
    measures = {measure: values.at(95) for measure, values in model.spec.measures.items()}
    indices = np.arange(3)
    y = model.conditions(indices, measures)
    page = request.getfixturevalue("page") if name == "mnist" else show(site)
    theirs = page.evaluate(
        """async ([folder, network, changes, measures, noise]) => {
            const { openModels } = await import("./pipeline.js");
            const pipeline = (await openModels(folder))[network];
            const draws = noise.map((x) => Float32Array.from(x));
            const y = pipeline.conditions([0, 1, 2], measures);
            const settings = { ...pipeline.sampler, ...changes };
            const states = [];
            const trajectory = pipeline.trajectory(() => draws.shift(), { y }, settings);
            for await (const [x_t] of trajectory) states.push(Array.from(x_t));
            return [states, Array.from(await pipeline.decode(Float32Array.from(states.at(-1))))];
        }""",
        ["model/mnist" if name == "mnist" else "model", network,
         {"name": sampler, "steps": steps, "guidance": guidance}, measures, noise_of(model, indices, steps)],
    )  # fmt: skip
    with model.device.inference():
        ours = [x.numpy() for x in model.trajectory(chosen, 1, indices, y)][1:]
        expected = to_uint8(model.decode(model.device.tensor(ours[-1])))
    assert len(ours) == len(theirs[0]) == steps
    for a, b in zip(ours, theirs[0]):
        np.testing.assert_allclose(np.reshape(b, a.shape), a, atol=1e-3, rtol=0)
    found = to_uint8(np.reshape(theirs[1], (3, *model.spec.shape)))
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_numbers_of_edits(page, trees, tmp_path):
    """From the same noise the page repaints and varies to PyTorch's pictures."""
    tree = trees["pytorch"]
    model = halved(tree, shipped_weights(tree.cpu.tree, "ldm"), tmp_path)
    test = open_dataset().test
    images, indices, y = test.images[:2], np.arange(2), model.conditions(test.labels[:2])
    kept = read_mask("right", model.spec.shape)
    theirs = page.evaluate(
        """async ([pixels, mask, classes, noise]) => {
            const { openModels } = await import("./pipeline.js");
            const { repaint, vary } = await import("./editing.js");
            const [pipeline] = await openModels("model/mnist");
            const draw = () => {
                const draws = noise.map((x) => Float32Array.from(x));
                return () => draws.shift();
            };
            const [x, y] = [Float32Array.from(pixels), pipeline.conditions(classes)];
            const settings = { ...pipeline.sampler, name: "ddpm", steps: 6 };
            const results = [await repaint(pipeline, x, mask, { y }, draw(), 1.5)];
            results.push(await vary(pipeline, x, 0.6, { y }, draw(), settings));
            return results.map((pixels) => Array.from(pixels));
        }""",
        [from_uint8(images).ravel().tolist(), kept.ravel().tolist(), test.labels[:2].tolist(),
         noise_of(model, indices, 64)],  # as many as repainting takes
    )  # fmt: skip
    sampler = SamplerConfig(name="ddpm", steps=10, shift=1.0, guidance=1.5)
    timesteps = resampled(sampler_timesteps(model.timesteps, sampler), 4)
    repainted = edit.repaint(model, sampler, images, kept, timesteps, 1, indices, y)
    varied = edit.vary(model, replace(model.sampler, name="ddpm", steps=6), images, 0.6, 1, indices, y)
    for found, expected in zip(theirs, (repainted, varied)):
        np.testing.assert_allclose(np.reshape(found, images.shape).clip(-1, 1), expected.clip(-1, 1), atol=5e-3, rtol=0)


def test_a_drawing_is_not_cut_off(page):
    """Not even one with its centre of mass far from its middle: a T stays within the picture."""
    lowest = page.evaluate("""async () => {
        const { fitted } = await import(new URL("editing.js", location));
        const context = new OffscreenCanvas(264, 264).getContext("2d");
        context.fillRect(0, 0, 264, 264);
        context.fillStyle = "#fff";
        context.fillRect(32, 32, 200, 40);
        context.fillRect(130, 32, 4, 200);
        const pixels = fitted(context.canvas, [1, 32, 32]);
        const rows = Array.from({ length: 32 }, (_, y) => Math.max(...pixels.subarray(32 * y, 32 * y + 32)));
        return [rows.indexOf(rows.find((value) => value > 0)), rows.findLastIndex((value) => value > -0.8)];
    }""")
    assert lowest[1] - lowest[0] >= 21 and lowest[1] <= 31  # 20 of 28 pixels, scaled to 32, are 23


def test_schedules(page):
    """alpha_bar of every schedule is numpy's."""
    script = "config => import('./schedule.js').then(({alphasCumprod}) => alphasCumprod(config))"
    for schedule in get_args(DiffusionConfig.__annotations__["schedule"]):
        config = {"timesteps": 100, "schedule": schedule}
        expected = alphas_cumprod(DiffusionConfig(**config))
        np.testing.assert_allclose(page.evaluate(script, config), expected, rtol=1e-9)


def halved(tree, path, folder):
    """The model of a checkpoint with its weights in half precision, as the page has them."""
    checkpoint = load_checkpoint(path)
    save_checkpoint(folder / "half.safetensors", replace(checkpoint, tensors=half_precision(checkpoint.tensors)))
    return tree.pipeline.load_model(folder / "half.safetensors", None, FP32)


def noise_of(model, indices, count):
    """What sample after sample draws, as lists."""
    noise = SampleNoise(1, indices, model.space.shape)
    return [noise().ravel().tolist() for _ in range(count)]

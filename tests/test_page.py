"""The page in a real browser: it draws the digits asked for, offline, in two languages, and by the same numbers."""
import base64
import io
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from conftest import FP32, ROOT
from PIL import Image

from common.diffusion.noise import SampleNoise
from common.files import shipped_weights
from common.images import to_uint8
from common.options.sampling import SamplerOptions
from scoring.classifiers import classes

WEB, CELL, SIDE = ROOT / "web", 33, 32
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def page():
    """A page that has drawn its first digits; what it says on its console is an error."""
    if not BROWSER or not (WEB / "node_modules").is_dir():
        pytest.skip("no chromium, or no `npm ci` in web/: the page is not tested")
    from playwright.sync_api import sync_playwright

    server = subprocess.Popen([sys.executable, WEB / "serve.py", "0"], stdout=subprocess.PIPE, text=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        page = browser.new_page()
        page.said, page.url_of = [], server.stdout.readline().strip()
        page.on("console", lambda message: page.said.append(message.text))
        page.on("pageerror", lambda error: page.said.append(str(error)))
        page.goto(page.url_of)
        drawn(page)
        yield page
        browser.close()
    server.terminate()
    server.wait()


def drawn(page):
    """Wait until the view has been drawn."""
    page.wait_for_function("/^[0-9.]+ /.test(document.getElementById('status').textContent)", timeout=60_000)


def after(page, action):
    """Do something that has digits drawn anew, and wait for them."""
    page.evaluate("document.getElementById('status').textContent = ''")
    action()
    drawn(page)


def digits(page, canvas, count=20):
    """The digits that a canvas shows, uint8 (count, 1, 32, 32)."""
    url = page.evaluate(f"document.getElementById('{canvas}').toDataURL()")
    grey = np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("L"))
    corners = [(CELL * (i // 5), CELL * (i % 5)) for i in range(count)]
    return np.stack([grey[None, y : y + SIDE, x : x + SIDE] for y, x in corners])


def move(page, slider, value):
    """Move a slider, as a hand does."""
    script = f"e => {{ e.value = {value}; e.dispatchEvent(new Event('input', {{bubbles: true}})) }}"
    page.locator(f"#{slider}").evaluate(script)


def test_draws_what_is_asked_for(page):
    assert (classes(digits(page, "digits")) == np.arange(20) % 10).sum() >= 18
    loaded = "performance.getEntriesByType('resource').filter(file => file.name.includes('/model/ldm/')).length >= 4"
    page.wait_for_function(loaded)  # the many calls' model, before the network goes
    ink = []
    try:
        page.context.set_offline(True)
        after(page, lambda: page.check("[name=digit][value='7']", force=True))
        assert (classes(digits(page, "digits")) == 7).sum() >= 18
        for end in ("min", "max"):
            after(page, lambda end=end: move(page, "thickness", f"e.{end}"))
            ink.append(digits(page, "digits").mean())
        after(page, lambda: move(page, "calls", 3))
        assert (classes(digits(page, "digits")) == 7).sum() >= 18
    finally:
        page.context.set_offline(False)
    assert ink[1] > 1.5 * ink[0]
    assert not page.said


def test_every_view(page):
    after(page, page.reload)  # whatever was asked for before
    after(page, lambda: page.click("[role=tab][data-word=watch]"))
    assert page.is_hidden("#digits")
    after(page, lambda: move(page, "time", 0))
    noise, first = digits(page, "noised"), digits(page, "estimate")
    after(page, lambda: move(page, "time", 99))
    last = digits(page, "noised")
    assert (classes(last) == np.arange(20) % 10).sum() >= 18
    distance = [np.abs(last.astype(float) - shown).mean() for shown in (noise, first)]
    assert distance[0] > 1.5 * distance[1] > 0  # the estimate is nearer to the end than noise is
    after(page, lambda: page.click("[role=tab][data-word=walk]"))
    for way, digit in ((0, 3), (1, 8)):
        after(page, lambda way=way: move(page, "way", way))
        assert (classes(digits(page, "between")) == digit).sum() >= 16
    assert not page.said


def test_a_drawing(page):
    page.click("[role=tab][data-word=yours]")
    page.click("#vary")
    assert page.inner_text("#status") == "Draw something first."
    box = page.locator("#pad").bounding_box()
    place = lambda x, y: (box["x"] + x * box["width"], box["y"] + y * box["height"])
    page.mouse.move(*place(0.3, 0.2))
    page.mouse.down()
    for point in ((0.7, 0.2), (0.45, 0.85)):
        page.mouse.move(*place(*point), steps=8)
    page.mouse.up()
    for button in ("right", "vary"):
        after(page, lambda button=button: page.click(f"#{button}"))
        found = digits(page, "result", 10)
        assert (classes(found) == 7).sum() >= 6, button
        assert len(np.unique(found.reshape(10, -1), axis=0)) == 10
    assert not page.said


def test_a_download_that_fails_is_tried_again(page):
    page.route("**/model/ldm/*", lambda route: route.abort())
    after(page, lambda: page.goto(page.url_of))
    page.click("[role=tab][data-word=watch]")
    page.wait_for_function("/fetch/.test(document.getElementById('status').textContent)")
    after(page, lambda: page.click("[role=tab][data-word=draw]"))
    page.unroute("**/model/ldm/*")
    after(page, lambda: page.click("[role=tab][data-word=watch]"))
    assert page.is_visible("#noised") and page.said
    page.said.clear()


def test_chinese_and_keys(page):
    after(page, lambda: page.goto(f"{page.url_of}/?lang=zh"))
    assert "数字" in page.inner_text("h1") and page.get_attribute("html", "lang") == "zh"
    words = page.evaluate("import('./words.js').then(({WORDS}) => Object.values(WORDS).map(Object.keys))")
    assert words[0] == words[1]
    page.focus("[role=tab][data-word=draw]")
    after(page, lambda: page.keyboard.press("ArrowRight"))
    assert page.is_visible("#noised") and page.get_attribute("[role=tab][data-word=watch]", "aria-selected") == "true"
    assert not page.said


def test_a_sampler_that_adds_noise_is_refused(page):
    known = json.loads((WEB / "model" / "ldm" / "model.json").read_text())
    known["sampler"]["eta"] = 0.5
    page.route("**/model/ldm/model.json", lambda route: route.fulfill(json=known))
    load = "import('./pipeline.js').then(({loadPipeline}) => loadPipeline('model/ldm')).catch(({message}) => message)"
    assert "eta" in page.evaluate(load)
    page.unroute("**/model/ldm/model.json")


@pytest.mark.parametrize("kind, name, steps, guidance", [
    ("ldm", "dpmpp_2m", 6, 1), ("ldm", "ddim", 5, 2), ("ldm", "ddpm", 7, 1), ("ldm-distilled", "consistency", 3, 1),
])  # fmt: skip
def test_numbers(page, trees, kind, name, steps, guidance):
    """From the same noise the page's samplers come to PyTorch's x_t, step by step."""
    tree = trees["pytorch"]
    model = tree.pipeline.load_model(shipped_weights(tree.cpu.tree, kind), kind, FP32)
    sampler = model.choose_sampler(SamplerOptions(sampler=name, steps=steps, guidance=guidance))
    indices = np.arange(3)
    y = model.conditions(indices, {"slant": 10.0})
    theirs = page.evaluate(
        """async ([folder, changes, noise]) => {
            const { loadPipeline } = await import("./pipeline.js");
            const pipeline = await loadPipeline(folder);
            const draws = noise.map((x) => Float32Array.from(x));
            const y = pipeline.conditions([0, 1, 2].map((digit) => ({ digit, slant: 10 })));
            const settings = pipeline.settings(changes);
            const states = [];
            const trajectory = pipeline.trajectory(() => draws.shift(), y, settings);
            for await (const [x_t] of trajectory) states.push(Array.from(x_t));
            return [states, Array.from(await pipeline.decode(Float32Array.from(states.at(-1))))];
        }""",
        [f"model/{kind}", {"name": name, "steps": steps, "guidance": guidance}, noise_of(model, indices, steps)],
    )
    with model.device.inference():
        ours = [x.numpy() for x in model.trajectory(sampler, 1, indices, y)][1:]
        expected = to_uint8(model.decode(model.device.tensor(ours[-1])))
    assert len(ours) == len(theirs[0]) == steps
    for a, b in zip(ours, theirs[0]):
        np.testing.assert_allclose(np.reshape(b, a.shape), a, atol=1e-3, rtol=0)
    pictures = to_uint8(np.reshape(theirs[1], (3, 1, SIDE, SIDE)))
    assert np.abs(pictures.astype(int) - expected).max() <= 1


def noise_of(model, indices, count):
    """What sample after sample draws, as lists."""
    noise = SampleNoise(1, indices, model.space.shape)
    return [noise().ravel().tolist() for _ in range(count)]

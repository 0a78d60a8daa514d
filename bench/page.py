"""The page in headless Chromium, and its picture: python bench/page.py [--rounds 7]

Serves web/ on this machine, reloads it in each round, and measures in milliseconds the time to the first digits, and
that of twenty digits by one network call and by latent diffusion's seven. Writes asset/bench.json, asset/page.png."""
import shutil
import subprocess
import sys
from contextlib import ExitStack
from time import perf_counter

import numpy as np
from playwright.sync_api import sync_playwright
from rounds import ROOT, write

from common.options.command_line import run
from common.options.fields import Count, options_class
from publish import spread

TIMES = "from address to digits", "twenty digits, 1 call", "twenty digits, 7 calls"
DRAWN = "() => /^[0-9.]+ /.test(document.getElementById('status').textContent)"
REDRAW = """async (calls) => {
    const status = document.getElementById("status");
    document.getElementById("calls").value = calls;
    const start = performance.now();
    status.textContent = "";
    document.getElementById("calls").dispatchEvent(new Event("input", { bubbles: true }));
    while (!status.textContent) await new Promise((resolve) => setTimeout(resolve, 1));
    return performance.now() - start;
}"""


@options_class
class Visits:
    rounds: Count = 7
    """Times that the page is loaded."""


def main(options):
    rounds, command = [], [sys.executable, ROOT / "web" / "serve.py", "--port", "0"]
    with ExitStack() as stack:
        server = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        stack.callback(server.terminate)
        playwright = stack.enter_context(sync_playwright())
        address = server.stdout.readline().strip()
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for _ in range(options.rounds):
            page = browser.new_context(viewport={"width": 1100, "height": 760}).new_page()
            start = perf_counter()
            page.goto(address)
            page.wait_for_function(DRAWN)
            loaded = 1000 * (perf_counter() - start)
            page.screenshot(path=ROOT / "asset" / "page.png")
            redrawn = [[page.evaluate(REDRAW, calls) for _ in range(4)] for calls in (1, 7)]  # the first to warm up
            rounds.append((loaded, *(np.median(times[1:]) for times in redrawn)))
            page.context.close()
        browser.close()
    results = {name: spread(values) for name, values in zip(TIMES, zip(*rounds))}
    print(*(f"{name}: {times['median']:.0f} ms" for name, times in results.items()), sep="\n")
    write("page", options, results)


if __name__ == "__main__":
    run(main, Visits, __doc__)

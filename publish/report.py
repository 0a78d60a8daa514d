"""Make the READMEs' tables and asset/ from every result.json and asset/bench.json: python -m publish.report

Results of the shipped weights, of 1,000 images or more, are copied to asset/results/, from which results.md,
pictures.md, the plots in asset/ and the READMEs' tables (between their markers) are made. A number that was not
measured is in no table."""
from itertools import combinations, product
from operator import itemgetter
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr
from tyro.conf import Positional

from common.data.measures import MEASURES
from common.errors import UserError
from common.files import ROOT, digest, read_json, shipped_weights
from common.options.command_line import run
from common.options.fields import options_class
from common.options.recipes import undistilled
from publish import FRAMEWORKS, MODELS, SAMPLERS, spread_text, table
from publish.plot import quality_against_time, spectra
from publish.results import ASSET, PLACES, USUAL_NUM, file_stem, gather, measured
from publish.speed import speeds
from scoring.classifiers import NAMES

SHOWN = ("samples", "sweep", "process", "reconstructions", "prior", "loss")  # a model's pictures
ORIGINAL = {  # the project that this one began from, on an RTX 4090: (seconds for 10,000 images, FID)
    ("ddpm", "pytorch"): (1597, 32.66),
    ("ddpm", "jittor"): (2231, 42.18),
    ("ldm", "pytorch"): (219, 128.87),
    ("ldm", "jittor"): (244, 112.82),
}
SHORT = ("model, network calls", "framework", "seconds for 10,000", "MNIST-FD / floor")
HEADER = ("model", "framework", "sampler, calls", "seconds", "FID", "MNIST-FD / floor", "precision", "recall", "on")
NOTES = """\
Seconds: sampling 10,000 images, without writing them; the fastest run with the same network calls, and on what.
`in fp32`: the images that were scored were sampled in that precision; the time is of the run in the last column.
MNIST-FD / floor: Frechet distance of classifiers' features to the 10,000 test images, over that of 10,000 training
images; for several seeds the median (min-max). Precision and recall: Kynkäänniemi et al. 2019.
FID is not measured where it was left out (`--no-fid`) or Inception's weights could not be downloaded.
"""
LEGEND = """\
Right halves of the first 200 test digits, repainted: the fraction that classifiers assign to the original class, given
as a condition (told) or not; the RMS distance between ten completions of each of ten digits, beside that between test
digits. Morphs are between twenty digits.

"""
CONTROL = """\
10,000 digits, sampled with the classes and measures of test digits (`tst_mnist_ldm_fid.py --labels test`) and measured.
r: Pearson's correlation of requested and measured values. Error: mean absolute error in standard deviations of test
digits. Leak: the largest partial correlation of a requested measure with another measured one. Class: the fraction that
classifiers assign to the requested class.

"""
TEXTURE = """\
Power of generated over real digits in bands of frequency, in cycles per image: log2 of the ratio, 0 if equal; grey
levels: distance between the histograms, 0 to 1; pieces: the fraction of digits in more than one piece.

"""
BANDS = "1-3", "3-6", "6-11", "11-16", "16-23"  # of scoring.texture's, at 32x32
OTHERS = "\n`weights 012345`: an earlier file than the repository's, by its hash.\n"
FEWER = "\n`num 1000`: 1,000 images, against as many real ones; comparable only with each other.\n"


def names(result, words):
    """A result's cells for model, framework, and sampler with calls and words."""
    setting = ", ".join([SAMPLERS[result["sampler"]], str(result["steps"]), *words])
    return MODELS[result["model"]], FRAMEWORKS[result["tree"]], setting


def row(result):
    """A result's cells below HEADER."""
    count, distance = result["processes"] * result["threads"], result["over_floor"]
    threads = f"{count} thread{'s' * (count > 1)}"
    if result["processes"] > 1:
        threads += f" in {result['processes']} processes"
    seconds = f"{result['seconds']:.1f}" if result["seconds"] else "not measured"
    fid = "not measured" if result["fid"] is None else f"{result['fid']:.2f}"
    distance = spread_text(distance) if len(result["seeds"]) > 1 else f"{distance['median']:.2f}"
    others = f"{result['precision']:.3f}", f"{result['recall']:.3f}"
    hardware = f"{result['hardware']}, {threads}, {result['dtype']}"
    words = [f"in {result['sampled_in']}"] if result["sampled_in"] != result["dtype"] else []
    return *names(result, result["unusual"] + words), seconds, fid, distance, *others, hardware


def short(results):
    """The README's table: each model at the scripts' own setting, as Markdown."""
    rows = [(f"{MODELS[r['model']]}, {r['steps']}", *itemgetter(1, 3, 5)(row(r))) for r in results if r["headline"]]
    return table(rows, SHORT)


def tables(results):
    """(the original's results beside each model's at the scripts' own setting, all results), as Markdown."""
    headline = []
    for (model, tree), (seconds, fid) in ORIGINAL.items():
        cells = (MODELS[model], FRAMEWORKS[tree], "the original's", str(seconds), f"{fid:.2f}", *[""] * 3, "RTX 4090")
        same = [r for r in results if r["headline"] and (undistilled(r["model"]), r["tree"]) == (model, tree)]
        headline += [cells, *map(row, same)]
    real = next(r for r in results if not r["unusual"])["floor"]
    floor = f"Real digits: MNIST-FD / floor 1, precision {real['precision']:.3f}, recall {real['recall']:.3f}.\n"
    fewer = FEWER if any(r["num"] < USUAL_NUM for r in results) else ""
    others = OTHERS if any("weights " in word for r in results for word in r["unusual"]) else ""
    return table(headline, HEADER) + "\n" + NOTES + floor, table(map(row, results), HEADER) + fewer + others


def trainings():
    """The training time of the shipped weights, as Markdown."""
    rows = []
    for kind, tree in PLACES:
        path = shipped_weights(ROOT / tree, kind).with_suffix(".json")
        if path.is_file():
            about = read_json(path)
            numbers = f"{about['epochs']:.3g}", f"{60 * about['hours']:.0f}"
            rows.append((MODELS[kind], FRAMEWORKS[tree], *numbers, about["hardware"], about["date"]))
    return table(rows, ("model", "framework", "epochs", "minutes", "on", "date"))


def controls(results):
    """How well models follow the thickness, slant and width of test digits, as Markdown."""
    def cells(found):
        partial = np.abs(found["partial"])
        leak = partial[~np.eye(len(partial), dtype=bool)].max()
        return *(f"{found['r'][name]:.3f}, {found['error'][name]:.2f}" for name in MEASURES), f"{leak:.2f}"

    rows, followed = [], [r for r in results if "control" in r]
    for r in followed:
        words, accuracy = [word for word in r["unusual"] if word != "labels test"], 100 * r["control"]["accuracy"]
        rows.append((*names(r, words), *cells(r["control"]), f"{accuracy:.1f} %"))
    for r in [r for r in followed if undistilled(r["model"]) == "ldm"][:1]:
        rows.append(("test digits, through the VAE", FRAMEWORKS[r["tree"]], "", *cells(r["control"]["ceiling"]), ""))
    headings = (f"{name}: r, error" for name in MEASURES)
    return table(rows, ("model", "framework", "sampler, calls", *headings, "leak", "class"))


def ranks(results):
    """How classifiers rank the results: Spearman's correlation per pair, and each one's distance / floor, as Markdown.
    """
    each = {name: [r["fd"][name] / r["floor"]["fd"][name] for r in results] for name in NAMES}
    pairs = [(a, b, f"{spearmanr(each[a], each[b]).statistic:.3f}") for a, b in combinations(NAMES, 2)]
    rows = [(file_stem(r), *(f"{each[name][i]:.2f}" for name in NAMES)) for i, r in enumerate(results)]
    agreement = table(pairs, ("classifier", "classifier", "rank correlation"))
    return agreement + "\n" + table(rows, ("result", *NAMES))


def textures(results):
    """Texture, grey levels and pieces of generated digits beside real ones', as Markdown; "" if no result has them."""
    def cells(found):
        bands = (f"{band:+.2f}" for band in found["spectrum"])
        return *bands, f"{found['levels']:.3f}", f"{found['pieces']:.3f}"

    found = [r for r in results if "spectrum" in r]
    rows = [(*names(r, r["unusual"]), *cells(r)) for r in found]
    rows += [("training digits, absolute", "", "", *cells(r["floor"])) for r in found[:1]]
    header = ("model", "framework", "sampler, calls", *BANDS, "grey levels", "pieces")
    return TEXTURE + table(rows, header) if rows else ""


def edits():
    """The scores of repainting, inversion and morphing, as Markdown."""
    rows = []
    for kind, tree in PLACES:
        path, weights = ASSET / "edits" / f"{tree}-{kind}.json", shipped_weights(ROOT / tree, kind)
        r = read_json(path) if path.is_file() and weights.is_file() else {}
        if r and r["checkpoint"] == digest(weights):  # not those of earlier weights
            rows.append((
                MODELS[kind], FRAMEWORKS[tree], f"{100 * r['same_class_told']:.1f} %",
                f"{100 * r['same_class_untold']:.1f} %", f"{r['completions_apart']:.2f} ({r['test_digits_apart']:.2f})",
                f"{r['inversion_error']:.3f} ({r['vae_error']:.3f})", f"{r['largest_over_mean_step']:.1f}",
            ))  # fmt: skip
    repainted = ("same class, told", "not told", "completions apart (test digits)")
    others = ("inversion's error (VAE's)", "morph: largest / mean step")
    return LEGEND + table(rows, ("model", "framework", *repainted, *others))


def pictures():
    """The pictures in asset/, a row per model and picture, the frameworks side by side, as Markdown."""
    rows = []
    for kind, name in product(MODELS, SHOWN):
        paths = [ASSET / f"{tree}-{kind}-{name}.png" for tree in FRAMEWORKS]
        cells = [f"![{MODELS[kind]}, {name}]({path.name})" if path.is_file() else "" for path in paths]
        rows += [(f"{MODELS[kind]}: {name}", *cells)] if any(cells) else []
    return table(rows, ("", *FRAMEWORKS.values()))


def between(text, marker, content):
    """text with the content between <!-- marker --> and <!-- /marker --> replaced."""
    begin, end = f"<!-- {marker} -->\n", f"<!-- /{marker} -->"
    if begin not in text or end not in text:
        raise UserError(f"the README lacks the lines {begin.strip()} and {end}: put them where its table belongs")
    return text[: text.index(begin) + len(begin)] + content + text[text.index(end) :]


def texts(results):
    """{path: new text} of the READMEs and asset/'s tables for these results."""
    headline, everything = tables(results)
    bench = read_json(ASSET / "bench.json", "run peers.py, frameworks.py and page.py in bench/")
    parts = {
        "Results": headline, "Every setting measured": everything, "Classifiers compared": ranks(results),
        "Texture": textures(results), "Thickness, slant, width": CONTROL + controls(results),
        "Repaint, vary, morph": edits(), "Training": trainings(), **speeds(bench),
    }  # fmt: skip
    found = {ASSET / "pictures.md": f"# Pictures\n\n{pictures()}"}
    sections = [f"## {title}\n\n{content}" for title, content in parts.items() if content]
    found[ASSET / "results.md"] = "\n".join(sections)[1:]
    for path in ROOT.glob("README*.md"):
        found[path] = between(path.read_text(), "results", short(results))
    return found


@options_class
class Report:
    """Collect every result.json, and make the tables and plots."""

    folders: Positional[tuple[Path, ...]] = (ROOT / "pytorch" / "runs", ROOT / "jittor" / "runs")
    """Folders to search for results."""


def main(options: Report):
    gather(options.folders)
    results = measured()
    usual = [r for r in results if not r["unusual"]]
    if not usual:
        raise UserError(f"no result of {USUAL_NUM} images: run `python pytorch/script/tst_mnist_ldm_fid.py` first")
    for path, text in texts(results).items():
        path.write_text(text)
    originals = {f"original {MODELS[model]}, RTX 4090": ORIGINAL[model, "pytorch"][0] for model in ("ddpm", "ldm")}
    quality_against_time(usual, originals, ASSET / "quality.png")
    spectra([r for r in results if r["headline"] and "spectrum" in r], ASSET / "spectra.png")
    print(f"{ASSET / 'results.md'}, {ASSET / 'quality.png'}: {len(results)} results")


if __name__ == "__main__":
    run(main, Report)

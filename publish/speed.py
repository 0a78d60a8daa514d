"""The tables of speed from asset/bench.json, which the scripts in bench/ write; how long sampling takes."""
from operator import itemgetter

from publish import MODELS, spread_text, table

CAPTION = "`python bench/{script}.py`: {hardware}, {precision}, sampling by {calls} calls, {rounds} rounds, {date}\n\n"
SPREAD = "median", "min", "max"
MACHINE = "hardware", "threads", "processes", "dtype"  # what a result's seconds depend on
PATCHES = """
Theirs work at 32x32, ours at 16x16 (`--unet.patch-size`), which is most of the difference.
"""


def cells(result):
    """Cells for a contestant's speed, and for the ratio if there is one."""
    return f"{result['speed']['median']:.0f}", spread_text(result["ratio"]) if "ratio" in result else ""


def speeds(bench):
    """{title: Markdown table} of the measured speeds."""
    peers, frameworks, page = (bench[part] for part in ("peers", "frameworks", "page"))
    training, sampling, limits = (peers["results"][work] for work in ("training", "sampling", "limits"))
    of_peers = [(name, *cells(training[name]), *cells(sampling[name])) for name in training]
    of_networks = [(name, *cells(result)) for name, result in limits.items()]
    of_trees = []
    for name, result in frameworks["results"].items():
        kind, work = name.split()
        of_trees.append((f"{MODELS[kind]}: {work}", cells(result["pytorch"])[0], *cells(result["jittor"])))
    of_page = [(name, *(f"{times[which]:.0f}" for which in SPREAD)) for name, times in page["results"].items()]

    beside = table(of_peers, ("images per second", "training", "ours / it", "sampling", "ours / it"))
    trees = table(of_trees, ("images per second", "PyTorch", "Jittor", "Jittor / PyTorch"))
    return {
        "Other programs": CAPTION.format(script="peers", **peers) + beside + PATCHES,
        "The machine's limit": table(of_networks, ("GFLOP per second", "", "of the matrix product")),
        "Jittor beside PyTorch": CAPTION.format(script="frameworks", **frameworks) + trees,
        "The page": "`python bench/page.py`: {hardware}, {date}\n\n".format(**page)
        + table(of_page, ("milliseconds", *SPREAD)),
    }


def timed(result, results):
    """A result with the time, and on what, of the fastest of the results with the same network calls; `sampled_in` is
    the precision of the images that were scored."""
    named = itemgetter("tree", "model", "sampler", "steps", "num", "device")
    calls = lambda r: (*named(r), r["guidance"] in (0, 1))  # others take two
    same = [r for r in results if r["seconds"] and calls(r) == calls(result)]
    fastest = min(same, key=itemgetter("seconds"), default=result)
    timing = {name: fastest[name] for name in ("seconds", *MACHINE)}
    return result | timing | {"sampled_in": result["dtype"]}

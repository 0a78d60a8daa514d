"""The tables of speed, from asset/bench.json, which the scripts in bench/ write."""
from publish import MODELS

CAPTION = "`python bench/{script}.py`: {hardware}, {precision}, sampling by {calls} calls, {rounds} rounds, {date}\n\n"
SPREAD = "median", "min", "max"
PATCHES = """
Theirs work at 32x32, ours at 16x16 (`--unet.patch-size`), which is most of the difference.
"""


def table(rows, header):
    """Rows of cells as Markdown, under a header."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def cells(result):
    """A contestant's speed and, if it was compared, the ratio: median (least-greatest)."""
    ratio = result.get("ratio")
    compared = f"{ratio['median']:.2f} ({ratio['min']:.2f}-{ratio['max']:.2f})" if ratio else ""
    return f"{result['speed']['median']:.0f}", compared


def peers_table(bench):
    """The pixel model beside other programs' of as many parameters, as Markdown."""
    training, sampling = (bench["peers"]["results"][work] for work in ("training", "sampling"))
    rows = [(name, *cells(training[name]), *cells(sampling[name])) for name in training]
    header = ("images per second", "training", "ours / it", "sampling", "ours / it")
    return CAPTION.format(script="peers", **bench["peers"]) + table(rows, header) + PATCHES


def limit_table(bench):
    """Networks beside the machine's limit, as Markdown."""
    rows = [(name, *cells(result)) for name, result in bench["peers"]["results"]["limits"].items()]
    return table(rows, ("GFLOP per second", "", "of the matrix product"))


def frameworks_table(bench):
    """Tree beside tree, as Markdown."""
    rows = []
    for name, result in bench["frameworks"]["results"].items():
        kind, work = name.split()
        rows.append((f"{MODELS[kind]}: {work}", cells(result["pytorch"])[0], *cells(result["jittor"])))
    header = ("images per second", "PyTorch", "Jittor", "Jittor / PyTorch")
    return CAPTION.format(script="frameworks", **bench["frameworks"]) + table(rows, header)


def page_table(bench):
    """The page in a browser, as Markdown."""
    page = bench["page"]
    rows = [(name, *(f"{times[which]:.0f}" for which in SPREAD)) for name, times in page["results"].items()]
    return f"`python bench/page.py`: {page['hardware']}, {page['date']}\n\n" + table(rows, ("milliseconds", *SPREAD))

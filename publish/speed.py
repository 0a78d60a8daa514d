"""The speed tables of both READMEs, from asset/bench.json, which the scripts in bench/ write."""
from publish import MODELS

CAPTION = "`python bench/{script}.py`: {hardware}, {precision}, sampling by {calls} calls, {rounds} rounds, {date}\n\n"
CHINESE_CAPTION = "`python bench/{script}.py`：{hardware}，{precision}，采样调用 {calls} 次，{rounds} 轮，{date}\n\n"
SPREAD = "median", "min", "max"
CHINESE = {
    "images per second": "每秒图像数", "GFLOP per second": "每秒 GFLOP", "training": "训练", "sampling": "采样",
    "ours / it": "本仓库 / 它", "of the matrix product": "与矩阵乘法之比", "this repository": "本仓库",
    "matrix product of 4096": "4096 的矩阵乘法", "pixel UNet": "像素 UNet", "latent UNet": "潜空间 UNet",
    "milliseconds": "毫秒", "from address to digits": "从输入网址到出现数字",
    "twenty digits, 1 call": "二十个数字，1 次调用", "twenty digits, 6 calls": "二十个数字，6 次调用",
}  # fmt: skip


def table(rows, header):
    """Rows of cells as Markdown, under a header."""
    header = list(header)
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def cells(result):
    """A contestant's speed and, if it was compared, the ratio: median (least-greatest)."""
    ratio = result.get("ratio")
    compared = f"{ratio['median']:.2f} ({ratio['min']:.2f}-{ratio['max']:.2f})" if ratio else ""
    return f"{result['speed']['median']:.0f}", compared


def speed_tables(bench, chinese=False):
    """What the scripts in bench/ measured, as Markdown: beside peers, beside the machine's limit, tree beside tree."""
    word = lambda text: CHINESE.get(text, text) if chinese else text  # noqa: E731
    caption = CHINESE_CAPTION if chinese else CAPTION
    peers, frameworks = bench["peers"], bench["frameworks"]
    training, sampling, limits = (peers["results"][work] for work in ("training", "sampling", "limits"))
    beside_peers = [(word(name), *cells(training[name]), *cells(sampling[name])) for name in training]
    beside_limit = [(word(name), *cells(result)) for name, result in limits.items()]
    beside_tree = []
    for name, result in frameworks["results"].items():
        kind, work = name.split()
        beside_tree.append((f"{MODELS[kind]}: {word(work)}", cells(result["pytorch"])[0], *cells(result["jittor"])))
    header = ["images per second", "training", "ours / it", "sampling", "ours / it"]
    parts = (
        caption.format(script="peers", **peers) + table(beside_peers, map(word, header)),
        table(beside_limit, map(word, ["GFLOP per second", "", "of the matrix product"])),
        caption.format(script="frameworks", **frameworks)
        + table(beside_tree, [word("images per second"), "PyTorch", "Jittor", "Jittor / PyTorch"]),
    )
    return "\n".join(parts)


def page_table(bench, chinese=False):
    """What bench/page.py measured, as Markdown."""
    word = lambda text: CHINESE.get(text, text) if chinese else text  # noqa: E731
    page = bench["page"]
    found = [(word(name), *(f"{times[which]:.0f}" for which in SPREAD)) for name, times in page["results"].items()]
    caption = f"`python bench/page.py`{'：' if chinese else ': '}{page['hardware']}, {page['date']}\n\n"
    return caption + table(found, (word("milliseconds"), *SPREAD))

"""The speed tables of both READMEs, from asset/bench.json, which the scripts in bench/ write."""

CHINESE = {  # longer phrases first: they contain the others
    "matrix product of 4096": "4096 的矩阵乘法",
    "of the matrix product": "与矩阵乘法之比",
    "images per second": "每秒图像数",
    "this repository": "本仓库",
    "GFLOP per second": "每秒 GFLOP",
    "ours / it": "本仓库 / 它",
    "calls": "次调用",
    "sampling": "采样",
    "training": "训练",
    "cores": "核",
}
CAPTION = "`python bench/{script}.py`: {hardware}, {precision}, medians of {rounds} interleaved rounds, {date}\n\n"
CHINESE_CAPTION = "`python bench/{script}.py`：{hardware}，{precision}，{rounds} 轮交替测量的中位数，{date}\n\n"


def table(rows, header):
    """Rows of cells as Markdown, under a header."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def cells(result):
    """A contestant's speed and, if it was compared, the ratio: median (least-greatest)."""
    ratio = result.get("ratio")
    compared = f"{ratio['median']:.2f} ({ratio['min']:.2f}-{ratio['max']:.2f})" if ratio else ""
    return f"{result['speed']['median']:.0f}", compared


def speed_tables(bench, chinese=False):
    """What the scripts in bench/ measured, as Markdown: beside peers, beside the machine's limit, tree beside tree."""
    peers, frameworks = bench["peers"], bench["frameworks"]
    training, sampling, limits = (peers["results"][work] for work in ("training", "sampling", "limits"))
    work = "training", f"sampling, {peers['calls']} calls"
    beside_peers = table(
        [(name, *cells(training[name]), *cells(sampling[name])) for name in training],
        ("images per second", work[0], "ours / it", work[1], "ours / it"),
    )
    beside_limit = table(
        [(name, *cells(result)) for name, result in limits.items()], ("GFLOP per second", "", "of the matrix product")
    )
    tree_beside_tree = table(
        [
            (name.replace("ddpm", "DDPM").replace("ldm", "LDM").replace("vae", "VAE").replace(" ", ", "),
             cells(result["pytorch"])[0], *cells(result["jittor"]))
            for name, result in frameworks["results"].items()
        ],
        ("images per second", "PyTorch", "Jittor", "Jittor / PyTorch"),
    )  # fmt: skip
    caption = CHINESE_CAPTION if chinese else CAPTION
    text = caption.format(script="peers", **peers) + beside_peers + "\n" + beside_limit + "\n"
    text += caption.format(script="frameworks", **frameworks) + tree_beside_tree
    for phrase, translation in CHINESE.items() if chinese else ():
        text = text.replace(phrase, translation)
    return text

"""Scripts that make a page of any model (export), show its samples beside real images (beside), check the metric on any
data (trust), and make this repository's weights, pictures and tables again; here, names and formats."""
import numpy as np

MODELS = {
    "vae": "VAE", "ddpm": "DDPM", "ddpm-distilled": "DDPM, distilled", "ldm": "LDM", "ldm-distilled": "LDM, distilled",
}  # fmt: skip
FRAMEWORKS = {"pytorch": "PyTorch", "jittor": "Jittor"}
SAMPLERS = {"ddpm": "ancestral", "ddim": "DDIM", "dpmpp_2m": "DPM-Solver++", "consistency": "consistency"}


def table(rows, header):
    """A Markdown table of rows of cells, under a header."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def spread(values):
    """The summary of numbers that is reported: median, min, max."""
    return {"median": float(np.median(values)), "min": float(min(values)), "max": float(max(values))}


def spread_text(numbers):
    """A spread() as text: median (min-max)."""
    return "{median:.2f} ({min:.2f}-{max:.2f})".format(**numbers)

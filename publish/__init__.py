"""What maintainers run: weights, pictures and tables for the repository. Here is what all of it is called."""
import numpy as np

MODELS = {
    "vae": "VAE", "ddpm": "DDPM", "ddpm-distilled": "DDPM, distilled", "ldm": "LDM", "ldm-distilled": "LDM, distilled",
}  # fmt: skip
FRAMEWORKS = {"pytorch": "PyTorch", "jittor": "Jittor"}
SAMPLERS = {"ddpm": "ancestral", "ddim": "DDIM", "dpmpp_2m": "DPM-Solver++", "consistency": "consistency"}


def table(rows, header):
    """Rows of cells as Markdown, under a header."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def spread(values):
    """Numbers as what is reported of them."""
    return {"median": float(np.median(values)), "min": float(min(values)), "max": float(max(values))}


def spread_text(numbers):
    """The same in words: median (least-greatest)."""
    return "{median:.2f} ({min:.2f}-{max:.2f})".format(**numbers)

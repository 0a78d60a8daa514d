"""The README's plots: quality of the digits against sampling time, and their power spectra."""
import numpy as np
from matplotlib.figure import Figure

from common.figure import plain_numbers, save_figure
from publish import FRAMEWORKS, MODELS, SAMPLERS
from scoring.texture import BOUNDS

COLORS = {"ddpm": "tab:blue", "ldm": "tab:orange", "ddpm-distilled": "tab:purple", "ldm-distilled": "tab:green"}
DASHES = {"pytorch": "-", "jittor": "--"}
MARKERS = {"ddpm": "s", "ddim": "D", "dpmpp_2m": "^", "consistency": "o"}


def quality_against_time(results, marks, path):
    """Plot MNIST-FD / floor against seconds for all images: a point per result, a line per model, tree and sampler.

    marks: {text: seconds}, vertical lines."""
    figure = Figure(figsize=(10, 4.5))
    axes = figure.subplots()
    timed = [r for r in results if r["device"] == "cpu" and r["seconds"]]
    for line in sorted({(r["model"], r["tree"], r["sampler"]) for r in timed}):
        model, tree, sampler = line
        found = [r for r in timed if (r["model"], r["tree"], r["sampler"]) == line]
        points = sorted((r["seconds"], r["over_floor"]["median"], r["steps"]) for r in found)
        style = {"color": COLORS[model], "linestyle": DASHES[tree], "marker": MARKERS[sampler]}
        style["markerfacecolor"] = COLORS[model] if tree == "pytorch" else "white"
        label = ", ".join([MODELS[model], FRAMEWORKS[tree], SAMPLERS[sampler]])
        axes.plot(*list(zip(*points))[:2], label=label, linewidth=1, **style)
        for *point, steps in points:
            axes.annotate(steps, point, textcoords="offset points", xytext=(4, 4), fontsize=8)
    for text, seconds in marks.items():
        axes.axvline(seconds, color="grey", linestyle=":", linewidth=1)
        place = {"xycoords": ("data", "axes fraction"), "rotation": 90, "va": "top"}
        axes.annotate(text, (seconds, 0.98), color="grey", fontsize=8, **place)
    axes.axhline(1, color="grey", linewidth=1)
    axes.annotate("real digits", (0.01, 1), xycoords=("axes fraction", "data"), va="bottom", color="grey")
    axes.set(xlabel="seconds for 10,000 images (numbers: network calls)", ylabel="MNIST-FD / floor")
    axes.set(xscale="log", title="Quality against time on the CPU")
    plain_numbers(axes.xaxis)
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.01, 1))  # beside the plot
    save_figure(path, figure)


def spectra(results, path):
    """Plot the power of generated digits over real ones' per band of frequency, a line per result; grey: the spread
    between training and test digits. Without results nothing is plotted."""
    if not results:
        return
    figure = Figure(figsize=(10, 4.5))
    axes = figure.subplots()
    frequencies = 32 * np.sqrt(BOUNDS[1:] * BOUNDS[:-1])  # the middles of the bands, in cycles a picture
    for r in results:
        style = {"color": COLORS[r["model"]], "linestyle": DASHES[r["tree"]], "linewidth": 1, "marker": "."}
        label = f"{MODELS[r['model']]}, {FRAMEWORKS[r['tree']]}, {r['steps']}"
        axes.plot(frequencies, np.exp2(r["spectrum"]), label=label, **style)
    spread = np.array(results[0]["floor"]["spectrum"])
    axes.fill_between(frequencies, np.exp2(-spread), np.exp2(spread), color="grey", alpha=0.3, label="real digits")
    axes.set(xlabel="cycles a picture", ylabel="power / real digits' power", title="Power spectra of samples")
    axes.set_xscale("log")
    plain_numbers(axes.xaxis)
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.01, 1), title="model, framework, network calls")
    save_figure(path, figure)

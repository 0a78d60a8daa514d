"""Plots. No global matplotlib state: a Figure is made, drawn and written."""
import csv
import io

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from common.checkpoint import write_atomically


def save_figure(path, figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120, bbox_inches="tight")
    write_atomically(path, buffer.getvalue())


def plain_numbers(axis):
    """Label a logarithmic axis 2, 3, 5, not 2 x 10^0."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(FuncFormatter(lambda value, _: f"{value:g}" if f"{value:.0e}"[0] in "235" else ""))


NOT_LOSSES = ("step", "epoch", "learning_rate", "grad_norm", "images_per_second")


def loss_curve(metrics, path, title):
    """Draw the losses of a metrics.csv over the epochs: every step pale, their moving average on top."""
    with open(metrics, newline="") as file:
        rows = list(csv.DictReader(file))
    columns = [name for name in rows[0] if name not in NOT_LOSSES]
    epochs = np.array([float(row["epoch"]) for row in rows])
    window = min(200, max(1, len(rows) // 20))
    figure = Figure(figsize=(5.5, 3.2))
    axes = figure.subplots()
    for color, column in zip(("tab:blue", "tab:orange", "tab:green"), columns):
        values = np.array([float(row[column]) for row in rows])
        smooth = np.convolve(values, np.ones(window) / window, mode="valid")
        axes.plot(epochs, values, color=color, alpha=0.2, linewidth=0.5)
        middle = (window - 1) // 2
        axes.plot(epochs[middle : middle + len(smooth)], smooth, color=color, label=column)
    axes.set(title=title, xlabel="epoch", ylabel="loss (log scale)", yscale="log")
    plain_numbers(axes.yaxis)
    axes.grid(alpha=0.3)
    axes.legend()
    save_figure(path, figure)


def quality_against_time(results, name, marks, path):
    """One point a result: seconds for all its images, and MNIST-FD over its floor; a line a model, tree and sampler.

    name(model, tree, sampler) is what the legend calls a line; marks: {text: seconds}, vertical lines.
    """
    figure = Figure(figsize=(8, 4.5))
    axes = figure.subplots()
    colors = {"ddpm": "tab:blue", "ldm": "tab:orange", "ldm-distilled": "tab:green"}
    dashes = {"pytorch": "-", "jittor": "--"}
    markers = {"ddpm": "s", "ddim": "o", "dpmpp_2m": "^"}
    timed = [r for r in results if r["device"] == "cpu" and r["drawn"] == r["num"]]
    for line in sorted({(r["model"], r["tree"], r["sampler"]) for r in timed}):
        model, tree, sampler = line
        found = [r for r in timed if (r["model"], r["tree"], r["sampler"]) == line]
        points = sorted((r["seconds"], r["mnist_fd"] / r["floor"]["mnist_fd"], r["steps"]) for r in found)
        style = {"color": colors[model], "linestyle": dashes[tree], "marker": markers[sampler]}
        style["markerfacecolor"] = colors[model] if tree == "pytorch" else "white"
        axes.plot(*list(zip(*points))[:2], label=name(*line), linewidth=1, **style)
        for *point, steps in points:
            axes.annotate(steps, point, textcoords="offset points", xytext=(4, 4), fontsize=8)
    for text, seconds in marks.items():
        axes.axvline(seconds, color="grey", linestyle=":", linewidth=1)
        place = {"xycoords": ("data", "axes fraction"), "rotation": 90, "va": "top"}
        axes.annotate(text, (seconds, 0.98), color="grey", fontsize=8, **place)
    axes.axhline(1, color="grey", linewidth=1)
    axes.annotate("real digits", (0.01, 1), xycoords=("axes fraction", "data"), va="bottom", color="grey")
    axes.set(xlabel="seconds for 10,000 images (numbers: network calls)", ylabel="MNIST-FD / floor")
    axes.set(xscale="log", yscale="log", title="Quality against time on the CPU")
    plain_numbers(axes.xaxis)
    plain_numbers(axes.yaxis)
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize=8)
    save_figure(path, figure)

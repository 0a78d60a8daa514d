"""Plots, without matplotlib's global state."""
import csv
import io
from itertools import cycle

import numpy as np
from matplotlib.colors import TABLEAU_COLORS
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from common.files import write_atomically


def save_figure(path, figure):
    """Write a figure as a PNG, atomically."""
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
    if not rows:
        return  # the rows were lost
    columns = [name for name in rows[0] if name not in NOT_LOSSES]
    epochs = np.array([float(row["epoch"]) for row in rows])
    window = min(200, max(1, len(rows) // 20))
    figure = Figure(figsize=(5.5, 3.2))
    axes = figure.subplots()
    for color, column in zip(cycle(TABLEAU_COLORS), columns):
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

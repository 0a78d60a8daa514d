"""The measures of a digit that a model can be conditioned on: one table, which options, prompts and tokens use.

As Morpho-MNIST defines them (Castro et al. 2019, Morpho-MNIST, section 3); common/data/strokes.py measures them."""
from dataclasses import dataclass


@dataclass(frozen=True)
class Stroke:
    """A measure: its unit, and its words in a prompt: {word: percentile, or None for the value 0}."""

    unit: str
    words: dict[str, int | None]


MEASURES = {
    "thickness": Stroke("pixels", {"thin": 5, "thick": 95, "细": 5, "粗": 95}),
    "slant": Stroke("degrees", {
        "leaning left": 5, "upright": None, "leaning right": 95,
        "向左倾": 5, "左倾": 5, "直立": None, "端正": None, "向右倾": 95, "右倾": 95,
    }),
    "width": Stroke("pixels", {"narrow": 5, "wide": 95, "窄": 5, "宽": 95}),
}  # fmt: skip

"""Where to compute; and how a group of options is said without its name."""
from typing import Annotated, Literal, TypeVar

from tyro.conf import arg

from common.options.fields import options_class

T = TypeVar("T")
Flat = Annotated[T, arg(name="")]  # a group of which --device is said, not --where.device


@options_class
class Where:
    """Where to compute, and how precisely."""

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute; auto takes a GPU where there is one."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Arithmetic of the network; auto takes bf16 where the hardware has it (Jittor: fp32)."""

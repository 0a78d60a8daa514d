"""The device options, and `Flat`, the mark of a group whose options take no prefix."""
from typing import Annotated, Literal, TypeVar

from tyro.conf import arg

from common.options.fields import options_class

T = TypeVar("T")
Flat = Annotated[T, arg(name="")]  # its options have no prefix: --device, not --where.device


@options_class
class Where:
    """The device and its arithmetic."""

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Device to compute on; auto takes a GPU if there is one."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Arithmetic of the network; auto takes bf16 on CUDA (PyTorch) and x86 CPUs that have it."""

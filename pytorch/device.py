"""Where to compute, in which precision, and how arrays get there."""
import torch
from accelerate import Accelerator
from accelerate.utils import is_bf16_available

from common.cli import UserError


def make_accelerator(device, precision):
    """accelerate's view of this process: its device, its autocast, its rank. device auto: CUDA, MPS, then CPU."""
    if device == "cuda" and not torch.cuda.is_available() or device == "mps" and not torch.backends.mps.is_available():
        raise UserError(f"--device {device}: torch finds none here; leave the option out, or use --device cpu")
    if precision == "auto":
        on_gpu = device != "cpu" and torch.cuda.is_available()
        precision = "bf16" if (is_bf16_available() if on_gpu else cpu_has_bf16()) else "fp32"
    return Accelerator(cpu=device == "cpu", mixed_precision="no" if precision == "fp32" else precision)


def cpu_has_bf16():
    """Whether this processor multiplies bf16 itself: elsewhere autocast only slows down."""
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def to_tensor(array, device):
    """A numpy array on the device."""
    return torch.from_numpy(array).to(device)


def to_array(tensor):
    """A tensor as a numpy array of float32, wherever it was."""
    return tensor.detach().float().cpu().numpy()

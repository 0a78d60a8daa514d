"""Where to compute, in which precision, and how arrays get there."""
import torch
from accelerate import Accelerator

from common.cli import UserError
from common.machine import cpu_name


def make_accelerator(device, precision):
    """accelerate's view of this process: its device, its autocast, its rank. device auto: CUDA, MPS, then CPU."""
    here = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not here.get(device, True):
        raise UserError(f"--device {device}: torch finds none here; leave the option out, or use --device cpu")
    if precision == "auto":
        on_cuda = here["cuda"] and device in ("auto", "cuda")
        precision = "bf16" if (torch.cuda.is_bf16_supported() if on_cuda else cpu_has_bf16()) else "fp32"
    on_cpu = device == "cpu" or not any(here.values())  # told so, accelerate counts processes without a GPU too
    return Accelerator(cpu=on_cpu, mixed_precision="no" if precision == "fp32" else precision)


def cpu_has_bf16():
    """Whether this processor multiplies bf16 itself: elsewhere autocast only slows it down."""
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def describe(accelerator):
    """The framework, its version, the device, the precision and the threads, for a result.json."""
    on_cuda = accelerator.device.type == "cuda"
    return {
        "framework": f"torch {torch.__version__}",
        "device": accelerator.device.type,
        "hardware": torch.cuda.get_device_name() if on_cuda else cpu_name(),
        "dtype": "fp32" if accelerator.mixed_precision == "no" else accelerator.mixed_precision,
        "threads": torch.get_num_threads(),
    }


def to_tensor(array, device):
    """A numpy array on the device."""
    return torch.from_numpy(array).to(device)


def to_array(tensor):
    """A tensor as a numpy array of float32, wherever it was."""
    return tensor.detach().float().cpu().numpy()

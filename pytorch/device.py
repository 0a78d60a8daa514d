"""Where to compute, in which precision, and how arrays get there and back."""
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator

from common.errors import UserError
from common.machine import cpu_name

TREE = Path(__file__).resolve().parent  # its runs/ and weights/


def make_accelerator(device, precision):
    """accelerate's view of this process: its device, its autocast, its rank. device auto: CUDA, MPS, then CPU."""
    here = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not here.get(device, True):
        raise UserError(f"--device {device}: torch finds none here; leave the option out, or use --device cpu")
    if precision == "auto":
        cpu = torch.cpu.get_capabilities()  # where it does not multiply bf16 itself, autocast only slows it down
        bf16 = cpu.get("avx512_bf16") or cpu.get("amx_bf16")
        if here["cuda"] and device in ("auto", "cuda"):
            bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        precision = "bf16" if bf16 else "fp32"
    on_cpu = device == "cpu" or not any(here.values())  # told so, accelerate counts processes without a GPU too
    return Accelerator(cpu=on_cpu, mixed_precision="no" if precision == "fp32" else precision)


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


def sum_over_processes(accelerator, numbers):
    """What the processes that train together have in a list of numbers each, added up."""
    return accelerator.reduce(torch.tensor(numbers, device=accelerator.device), "sum").tolist()


def load_weights(module, checkpoint, prefix):
    """Fill a module with the checkpoint's tensors under a prefix; UserError unless names and shapes are the same."""
    found = checkpoint.take(prefix, {name: tuple(value.shape) for name, value in module.state_dict().items()})
    module.load_state_dict({name: torch.from_numpy(array.astype(np.float32)) for name, array in found.items()})
    return module

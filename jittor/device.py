"""Where to compute, in which precision, and how arrays get there and back."""
import os
from pathlib import Path

import numpy as np

from accelerator import Accelerator
from common.errors import UserError
from common.machine import cores, cpu_name
from environment import jt

TREE = Path(__file__).resolve().parent  # its runs/ and weights/


def make_accelerator(device, precision):
    """This process's device and precision. device auto: CUDA where jittor has it, else the CPU."""
    here = {"cuda": bool(jt.has_cuda), "mps": False}
    if not here.get(device, True):
        raise UserError(f"--device {device}: jittor finds none here; leave the option out, or use --device cpu")
    if precision == "bf16":
        raise UserError("--precision bf16: jittor computes in float32 only; leave the option out")
    return Accelerator("cuda" if here["cuda"] and device in ("auto", "cuda") else "cpu")


def describe(accelerator):
    """The framework, its version, the device, the precision and the threads, for a result.json."""
    return {
        "framework": f"jittor {jt.__version__}",
        "device": accelerator.device,
        "hardware": "CUDA" if accelerator.device == "cuda" else cpu_name(),
        "dtype": "fp32",
        "threads": int(os.environ.get("OMP_NUM_THREADS", cores())),
    }


def to_tensor(array, device):
    """A numpy array on the device."""
    return jt.array(array)


def to_array(tensor):
    """A tensor as a numpy array of float32, wherever it was."""
    return tensor.numpy()


def sum_over_processes(accelerator, numbers):
    """What the processes that train together have in a list of numbers each, added up."""
    return accelerator.reduce(jt.array(np.array(numbers, np.float32)), "sum").tolist()


def load_weights(module, checkpoint, prefix):
    """Fill a module with the checkpoint's tensors under a prefix; UserError unless names and shapes are the same."""
    found = checkpoint.take(prefix, {name: tuple(value.shape) for name, value in module.state_dict().items()})
    module.load_state_dict({name: jt.array(array.astype(np.float32)) for name, array in found.items()})
    return module

"""Where to compute, in which precision, and how arrays get there."""
import os

import environment  # noqa: F401, settles what jittor needs: before jittor
import jittor as jt
from accelerator import Accelerator
from jittor import nn  # noqa: F401, for the other modules, which import jittor from here
from jittor.nn import interpolate, silu, softmax  # noqa: F401

from common.cli import UserError
from common.machine import cpu_name


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
        "threads": int(os.environ.get("OMP_NUM_THREADS", len(os.sched_getaffinity(0)))),
    }


def to_tensor(array, device):
    """A numpy array on the device."""
    return jt.array(array)


def to_array(tensor):
    """A tensor as a numpy array of float32, wherever it was."""
    return tensor.numpy()

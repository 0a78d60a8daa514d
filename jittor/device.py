"""Where to compute, in which precision, and how arrays get there."""
import os
from contextlib import nullcontext

import environment  # noqa: F401, settles what jittor needs: before jittor
import jittor as jt
from jittor import nn  # noqa: F401, for the other modules, which import jittor from here
from jittor.nn import interpolate, silu, softmax  # noqa: F401

from common.cli import UserError
from common.machine import cpu_name


class Accelerator:
    """What accelerate is to the other tree, in one process: its device, and its precision, which is float32."""

    def __init__(self, device):
        self.device = device
        jt.flags.use_cuda = int(device == "cuda")

    def autocast(self):
        """float32 throughout: Jittor's bf16 and fp16 lead to NaN within a few steps."""
        return nullcontext()

    def prepare(self, model, optimizer):
        """The model and the optimiser as they are; backward and clip_grad_norm_ work on this optimiser."""
        self.optimizer = optimizer
        return model, optimizer

    def backward(self, loss):
        """The gradient of the loss, kept by the optimiser: Jittor's variables have no .grad."""
        self.optimizer.backward(loss)

    def clip_grad_norm_(self, parameters, max_norm):
        """Scale the gradient down to the norm where it is longer; its norm before, as torch computes both."""
        grads = [weight.opt_grad(self.optimizer) for weight in parameters]
        norm = jt.sqrt(jt.concat([(grad * grad).sum().reshape(1) for grad in grads]).sum())
        scale = jt.minimum(max_norm / (norm + 1e-6), 1.0)
        for grad in grads:
            grad.update(grad * scale)
        return norm


def make_accelerator(device, precision):
    """This process's device and precision. device auto: CUDA where jittor has it, else the CPU."""
    here = {"cuda": bool(jt.has_cuda), "mps": False}
    if not here.get(device, True):
        raise UserError(f"--device {device}: jittor finds none here; leave the option out, or use --device cpu")
    if precision == "bf16":
        raise UserError("--precision bf16: jittor computes in float32 only; leave the option out")
    if jt.world_size > 1:  # they would train on the same images and write the same files
        raise UserError(f"{jt.world_size} processes: one is supported; start the script without a launcher")
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

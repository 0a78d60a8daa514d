"""Where to compute, in which precision, and how arrays get there and back."""
import os
from contextlib import nullcontext
from pathlib import Path

import numpy as np

from common.errors import UserError
from common.machine import cores, cpu_name
from common.options.where import Where
from environment import jt


class Device:
    """This process's device and rank; and the way to tensors and back. accelerate's names, which knows PyTorch only."""

    tree = Path(__file__).resolve().parent  # its runs/ and weights/

    def __init__(self, where: Where):
        """auto: CUDA where jittor has it, else the CPU. UserError where there is no such device, and for bf16."""
        here = {"cuda": bool(jt.has_cuda), "mps": False}
        device, precision = where.device, where.precision
        if not here.get(device, True):
            raise UserError(f"--device {device}: jittor finds none here; leave the option out, or use --device cpu")
        if precision == "bf16":
            raise UserError("--precision bf16: jittor computes in float32 only; leave the option out")
        self.device = "cuda" if here["cuda"] and device in ("auto", "cuda") else "cpu"
        self.process_index, self.num_processes = jt.rank, jt.world_size  # of those that mpirun started
        self.is_main_process = jt.rank == 0
        jt.flags.use_cuda = int(self.device == "cuda")

    def describe(self):
        """What computes, for a result.json."""
        return {
            "framework": f"jittor {jt.__version__}",
            "device": self.device,
            "hardware": "CUDA" if self.device == "cuda" else cpu_name(),
            "dtype": "fp32",
            "threads": int(os.environ.get("OMP_NUM_THREADS", cores())),
        }

    def tensor(self, array):
        """A numpy array on the device."""
        return jt.array(array)

    def array(self, tensor):
        """A tensor as a numpy array of float32, wherever it was."""
        return tensor.numpy()

    def arrays(self, module):
        """A module's weights, {name: array}."""
        return {name: self.array(value) for name, value in module.state_dict().items()}

    def fill(self, module, arrays):
        """Put weights {name: array} into a module, and that on the device."""
        module.load_state_dict({name: jt.array(array.astype(np.float32)) for name, array in arrays.items()})
        return module

    def freeze(self, module):
        """A module that is drawn with, not trained."""
        return module.eval()

    def seed(self, seed):
        """Of the weights that modules start with."""
        jt.set_global_seed(seed, different_seed_for_mpi=False)  # the same weights everywhere

    def inference(self, exact=False):
        """While inside, no gradients are kept."""
        return jt.no_grad()

    def total(self, numbers):
        """Element-wise sum over the processes of a list of numbers."""
        return self.reduce(jt.array(np.array(numbers, np.float32)), "sum").tolist()

    def autocast(self):
        """float32 throughout: Jittor's bf16 and fp16 lead to NaN within a few steps."""
        return nullcontext()

    def prepare(self, model):
        """The model as it is: its optimiser takes the mean of the processes' gradients."""
        return model

    def reduce(self, tensor, reduction):
        """The sum of a tensor over the processes."""
        return tensor.mpi_all_reduce("add") if self.num_processes > 1 else tensor

    def wait_for_everyone(self):
        """Go on when every process has come here."""
        self.reduce(jt.zeros((1,)), "sum").sync()

"""The device: where to compute, in which precision, and conversion between arrays and tensors."""
import os
from contextlib import contextmanager
from pathlib import Path

import numpy as np

import bf16
from common.errors import UserError
from common.machine import cores, cpu_name
from common.options.where import Where
from environment import jt


class Device:
    """Device and rank of this process, and conversion between arrays and tensors, with accelerate's names."""

    tree = Path(__file__).resolve().parent  # its runs/ and weights/

    def __init__(self, where: Where):
        """auto: CUDA if jittor has it, else CPU; bf16 on a CPU with bf16 arithmetic. UserError for a missing device,
        and for bf16 elsewhere."""
        here = {"cuda": bool(jt.has_cuda), "mps": False}
        device, precision = where.device, where.precision
        if not here.get(device, True):
            raise UserError(f"--device {device}: jittor sees no such device; leave the option out, or use --device cpu")
        self.device = "cuda" if here["cuda"] and device in ("auto", "cuda") else "cpu"
        possible = self.device == "cpu" and bf16.available()
        if precision == "bf16" and not possible:
            raise UserError("--precision bf16: jittor needs --device cpu and bf16 arithmetic; leave the option out")
        self.bf16 = possible and precision != "fp32"
        self.process_index, self.num_processes = jt.rank, jt.world_size  # of the processes that mpirun started
        self.is_main_process = jt.rank == 0
        jt.flags.use_cuda = int(self.device == "cuda")

    def describe(self):
        """A description of the hardware and software, for result.json."""
        return {
            "framework": f"jittor {jt.__version__}",
            "device": self.device,
            "hardware": "CUDA" if self.device == "cuda" else cpu_name(),
            "dtype": "bf16" if self.bf16 else "fp32",
            "threads": int(os.environ.get("OMP_NUM_THREADS", "").split(",")[0] or cores()),
        }

    def tensor(self, array):
        """A numpy array as a tensor on the device."""
        return jt.array(array)

    def array(self, tensor):
        """A tensor on any device as a numpy array of float32."""
        return tensor.numpy()

    def arrays(self, module):
        """A module's weights, {name: array}."""
        return {name: self.array(value) for name, value in module.state_dict().items()}

    def fill(self, module, arrays):
        """Load weights {name: array} into a module and move it to the device."""
        module.load_state_dict({name: jt.array(array.astype(np.float32)) for name, array in arrays.items()})
        return module

    def freeze(self, module):
        """Make a module ready for inference: no gradients, evaluation mode."""
        for weight in module.parameters():
            weight.stop_grad()
        return module.eval()

    def seed(self, seed):
        """Seed the initial weights of modules."""
        own = int(np.random.default_rng(seed).integers(2, 2**31 - 1)) if seed else 1  # numbers of near seeds correlate
        jt.set_global_seed(own, different_seed_for_mpi=False)  # the same weights in every process

    def autocast(self, exact=False):
        """Context manager: layers multiply in the device's precision, or, if exact, in float32."""
        return bf16.autocast(self.bf16 and not exact)  # Jittor's own bf16 soon gives NaN

    @contextmanager
    def inference(self, exact=False):
        """Context manager: autocast() without gradients."""
        with jt.no_grad(), self.autocast(exact):
            yield

    def total(self, numbers):
        """The element-wise sum of a list of numbers over all processes."""
        return self.reduce(jt.array(np.array(numbers, np.float32)), "sum").tolist()

    def prepare(self, model):
        """The model itself: its optimizer averages gradients over the processes."""
        return model

    def reduce(self, tensor, reduction):
        """The sum of a tensor over all processes."""
        return tensor.mpi_all_reduce("add") if self.num_processes > 1 else tensor

    def wait_for_everyone(self):
        """Wait until every process has called this."""
        self.reduce(jt.zeros((1,)), "sum").sync()

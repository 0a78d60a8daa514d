"""Stands in for the accelerate package, which knows PyTorch only: the same names, as far as the trainer uses them."""
from contextlib import nullcontext

from environment import jt


class Accelerator:
    """What accelerate is to the other tree: the device, float32 precision, and the processes that mpirun started."""

    def __init__(self, device):
        self.device = device
        self.process_index, self.num_processes = jt.rank, jt.world_size
        self.is_main_process = jt.rank == 0
        jt.flags.use_cuda = int(device == "cuda")

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

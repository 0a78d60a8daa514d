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

    def prepare(self, model, optimizer):
        """The model as it is; backward and clip_grad_norm_ work on this optimiser."""
        self.optimizer = optimizer
        return model

    def backward(self, loss):
        """The loss's gradient, its mean over the processes, kept by the optimiser: a Jittor variable has no .grad."""
        self.optimizer.backward(loss)

    def clip_grad_norm_(self, parameters, max_norm):
        """Scale the gradient down to the norm where it is longer; its norm before, as torch computes both."""
        grads = [weight.opt_grad(self.optimizer) for weight in parameters]
        norm = jt.sqrt(jt.concat([(grad * grad).sum().reshape(1) for grad in grads]).sum())
        scale = jt.minimum(max_norm / (norm + 1e-6), 1.0)
        for grad in grads:
            grad.update(grad * scale)
        return norm

    def reduce(self, tensor, reduction):
        """The sum of a tensor over the processes."""
        return tensor.mpi_all_reduce("add") if self.num_processes > 1 else tensor

    def wait_for_everyone(self):
        """Go on when every process has come here."""
        self.reduce(jt.zeros((1,)), "sum").sync()

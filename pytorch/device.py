"""The device: where to compute, in which precision, and conversion between arrays and tensors."""
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator

from common.errors import UserError
from common.machine import cpu_name
from common.options.where import Where


class Device(Accelerator):
    """accelerate's device and rank of this process, and conversion between arrays and tensors."""

    tree = Path(__file__).resolve().parent  # its runs/ and weights/

    def __init__(self, where: Where):
        """auto: CUDA, MPS, then CPU; bf16 on CUDA and x86 CPUs that multiply it. UserError if there is no such device.
        All Devices of a process share the first one's device, as accelerate keeps one state per process."""
        here = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
        device, precision = where.device, where.precision
        if not here.get(device, True):
            raise UserError(f"--device {device}: torch sees no such device; leave the option out, or use --device cpu")
        if precision == "auto":
            cpu = torch.cpu.get_capabilities()  # without instructions for bf16, autocast only slows it down
            bf16 = cpu.get("avx512_bf16") or cpu.get("amx_bf16")
            if here["cuda"] and device in ("auto", "cuda"):
                bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
            precision = "bf16" if bf16 else "fp32"
        self.bf16 = precision == "bf16"
        on_cpu = device == "cpu" or not any(here.values())  # cpu=True: accelerate counts CPU processes too
        super().__init__(cpu=on_cpu, mixed_precision="no")  # its autocast would stay on inside an inference(exact=True)
        torch.backends.cudnn.allow_tf32 = False  # it rounds convolutions in float32 to 10 bits

    def describe(self):
        """A description of the hardware and software, for result.json."""
        on_cuda = self.device.type == "cuda"
        return {
            "framework": f"torch {torch.__version__}",
            "device": self.device.type,
            "hardware": torch.cuda.get_device_name() if on_cuda else cpu_name(),
            "dtype": "bf16" if self.bf16 else "fp32",
            "threads": torch.get_num_threads(),
        }

    def tensor(self, array):
        """A numpy array as a tensor on the device."""
        return torch.from_numpy(array).to(self.device)

    def array(self, tensor):
        """A tensor on any device as a numpy array of float32."""
        return tensor.detach().float().cpu().numpy()

    def arrays(self, module):
        """A module's weights, {name: array}."""
        return {name: self.array(value) for name, value in module.state_dict().items()}

    def fill(self, module, arrays):
        """Load weights {name: array} into a module and move it to the device."""
        module.load_state_dict({name: torch.from_numpy(array.astype(np.float32)) for name, array in arrays.items()})
        return module.to(self.device)

    def freeze(self, module):
        """Make a module ready for inference: no gradients, evaluation mode."""
        for weight in module.parameters():
            weight.requires_grad_(False)
        return module.eval()

    def seed(self, seed):
        """Seed the initial weights of modules."""
        torch.manual_seed(seed)

    def autocast(self, exact=False):
        """Context manager: layers multiply in the device's precision, or, if exact, in float32."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16 and not exact)

    @contextmanager
    def inference(self, exact=False):
        """Context manager: autocast() without gradients."""
        with torch.no_grad(), self.autocast(exact):
            yield

    def total(self, numbers):
        """The element-wise sum of a list of numbers over all processes."""
        return self.reduce(torch.tensor(numbers, device=self.device), "sum").tolist()

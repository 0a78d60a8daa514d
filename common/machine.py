"""Facts about this machine."""
import os
import platform
import re
from pathlib import Path


def cpu_name():
    """The processor's model name."""
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.+)", info.read_text()) if info.is_file() else None
    return found[1] if found else platform.processor() or platform.machine()


def multiplies_bf16():
    """Whether the processor has bfloat16 multiplication."""
    info = Path("/proc/cpuinfo")
    return info.is_file() and re.search(r"avx512_bf16|amx_bf16", info.read_text()) is not None


def cores():
    """The number of cores that this process may use."""
    on_linux = hasattr(os, "sched_getaffinity")
    return len(os.sched_getaffinity(0)) if on_linux else os.cpu_count()

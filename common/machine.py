"""What this machine is."""
import os
import platform
import re
from pathlib import Path


def cpu_name():
    """The processor's model, as the system calls it."""
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.+)", info.read_text()) if info.is_file() else None
    return found[1] if found else platform.processor() or platform.machine()


def cores():
    """How many cores this process may use."""
    on_linux = hasattr(os, "sched_getaffinity")
    return len(os.sched_getaffinity(0)) if on_linux else os.cpu_count()

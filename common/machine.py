"""What this machine is, for reports."""
import platform
import re
from pathlib import Path


def cpu_name():
    """The processor's model, as the system calls it."""
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.+)", info.read_text()) if info.is_file() else None
    return found[1] if found else platform.processor() or platform.machine()

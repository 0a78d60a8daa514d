"""Set up what Jittor 1.3.11 needs before its import. A variable that the user has set takes precedence.

Without this, `import jittor` fails if there is an nvcc without a working CUDA, or if it cannot download oneDNN (without
which a convolution is 90 times slower); it also imports torch, and keeps a separate cache for each git branch."""
import atexit
import ctypes
import errno
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import sysconfig
from contextlib import contextmanager
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from common.errors import PLACE, UserError, os_error_text
from common.files import write_atomically

KERNEL = """#define JIT 1
#define JIT_cpu 1
#include <algorithm>
#include <cmath>
#include "fused_op.h"
#include "misc/cpu_math.h"
#include "ops/op_register.h"
#include "var.h"
"""
COMPILE = """# Jittor has asm_tuner.py compile each kernel to assembly, change it where the kernel says @begin,
# and assemble it. Few kernels say so; the others are compiled at once, which takes a quarter to half less.
if [ "${{1##*/}}" = asm_tuner.py ] && ! grep -q @begin "$3"; then
  compiler="${{2#--cc_path=}}"
  shift 2
  exec "$compiler" "$@"
fi
exec {} "$@"
"""


def cuda_works():
    """Whether an nvcc is found whose CUDA runtime loads, and the driver starts."""
    nvcc = os.environ.get("nvcc_path") or shutil.which("nvcc") or "/usr/local/cuda/bin/nvcc"
    try:
        ctypes.CDLL(Path(nvcc).resolve().parents[1] / "lib64" / "libcudart.so")
        return ctypes.CDLL("libcuda.so.1").cuInit(0) == 0
    except OSError:
        return False


def check_compiler():
    """Check for g++ and this Python's headers, which Jittor compiles with. UserError if one is missing, or if a path
    has a character that the shell interprets: Jittor does not quote all of its commands."""
    if not find_spec("jittor_utils"):
        raise UserError("Jittor is not installed: pip install -r requirements.txt")
    cures = {
        home(): "choose another folder with the variable JITTOR_HOME",
        sys.executable: "make the virtual environment in another folder",
        find_spec("jittor_utils").origin: "install it in another folder",
    }
    for path, cure in cures.items():
        if special := re.search(r"[^\w@%+=:,./~^-]", path):
            raise UserError(f"Jittor cannot compile with {special[0]!r} in a path, as in {path}: {cure}")
    if sys.platform == "linux" and not (os.environ.get("cc_path") or shutil.which("g++")):
        raise UserError("Jittor compiles itself and its kernels with g++, which is missing: apt install g++")
    config = Path(sys.base_prefix, "bin", f"python3.{sys.version_info.minor}-config")
    if config.is_file():  # else Jittor takes the system's Python, or finds none
        os.environ.setdefault("python_config_path", str(config))
    if not Path(sysconfig.get_path("include"), "Python.h").is_file():
        raise UserError("Jittor compiles against Python's headers, which are missing: apt install python3-dev")


def onednn(cache):
    """The folder in which Jittor looks for oneDNN before it downloads it."""
    return cache / "mkl" / "dnnl_lnx_2.2.0_cpu_gomp"


def lay_out_onednn(cache):
    """Copy oneDNN from its PyPI wheels to where Jittor looks for it, unless it is there already."""
    folder = onednn(cache)
    library = folder / "lib" / "libmkldnn.so"
    if library.is_file():
        return
    wheels = ("onednn-cpu-gomp", "onednn-devel-cpu-gomp")
    try:
        files = {str(file.locate().resolve()) for wheel in wheels for file in metadata.files(wheel)}
    except metadata.PackageNotFoundError:
        return  # another platform, where Jittor gets it by itself
    (header,) = [Path(file) for file in files if file.endswith("/include/dnnl.h")]
    (found,) = [Path(file) for file in files if file.endswith("/libdnnl.so.2")]
    (folder / "lib").mkdir(parents=True, exist_ok=True)
    for file in filter(Path.is_file, header.parent.rglob("*")):  # copytree's error would not say which system error
        target = folder / "include" / file.relative_to(header.parent)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    shutil.copy(found, folder / "lib" / "libdnnl.so.2")  # the name for the loader
    library.unlink(missing_ok=True)  # a link to nothing
    os.symlink("libdnnl.so.2", library)  # the name for the linker; last, so that half a layout counts as none


def home():
    """The folder in which Jittor keeps its cache: JITTOR_HOME, else the user's home."""
    return os.path.abspath(os.environ.get("JITTOR_HOME") or Path.home())


@contextmanager
def in_home():
    """While inside, HOME is home(). Otherwise Jittor would also need the usual HOME, and write JITTOR_HOME into a file
    there, permanently."""
    usual, os.environ["HOME"] = os.environ.get("HOME"), home()
    try:
        yield
    finally:
        os.environ["HOME"] = usual or home()


def compile_at_once(jittor):
    """Have g++ compile kernels by COMPILE, and parse once, and keep, the headers that all kernels include: a quarter to
    a third of the time. g++ uses the result (68 MB, in Jittor's cache) only where it fits a kernel's options, and
    reads the headers without it."""
    flags, cache = jittor.flags, Path(jittor.flags.cache_path)
    if flags.cc_type != "g++":
        return
    script, header, parsed = cache / "compiler.sh", cache / "headers.h", cache / "headers.h.gch"  # as g++ looks for it
    core = max(file.stat().st_mtime for file in cache.glob("jittor_core*.so"))  # newer if Jittor has changed
    commands = COMPILE.format(flags.python_path)
    if not script.is_file() or script.read_text() != commands:
        write_atomically(script, commands.encode(), durable=False)
    flags.python_path = f"sh {script}"
    if not parsed.is_file() or parsed.stat().st_mtime < core:
        write_atomically(header, KERNEL.encode(), durable=False)
        compiled = cache / f"{os.getpid()}.gch"  # another process may do the same
        options = jittor.compiler.fix_cl_flags(flags.cc_flags)
        command = f"{flags.cc_path} -c -x c++-header {header} {options} -o {compiled}"
        try:
            if subprocess.run(command, shell=True, stderr=subprocess.DEVNULL).returncode:
                return
            os.replace(compiled, parsed)
        finally:
            compiled.unlink(missing_ok=True)
    flags.cc_flags += f" --include={header} "


def settle():
    """Set the environment variables that Jittor reads. UserError if it cannot work here."""
    if sys.platform == "win32":
        raise UserError("Jittor's tree needs Linux: use pytorch/ here, or Linux within Windows (WSL)")
    if sys.version_info >= (3, 13):
        raise UserError("Jittor needs numpy below 2, which Python 3.13 does not have: use 3.11 or 3.12, or pytorch/")
    os.environ.setdefault("FIX_TORCH_ERROR", "0")
    os.environ.setdefault("cache_name", "simple-ldm")
    if sys.version_info >= (3, 12):  # its compiling threads call Python without holding its lock, which fails in 3.12
        os.environ.setdefault("use_parallel_op_compiler", "0")
    launched = "OMPI_COMM_WORLD_SIZE" in os.environ  # by mpirun
    os.environ.setdefault("use_mpi", str(int(launched)))
    if launched and not (os.environ.get("mpicc_path") or shutil.which("mpicc")):
        raise UserError("under mpirun Jittor needs mpicc to compile its part of MPI: install libopenmpi-dev")
    check_compiler()
    if not cuda_works():
        os.environ.setdefault("nvcc_path", "")


def import_quietly():
    """Import jittor: silent unless it fails, with torch, signal handlers and certificate checks as they were."""
    settle()
    talkative = "log_silent" in os.environ
    os.environ.setdefault("log_silent", "1")
    checked_https = ssl._create_default_https_context
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)}
    for dtype in (np.float32, np.float64):  # computed once, before Jittor's -Ofast flushes the smallest to 0
        np.finfo(dtype)

    with in_home():
        import jittor_utils

        if os.environ.get("use_mkl", "1") == "1":
            with jittor_utils.lock.lock_scope():  # of several processes, one at a time
                lay_out_onednn(Path(jittor_utils.home()) / ".cache" / "jittor")
        if not any(Path(jittor_utils.cache_path).rglob("jittor_core*.so")):
            print("Jittor compiles itself for this machine, once; it takes some minutes.", file=sys.stderr, flush=True)
        try:
            import jittor
        except SystemExit:  # code 0, no message: its first part was incomplete, or from another folder
            raise UserError("Jittor compiled a part of itself again: run the same command once more") from None
    compile_at_once(jittor)
    if "JITTOR_HOME" in os.environ:  # for the shell that compiles a kernel
        jittor.flags.python_path = f"HOME={home()};{jittor.flags.python_path}"

    if jittor_utils.pool_size:  # of processes that checked whether Jittor is compiled: Ctrl-C would kill them,
        atexit.unregister(jittor_utils.pool_cleanup)  # and this one would wait forever for their end
        jittor_utils.p.close()
        jittor_utils.p.join()
        jittor_utils.pool_size = 0
    if not talkative:  # silence hides fatal errors too
        jittor_utils.LOG.log_silent = jittor.flags.log_silent = 0
        os.environ.pop("log_silent")
    ssl._create_default_https_context = checked_https
    for number, handler in handlers.items():
        signal.signal(number, handler)


try:
    import_quietly()
except OSError as error:
    reason = os_error_text(error, "with the variable JITTOR_HOME", (*PLACE, errno.ENOENT))
    raise UserError(f"Jittor cannot save what it compiles in {home()}: {reason}") from error
import jittor as jt  # noqa: E402, for the other modules, which import it from here
from jittor import nn  # noqa: E402, F401
from jittor.nn import silu, softmax, softplus  # noqa: E402, F401

ONEDNN = onednn(Path(jt.compile_extern.jit_utils.home()) / ".cache" / "jittor")

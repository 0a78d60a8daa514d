"""Settles what Jittor 1.3.11 wants before its import. A variable that the user has set wins.

Without this, on a plain machine, `import jittor` dies where it finds an nvcc without a working CUDA, dies where it
cannot download oneDNN (without which a convolution is 90 times slower), imports torch, and keeps a cache for each
git branch."""
import atexit
import ctypes
import os
import shutil
import signal
import ssl
import sys
import sysconfig
from importlib import metadata
from pathlib import Path

import numpy as np

from common.errors import UserError


def cuda_works():
    """Whether there is an nvcc whose runtime loads, and a driver that starts."""
    nvcc = os.environ.get("nvcc_path") or shutil.which("nvcc") or "/usr/local/cuda/bin/nvcc"
    try:
        ctypes.CDLL(Path(nvcc).resolve().parents[1] / "lib64" / "libcudart.so")
        return ctypes.CDLL("libcuda.so.1").cuInit(0) == 0
    except OSError:
        return False


def find_compiler():
    """g++ and this Python's headers, with which Jittor compiles. UserError where one is missing."""
    if sys.platform == "linux" and not (os.environ.get("cc_path") or shutil.which("g++")):
        raise UserError("Jittor compiles itself and its kernels with g++, which is not here: apt install g++")
    config = Path(sys.base_prefix, "bin", f"python3.{sys.version_info.minor}-config")
    if config.is_file():  # else Jittor takes the system's Python, or finds none
        os.environ.setdefault("python_config_path", str(config))
    if not Path(sysconfig.get_path("include"), "Python.h").is_file():
        raise UserError("Jittor compiles against Python's headers, which are not here: apt install python3-dev")


def lay_out_onednn(cache):
    """Put oneDNN, from its PyPI wheels, where Jittor looks before it downloads. One that is there already stays."""
    folder = cache / "mkl" / "dnnl_lnx_2.2.0_cpu_gomp"
    library = folder / "lib" / "libmkldnn.so"
    if library.is_file():
        return
    wheels = ("onednn-cpu-gomp", "onednn-devel-cpu-gomp")
    try:
        files = {str(file.locate().resolve()) for wheel in wheels for file in metadata.files(wheel)}
    except metadata.PackageNotFoundError:
        return  # another platform: Jittor has its own ways there
    (header,) = [Path(file) for file in files if file.endswith("/include/dnnl.h")]
    (found,) = [Path(file) for file in files if file.endswith("/libdnnl.so.2")]
    (folder / "lib").mkdir(parents=True, exist_ok=True)
    shutil.copytree(header.parent, folder / "include", dirs_exist_ok=True)
    shutil.copy(found, folder / "lib" / "libdnnl.so.2")  # its name to the loader
    library.unlink(missing_ok=True)  # a link to nothing
    os.symlink("libdnnl.so.2", library)  # its name to the linker; last, so that half a layout counts as none


def home():
    """In which folder Jittor keeps what it compiles."""
    return os.environ.get("JITTOR_HOME", str(Path.home()))


def import_utils():
    """jittor_utils, which makes a folder in HOME for what Jittor compiles, or in JITTOR_HOME, if that is set."""
    usual = os.environ.get("HOME")
    os.environ["HOME"] = home()  # else it wants the usual one as well
    try:
        import jittor_utils
    finally:
        os.environ["HOME"] = usual or home()
    return jittor_utils


def import_quietly():
    """Import jittor: silent unless it fails, with torch, signal handlers and certificate checks as they were."""
    if sys.version_info >= (3, 13):
        raise UserError("Jittor needs numpy below 2, which is not made for Python 3.13: use 3.11 or 3.12, or pytorch/")
    os.environ.setdefault("FIX_TORCH_ERROR", "0")
    os.environ.setdefault("cache_name", "simple-ldm")
    if sys.version_info >= (3, 12):  # its compiling threads call Python without holding its lock, which 3.12 punishes
        os.environ.setdefault("use_parallel_op_compiler", "0")
    launched = "OMPI_COMM_WORLD_SIZE" in os.environ  # by mpirun
    os.environ.setdefault("use_mpi", str(int(launched)))
    if launched and not (os.environ.get("mpicc_path") or shutil.which("mpicc")):
        raise UserError("mpirun needs mpicc, with which Jittor compiles its part of MPI: install libopenmpi-dev")
    find_compiler()
    if not cuda_works():
        os.environ.setdefault("nvcc_path", "")
    talkative = "log_silent" in os.environ
    os.environ.setdefault("log_silent", "1")
    checked_https = ssl._create_default_https_context
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)}
    for dtype in (np.float32, np.float64):  # numpy measures them once; Jittor's -Ofast flushes the smallest to zero
        np.finfo(dtype)

    jittor_utils = import_utils()
    if os.environ.get("use_mkl", "1") == "1":
        lay_out_onednn(Path(jittor_utils.home()) / ".cache" / "jittor")
    if not any(Path(jittor_utils.cache_path).rglob("jittor_core*.so")):
        print("Jittor compiles itself for this machine, once: some minutes.", file=sys.stderr, flush=True)
    import jittor

    if jittor_utils.pool_size:  # of processes that looked whether Jittor itself is compiled: Ctrl-C would kill them,
        atexit.unregister(jittor_utils.pool_cleanup)  # and this one would wait for ever for their orderly end
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
    cure = "name a folder that can be written with the variable JITTOR_HOME"
    raise UserError(f"Jittor cannot keep what it compiles in {home()} ({error.strerror or error}): {cure}") from error
import jittor as jt  # noqa: E402, F401, for the other modules, which import it from here
from jittor import nn  # noqa: E402, F401
from jittor.nn import interpolate, silu, softmax, softplus  # noqa: E402, F401

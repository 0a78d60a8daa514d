"""From the command line to a script's main, and from a user's mistake to one line and exit code 2."""
import errno
import os
import re
import signal
import sys
import time
from contextlib import contextmanager
from types import UnionType

import tyro
from pydantic import ValidationError

from common.errors import UserError

os.environ.setdefault("PYDANTIC_ERRORS_INCLUDE_URL", "0")  # an option out of its range: no link, just the range

OUT = errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.EISDIR, errno.ENOTDIR
CURES = {
    errno.ENOSPC: "free some space there; what was written before is whole",
    errno.ENOENT: "it, or its folder, was moved or removed: put it back, or begin again",
    **dict.fromkeys(OUT, "name a folder that can be written with --out"),
}
NO_MEMORY = re.compile("^.*(?:" + "|".join((
    "(?<!overcommit issue or )out of memory",  # but Jittor says so of any compiler that fails
    "DefaultCPUAllocator", "bad_alloc", "Cannot allocate memory", "STATUS_ALLOC_FAILED", "cudaErrorMemoryAllocation",
    "Unable to alloc", "memory is overflow", "could not create a memory",  # Jittor's and its oneDNN's
)) + ").*$", re.MULTILINE | re.IGNORECASE)  # fmt: skip


def run(main, options, description=None):
    """Call main with options read from the command line: of this class, or this instance where nothing else is said."""
    kind, defaults = (options, {}) if isinstance(options, type | UnionType) else (type(options), {"default": options})
    try:
        with failure_ends_all():
            main(tyro.cli(kind, description=description, **defaults))
    except ValidationError as error:  # of options said without their group's name: tyro tells the others' itself
        wrong = error.errors()[-1]
        fail("".join(f"--{name}: ".replace("_", "-") for name in wrong["loc"][:1]) + wrong["msg"])
    except UserError as error:
        fail(str(error))
    except OSError as error:
        cure = CURES.get(error.errno)
        fail(f"{error.filename or 'a file'}: {error.strerror or error}" + (f": {cure}" if cure else ""))
    except (MemoryError, RuntimeError) as error:  # numpy's, and the frameworks'
        said = NO_MEMORY.search(str(error))
        if not (said or isinstance(error, MemoryError)):
            raise
        what = (said[0] if said else str(error)).strip()
        fail(f"out of memory{f' ({what})' if what else ''}: a smaller --batch-size, or fewer images, needs less")
    except KeyboardInterrupt:  # training has handlers of its own
        raise SystemExit(130) from None


@contextmanager
def failure_ends_all():
    """Under mpirun, too: MPI's orderly end waits for every process, for ever where one has failed alone."""
    try:
        yield
    except Exception:  # not an orderly stop, which the first process may still be saving
        if "OMPI_COMM_WORLD_RANK" in os.environ:
            signal.alarm(20)  # seconds until this process is gone, which mpirun sees
        raise


def fail(message):
    """Print the message and exit with code 2; other processes wait 5 s first, as the first usually speaks for all."""
    process = int(os.environ.get("RANK", os.environ.get("OMPI_COMM_WORLD_RANK", 0)))
    time.sleep(5 if process else 0)
    print(f"error{f' in process {process}' if process else ''}: {message}", file=sys.stderr, flush=True)
    raise SystemExit(2)

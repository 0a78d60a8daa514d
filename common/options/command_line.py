"""From the command line to a script's main, and from a user's mistake to one line and exit code 2."""
import errno
import os
import re
import signal
import sys
import time
from contextlib import contextmanager
from typing import get_type_hints

import tyro

from common.errors import UserError

os.environ.setdefault("PYDANTIC_ERRORS_INCLUDE_URL", "0")  # an option out of its range: no link, just the range

OUT = errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.EISDIR, errno.ENOTDIR
CURES = {
    errno.ENOSPC: "free some space there; what was written before is whole",
    errno.ENOENT: "it, or its folder, was moved or removed: put it back, or begin again",
    **dict.fromkeys(OUT, "name a folder that can be written with --out"),
}


def run(main):
    """Call main(options), the options read from the command line as main's own annotation says."""
    (options_type,) = get_type_hints(main).values()
    try:
        with failure_ends_all():
            main(tyro.cli(options_type))
    except UserError as error:
        fail(str(error))
    except OSError as error:
        cure = CURES.get(error.errno)
        fail(f"{error.filename or 'a file'}: {error.strerror or error}" + (f": {cure}" if cure else ""))
    except (MemoryError, RuntimeError) as error:  # numpy's, and the frameworks'
        said = re.search(r"^.*(?<!illegal )(?<!single )(?:memory|alloc).*$", str(error), re.MULTILINE)
        if not (said or isinstance(error, MemoryError)):
            raise
        what = f" ({said[0].strip()})" if said else ""
        fail(f"out of memory{what}: a smaller --batch-size, or fewer images, needs less")
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
    """Say it and end: of several processes the others only where they outlive the first, which says what all would."""
    process = int(os.environ.get("RANK", os.environ.get("OMPI_COMM_WORLD_RANK", 0)))
    time.sleep(5 if process else 0)
    print(f"error{f' in process {process}' if process else ''}: {message}", file=sys.stderr, flush=True)
    raise SystemExit(2)

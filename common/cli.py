"""From the command line to a script's main, and from a user's mistake to one line and exit code 2."""
import errno
import os
import signal
import sys
from contextlib import contextmanager
from typing import Annotated, get_type_hints

import tyro
from filelock import FileLock, Timeout
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

# The ranges of options, for the command line and for a checkpoint's JSON alike.
Count = Annotated[int, Field(ge=1, le=10**6)]
Size = Annotated[int, Field(ge=1, le=4096)]  # a checkpoint cannot ask for a network larger than memory
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
options = dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))

os.environ.setdefault("PYDANTIC_ERRORS_INCLUDE_URL", "0")  # an option out of its range: no link, just the range


class UserError(Exception):
    """Something that the user can mend. The message is one line that names the file and the cure."""


CURES = {
    errno.ENOSPC: "free some space there; what was written before is whole",
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "name a folder that can be written with --out"),
}


def run(main):
    """Call main(options), the options read from the command line as main's own annotation says."""
    (options_type,) = get_type_hints(main).values()
    arguments = sys.argv[1:]
    for i, argument in enumerate(arguments, 1):
        if argument == "--resume" and (i == len(arguments) or arguments[i].startswith("--")):
            arguments.insert(i, "True")  # alone, as a flag; or --resume auto
    try:
        main(tyro.cli(options_type, args=arguments))
    except UserError as error:
        fail(str(error))
    except OSError as error:
        cure = CURES.get(error.errno)
        fail(f"{error.filename or 'a file'}: {error.strerror or error}" + (f": {cure}" if cure else ""))
    except KeyboardInterrupt:  # before training begins
        raise SystemExit(130) from None


def fail(message):
    """Say it once, whatever the number of processes."""
    if int(os.environ.get("RANK", os.environ.get("OMPI_COMM_WORLD_RANK", 0))) == 0:
        print(f"error: {message}", file=sys.stderr, flush=True)
    raise SystemExit(2)


@contextmanager
def signals_noted():
    """While inside, SIGINT and SIGTERM end nothing: they are appended to the list that this yields."""
    came = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda number, frame: came.append(number)) for number in numbers}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def naming(path):
    """While inside, an OSError is about this file: a failed write knows no name, a temporary one says little."""
    try:
        yield
    except OSError as error:
        error.filename = str(path)
        raise


def lock(folder):
    """Hold a folder until this process ends, however it ends; keep what this returns. UserError where another does."""
    held = FileLock(folder / ".lock")
    try:
        held.acquire(timeout=0)
    except Timeout:
        raise UserError(f"{folder} is in use by another process: wait until it ends, or name another --out") from None
    return held

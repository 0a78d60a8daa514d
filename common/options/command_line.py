"""From the command line to a script's main, and from a user's mistake to one line and exit code 2."""
import os
import re
import signal
import sys
import time
from contextlib import contextmanager
from types import UnionType

import tyro
from pydantic import ValidationError

from common.errors import UserError, escaped, message, os_error_text
from common.training.stop import end_all

os.environ.setdefault("PYDANTIC_ERRORS_INCLUDE_URL", "0")  # an option out of its range: no link, just the range

NO_MEMORY = re.compile("^.*(?:" + "|".join((
    "(?<!overcommit issue or )out of memory",  # but Jittor says so of any compiler that fails
    "DefaultCPUAllocator", "bad_alloc", "Cannot allocate memory", "STATUS_ALLOC_FAILED", "cudaErrorMemoryAllocation",
    "Unable to alloc", "memory is overflow", "could not create a memory",  # Jittor's and its oneDNN's
)) + ").*$", re.MULTILINE | re.IGNORECASE)  # fmt: skip


def run(main, options, description=None):
    """Call main(options), read from the command line. options: a class, or an instance that gives the defaults."""
    kind, defaults = (options, {}) if isinstance(options, type | UnionType) else (type(options), {"default": options})
    if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:  # set by paths.py
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with failure_ends_all(), lasting_output():
            main(parse(kind, description=description, **defaults))
    except ValidationError as error:  # in a Flat group: tyro reports the others itself
        wrong = error.errors()[-1]
        fail("".join(f"--{name}: ".replace("_", "-") for name in wrong["loc"][:1]) + message(wrong))
    except UserError as error:
        fail(str(error))
    except OSError as error:
        fail(os_error_text(error))
    except (MemoryError, RuntimeError) as error:  # numpy's, and the frameworks'
        match = NO_MEMORY.search(str(error))
        if not (match or isinstance(error, MemoryError)):
            raise
        reason = (match[0] if match else str(error)).strip()
        fail(f"out of memory{f' ({reason})' if reason else ''}: try a smaller --batch-size, or fewer images")
    except KeyboardInterrupt:  # training has handlers of its own
        raise SystemExit(130) from None


def parse(kind, **settings):
    """The options on the command line. A surplus value is a UserError; tyro explains other mistakes, and exits."""
    options, others = tyro.cli(kind, return_unknown_args=True, **settings)
    if others and not others[0].startswith("-"):
        cure = "write each value after its option, as in --epochs 3; a value with spaces needs quotes"
        raise UserError(f"unexpected {others[0]!r}: {cure}")
    return tyro.cli(kind, **settings) if others else options


class Lasting:
    """A stream whose failed writes are ignored (a full disk, a closed pipe): a lost log must not end a training.
    error: the first failure."""

    def __init__(self, stream):
        self.stream, self.error = stream, None
        stream.reconfigure(errors="backslashreplace")  # characters that a console lacks

    def __getattr__(self, name):
        return getattr(self.stream, name)

    def attempt(self, function, *arguments):
        try:
            function(*arguments)
        except OSError as error:
            error.filename = self.stream.name
            self.error = self.error or error

    def write(self, text):
        self.attempt(self.stream.write, text)
        return len(text)

    def flush(self):
        self.attempt(self.stream.flush)


@contextmanager
def lasting_output():
    """Inside, stdout and stderr are Lasting, and a closed one writes nowhere. OSError at the end if stdout failed."""
    before = sys.stdout, sys.stderr
    lasting = [stream and Lasting(stream) for stream in before]
    sys.stdout, sys.stderr = (stream or open(os.devnull, "w") for stream in lasting)  # noqa: SIM115
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        for stream in filter(None, lasting):
            stream.flush()
            if stream.error:  # else Python reports the error again at its end
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    if lasting[0] and lasting[0].error:
        raise lasting[0].error


@contextmanager
def failure_ends_all():
    """If this process fails, also end the others that mpirun started."""
    try:
        yield
    except Exception:  # SystemExit, an orderly stop, passes: the first process may still be saving
        end_all()
        raise


def fail(message):
    """Print the message and exit with code 2; other processes wait 5 s first, as the first usually speaks for all."""
    process = int(os.environ.get("RANK", os.environ.get("OMPI_COMM_WORLD_RANK", 0)))
    time.sleep(5 if process else 0)
    print(f"error{f' in process {process}' if process else ''}: {escaped(message)}", file=sys.stderr, flush=True)
    raise SystemExit(2)

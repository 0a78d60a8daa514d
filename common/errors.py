"""The one exception that a user is meant to see, and one line for each error of the operating system."""
import errno
import re

from pydantic import ValidationError

PLACE = errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.EISDIR, errno.ENOTDIR
SPACE = "free some space there; files that were written before are complete"
CURES = {
    errno.ENOSPC: SPACE,
    errno.EDQUOT: SPACE,
    errno.EFBIG: "the limit on the size of files (`ulimit -f`) is too low: raise it",
    errno.EMFILE: "the limit on open files (`ulimit -n`) is too low: raise it, for example with `ulimit -n 4096`",
    errno.ENOENT: "the file or its folder does not exist: make the folder, or put back what was moved",
}


def escaped(text):
    """Text with control characters and line breaks as escapes, such as \\n, so that it stays in its line."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", lambda found: repr(found[0])[1:-1], text)


class UserError(Exception):
    """A mistake that the user can correct. The message is one line that names the file and the cure.

    Names in it may come from a file: they are escaped()."""

    def __init__(self, text):
        super().__init__(escaped(text))


class Missing(UserError):
    """A path that does not exist."""


def message(wrong):
    """What one of a ValidationError's errors() says."""
    return wrong["msg"].removeprefix("Value error, ")


def reason(error):
    """Why a file could not be read, or an option not be taken, as one line."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return ": ".join(filter(None, (".".join(map(str, first["loc"])), message(first))))
    if isinstance(error, KeyError):
        return f"it lacks {error}"
    return str(getattr(error, "strerror", None) or error).partition("\n")[0]


def os_error_text(error, other_place="with --out", place=PLACE):
    """An OSError as one line. other_place: how the user chooses another folder, the cure if error.errno is in place."""
    cure = f"choose a writable folder {other_place}" if error.errno in place else CURES.get(error.errno)
    return ": ".join(filter(None, (str(error.filename or "a file"), error.strerror or str(error), cure)))

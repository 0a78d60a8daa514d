"""The one exception that a user is meant to see, and what helps against the system's own."""
import errno

PLACE = errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.EISDIR, errno.ENOTDIR
SPACE = "free some space there; what was written before is whole"
CURES = {
    errno.ENOSPC: SPACE,
    errno.EDQUOT: SPACE,
    errno.EFBIG: "it is larger than a file may be here (`ulimit -f`): raise that limit",
    errno.EMFILE: "more files are open than may be (`ulimit -n`): raise that limit, as by `ulimit -n 4096`",
    errno.ENOENT: "it, or its folder, does not exist: make the folder, or put back what was moved",
}


class UserError(Exception):
    """A mistake that the user can mend. The message is one line that names the file and the cure."""


class Missing(UserError):
    """A path that does not exist."""


def told(error, other_place="with --out", place=PLACE):
    """An OSError as one line. other_place: how the user names another folder, which is the cure of errors in place."""
    cure = f"name a folder that can be written {other_place}" if error.errno in place else CURES.get(error.errno)
    return ": ".join(filter(None, (str(error.filename or "a file"), error.strerror or str(error), cure)))

"""From the command line to a script's main, and from a user's mistake to one line and exit code 2."""
import os
import sys
from typing import get_type_hints

import tyro

os.environ.setdefault("PYDANTIC_ERRORS_INCLUDE_URL", "0")  # an option out of its range: no link, just the range


class UserError(Exception):
    """Something that the user can mend. The message is one line that names the file and the cure."""


def run(main):
    """Call main(options), the options read from the command line as main's own annotation says."""
    (options_type,) = get_type_hints(main).values()
    try:
        main(tyro.cli(options_type))
    except UserError as error:
        fail(str(error))
    except OSError as error:  # a full disk, a folder without permission
        fail(f"{error.filename or 'writing'}: {error.strerror or error}")


def fail(message):
    print(f"error: {message}", file=sys.stderr)
    raise SystemExit(2)

"""The one exception that a user is meant to see."""


class UserError(Exception):
    """Something that the user can mend. The message is one line that names the file and the cure."""

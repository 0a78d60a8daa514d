"""A signal ends a training after the step that is being taken."""
import signal


class Stop:
    """While inside, SIGINT and SIGTERM end nothing: `came` is the first of them, or None, and `signal` the one that the
    processes agree to end by. A RuntimeError after it ends the run too: Jittor's, whose compilers Ctrl-C ends."""

    def __init__(self):
        self.came = self.signal = None

    def note(self, number, frame):
        self.came = self.came or number

    def __enter__(self):
        self.before = {number: signal.signal(number, self.note) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, kind, error, traceback):
        for number, handler in self.before.items():
            signal.signal(number, handler)
        ended = self.came is not None and isinstance(error, RuntimeError)
        self.signal = self.came if ended else self.signal
        return ended

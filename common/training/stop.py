"""A signal ends a training after the step that is being taken."""
import signal


class Stop:
    """Inside, SIGINT and SIGTERM are only recorded: `came` is the first that arrived here, `signal` the one that all
    processes stop for. A RuntimeError after it also counts as a stop: Ctrl-C kills Jittor's compilers."""

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

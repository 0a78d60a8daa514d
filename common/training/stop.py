"""Stopping: a signal ends training after the current step."""
import signal

NAMES = "SIGINT", "SIGTERM", "SIGHUP"  # the last one comes when a terminal or a connection closes; Windows lacks it
SIGNALS = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]
STOPPING = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]  # nohup's and `&` ignore one


class Stop:
    """Context manager that only records the signals in STOPPING: `came` is the first one in this process, `signal` the
    one that all processes stop for. A RuntimeError after a signal is a stop too: Ctrl-C kills Jittor's compilers."""

    def __init__(self):
        self.came = self.signal = None

    def note(self, number, frame):
        self.came = self.came or number

    def __enter__(self):
        self.before = {number: signal.signal(number, self.note) for number in STOPPING}
        return self

    def __exit__(self, kind, error, traceback):
        for number, handler in self.before.items():
            signal.signal(number, handler)
        ended = self.came is not None and isinstance(error, RuntimeError)
        self.signal = self.came if ended else self.signal
        return ended

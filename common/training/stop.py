"""Stopping: a signal ends training after the current step."""
import os
import signal

NAMES = "SIGINT", "SIGTERM", "SIGHUP"  # the last one comes when a terminal or a connection closes; Windows lacks it
SIGNALS = [getattr(signal, name) for name in NAMES if hasattr(signal, name)]
STOPPING = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]  # nohup's and `&` ignore one


def end_all():
    """End all that mpirun started, if one process fails: MPI's normal end would wait for the others forever."""
    if "OMPI_COMM_WORLD_RANK" in os.environ:
        signal.alarm(20)  # seconds until this process ends; then mpirun ends the others


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
        if ended:
            self.signal = self.came
            end_all()  # the others do not know of the signal
        return ended

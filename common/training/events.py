"""TensorBoard's event files, for either framework: the package's own format, filled with its own messages."""
import sys
import time

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter


class Events:
    """The event files of a run, in one folder. TensorBoard hides what an interrupted run wrote from this step on.

    If they cannot be written, as on a full disk, a warning says so, and training continues."""

    def __init__(self, folder, step):
        folder.mkdir(parents=True, exist_ok=True)
        self.path, self.failed = folder / f"events.out.tfevents.{time.time():.6f}", False
        self.file = open(self.path, "ab")  # noqa: SIM115, open until the run ends
        self.add(step, file_version="brain.Event:2")
        self.add(step, session_log=SessionLog(status=SessionLog.START))

    def add(self, step, **content):
        try:
            RecordWriter(self.file).write(Event(step=step, wall_time=time.time(), **content).SerializeToString())
            self.file.flush()
        except OSError as error:
            if not self.failed:
                print(f"warning: {self.path}: {error.strerror}: TensorBoard will miss some values", file=sys.stderr)
            self.failed = True

    def scalars(self, step, **values):
        """Write numbers {name: value}."""
        self.add(step, summary=Summary(value=[Summary.Value(tag=k, simple_value=v) for k, v in values.items()]))

    def picture(self, step, path):
        """Write the picture in a PNG file."""
        image = Summary.Image(encoded_image_string=path.read_bytes())
        self.add(step, summary=Summary(value=[Summary.Value(tag="samples", image=image)]))

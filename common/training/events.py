"""TensorBoard's event files, for either framework: the package's own writer, fed with its own messages."""
import time
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter


class Events:
    """The event files of a run, in one folder; of what an interrupted one did from this step on, none is shown."""

    def __init__(self, folder, step):
        self.writer = EventFileWriter(str(folder))
        self.flush = self.writer.flush  # returns when all is written
        self.add(step, session_log=SessionLog(status=SessionLog.START))

    def add(self, step, **content):
        self.writer.add_event(Event(step=step, wall_time=time.time(), **content))

    def scalars(self, step, **values):
        """Numbers by name."""
        self.add(step, summary=Summary(value=[Summary.Value(tag=k, simple_value=v) for k, v in values.items()]))

    def picture(self, step, path):
        """A PNG."""
        image = Summary.Image(encoded_image_string=Path(path).read_bytes())
        self.add(step, summary=Summary(value=[Summary.Value(tag="samples", image=image)]))

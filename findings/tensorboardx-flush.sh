#!/usr/bin/env bash
# tensorboardX 2.6.5: SummaryWriter.flush() returns while events are still in the writer's queue, not on the disk.
#
# Expected, from its docstring ("Call this method to make sure that all pending events have been written to disk"):
# after flush() the file holds every event. Seen: flush() flushes the file, but does not wait for the thread that
# takes events from the queue; those that are still there reach the disk at a later flush or at close(). Of 5,000
# events a part was missing in each of 5 runs, also a second later. Whoever reads or copies the file after flush(), or
# loses the process then, misses them. (tensorboard 2.21.0's own EventFileWriter.flush() waits for its queue.)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet tensorboardX==2.6.5 numpy==1.26.4
cat >"$folder/program.py" <<'PYTHON'
import os
import sys
import time

from tensorboardX import SummaryWriter

folder = sys.argv[1]
size = lambda: sum(os.path.getsize(os.path.join(folder, name)) for name in os.listdir(folder))
writer = SummaryWriter(folder)
for step in range(5000):
    writer.add_scalar("loss", 1.0, step)
writer.flush()
flushed = size()
time.sleep(1)
later = size()
writer.close()
print(f"bytes after flush() {flushed}, a second later {later}, after close() {size()}")
sys.exit(0 if flushed < size() and later < size() else "changed, or the thread was quick: all events were there")
PYTHON
"$folder/venv/bin/python" "$folder/program.py" "$folder/events"

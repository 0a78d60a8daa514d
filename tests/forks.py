"""Run scripts in forks of a process that has imported their framework, as `python tests/forks.py TREE`: to import it
anew takes seconds each time. Reads a line of JSON per run from stdin, and writes its exit status to stdout."""
import importlib
import json
import os
import runpy
import signal
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIMIT = 900  # seconds for the import, and for each run
LIBRARIES = (  # sklearn imports scipy
    "numpy", "PIL.Image", "matplotlib.figure", "tyro", "pydantic", "safetensors", "sklearn.neighbors",
)  # fmt: skip
FRAMEWORKS = {"pytorch": ("torch", "accelerate"), "jittor": ("environment",)}  # which imports Jittor


def import_framework(tree):
    """Import what the tree's scripts import, but for our own modules (environment.py aside)."""
    sys.path[:0] = [str(ROOT / tree), str(ROOT)]
    for name in (*LIBRARIES, *FRAMEWORKS[tree]):
        importlib.import_module(name)
    del sys.path[:2]


def become(commands, cwd, environment, streams):
    """Make this process that of a script, or of several, one after the other: commands [[script, *arguments]]."""
    signal.alarm(LIMIT)  # then it is killed
    if jittor := sys.modules.get("jittor"):
        jittor.set_global_seed(os.getpid())  # which its import takes from the clock
    for number, path in enumerate(streams):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT), number)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    sys.path[0] = str(Path(commands[0][0]).resolve().parent)
    for sys.argv in commands:
        runpy.run_path(sys.argv[0], run_name="__main__")


def main():
    signal.alarm(LIMIT)  # Jittor waits for its lock
    import_framework(sys.argv[1])
    signal.alarm(0)
    for line in sys.stdin:
        if not (child := os.fork()):
            return become(**json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()

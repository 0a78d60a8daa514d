"""Interleaved rounds: contestants, a process each, work in turn, so that drift of the machine affects all alike."""
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from datetime import date
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from common.files import read_json, write_json  # noqa: E402
from common.machine import cores, cpu_name  # noqa: E402
from common.options.fields import Count, options_class  # noqa: E402
from publish import spread  # noqa: E402
from publish.speed import cells  # noqa: E402

RESULTS = ROOT / "asset" / "bench.json"
LEAST = 7  # rounds of a result that is written down
WORKS = {}  # {name: work} of the contestant whose process this is


@options_class
class Rounds:
    rounds: Count = 7
    """Rounds of two seconds each."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Device to compute on."""


def begin(build, *arguments):
    """In a contestant's process: build its works."""
    WORKS.update(build(*arguments))


def speed(work, seconds=2):
    """In a contestant's process: the amount of a work done per second."""
    start, done = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        done += WORKS[work]()
    return done / (time.perf_counter() - start)


def compete(contestants, works, rounds, ratio=lambda first, other: other / first):
    """Let contestants {name: (build, *arguments)} do each work in turn, for some rounds after one to warm up.

    build(*arguments) -> {work: function() -> amount of work done}. Prints and returns
    {work: {name: {"speed": spread, "ratio": spread}}}; ratio(speed of the first contestant, speed of another)."""
    results, spawn = {}, get_context("spawn")
    with ExitStack() as stack:
        processes = [stack.enter_context(ProcessPoolExecutor(1, spawn, begin, how)) for how in contestants.values()]
        for work in works:
            measured = [[process.submit(speed, work).result() for process in processes] for _ in range(rounds + 1)]
            speeds = dict(zip(contestants, np.transpose(measured[1:])))
            results[work] = {name: {"speed": spread(values)} for name, values in speeds.items()}
            first, *others = speeds
            for name in others:
                results[work][name]["ratio"] = spread(ratio(speeds[first], speeds[name]))
            for name, result in results[work].items():
                print(f"{work}, {name}:", *cells(result), flush=True)
    return results


def write(part, options, results, **about):
    """Write one script's results to asset/bench.json, from which `python -m publish.report` makes the tables."""
    if options.rounds < LEAST or getattr(options, "device", "cpu") != "cpu":
        return print(f"fewer than {LEAST} rounds, or not on the CPU: {RESULTS} stays as it is")
    before = read_json(RESULTS) if RESULTS.is_file() else {}
    about |= {"hardware": f"{cpu_name()}, {cores()} cores", "rounds": options.rounds, "results": results}
    about["date"] = date.today().isoformat()
    write_json(RESULTS, before | {part: about})
    return print(RESULTS)

"""Interleaved rounds: each contestant, a process of its own, works in turn, so that a machine that drifts hits all."""
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
WORKS = {}  # of the contestant whose process this is, by name


@options_class
class Rounds:
    rounds: Count = 7
    """Rounds of two seconds each."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where to compute."""


def begin(build, *arguments):
    """In a contestant's process: make its works."""
    WORKS.update(build(*arguments))


def speed(work, seconds=2):
    """In a contestant's process: how much of a work it does per second."""
    start, done = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        done += WORKS[work]()
    return done / (time.perf_counter() - start)


def compete(contestants, works, rounds, ratio=lambda first, other: other / first):
    """Let contestants {name: (build, *arguments)} do each work in turn, round after round, the first only to warm up.

    build(*arguments) -> {work: function without arguments that returns how much it did}. Prints and returns
    {work: {name: {"speed": spread, "ratio": spread}}}; ratio: of the first contestant's speed and another's."""
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
    """Put the results of one script into asset/bench.json, from which `python -m publish.report` makes the tables."""
    if options.rounds < 7:
        return print(f"fewer than 7 rounds: {RESULTS} stays as it is")
    before = read_json(RESULTS) if RESULTS.is_file() else {}
    hardware = f"{cpu_name()}, {cores()} cores" if options.device == "cpu" else options.device
    about |= {"hardware": hardware, "rounds": options.rounds, "date": date.today().isoformat(), "results": results}
    write_json(RESULTS, before | {part: about})
    return print(RESULTS)

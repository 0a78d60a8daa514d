"""Interleaved rounds: each contestant, a process of its own, works in turn, so that a machine that drifts hits all."""
import argparse
import json
import statistics
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from common.files import write_json  # noqa: E402
from common.machine import cores, cpu_name  # noqa: E402

RESULTS = ROOT / "asset" / "bench.json"


def serve(works, seconds=2):
    """In a contestant: answer each line on stdin, the name of a work, with how much of it was done per second."""
    for line in sys.stdin:
        work = works[line.strip()]
        start, done = time.perf_counter(), 0
        while time.perf_counter() - start < seconds:
            done += work()
        print(json.dumps(done / (time.perf_counter() - start)), flush=True)


def start(script, *arguments):
    """Begin a contestant: this script with these arguments, which ends in serve()."""
    command = [sys.executable, script, *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def end(contestants):
    """End the processes of {name: contestant}."""
    for process in contestants.values():
        process.stdin.close()
        process.wait()


def ask(process, work):
    """How much of a work a contestant does per second."""
    print(work, file=process.stdin, flush=True)
    return json.loads(process.stdout.readline())


def spread(values):
    """A list of numbers as what is reported of it."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def compete(asked, rounds, unit, ratios):
    """Ask {name: (contestant, work)} in turn, round after round, the first one only to warm up; print the results.

    Returns {name: {"speed": spread, "ratio": spread}}; ratios names what is compared, {name: (dividend, divisor)}.
    """
    measured = [{name: ask(*question) for name, question in asked.items()} for _ in range(rounds + 1)][1:]
    results = {name: {"speed": spread([speeds[name] for speeds in measured])} for name in asked}
    for name, (dividend, divisor) in ratios.items():
        results[name]["ratio"] = spread([speeds[dividend] / speeds[divisor] for speeds in measured])
    for name, result in results.items():
        ratio = result.get("ratio")
        compared = f", ratio {ratio['median']:.2f} ({ratio['min']:.2f}-{ratio['max']:.2f})" if ratio else ""
        work = ", ".join(dict.fromkeys([asked[name][1], name]))
        print(f"{work:46} {result['speed']['median']:6.0f} {unit}{compared}", flush=True)
    return results


def write(part, options, results, **about):
    """Put the results of one script into asset/bench.json, from which `python -m publish.report` makes the tables."""
    if options.rounds < 7:
        return print(f"fewer than 7 rounds: {RESULTS} stays as it is")
    before = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    on_cpu = f"{cpu_name()}, {cores()} cores"
    about |= {"hardware": on_cpu if options.device == "cpu" else options.device, "rounds": options.rounds}
    write_json(RESULTS, before | {part: {**about, "date": date.today().isoformat(), "results": results}})
    return print(RESULTS)


def read_options(text):
    """The command line of a script with this docstring. --worker, --kind: what a process of its own measures."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="rounds of two seconds each (default 7)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default cpu)")
    for name in ("--worker", "--kind"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    return parser.parse_args()

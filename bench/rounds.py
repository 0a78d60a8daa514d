"""Interleaved rounds: each contestant, a process of its own, works in turn, so that a machine that drifts hits all."""
import json
import statistics
import subprocess
import sys
import time


def serve(works, seconds=2):
    """In a contestant: answer each line on stdin, a name of a work, with how much of it was done a second."""
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
    for process in contestants.values():
        process.stdin.close()
        process.wait()


def ask(process, what):
    print(what, file=process.stdin, flush=True)
    return json.loads(process.stdout.readline())


def compete(asked, rounds):
    """Ask {name: (contestant, work)} in turn, round after round; {name: speeds} without the first, which warms up."""
    measured = [{name: ask(*question) for name, question in asked.items()} for _ in range(rounds + 1)][1:]
    return {name: [speeds[name] for speeds in measured] for name in asked}


def ratio(speeds, others):
    """The ratio of two lists of speeds, round by round: median (least-greatest)."""
    ratios = [a / b for a, b in zip(speeds, others)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"

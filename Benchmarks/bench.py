#!/usr/bin/env python3
"""Measures AW beside its peers and writes the page of results.

    Benchmarks/bench.py --programs DIRECTORY [--report FILE] [--only NAME,…] [--quick]

The directory holds aw, aw-synthetic, link-load and hygiene-scan. As root: each section runs in process, mount and network namespaces
of its own, so that nothing else can reach it and nothing outlives it. --quick takes fewer repetitions and smaller
fleets, and all of it at most 20 minutes. The names, in the order of the page: {names}.
"""
import argparse
import concurrent.futures
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import report
from alerts import alerts
from fleets import memory, storm
from hole import hole
from hygiene import hygiene
from idle import idle
from link import bulk, delay, small
from watchdog import watchdog

# By name: the section's title, what measures it, and after how many seconds it is ended, quick and whole.
SECTIONS = {
    "idle": ("An idle control plane", idle, 180, 480),
    "hygiene": ("Looking for known secrets", hygiene, 120, 300),
    "bulk": ("Bulk", bulk, 180, 600),
    "small": ("Small requests", small, 240, 900),
    "delay": ("40 ms round trip", delay, 240, 900),
    "memory": ("Memory of idle links", memory, 360, 1800),
    "storm": ("Connectors that all dial at once", storm, 360, 1200),
    "hole": ("A black hole", hole, 240, 900),
    "watchdog": ("The Watchdog", watchdog, 480, 1200),
    "alerts": ("The Watchdog beside Prometheus", alerts, 900, 2700),
}
QUICK_SECONDS_MAX = 20 * 60
# These wait most of the time, for seconds and not for milliseconds: when time is short they do so together.
PATIENT = ["hole", "alerts"]


def enter(name, words, folder, answer):
    """The words that measure one section in namespaces of its own, which end with it."""
    prepare = 'mkdir -p /run/netns && mount -t tmpfs none /run/netns && ip link set lo up && exec "$@"'
    return ["unshare", "--net", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc", "sh", "-c", prepare, "sh",
            sys.executable, "-B", os.path.abspath(__file__), "--programs", words.programs, "--inside", name, folder,
            answer,
            "--scale", str(words.scale), *(["--quick"] if words.quick else [])]


def measure(name, words, seconds_left):
    """One section's text; None when it failed, which it then has said."""
    title, _, quick, whole = SECTIONS[name]
    where = report.machine() + (", quick" if words.quick else "")
    folder = tempfile.mkdtemp(prefix="aw-bench-")
    answer = folder + "/section.json"
    limit = min(quick, seconds_left) if words.quick else whole
    try:
        child = subprocess.Popen(enter(name, words, folder, answer))
        try:
            if child.wait(timeout=limit) != 0:
                return note(f"{name} failed")
        except subprocess.TimeoutExpired:
            return note(f"{name} did not end within {limit:.0f} s")
        finally:
            # With the namespaces everything ends that was started there.
            child.kill()
            child.wait()
        with open(answer) as file:
            return report.Section(title, **json.load(file)).text(where)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def note(what):
    print(f"{time.strftime('%T')} {what}", file=sys.stderr, flush=True)


class Context:
    """What a measurement is given."""

    def __init__(self, programs, folder, quick, scale):
        self.programs, self.folder, self.quick, self.scale = programs, folder, quick, scale

    def number(self, whole, quick):
        return quick if self.quick else whole

    def scaled(self, count):
        return max(10, round(count * self.scale))

    def program(self, name):
        return os.path.join(self.programs, name)


def inside(words):
    name, folder, answer = words.inside
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    parts, targets = SECTIONS[name][1](Context(words.programs, folder, words.quick, words.scale))
    with open(answer, "w") as file:
        json.dump({"parts": parts, "targets": targets}, file)


def groups(names, quick):
    """What is measured at the same time."""
    together = [name for name in PATIENT if name in names] if quick else []
    return [[name] for name in names if name not in together] + ([together] if together else [])


def main():
    text = __doc__.format(names=", ".join(SECTIONS))
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", required=True)
    parser.add_argument("--report")
    parser.add_argument("--only", default=",".join(SECTIONS))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--scale", type=float, default=1, help="of the fleets' sizes, to try the scripts; no report")
    parser.add_argument("--inside", nargs=3, help=argparse.SUPPRESS)
    words = parser.parse_args()
    words.programs = os.path.abspath(words.programs)
    if words.inside:
        return inside(words)
    names = words.only.split(",")
    if unknown := [name for name in names if name not in SECTIONS]:
        sys.exit(f"There is no {', '.join(unknown)}. There are: {', '.join(SECTIONS)}.")
    if words.scale != 1 and words.report:
        sys.exit("A report has whole fleets: leave --scale out, or --report.")
    if os.geteuid() != 0:
        sys.exit("It needs root, for namespaces.")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    started, failed = time.monotonic(), []
    for group in groups(names, words.quick):
        note(", ".join(group))
        left = QUICK_SECONDS_MAX - (time.monotonic() - started)
        with concurrent.futures.ThreadPoolExecutor(len(group)) as pool:
            texts = list(pool.map(lambda name: measure(name, words, left), group))
        for name, text in zip(group, texts):
            if text is None:
                failed.append(name)
                continue
            print(text, flush=True)
            if words.report:
                report.replace(words.report, text, [title for title, *_ in SECTIONS.values()])
    note(f"{time.monotonic() - started:.0f} s")
    if failed:
        sys.exit(f"Not measured: {', '.join(failed)}.")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""What watching many Instances costs, and how soon the Watchdog knows.

    Benchmarks/watchdog.py DIRECTORY [--quick] [--instances N] [--out FILE]

The directory holds the programs aw, aw-synthetic and link-load, release builds. One Connector stands for all Instances,
and a few synthetic Gateways answer for them: what is measured is the control plane. They are a few and not one because
a Gateway tells everybody who is connected of everybody who comes and goes. Everything is on this
machine's loopback and ends by itself. --out replaces the section of that name in FILE.
"""
import argparse
import http.client
import json
import os
import platform
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from idle import Deployment, free_port, memory_mib, processor_seconds  # noqa: E402

TITLE = "## The Watchdog"
GATEWAYS = 16


class LocalConnection(http.client.HTTPConnection):
    """The control plane's socket in its data directory: whoever may open it is its operator."""

    def __init__(self, path):
        super().__init__("localhost")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


def ask(deployment, path):
    connection = LocalConnection(deployment.folder + "/control/aw.sock")
    connection.request("GET", "/api/v1" + path)
    answer = json.load(connection.getresponse())
    connection.close()
    return answer


def statuses(deployment):
    return ask(deployment, "/fleet")["statuses"]


class Fleet:
    """The Connector that stands for all Instances."""

    def __init__(self, deployment, ids, origins, hole):
        shared = [word for origin in origins for word in ("--origin", str(origin))]
        self.child = subprocess.Popen(
            [deployment.program("link-load"), "fleet", "--data", deployment.folder + "/host", "--instances", ids,
             *shared, "--hole", str(hole)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        deployment.children.append(self.child)

    def tell(self, line):
        self.child.stdin.write(line + "\n")
        self.child.stdin.flush()
        while self.child.stdout.readline().strip() != "done":
            pass
        return time.monotonic()


class Database:
    """Reads what the control plane has written, without asking it."""

    def __init__(self, path):
        self.database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)

    def one(self, statement, *values):
        return self.database.execute(statement, values).fetchone()[0]

    def events(self, after=0):
        rows = self.database.execute(
            "SELECT type, COUNT(*) FROM event WHERE sequence > ? AND type <> 'aw.watchdog.heartbeat' GROUP BY type",
            (after,))
        return dict(rows.fetchall())

    def head(self):
        return self.one("SELECT sequence FROM event_head")


def until(condition, seconds, every=0.2):
    started = time.monotonic()
    while time.monotonic() - started < seconds:
        if condition():
            return time.monotonic()
        time.sleep(every)
    raise TimeoutError(f"not within {seconds} s")


def note(what):
    print(f"{time.strftime('%T')} {what}", file=sys.stderr, flush=True)


def one_instance(deployment):
    """A Host with one Instance, provisioned and verified. It runs on when its Connector ends."""
    control = deployment.serve()
    deployment.until_ready(time.monotonic())
    line = deployment.verb("host", "enroll", "host-1")["line"]
    deployment.start(
        deployment.program("aw-synthetic"), "model", "--port", str(deployment.model),
        environment={"AW_FIXTURE_MODEL_KEY": "benchmark-model-key-0123456789"})
    connector = deployment.start(
        deployment.program("aw"), "connect", "--enrol", f"127.0.0.1:{deployment.gateway}", "--data",
        deployment.folder + "/host", "--openclaw", deployment.program("aw-synthetic"), "--openclaw-argument",
        "openclaw", "--log-level", "error", text=line.split()[1] + "\n")
    until(lambda: deployment.verb("host", "show", "host-1")["connected"], 30)
    deployment.verb("org", "create", "acme")
    deployment.verb("instance", "create", "acme-main", "--org", "acme")
    port = deployment.verb("instance", "show", "acme-main")["port"]
    gateway = next(
        int(pid) for pid in os.listdir("/proc") if pid.isdigit() and f"gateway\0--port\0{port}\0" in command(pid))
    for child in (connector, control):
        child.terminate()
        child.wait()
        deployment.children.remove(child)
    return port, gateway


def copies(deployment, port, gateway):
    """The one Gateway many times: same keys, same state, other ports."""
    with open(f"/proc/{gateway}/environ") as file:
        environment = dict(line.split("=", 1) for line in file.read().split("\0") if line)
    arguments = command(gateway).rstrip("\0").split("\0")
    os.kill(gateway, signal.SIGTERM)
    until(lambda: not command(gateway), 10)
    state = environment["OPENCLAW_STATE_DIR"]
    ports = []
    for number in range(GATEWAYS):
        own = f"{deployment.folder}/gateway-{number}"
        shutil.copytree(state, own)
        ports.append(free_port())
        own_environment = dict(environment, OPENCLAW_STATE_DIR=own)
        if environment["OPENCLAW_CONFIG_PATH"].startswith(state):
            own_environment["OPENCLAW_CONFIG_PATH"] = own + environment["OPENCLAW_CONFIG_PATH"][len(state):]
        deployment.start(
            *[str(ports[-1]) if word == str(port) else word for word in arguments], environment=own_environment)
    for port in ports:
        until(lambda: answers(port), 10)
    return ports


def answers(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def command(pid):
    try:
        with open(f"/proc/{pid}/cmdline") as line:
            return line.read()
    except OSError:
        return ""


def seed(deployment, count):
    ids = deployment.folder + "/instances"
    with open(ids, "w") as file:
        subprocess.run(
            [deployment.program("link-load"), "seed", "--data", deployment.folder + "/control", "--like", "acme-main",
             "--count", str(count - 1)], stdout=file, check=True)
    return ids


def verdict(database, fleet, deployment, line, budget):
    """Seconds from the fault to the event that tells of it, and from its end to `current`."""
    head = database.head()
    broken = fleet.tell(line)
    try:
        known = until(lambda: database.events(head).get("aw.instance.status-changed"), budget, 0.1)
    except TimeoutError:
        note(f"{line}: nobody was told; {json.dumps(ask(deployment, '/fleet'))}")
        raise
    mended = fleet.tell("well")
    try:
        back = until(
            lambda: ask(deployment, "/instances/acme-main")["status"]["status"] == "current", budget, 0.1)
    except TimeoutError:
        note(json.dumps(ask(deployment, "/instances/acme-main")))
        raise
    note(f"{line}: {known - broken:.1f} s")
    # Until people have been told of the end, too.
    until(lambda: database.events(head).get("aw.instance.status-changed", 0) >= 2, 2 * budget, 0.5)
    return known - broken, back - mended


def measure(programs, folder, words):
    deployment = Deployment(programs, folder)
    hole = socket.create_server(("127.0.0.1", 0), backlog=1)
    try:
        ports = copies(deployment, *one_instance(deployment))
        ids = seed(deployment, words.instances)
        fleet = Fleet(deployment, ids, ports, hole.getsockname()[1])
        control = deployment.serve()
        started = time.monotonic()
        deployment.until_ready(started)
        database = Database(folder + "/control/aw.sqlite")
        current = until(
            lambda: statuses(deployment)["current"] == words.instances, 300, 1) - started
        note("all are current")
        time.sleep(30)
        before, at = processor_seconds(control.pid), time.monotonic()
        time.sleep(words.seconds)
        share = 100 * (processor_seconds(control.pid) - before) / (time.monotonic() - at)
        memory = memory_mib(control.pid)
        steady = statuses(deployment)
        crash = verdict(database, fleet, deployment, "crash 1", 60)
        black_hole = verdict(database, fleet, deployment, "hole 1", 60)
        head = database.head()
        fleet.tell(f"crash {words.instances // 2}")
        time.sleep(60)
        lost = database.events(head)
        during = statuses(deployment)
        fleet.tell("well")
        note("half is lost")
        time.sleep(90)
        after = statuses(deployment)
        events = database.events(head)
    finally:
        deployment.end()
        hole.close()
    cores = os.cpu_count()
    return "\n".join([
        f"{words.instances:,} Instances on one Connector, {GATEWAYS} Gateways that answer for them; "
        f"{platform.system()} {platform.release()}, {cores} cores, "
        f"{time.strftime('%Y-%m-%d')}. Load at the end: {os.getloadavg()[0]:.1f}.", "",
        "| what | measured |", "| --- | --- |",
        f"| start until all are `current` | {current:.0f} s |",
        f"| processor of the control plane, over {words.seconds} s | {share:.1f} % of one core, "
        f"{share / cores:.1f} % of {cores} |",
        f"| memory of the control plane | {memory:.0f} MiB |",
        f"| `current` at the end of that | {steady['current']:,} |",
        f"| a crash, until people are told; back, until it shows | {crash[0]:.1f} s; {crash[1]:.1f} s |",
        f"| a black hole, until people are told; back, until it shows | {black_hole[0]:.1f} s; {black_hole[1]:.1f} s |",
        f"| {words.instances // 2:,} lost at once, events within 60 s | "
        f"{sum(lost.values())}: {', '.join(f'{kind} {count}' for kind, count in lost.items()) or 'none'} |",
        f"| the same: statuses then | {words_of(during)} |",
        f"| all back, 90 s later: events in all | {sum(events.values())} |",
        f"| the same: statuses then | {words_of(after)} |",
    ]) + "\n"


def words_of(statuses):
    return ", ".join(f"{count:,} `{status}`" for status, count in sorted(statuses.items()) if count)


def replace_section(path, text):
    with open(path) as file:
        page = file.read()
    start = page.find(TITLE)
    if start >= 0:
        end = page.find("\n## ", start + 1)
        page = page[:start] + (page[end + 1:] if end >= 0 else "")
    with open(path, "w") as file:
        file.write(page.rstrip() + f"\n\n{TITLE}\n\n{text}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs")
    parser.add_argument("--quick", action="store_true", help="500 Instances and 20 seconds, to see that it works")
    parser.add_argument("--instances", type=int, default=10_000)
    parser.add_argument("--seconds", type=int, default=120, help="for the processor")
    parser.add_argument("--out")
    words = parser.parse_args()
    if words.quick:
        words.instances, words.seconds = 500, 20
    folder = tempfile.mkdtemp(prefix="aw-bench-")
    try:
        text = measure(os.path.abspath(words.programs), folder, words)
    finally:
        shutil.rmtree(folder)
    print(text)
    if words.out:
        replace_section(words.out, text)


if __name__ == "__main__":
    main()

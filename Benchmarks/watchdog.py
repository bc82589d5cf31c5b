"""What watching many Instances costs, and how soon the Watchdog knows.

One Connector stands for all Instances, and a few synthetic Gateways answer for them: what is measured is the control
plane. They are a few and not one because a Gateway tells everybody who is connected of everybody who comes and goes.
"""
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time

from idle import Deployment, free_port, memory_mib, processor_seconds
from report import table
from tunnels import API

INSTANCES = 10_000
GATEWAYS = 16
LOST_EVENTS_MAX = 3
# What single Instances are told with; the loss of many is told of as one.
SINGLE = ("aw.instance.status-changed", "aw.instance.flapping")


def ask(deployment, path):
    return API(deployment.folder + "/control/aw.sock").call("GET", path)


def statuses(deployment):
    return ask(deployment, "/fleet")["statuses"]


class Fleet:
    """The Connector that stands for all Instances of a Host."""

    def __init__(self, deployment, host, ids, *ports):
        self.child = subprocess.Popen(
            [deployment.program("link-load"), "fleet", "--data", f"{deployment.folder}/{host}", "--instances", ids,
             *ports],
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


def provision(deployment, hosts, meanwhile=None):
    """Hosts with one Instance each, provisioned and verified. They run on when their Connectors end.

    Returns: the port of each Instance; or what `meanwhile` made of them while their Connectors were there, which a
    Gateway asks for its token when it starts.
    """
    control = deployment.serve()
    deployment.until_ready(time.monotonic())
    deployment.start_model()
    deployment.verb("org", "create", "acme")
    ports, connectors = [], []
    for port, host in enumerate(hosts, start=18789):
        connectors.append(deployment.connect(host, deployment.verb("host", "enroll", host)["line"]))
        until(lambda: deployment.verb("host", "show", host)["connected"], 30)
        deployment.verb("instance", "create", f"on-{host}", "--org", "acme", "--host", host, "--port", str(port))
        ports.append(port)
    result = meanwhile(ports) if meanwhile else ports
    for child in (*connectors, control):
        deployment.stop(child)
    return result


def copies(deployment, port):
    """The one Gateway many times: same keys, same state, other ports."""
    gateway = next(pid for pid in os.listdir("/proc") if pid.isdigit() and f"gateway\0--port\0{port}\0" in command(pid))
    with open(f"/proc/{gateway}/environ") as file:
        environment = dict(line.split("=", 1) for line in file.read().split("\0") if line)
    arguments = command(gateway).rstrip("\0").split("\0")
    state = environment["OPENCLAW_STATE_DIR"]
    ports = []
    for number in range(GATEWAYS):
        own = f"{deployment.folder}/gateway-{number}"
        # What is being written is renamed when it is whole.
        shutil.copytree(state, own, ignore=shutil.ignore_patterns(".dat.nosync*"))
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


def seed(deployment, host, count):
    """Makes so many Instances of the one on a Host. Returns: the file with their ids."""
    ids = f"{deployment.folder}/instances-{host}"
    with open(ids, "w") as file:
        subprocess.run(
            [deployment.program("link-load"), "seed", "--data", deployment.folder + "/control", "--like", f"on-{host}",
             "--prefix", host, "--count", str(count - 1)], stdout=file, check=True)
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
            lambda: ask(deployment, "/instances/on-host")["status"]["status"] == "current", budget, 0.1)
    except TimeoutError:
        note(json.dumps(ask(deployment, "/instances/on-host")))
        raise
    note(f"{line}: {known - broken:.1f} s")
    # Until people have been told of the end, too.
    until(lambda: database.events(head).get("aw.instance.status-changed", 0) >= 2, 2 * budget, 0.5)
    return known - broken, back - mended


def watchdog(context):
    instances, seconds = context.scaled(INSTANCES), context.number(120, 40)
    deployment = Deployment(context.programs, context.folder)
    hole = socket.create_server(("127.0.0.1", 0), backlog=1)
    try:
        ports = provision(deployment, ["host"], lambda ports: copies(deployment, *ports))
        origins = [word for port in ports for word in ("--origin", str(port))]
        ids = seed(deployment, "host", instances)
        fleet = Fleet(deployment, "host", ids, *origins, "--hole", str(hole.getsockname()[1]))
        control = deployment.serve()
        started = time.monotonic()
        deployment.until_ready(started)
        database = Database(context.folder + "/control/aw.sqlite")
        current = until(lambda: statuses(deployment)["current"] == instances, 300, 1) - started
        note("all are current")
        time.sleep(context.number(30, 10))
        share = processor_share(control.pid, seconds)
        memory = memory_mib(control.pid)
        steady = statuses(deployment)
        crash = verdict(database, fleet, deployment, "crash 1", 60)
        black_hole = verdict(database, fleet, deployment, "hole 1", 60)
        head = database.head()
        fleet.tell(f"crash {instances // 2}")
        time.sleep(context.number(60, 40))
        lost = database.events(head)
        during = statuses(deployment)
        fleet.tell("well")
        note("half is lost")
        settle = context.number(90, 60)
        time.sleep(settle)
        after = statuses(deployment)
        events = database.events(head)
    finally:
        deployment.end()
        hole.close()
    cores = os.cpu_count()
    kinds = ", ".join(f"{kind} {count}" for kind, count in lost.items()) or "none"
    rows = [
        ["start until all are `current`", f"{current:.0f} s"],
        [f"processor of the control plane, over {seconds} s",
         f"{share:.1f} % of one core, {share / cores:.1f} % of {cores}"],
        ["memory of the control plane", f"{memory:.0f} MiB"],
        ["`current` at the end of that", f"{steady['current']:,}"],
        ["a crash, until people are told; back, until it shows", f"{crash[0]:.1f} s; {crash[1]:.1f} s"],
        ["a black hole, until people are told; back, until it shows", f"{black_hole[0]:.1f} s; {black_hole[1]:.1f} s"],
        [f"{instances // 2:,} lost at once: events meanwhile", f"{sum(lost.values())}: {kinds}"],
        ["the same: statuses then", words_of(during)],
        [f"all back, {settle} s later: events in all", sum(events.values())],
        ["the same: statuses then", words_of(after)],
    ]
    single = sum(lost.get(kind, 0) for kind in SINGLE)
    intro = f"{instances:,} Instances on one Connector, {GATEWAYS} Gateways that answer for them."
    return [intro, table(["what", "measured"], rows)], [
        (f"{instances:,} Instances watched: processor", "≤ 10 % of 2 cores", f"{share / 2:.1f} %", share / 2 <= 10),
        (f"{instances:,} Instances watched: memory", "≤ 1 GiB", f"{memory:.0f} MiB", memory <= 1024),
        ("hard verdict, crash", "≤ 15 s", f"{crash[0]:.1f} s", crash[0] <= 15),
        ("hard verdict, black hole", "≤ 25 s", f"{black_hole[0]:.1f} s", black_hole[0] <= 25),
        (f"{instances // 2:,} lost at once: events", f"≤ {LOST_EVENTS_MAX}", str(sum(lost.values())),
         0 < sum(lost.values()) <= LOST_EVENTS_MAX),
        (f"{instances // 2:,} lost at once: alarms of single Instances", "none", str(single), single == 0)]


def processor_share(pid, seconds):
    """Of one core, in per cent."""
    before, at = processor_seconds(pid), time.monotonic()
    time.sleep(seconds)
    return 100 * (processor_seconds(pid) - before) / (time.monotonic() - at)


def words_of(statuses):
    return ", ".join(f"{count:,} `{status}`" for status, count in sorted(statuses.items()) if count)

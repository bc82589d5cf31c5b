"""The link against OpenSSH and stunnel, side by side and in turns: bulk, small requests, a wire with delay."""
import statistics
import time

from report import table
from tunnels import AW, TRAFFIC, Direct, Local, Machines, Reverse, Stunnel, processor_seconds

TUNNELS = [Direct, Reverse, Local, Stunnel, AW]
DELAY_MS = 20


def median(values):
    return statistics.median(values)


def percentile(ordered, share):
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


class Runs:
    """What was measured of each tunnel, one figure of each kind for each turn."""

    def __init__(self, tunnels):
        self.names = [tunnel.name for tunnel in tunnels]
        self.found = {name: {} for name in self.names}

    def add(self, tunnel, **figures):
        for kind, figure in figures.items():
            self.found[tunnel.name].setdefault(kind, []).append(figure)

    def median(self, name, kind):
        return median(self.found[name][kind])


def each(context, delay_ms, body, connections=1):
    """Puts every tunnel up once, and lets `body` measure all of them in turns.

    connections: how many AW's Connector keeps.
    """
    machines = Machines(context.folder, delay_ms)
    try:
        tunnels = [
            AW(machines, context.programs, connections=connections) if kind is AW else kind(machines)
            for kind in TUNNELS]
        runs = Runs(tunnels)
        for _ in range(context.number(5, 3)):
            for tunnel in tunnels:
                body(tunnel, runs)
        return runs
    finally:
        machines.end()


def ask(tunnel, verb, *numbers):
    return tunnel.machines.ask(verb, tunnel.port, *numbers, address=tunnel.address)


def bulk(context):
    def body(tunnel, runs):
        before = processor_seconds(tunnel.pids())
        answer = ask(tunnel, "bulk", context.number(2048, 512), 1)
        spent = processor_seconds(tunnel.pids()) - before
        runs.add(tunnel, rate=answer["mib"] / answer["seconds"], cost=spent / (answer["mib"] / 1024))

    runs = each(context, 0, body)
    ssh = runs.median(Reverse.name, "cost")
    ratio = runs.median(AW.name, "cost") / ssh
    rows = [[name, f"{runs.median(name, 'rate'):.0f}", f"{runs.median(name, 'cost'):.2f}",
             f"{runs.median(name, 'cost') / ssh:.2f}"] for name in runs.names]
    head = ["one stream, no delay", "MiB/s", "CPU seconds per GiB, both ends", "of OpenSSH -R"]
    return [table(head, rows)], [
        ("CPU seconds per GiB, both ends", "≤ 0.45 × OpenSSH's", f"{ratio:.2f} ×", ratio <= 0.45)]


def small(context):
    requests = context.number(5000, 1500)

    def body(tunnel, runs):
        runs.add(tunnel, idle=ask(tunnel, "small", requests), fresh=ask(tunnel, "fresh", context.number(300, 100)))
        load = tunnel.machines.spawn(
            tunnel.machines.control, *TRAFFIC, "bulk", tunnel.address, str(tunnel.port), "1000000", "1")
        time.sleep(0.5)
        runs.add(tunnel, busy=ask(tunnel, "small", requests // 5))
        load.kill()
        load.wait()
        time.sleep(0.5)

    runs = each(context, 0, body, connections=2)

    def shown(name, kind, share):
        return median([percentile(one, share) for one in runs.found[name][kind]]) / 1000

    columns = [("idle", 0.5), ("idle", 0.99), ("busy", 0.5), ("busy", 0.99), ("fresh", 0.5)]
    rows = [[name] + [f"{shown(name, *column):.2f}" for column in columns] for name in runs.names]
    idle, busy = (shown(AW.name, kind, 0.5) / shown(Reverse.name, kind, 0.5) for kind in ("idle", "busy"))
    head = ["no delay, ms", "idle p50", "idle p99", "beside bulk p50", "beside bulk p99", "new stream p50"]
    note = ("AW keeps two connections, as a Connector does unless it is told otherwise, and a new stream takes the one "
            "that carries less. A stream that shares its connection with the bulk waits behind it, as in OpenSSH.")
    return [table(head, rows), note], [
        ("small request p50, idle", "≤ 2 × OpenSSH's", f"{idle:.2f} ×", idle <= 2),
        ("small request p50, while bulk runs", "≤ 0.2 × OpenSSH's", f"{busy:.2f} ×", busy <= 0.2)]


def delay(context):
    def body(tunnel, runs):
        answer = ask(tunnel, "bulk", context.number(256, 96), 1)
        runs.add(tunnel, rate=answer["mib"] / answer["seconds"],
                 fresh=percentile(ask(tunnel, "fresh", context.number(100, 30)), 0.5) / 1000,
                 small=percentile(ask(tunnel, "small", context.number(100, 30)), 0.5) / 1000)

    runs = each(context, DELAY_MS, body)
    ssh = runs.median(Reverse.name, "rate")
    # The far end of no tunnel answers after one round trip of the wire.
    trip = runs.median(Direct.name, "small")
    rows = [[name, f"{runs.median(name, 'rate'):.1f}", f"{runs.median(name, 'rate') / ssh:.1f}",
             f"{runs.median(name, 'small'):.1f}", f"{runs.median(name, 'fresh'):.1f}"] for name in runs.names]
    rate, fresh = runs.median(AW.name, "rate") / ssh, runs.median(AW.name, "fresh") / trip
    head = [f"{2 * DELAY_MS} ms round trip", "one stream, MiB/s", "times OpenSSH -R", "small request p50, ms",
            "new stream p50, ms"]
    note = "The wire is a program (`slow-wire.c`); what it carries at most is the first row."
    return [table(head, rows), note], [
        ("one stream at 40 ms", "≥ 2.6 × OpenSSH's", f"{rate:.2f} ×", rate >= 2.6),
        ("new stream at 40 ms", "≤ 1.1 round trips", f"{fresh:.2f}", fresh <= 1.1)]

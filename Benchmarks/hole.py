"""A wire that swallows everything without a word, on many pairs of machines at once."""
import concurrent.futures
import json
import subprocess
import time

from link import median
from report import table
from tunnels import AW, TRAFFIC, Machines, Reverse

NOTICED_SECONDS_MAX = 10
BACK_SECONDS_MAX = 2
# What waits for longer hangs: a dead link is known, and its streams ended, within ten.
HUNG_AFTER_SECONDS = 15
# The polls that measure come this often.
POLL_SECONDS = 0.1


class KeptAlive(Reverse):
    """OpenSSH as its users set it up: keepalives at both ends, and a loop that starts it again."""
    name = "OpenSSH -R, alive 15 s × 3"
    server_options = ("-o", "ClientAliveInterval=15", "-o", "ClientAliveCountMax=3")

    def client(self, *words):
        alive = ["-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=3"]
        once = " ".join(super().client(*alive, *words))
        return ["sh", "-c", f"while true; do {once}; sleep 1; done"]


class Fall:
    """One link that falls into the hole, and comes out of it."""

    def __init__(self, context, kind, busy):
        self.busy, self.machines = busy, Machines(context.folder)
        self.tunnel = AW(self.machines, context.programs) if kind is AW else kind(self.machines)
        self.name = self.tunnel.name
        self.noticed, self.took = {}, []

    def client(self, verb):
        return self.machines.spawn(
            self.machines.control, *TRAFFIC, verb, self.tunnel.address, str(self.tunnel.port),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, outage):
        watch = self.client("watch") if self.busy else None
        # A link that has just been made has had its first pings.
        time.sleep(8)
        ends = (self.machines.control, self.machines.host)
        before = {end: self.machines.connections(end, self.tunnel.link_port) for end in ends}
        self.machines.silence()
        began = time.monotonic()
        while time.monotonic() - began < outage:
            for end in ends:
                if end not in self.noticed and not before[end] & self.machines.connections(end, self.tunnel.link_port):
                    self.noticed[end] = time.monotonic() - began
            time.sleep(POLL_SECONDS)
        back = self.client("back")
        # Python has started by then.
        time.sleep(1)
        healed = time.time()
        self.machines.heal()
        self.back = json.loads(back.communicate(timeout=120)[0]) - healed
        if watch:
            time.sleep(3)
            self.took = [json.loads(line) for line in watch.communicate(timeout=120)[0].splitlines()]

    control = property(lambda self: self.noticed.get(self.machines.control))
    host = property(lambda self: self.noticed.get(self.machines.host))
    longest = property(lambda self: max((one["took"] for one in self.took), default=None))
    hung = property(lambda self: sum(one["took"] > HUNG_AFTER_SECONDS for one in self.took))


def hole(context):
    outage = context.number(200, 75)
    plan = {AW: context.number(10, 5), KeptAlive: context.number(3, 1)}
    falls = []
    try:
        for kind, count in plan.items():
            for _ in range(count):
                for busy in (False, True):
                    falls.append(Fall(context, kind, busy))
        with concurrent.futures.ThreadPoolExecutor(len(falls)) as pool:
            list(pool.map(lambda fall: fall.run(outage), falls))
    finally:
        for fall in falls:
            fall.machines.end()
    rows, targets = [], []
    for kind in plan:
        for busy in (False, True):
            mine = [fall for fall in falls if fall.name == kind.name and fall.busy == busy]
            rows.append([kind.name, "busy" if busy else "idle", len(mine), shown([fall.control for fall in mine], outage),
                         shown([fall.host for fall in mine], outage), shown([fall.back for fall in mine], outage),
                         shown([fall.longest for fall in mine], outage) if busy else "-",
                         sum(fall.hung for fall in mine) if busy else "-"])
            if kind is AW:
                targets += noticed(mine, busy)
    mine = [fall for fall in falls if fall.name == AW.name]
    back, hung = median([fall.back for fall in mine]), sum(fall.hung for fall in mine)
    targets += [
        (f"back after a heal of {outage} s, median of {len(mine)}", f"≤ {BACK_SECONDS_MAX} s", f"{back:.2f} s",
         back <= BACK_SECONDS_MAX),
        (f"requests that hung, for more than {HUNG_AFTER_SECONDS} s", "none", str(hung), hung == 0)]
    head = ["tunnel", "load", "links", "control plane noticed, s", "Host noticed, s", "answered after the heal, s",
            "longest wait of a request, s", "requests hung"]
    note = (f"The wire swallows both ways for {outage} s. Median, and in brackets the worst. Busy is a request on a new "
            "connection every 0.5 s, whatever became of those before.")
    return [table(head, rows), note], targets


def noticed(falls, busy):
    load = "busy" if busy else "idle"
    for end, name in (("control", "control plane"), ("host", "Host")):
        found = [getattr(fall, end) for fall in falls]
        worst = None if None in found else max(found)
        yield (f"silent partition noticed, {load}, {name}", f"≤ {NOTICED_SECONDS_MAX} s",
               "never" if worst is None else f"{worst:.1f} s at worst",
               worst is not None and worst <= NOTICED_SECONDS_MAX)


def shown(values, outage):
    if None in values:
        return f"not within {outage}"
    return f"{median(values):.1f} ({max(values):.1f})"

"""AW's Watchdog beside Prometheus, its black-box exporter and Alertmanager, over the same Instances at once."""
import os
import subprocess
import sys
import time

from idle import Deployment
from peers import CHECK_SECONDS, GROUP_INTERVAL_SECONDS, GROUP_WAIT_SECONDS, HELD_SECONDS
from peers import Prometheus, Receiver, Watcher, alertmanager_alerts, aw_alerts
from report import table
from tunnels import API, processor_seconds, pss_kib
from watchdog import Fleet, note, provision, seed, statuses, until

HOSTS, INSTANCES = 4, 1_000
FIRST_PORT = 20_000
SHARE = 0.55
FLAPS_SECONDS = (1, 20)


class Stubs:
    def __init__(self, origins, each):
        program = os.path.dirname(os.path.abspath(__file__)) + "/stubs.py"
        self.child = subprocess.Popen(
            [sys.executable, program, str(FIRST_PORT), *(f"{origin}:{each}" for origin in origins)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.child.stdout.readline()

    def tell(self, line):
        at = time.monotonic()
        self.child.stdin.write(line + "\n")
        self.child.stdin.flush()
        self.child.stdout.readline()
        return at

    def end(self):
        self.child.kill()
        self.child.wait()


class Scene:
    """The fleet, everybody who watches it, and what they tell."""

    def __init__(self, context):
        self.context = context
        self.each = context.scaled(INSTANCES) // HOSTS
        self.count = self.each * HOSTS
        self.receiver = Receiver()
        self.deployment = Deployment(context.programs, context.folder)
        names = [f"host-{number}" for number in range(HOSTS)]
        self.stubs = Stubs(provision(self.deployment, names), self.each)
        files = [seed(self.deployment, name, self.each) for name in names]
        places = {}
        for path in files:
            with open(path) as lines:
                places.update({line.strip(): len(places) + place for place, line in enumerate(lines)})
        self.fleets = [
            Fleet(self.deployment, name, path, "--ports-from", str(FIRST_PORT + place * self.each))
            for place, (name, path) in enumerate(zip(names, files))]
        self.control = self.deployment.serve()
        self.deployment.until_ready(time.monotonic())
        self.route()
        self.prometheus = Prometheus(context.folder, self.receiver, {
            name: range(FIRST_PORT + place * self.each, FIRST_PORT + (place + 1) * self.each)
            for place, name in enumerate(names)})
        self.prometheus.start()
        peers = alertmanager_alerts(FIRST_PORT)
        self.watchers = [
            Watcher("AW", self.receiver, "/aw", aw_alerts(places)),
            Watcher("Prometheus, `for: 0s`", self.receiver, "/fast", peers),
            Watcher(f"Prometheus, `for: {HELD_SECONDS}s`", self.receiver, "/held", peers)]

    def route(self):
        """AW tells the same receiver, at the same pace."""
        api = API(self.context.folder + "/control/aw.sock")
        api.call("POST", "/alert-endpoints", {
            "name": "receiver", "kind": "webhook", "target": f"http://127.0.0.1:{self.receiver.port}/aw",
            "settings": {"format": "batch"}, "allowsPrivate": ["127.0.0.0/8"]})
        api.call("POST", "/alert-routes", {
            "name": "everything", "endpoints": ["receiver"], "matchers": {}, "goesOn": False,
            "pace": {"waitSeconds": GROUP_WAIT_SECONDS, "intervalSeconds": GROUP_INTERVAL_SECONDS,
                     "repeatSeconds": 4 * 3600}})

    def settle(self):
        until(lambda: statuses(self.deployment)["current"] == self.count, 180, 1)
        time.sleep(2 * CHECK_SECONDS)

    def cost(self, seconds):
        """Of AW, of its Connectors and of Prometheus' three: processor in per cent of one core, memory in MiB."""
        groups = [[self.control.pid], [fleet.child.pid for fleet in self.fleets], self.prometheus.pids()]
        before = [processor_seconds(pids) for pids in groups]
        time.sleep(seconds)
        spent = [processor_seconds(pids) - earlier for pids, earlier in zip(groups, before)]
        return [(100 * one / seconds, sum(map(pss_kib, pids)) / 1024) for one, pids in zip(spent, groups)]

    def end(self):
        self.prometheus.end()
        self.deployment.end()
        self.stubs.end()

    def wait(self, seconds, is_so):
        """Until everybody is so far, or the time is over."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not all(is_so(watcher) for watcher in self.watchers):
            time.sleep(0.2)

    def quiet(self, seconds):
        self.wait(seconds, lambda watcher: not watcher.open())


class Tale:
    """What one watcher told since something happened to the Instances at `broken`."""

    def __init__(self, watcher, since, broken):
        told = watcher.told(since)
        opened = [(at, place) for at, (_, place, is_open) in told if is_open]
        self.first = min((at for at, _ in opened), default=None)
        self.first = None if self.first is None else self.first - since
        self.notifications = watcher.count(since)
        self.single = len({place for _, place in opened if place is not None})
        self.false = len({place for _, place in opened if place is not None and place not in broken})

    def row(self, what, watcher, still_open):
        first = "never" if self.first is None else f"{self.first:.1f}"
        return [what, watcher.name, first, self.notifications, self.single, self.false, still_open]


def alerts(context):
    scene = Scene(context)
    try:
        scene.settle()
        note("all are current")
        costs = scene.cost(context.number(60, 20))
        rows = []
        for what, broken in (
            (f"{SHARE:.0%} of one Host", range(round(SHARE * scene.each))), ("all of it", range(scene.count))):
            rows += outage(scene, what, broken, context.number(90, 50))
        flap_rows = flapping(scene, context.number(600, 90))
        deaf_rows = deaf(scene, context.number(420, 45), context.number(900, 60))
    finally:
        scene.end()
    mass = [row for row in rows if row[1] == "AW"]
    targets = [
        ("the loss of many beside Prometheus: events of AW", "≤ 3 each", ", ".join(str(row[3]) for row in mass),
         all(0 < row[3] <= 3 for row in mass)),
        ("the loss of many beside Prometheus: alarms of single Instances of AW", "none", str(sum(row[4] for row in mass)),
         not any(row[4] for row in mass)),
        ("a receiver that was away: beginnings and ends of AW that it never heard of", "none", str(deaf_rows[0][-1]),
         deaf_rows[0][-1] == 0)]
    return page(scene, costs, rows, flap_rows, deaf_rows), targets


def flapping(scene, seconds):
    """Two Instances on two Hosts flap, fast and slowly."""
    flaps = {place * scene.each: period for place, period in enumerate(FLAPS_SECONDS)}
    since = min(scene.stubs.tell(f"flap {place} {place + 1} {period}") for place, period in flaps.items())
    time.sleep(seconds)
    rows = []
    for place, period in flaps.items():
        for watcher in scene.watchers:
            told = [(at - since, is_open) for at, (_, about, is_open) in watcher.told(since) if about == place]
            rows.append([f"{period} s down, {period} s up", watcher.name, f"{told[0][0]:.1f}" if told else "never",
                         sum(is_open for _, is_open in told), sum(not is_open for _, is_open in told)])
    for place in flaps:
        scene.stubs.tell(f"up {place} {place + 1}")
    # AW tells of the end of a flapping when it was calm for ten minutes.
    scene.quiet(40)
    note(f"flapping: {rows}")
    return rows


def outage(scene, what, broken, seconds):
    """Breaks some, sees what is told, mends them, and waits until that is told, too."""
    since = scene.stubs.tell(f"down {broken.start} {broken.stop}")
    time.sleep(seconds)
    tales = [Tale(watcher, since, broken) for watcher in scene.watchers]
    scene.stubs.tell(f"up {broken.start} {broken.stop}")
    scene.quiet(120)
    rows = [tale.row(what, watcher, len(watcher.open())) for tale, watcher in zip(tales, scene.watchers)]
    note(f"{what}: {rows}")
    return rows


def deaf(scene, seconds, patience):
    """One Instance is lost and told of. Then the receiver answers 500, and meanwhile that one is back and another is
    lost; it answers again, and hears of both or not."""
    # On Hosts where nothing flapped.
    one, other = 2 * scene.each, 3 * scene.each
    since = scene.stubs.tell(f"down {one} {one + 1}")
    scene.wait(90, lambda watcher: one in watcher.open().values())
    tales = [Tale(watcher, since, {one}) for watcher in scene.watchers]
    scene.receiver.status = 500
    scene.stubs.tell(f"up {one} {one + 1}")
    scene.stubs.tell(f"down {other} {other + 1}")
    time.sleep(seconds)
    scene.receiver.status = 200
    again = time.monotonic()
    scene.wait(patience, lambda watcher: {one, other} & set(watcher.open().values()) == {other})
    heard = [next((at - again for at, (_, place, is_open) in watcher.told(again) if place == one and not is_open), None)
             for watcher in scene.watchers]
    scene.stubs.tell(f"up {other} {other + 1}")
    scene.wait(90, lambda watcher: not {one, other} & set(watcher.open().values()))
    rows = []
    for watcher, tale, late in zip(scene.watchers, tales, heard):
        opened = {place for _, (_, place, is_open) in watcher.told(since) if is_open}
        lost = len({one, other} - opened) + len({one, other} & set(watcher.open().values()))
        rows.append([watcher.name, "never" if tale.first is None else f"{tale.first:.1f}", tale.false,
                     f"not within {patience}" if late is None else f"{late:.1f}", lost])
    note(f"deaf: {rows}")
    return rows


def page(scene, costs, rows, flap_rows, deaf_rows):
    names = ["AW's control plane", f"AW's Connectors, {HOSTS}", "Prometheus, black-box exporter, Alertmanager"]
    intro = (
        f"{scene.count:,} Instances on {HOSTS} Hosts; each is a port, and all are watched by everybody at once, each "
        f"{CHECK_SECONDS} s. Prometheus asks `/healthz` and evaluates each 5 s; AW asks that and more: the Gateway "
        f"WebSocket up to its `health`, and from the Host, too. Both group by {GROUP_WAIT_SECONDS} s, then "
        f"{GROUP_INTERVAL_SECONDS} s (Alertmanager by Host), and tell the same receiver.")
    return [
        intro,
        table(["nothing happens", "% of one core", "memory, MiB (PSS)"],
              [[name, f"{share:.1f}", f"{memory:.0f}"] for name, (share, memory) in zip(names, costs)]),
        table(["fault", "watcher", "first told after, s", "notifications", "alarms of single Instances",
               "of these false", "still open in the end"], rows),
        table(["one flapping", "watcher", "first told after, s", "beginnings told", "ends told"], flap_rows),
        table(["one down; then a receiver that answers 500", "told of the one after, s", "false alarms",
               "told of its end after the receiver was back, s", "beginnings and ends never heard"], deaf_rows)]

"""Many Connectors on one AW Gateway: what their links cost while nothing happens, and all of them dialling at once."""
import resource
import time

from link import median
from report import table
from tunnels import AW, CONTROL, ORIGIN, Machines, Reverse, family, pss_kib, until

SETTLE_SECONDS = 10
MEMORY_KIB_MAX = 96
SSHD_CHILDREN = 50
# Not a storm: the Connectors share one process, and with it its processor.
LINKS_PER_SECOND = 150


def descriptors():
    """As many files as this process may let another one have open, and that number."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def fleets(context):
    """(Connectors, connections of each) that are measured. A Connector keeps two unless it is told otherwise."""
    sizes = [(1_000, 1), (10_000, 1)]
    if not context.quick:
        # Each takes a file of the control plane, which needs some for itself.
        sizes.append((min(10_000, (descriptors() - 400) // 2), 2))
    return [(context.scaled(count), connections) for count, connections in sizes]


def memory(context):
    descriptors()
    machines, rows, each = Machines(context.folder), [], []
    try:
        sizes = fleets(context)
        aw = AW(machines, context.programs, connectors=max(count for count, _ in sizes))
        for count, connections in sizes:
            # A new process each time: no memory of an earlier, larger fleet.
            aw.stop()
            aw.serve()
            time.sleep(SETTLE_SECONDS)
            # The program's own pages are shared with the Connectors' process once that runs.
            bare = pss_kib(aw.control.pid, "Pss_Anon")
            aw.connect(count, connections, seconds=300, per_second=LINKS_PER_SECOND // connections)
            time.sleep(SETTLE_SECONDS)
            full, far = (pss_kib(pid, "Pss_Anon") for pid in aw.pids())
            links = count * connections
            each.append(((full - bare) / links, links))
            rows.append([f"AW, {count:,} Connectors × {connections}", f"{links:,}", f"{bare / 1024:.0f}",
                         f"{full / 1024:.0f}", f"{each[-1][0]:.0f}", f"{far / links:.0f}"])
            aw.disconnect()
        rows.append(sshd_children(machines))
    finally:
        machines.end()
    kib, links = each[-1]
    head = ["tunnel", "idle connections", "without them, MiB", "with them, MiB", "each, KiB",
            "the Host's end, KiB each"]
    note = ("Memory of the listening side that is no file's (PSS, of sshd with the pages of files). All Connectors "
            "share one process here; a Host has one. How many fit is limited by the files that one process may have "
            "open on this machine.")
    return [table(head, rows), note], [
        (f"memory per idle connection, AW Gateway's side, at {links:,}", f"≤ {MEMORY_KIB_MAX} KiB", f"{kib:.0f} KiB",
         kib <= MEMORY_KIB_MAX)]


def sshd_children(machines):
    """Each connection has a process of its own, two where the user is not root."""
    ssh = type("Many", (Reverse,), {"server_options": ("-o", "MaxStartups=1000")})(machines)
    clients = spawn_clients(machines, ssh, SSHD_CHILDREN)
    until("the clients", lambda: len(forwards(machines)) == SSHD_CHILDREN, 120)
    listener, *children = family(ssh.server.pid)
    whole, bare = sum(map(pss_kib, children)), pss_kib(listener)
    far = sum(pss_kib(client.pid) for client in clients) / SSHD_CHILDREN
    links = SSHD_CHILDREN + 1
    return ["OpenSSH -R", links, f"{bare / 1024:.0f}", f"{(bare + whole) / 1024:.0f}", f"{whole / links:.0f}",
            f"{far:.0f}"]


def spawn_clients(machines, ssh, count):
    return [
        machines.spawn(machines.host, *ssh.client(
            "-p", str(ssh.link_port), "-R", f"127.0.0.1:{20000 + number}:127.0.0.1:{ORIGIN}", f"root@{CONTROL}"))
        for number in range(count)]


def forwards(machines):
    """The forwarded ports that listen."""
    return {local for local, _ in machines.sockets(machines.control, "0A") if local >= 20000}


def storm(context):
    descriptors()
    rows, targets = [], []
    machines = Machines(context.folder)
    try:
        sizes = [context.scaled(100), context.scaled(1_000)]
        aw = AW(machines, context.programs, connectors=max(sizes))
        for count, limit in zip(sizes, (0.8, 8)):
            dialled, restarted, refused = turns(aw, count, context.number(5, 3))
            rows += [
                [f"AW, {count:,} started at once", f"{median(dialled):.2f}", f"{max(dialled):.2f}", max(refused)],
                [f"AW, {count:,} linked, AW Gateway killed and started", f"{median(restarted):.2f}",
                 f"{max(restarted):.2f}", max(refused)]]
            targets += [
                (f"{count:,} Connectors at once: all registered", f"≤ {limit} s", f"{median(dialled):.2f} s",
                 median(dialled) <= limit),
                (f"{count:,} Connectors at once: refused", "none", str(max(refused)), max(refused) == 0)]
    finally:
        machines.end()
    for name, options in (("default", ()), ("MaxStartups 1000", ("-o", "MaxStartups=1000:30:1000"))):
        rows.append(ssh_storm(context, context.scaled(100), name, options))
    note = ("From the first dial, or from when the AW Gateway listens again, until all are registered. After a kill "
            "each Connector waits a random time first, so that a fleet does not return in step; that wait is part of the "
            "figure.")
    return [table(["tunnel", "all up after, s", "worst, s", "refused"], rows), note], targets


def turns(aw, count, pairs):
    dialled, restarted, refused = [], [], []
    for _ in range(pairs):
        dialled.append(aw.connect(count))
        before = aw.tally.refused
        aw.stop()
        opened = aw.serve()
        restarted.append(aw.tally.reached(count, 120) - opened)
        refused.append(max(before, aw.tally.refused))
        aw.disconnect()
        # Counts from zero for the next turn.
        aw.stop()
        aw.serve()
    return dialled, restarted, refused


def ssh_storm(context, count, name, options):
    machines = Machines(context.folder)
    try:
        ssh = type("Storm", (Reverse,), {"server_options": options})(machines)
        started = time.monotonic()
        clients = spawn_clients(machines, ssh, count)

        def ended():
            return sum(client.poll() is not None for client in clients)

        until("the clients", lambda: len(forwards(machines)) + ended() >= count, 120)
        return [f"OpenSSH -R, {count}, {name}", f"{time.monotonic() - started:.2f}", "-", ended()]
    finally:
        machines.end()

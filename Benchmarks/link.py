#!/usr/bin/env python3
"""The link against OpenSSH and stunnel, side by side and in pairs.

    Benchmarks/link.py DIRECTORY [--quick] [--only NAME,…] [--out FILE]

The directory holds link-load, a release build. Run as root: it makes two network namespaces, runs everything in them,
and takes them away. NAMEs are bulk, small, delay, memory, storm, hole. --quick takes small numbers, to try the script.
"""
import argparse
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

from tunnels import AW, CONTROL, HERE, ORIGIN, TRAFFIC, Direct, Local, Machines, Reverse, Stunnel
from tunnels import family, processor_seconds, pss_kib, run, until

TUNNELS = [Direct, Reverse, Local, Stunnel, AW]


class Numbers:
    def __init__(self, quick):
        self.mib = 256 if quick else 2048
        self.slow_mib = 32 if quick else 256
        self.pairs = 2 if quick else 5
        self.requests = 300 if quick else 5000
        self.fresh = 30 if quick else 300
        self.idle = [20, 100] if quick else [1000, 10000]
        self.storms = [20] if quick else [100, 1000]
        self.outage = 30 if quick else 200
        self.heals = 1 if quick else 3


def median(values):
    return statistics.median(values)


def percentile(ordered, share):
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


class Bench:
    def __init__(self, programs, folder, numbers):
        self.programs, self.folder, self.numbers = programs, folder, numbers
        self.tables = []

    def make(self, kind, machines, **options):
        return AW(machines, self.programs, **options) if kind is AW else kind(machines)

    def table(self, title, head, rows, note=""):
        lines = [f"## {title}", "", f"| {' | '.join(head)} |", "|" + " --- |" * len(head)]
        lines += [f"| {' | '.join(row)} |" for row in rows]
        self.tables.append("\n".join(lines + (["", note] if note else [])))
        print(self.tables[-1] + "\n", flush=True)

    def each(self, delay_ms, body, kinds=TUNNELS):
        """Puts every tunnel up once, and lets `body` measure all of them in turn."""
        machines = Machines(self.folder, delay_ms)
        try:
            return body([self.make(kind, machines) for kind in kinds])
        finally:
            machines.end()

    def ask(self, tunnel, verb, *numbers):
        return tunnel.machines.ask(verb, tunnel.port, *numbers, address=tunnel.address)

    def bulk(self):
        def body(tunnels):
            rates, costs = ({tunnel.name: [] for tunnel in tunnels} for _ in range(2))
            for _ in range(self.numbers.pairs):
                for tunnel in tunnels:
                    before = processor_seconds(tunnel.pids())
                    answer = self.ask(tunnel, "bulk", self.numbers.mib, 1)
                    spent = processor_seconds(tunnel.pids()) - before
                    rates[tunnel.name].append(answer["mib"] / answer["seconds"])
                    costs[tunnel.name].append(spent / (answer["mib"] / 1024))
            ssh = median(costs[Reverse.name])
            return [[name, f"{median(rates[name]):.0f}", f"{median(costs[name]):.2f}", f"{median(costs[name]) / ssh:.2f}"]
                    for name in rates]

        self.table(
            "Bulk, one stream, no delay", ["tunnel", "MiB/s", "CPU seconds per GiB, both ends", "of OpenSSH -R"],
            self.each(0, body))

    def small(self):
        def body(tunnels):
            idle, busy, fresh = ({tunnel.name: [] for tunnel in tunnels} for _ in range(3))
            for _ in range(self.numbers.pairs):
                for tunnel in tunnels:
                    idle[tunnel.name].append(self.ask(tunnel, "small", self.numbers.requests))
                    fresh[tunnel.name].append(self.ask(tunnel, "fresh", self.numbers.fresh))
                    load = tunnel.machines.spawn(
                        tunnel.machines.control, *TRAFFIC, "bulk", tunnel.address, str(tunnel.port), "1000000", "1")
                    time.sleep(0.5)
                    busy[tunnel.name].append(self.ask(tunnel, "small", self.numbers.requests // 5))
                    load.kill()
                    load.wait()
                    time.sleep(0.5)
            shown = lambda runs, share: f"{median([percentile(one, share) for one in runs]) / 1000:.2f}"
            return [[name, shown(idle[name], 0.5), shown(idle[name], 0.99), shown(busy[name], 0.5),
                     shown(busy[name], 0.99), shown(fresh[name], 0.5)] for name in idle]

        self.table(
            "Small requests, no delay, ms",
            ["tunnel", "idle p50", "idle p99", "beside bulk p50", "beside bulk p99", "new stream p50"],
            self.each(0, body))

    def delay(self):
        def body(tunnels):
            rates, fresh = ({tunnel.name: [] for tunnel in tunnels} for _ in range(2))
            for _ in range(self.numbers.pairs):
                for tunnel in tunnels:
                    answer = self.ask(tunnel, "bulk", self.numbers.slow_mib, 1)
                    rates[tunnel.name].append(answer["mib"] / answer["seconds"])
                    fresh[tunnel.name].append(percentile(self.ask(tunnel, "fresh", self.numbers.fresh // 3), 0.5))
            ssh = median(rates[Reverse.name])
            return [[name, f"{median(rates[name]):.1f}", f"{median(rates[name]) / ssh:.1f}",
                     f"{median(fresh[name]) / 1000:.1f}"] for name in rates]

        self.table(
            "40 ms round trip", ["tunnel", "one stream, MiB/s", "times OpenSSH -R", "new stream p50, ms"],
            self.each(20, body), "The wire is a program (`slow-wire.c`); what it carries at most is the first row.")

    def memory(self):
        rows = []
        for count in self.numbers.idle:
            machines = Machines(self.folder)
            try:
                aw = AW(machines, self.programs, connectors=count)
                time.sleep(10)
                full = pss_kib(aw.control.pid), pss_kib(aw.hosts.pid)
                aw.hosts.kill()
                aw.hosts.wait()
                # A control plane that never had a link, with the same database.
                aw.control.terminate()
                aw.control.wait()
                aw.serve()
                time.sleep(5)
                bare = pss_kib(aw.control.pid)
                rows.append([f"AW, {count} Connectors", f"{full[0] / 1024:.0f}", f"{(full[0] - bare) / count:.0f}",
                             f"{full[1] / count:.0f}"])
            finally:
                machines.end()
        machines = Machines(self.folder)
        try:
            ssh = Reverse(machines)
            # One process listens, the others serve the connection.
            ends = [pss_kib(pid) for pid in family(ssh.server.pid)[1:]]
            rows.append(["OpenSSH -R, one", "-", f"{sum(ends)}", f"{pss_kib(ssh.tunnel.pid)}"])
        finally:
            machines.end()
        self.table(
            "Memory of idle tunnels (PSS)",
            ["tunnel", "control plane, MiB", "its end, KiB each", "the Host's end, KiB each"], rows,
            "All Connectors share one process here; a Host has one.")

    def storm(self):
        rows = []
        for count in self.numbers.storms:
            machines = Machines(self.folder)
            try:
                aw = AW(machines, self.programs, connectors=count)
                times = []
                for _ in range(self.numbers.pairs):
                    aw.disconnect()
                    times.append(aw.connect())
                rows.append([f"AW, {count}", f"{median(times):.2f}", f"{max(times):.2f}", "0"])
            finally:
                machines.end()
        rows.append(self.ssh_storm(self.numbers.storms[0], "default"))
        rows.append(self.ssh_storm(self.numbers.storms[0], "MaxStartups 1000", "-o", "MaxStartups=1000:30:1000"))
        self.table(
            "Connectors that all dial at once", ["tunnel", "all registered after, s", "worst", "refused"], rows)

    def ssh_storm(self, count, name, *options):
        machines = Machines(self.folder)
        try:
            ssh = type("Storm", (Reverse,), {"server_options": options})(machines)
            started = time.monotonic()
            clients = [
                machines.spawn(machines.host, *ssh.client(
                    "-p", "2222", "-R", f"127.0.0.1:{20000 + number}:127.0.0.1:{ORIGIN}", f"root@{CONTROL}"))
                for number in range(count)]

            def settled():
                listening = run("ip", "netns", "exec", machines.control, "ss", "-Htln", "( sport >= :20000 )")
                up = len({line.split()[3] for line in listening.splitlines()})
                return up + sum(client.poll() is not None for client in clients) >= count

            until("the clients", settled, 120)
            passed = time.monotonic() - started
            refused = sum(client.poll() is not None for client in clients)
            return [f"OpenSSH -R, {count}, {name}", f"{passed:.2f}", "-", str(refused)]
        finally:
            machines.end()

    def hole(self):
        rows = []
        for kind, name in ((AW, AW.name), (KeptAlive, KeptAlive.name)):
            for load in ("idle", "busy"):
                machines = Machines(self.folder)
                try:
                    tunnel = self.make(kind, machines)
                    rows.append([name, load] + self.fall(tunnel, load))
                finally:
                    machines.end()
        self.table(
            f"A black hole of {self.numbers.outage} s",
            ["tunnel", "load", "noticed by the control plane, s", "by the Host, s", "first answer after the heal, s"],
            rows, f"Median of {self.numbers.heals}. The wire swallows both ways, without a word.")

    def fall(self, tunnel, load):
        machines, found = tunnel.machines, []
        for _ in range(self.numbers.heals):
            time.sleep(5)
            path = f"{self.folder}/watch"
            with open(path, "w") as file:
                watch = machines.spawn(
                    machines.control, *TRAFFIC, "watch", tunnel.address, str(tunnel.port),
                    str(self.numbers.outage + 90), stdout=file) if load == "busy" else None
            time.sleep(2)
            before = {name: established(name, tunnel.link_port) for name in (machines.control, machines.host)}
            began, noticed = time.monotonic(), {}
            machines.silence()
            while time.monotonic() - began < self.numbers.outage:
                for name in before:
                    if name not in noticed and not before[name] & established(name, tunnel.link_port):
                        noticed[name] = time.monotonic() - began
                time.sleep(0.2)
            machines.heal()
            healed = time.monotonic()
            until("an answer", lambda: self.answers(tunnel), 120)
            found.append([noticed.get(machines.control), noticed.get(machines.host), time.monotonic() - healed])
            if watch:
                watch.kill()
                watch.wait()
        columns = list(zip(*found))
        return [f"{median(column):.1f}" if None not in column else f"> {self.numbers.outage}" for column in columns]

    def answers(self, tunnel):
        try:
            run("ip", "netns", "exec", tunnel.machines.control, "timeout", "2", *TRAFFIC, "small", tunnel.address,
                str(tunnel.port), "1")
            return True
        except subprocess.CalledProcessError:
            return False


class KeptAlive(Reverse):
    """OpenSSH as its users set it up: keepalives at both ends, and a loop that starts it again."""
    name = "OpenSSH -R, alive 15 s x 3"
    server_options = ("-o", "ClientAliveInterval=15", "-o", "ClientAliveCountMax=3")

    def client(self, *words):
        alive = ["-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=3"]
        once = " ".join(super().client(*alive, *words))
        return ["sh", "-c", f"while true; do {once}; sleep 1; done"]


AW.link_port, Reverse.link_port = 7420, 2222


def established(name, port):
    lines = run("ip", "netns", "exec", name, "ss", "-Htn", "state", "established",
                f"( sport = :{port} or dport = :{port} )")
    return {" ".join(line.split()[-2:]) for line in lines.splitlines()}


def machine():
    with open("/proc/cpuinfo") as lines:
        model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown")
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    return (f"{time.strftime('%Y-%m-%d %H:%M')} UTC, {os.cpu_count()} × {model}, {platform.system()} "
            f"{platform.release()}, load before: {load}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="bulk,small,delay,memory,storm,hole")
    parser.add_argument("--out")
    words = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("It needs root, for network namespaces.")
    folder = tempfile.mkdtemp(prefix="aw-bench-")
    where = machine()
    try:
        bench = Bench(os.path.abspath(words.programs), folder, Numbers(words.quick))
        for name in words.only.split(","):
            getattr(bench, name)()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if words.out:
        with open(words.out, "w") as file:
            file.write(f"# Benchmarks\n\nWritten by `script/bench`. {where}.\n\n" + "\n\n".join(bench.tables) + "\n")


if __name__ == "__main__":
    main()

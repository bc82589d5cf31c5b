"""What an idle control plane costs: start time, memory, processor time, sizes.

It starts `aw serve` with one Host and, after the first measurement, one Instance, and watches each for a while.
"""
import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request

from report import table

STARTS = 5


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def memory_mib(pid):
    with open(f"/proc/{pid}/status") as status:
        for line in status:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
    raise RuntimeError("the kernel tells no VmRSS")


def processor_seconds(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def watch(pid, seconds):
    """Memory at the end, and the share of one core over the time, in per cent."""
    before, started = processor_seconds(pid), time.monotonic()
    time.sleep(seconds)
    spent = processor_seconds(pid) - before
    return memory_mib(pid), 100 * spent / (time.monotonic() - started)


class Deployment:
    def __init__(self, programs, folder):
        self.programs, self.folder = programs, folder
        self.console, self.gateway, self.model = free_port(), free_port(), free_port()
        self.children = []
        with open(folder + "/model.key", "w") as key:
            key.write("benchmark-model-key-0123456789")

    def program(self, name):
        return os.path.join(self.programs, name)

    def start(self, *arguments, environment=None, text=None):
        child = subprocess.Popen(
            arguments, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=dict(os.environ, **(environment or {})))
        if text is not None:
            child.stdin.write(text.encode())
            child.stdin.close()
        self.children.append(child)
        return child

    def serve(self):
        return self.start(
            self.program("aw"), "serve", "--data", self.folder + "/control", "--listen", f"127.0.0.1:{self.console}",
            "--gateway-listen", f"127.0.0.1:{self.gateway}", "--fixture-model", f"http://127.0.0.1:{self.model}/v1",
            "--fixture-model-key-file", self.folder + "/model.key", "--log-level", "error")

    def start_model(self):
        return self.start(
            self.program("aw-synthetic"), "model", "--port", str(self.model),
            environment={"AW_FIXTURE_MODEL_KEY": "benchmark-model-key-0123456789"})

    def connect(self, data, line):
        """A Connector that enrols with the line that an operator was given."""
        return self.start(
            self.program("aw"), "connect", "--enrol", f"127.0.0.1:{self.gateway}", "--data", f"{self.folder}/{data}",
            "--openclaw", self.program("aw-synthetic"), "--openclaw-argument", "openclaw", "--log-level", "error",
            text=line.split()[1] + "\n")

    def verb(self, *arguments):
        answer = subprocess.run(
            [self.program("aw"), *arguments, "--context", self.folder + "/control/context.json", "--json"],
            capture_output=True, text=True, check=True)
        return json.loads(answer.stdout)

    def until_ready(self, started):
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.console}/readyz") as answer:
                    if answer.status == 200:
                        return time.monotonic() - started
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.002)

    def stop(self, child):
        child.terminate()
        child.wait()
        self.children.remove(child)

    def end(self):
        for child in reversed(self.children):
            child.terminate()
            child.wait()
        self.children = []


def stripped_mib(deployment, name):
    path = deployment.folder + "/stripped"
    subprocess.run(["strip", "-o", path, deployment.program(name)], check=True)
    return os.path.getsize(path) / 1024 / 1024


def idle(context):
    seconds = context.number(60, 15)
    deployment = Deployment(context.programs, context.folder)
    try:
        starts = []
        for _ in range(STARTS):
            started = time.monotonic()
            deployment.serve()
            starts.append(deployment.until_ready(started))
            deployment.end()
        control = deployment.serve()
        deployment.until_ready(time.monotonic())
        line = deployment.verb("host", "enroll", "host-1")["line"]
        deployment.start_model()
        connector = deployment.connect("host", line)
        while not deployment.verb("host", "show", "host-1")["connected"]:
            pass
        serve_idle, connect_idle = watch(control.pid, seconds), watch(connector.pid, seconds)
        deployment.verb("org", "create", "acme")
        started = time.monotonic()
        deployment.verb("instance", "create", "acme-main", "--org", "acme")
        provisioned = time.monotonic() - started
        serve_busy = watch(control.pid, seconds)
        deployment.verb("instance", "rm", "acme-main", "--purge", "--confirm", "acme-main")
        size = stripped_mib(deployment, "aw")
    finally:
        deployment.end()

    def cost(measured):
        return f"{measured[0]:.0f} MiB, {measured[1]:.2f} % of one core"

    return [table(["what", "measured"], [
        [f"`aw serve`, start to `/readyz` answering 200, median of {STARTS}",
         f"{1000 * sorted(starts)[STARTS // 2]:.0f} ms"],
        [f"`aw serve` with one idle Host, over {seconds} s", cost(serve_idle)],
        [f"`aw serve` with one Instance that is checked every 15 s, over {seconds} s", cost(serve_busy)],
        [f"`aw connect`, idle, over {seconds} s", cost(connect_idle)],
        ["`aw instance create`, asked to verified by a model turn", f"{provisioned:.2f} s"],
        ["the program `aw`, stripped", f"{size:.0f} MiB"],
    ])], []

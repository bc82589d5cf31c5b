"""The tunnels that are measured, each put up between two machines that are network namespaces."""
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TRAFFIC = [sys.executable, HERE + "/traffic.py"]
ORIGIN = 9000
CONTROL, HOST = "10.98.0.1", "10.98.0.2"
# The kernel's numbers, as /proc/net/tcp has them.
ESTABLISHED, LISTEN = "01", "0A"


def run(*words, **options):
    return subprocess.run(words, check=True, capture_output=True, text=True, **options).stdout


def until(what, is_so, seconds=30, child=None):
    """Waits for what a child is to bring about, for as long as that runs."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if child and child.poll() is not None:
            raise RuntimeError(f"{what}: {child.args} ended with {child.returncode}")
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.02)


class Machines:
    """Two namespaces and the wire between them: veth, or a slow one of `slow-wire`."""

    made = 0

    def __init__(self, folder, delay_ms=0):
        self.folder, self.children = folder, []
        Machines.made += 1
        tag = f"{os.getpid()}-{Machines.made}"
        self.control, self.host = f"bc{tag}", f"bh{tag}"
        run("ip", "netns", "add", self.control)
        run("ip", "netns", "add", self.host)
        if delay_ms:
            program = folder + "/slow-wire"
            if not os.path.exists(program):
                run("gcc", "-O2", "-o", program, HERE + "/slow-wire.c")
            wire = subprocess.Popen(
                [program, self.control, CONTROL + "/24", self.host, HOST + "/24", str(delay_ms), "0", "0"],
                stdout=subprocess.PIPE, text=True)
            self.children.append(wire)
            assert wire.stdout.readline() == "up\n"
        else:
            run("ip", "link", "add", "w0", "netns", self.control, "type", "veth", "peer", "name", "w1", "netns", self.host)
            for name, device, address in ((self.control, "w0", CONTROL), (self.host, "w1", HOST)):
                run("ip", "-n", name, "addr", "add", address + "/24", "dev", device)
                run("ip", "-n", name, "link", "set", device, "up")
                run("ip", "-n", name, "link", "set", "lo", "up")
        self.anchors = {name: self.spawn(name, "sleep", "infinity").pid for name in (self.control, self.host)}
        until("the namespaces", lambda: all(command(pid) == "sleep" for pid in self.anchors.values()))
        self.spawn(self.host, *TRAFFIC, "origin", str(ORIGIN))
        until("the origin", lambda: self.listens(self.host, ORIGIN))

    def spawn(self, name, *words, **options):
        options.setdefault("stdout", subprocess.DEVNULL)
        options.setdefault("stderr", open(f"{self.folder}/{self.control}-{len(self.children)}.log", "w"))
        child = subprocess.Popen(["ip", "netns", "exec", name, *words], **options)
        self.children.append(child)
        return child

    def sockets(self, name, state):
        """The TCP sockets of a machine in a state of the kernel's, each as its two ports."""
        with open(f"/proc/{self.anchors[name]}/net/tcp") as lines:
            fields = [line.split() for line in lines][1:]
        return [tuple(int(end.split(":")[1], 16) for end in line[1:3]) for line in fields if line[3] == state]

    def listens(self, name, port):
        return any(local == port for local, _ in self.sockets(name, LISTEN))

    def connections(self, name, port):
        """Those that stand between a port of either machine and the other."""
        return {ends for ends in self.sockets(name, ESTABLISHED) if port in ends}

    def ask(self, verb, *numbers, address="127.0.0.1"):
        """The client always runs on the control plane's machine."""
        return json.loads(run(
            "ip", "netns", "exec", self.control, *TRAFFIC, verb, address, *map(str, numbers)))

    def silence(self):
        for chain, side in (("INPUT", "-i"), ("OUTPUT", "-o")):
            run("ip", "netns", "exec", self.host, "iptables", "-A", chain, side, "w1", "-j", "DROP")

    def heal(self):
        run("ip", "netns", "exec", self.host, "iptables", "-F")

    def end(self):
        for name in (self.control, self.host):
            for process in run("ip", "netns", "pids", name).split():
                try:
                    os.kill(int(process), signal.SIGKILL)
                except ProcessLookupError:
                    pass
            subprocess.run(["ip", "netns", "del", name], check=False)
        for child in self.children:
            child.kill()
            child.wait()


def command(pid):
    try:
        with open(f"/proc/{pid}/comm") as line:
            return line.read().strip()
    except OSError:
        return ""


def family(pid):
    """A process and its descendants."""
    children = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout.split()
    return [pid] + [member for child in children for member in family(int(child))]


def processor_seconds(pids):
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/stat") as stat:
                fields = stat.read().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
        except FileNotFoundError:
            pass
    return total / os.sysconf("SC_CLK_TCK")


def pss_kib(pid, of="Pss"):
    """Memory, with shared pages divided by those who share them. `Pss_Anon` leaves out those of files."""
    with open(f"/proc/{pid}/smaps_rollup") as rollup:
        for line in rollup:
            if line.startswith(of + ":"):
                return int(line.split()[1])
    raise RuntimeError(f"the kernel tells no {of}")


class Direct:
    """No tunnel: the origin, forwarded by the kernel alone."""
    name, port = "direct", ORIGIN + 1

    def __init__(self, machines):
        self.machines = machines
        run("ip", "netns", "exec", machines.host, "sysctl", "-qw", "net.ipv4.conf.all.route_localnet=1")
        run("ip", "netns", "exec", machines.host, "iptables", "-t", "nat", "-A", "PREROUTING", "-p", "tcp",
            "--dport", str(self.port), "-j", "DNAT", "--to-destination", f"127.0.0.1:{ORIGIN}")
        self.address = HOST

    def pids(self):
        return []


class Secure:
    """The server's side of ssh, with keys of its own."""
    address = "127.0.0.1"

    def __init__(self, machines, server, listen, port):
        self.machines, folder = machines, machines.folder
        if not os.path.exists(folder + "/ssh-key"):
            for name in ("ssh-key", "ssh-host-key"):
                run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{folder}/{name}")
            os.makedirs("/run/sshd", exist_ok=True)
        self.server = machines.spawn(
            server, "/usr/sbin/sshd", "-D", "-e", "-f", "/dev/null", "-p", str(port), "-h", folder + "/ssh-host-key",
            "-o", f"ListenAddress={listen}", "-o", f"AuthorizedKeysFile={folder}/ssh-key.pub", "-o", "StrictModes=no",
            "-o", "UsePAM=no", "-o", "PidFile=none", "-o", "PermitRootLogin=yes", *self.server_options)
        until("sshd", lambda: machines.listens(server, port))

    server_options = ()

    def client(self, *words):
        return [
            "ssh", "-N", "-i", self.machines.folder + "/ssh-key", "-o", "StrictHostKeyChecking=no", "-o",
            "UserKnownHostsFile=/dev/null", "-o", "ExitOnForwardFailure=yes", "-o", "LogLevel=ERROR", *words]

    def up(self):
        until(self.name, lambda: self.machines.listens(self.machines.control, self.port))

    def pids(self):
        return family(self.server.pid) + [self.tunnel.pid]


class Reverse(Secure):
    name, port, link_port = "OpenSSH -R", 9103, 2222

    def __init__(self, machines):
        super().__init__(machines, machines.control, CONTROL, self.link_port)
        self.tunnel = machines.spawn(machines.host, *self.client(
            "-p", str(self.link_port), "-R", f"127.0.0.1:{self.port}:127.0.0.1:{ORIGIN}", f"root@{CONTROL}"))
        self.up()


class Local(Secure):
    name, port = "OpenSSH -L", 9203

    def __init__(self, machines):
        super().__init__(machines, machines.host, HOST, 2223)
        self.tunnel = machines.spawn(machines.control, *self.client(
            "-p", "2223", "-L", f"127.0.0.1:{self.port}:127.0.0.1:{ORIGIN}", f"root@{HOST}"))
        self.up()


class Stunnel:
    """Mutual TLS and nothing else: a connection each."""
    name, port, address = "stunnel", 9104, "127.0.0.1"

    def __init__(self, machines):
        folder = machines.folder
        self.machines, pem = machines, folder + "/stunnel.pem"
        if not os.path.exists(pem):
            run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                "-subj", "/CN=bench", "-days", "2", "-keyout", pem, "-out", pem + ".crt")
            with open(pem, "a") as whole, open(pem + ".crt") as certificate:
                whole.write(certificate.read())
        common = f"foreground = yes\npid =\ncert = {pem}\nCAfile = {pem}.crt\nverify = 2\n" \
                 "socket = l:TCP_NODELAY=1\nsocket = r:TCP_NODELAY=1\n"
        ends = {
            machines.host: f"[in]\naccept = {HOST}:9443\nconnect = 127.0.0.1:{ORIGIN}\n",
            machines.control: f"client = yes\n[out]\naccept = 127.0.0.1:{self.port}\nconnect = {HOST}:9443\n",
        }
        self.ends = []
        for name, service in ends.items():
            path = f"{folder}/stunnel-{name}.conf"
            with open(path, "w") as file:
                file.write(common + service)
            self.ends.append(machines.spawn(name, "stunnel4", path))
        until("stunnel", lambda: machines.listens(machines.control, self.port) and machines.listens(machines.host, 9443))

    def pids(self):
        return [end.pid for end in self.ends]


class API:
    """The control plane's API, over its socket."""

    def __init__(self, path):
        self.path = path

    def call(self, method, path, body=None):
        connection = http.client.HTTPConnection("localhost", timeout=60)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(self.path)
        try:
            connection.request(
                method, "/api/v1" + path, json.dumps(body) if body else None, {"content-type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
            if answer.status >= 300:
                raise RuntimeError(f"{method} {path}: {answer.status} {text[:300]}")
            return json.loads(text)
        finally:
            connection.close()


class AW:
    """The link, with as many Connectors as asked for, all in one process."""
    name, port, address, link_port = "AW", 9105, "127.0.0.1", 7420

    def __init__(self, machines, programs, connectors=1, connections=1, batch=500):
        self.machines, self.program = machines, programs + "/link-load"
        self.data = f"{machines.folder}/aw-{machines.control}"
        os.makedirs(self.data + "/hosts")
        self.hosts = None
        self.serve()
        for first in range(0, connectors, batch):
            self.enrol(range(first, min(first + batch, connectors)))
        self.target()
        if connectors == 1:
            self.connect(1, connections)

    def serve(self):
        """Starts the control plane. Returns: when its port for Hosts was open."""
        context = self.data + "/control/context.json"
        if os.path.exists(context):
            os.remove(context)
        self.control = self.machines.spawn(
            self.machines.control, self.program, "control", "--data", self.data + "/control", "--listen",
            "127.0.0.1:7080", "--gateway-listen", f"{CONTROL}:{self.link_port}", "--forward",
            f"127.0.0.1:{self.port}", "--target", self.data + "/target", "--tell", stdout=subprocess.PIPE, text=True)
        self.tally = Tally(self.control.stdout)
        until("the AW Gateway", lambda: self.machines.listens(self.machines.control, self.link_port), 120,
              self.control)
        opened = time.monotonic()
        until("the control plane", lambda: os.path.exists(context), 120, self.control)
        with open(context) as file:
            self.api = API(json.load(file)["socket"])
        until("the forwarder", lambda: self.machines.listens(self.machines.control, self.port))
        return opened

    def stop(self, how=signal.SIGKILL):
        self.control.send_signal(how)
        self.control.wait()

    def enrol(self, numbers):
        lines = [self.api.call("POST", "/hosts", {"slug": f"host-{number}"})["line"] for number in numbers]
        tickets = "".join(line.split()[1] + "\n" for line in lines)
        run("ip", "netns", "exec", self.machines.host, self.program, "hosts", "--data", self.data + "/hosts",
            "--gateway", f"{CONTROL}:{self.link_port}", "--origin", str(ORIGIN), "--enrol-only", input=tickets)

    def target(self):
        host = self.api.call("GET", "/hosts/host-0")["id"]
        with open(self.data + "/target", "w") as file:
            file.write(f"{host} {host}")

    def connect(self, count, connections=1, seconds=120, per_second=None):
        """Starts so many Connectors, all at once unless it is told how many in a second.

        Returns: seconds from when they begin to dial until all of their connections are registered.
        """
        registered = self.tally.registered
        self.hosts = self.machines.spawn(
            self.machines.host, self.program, "hosts", "--data", self.data + "/hosts", "--gateway",
            f"{CONTROL}:{self.link_port}", "--origin", str(ORIGIN), "--first", str(count), "--connections",
            str(connections), *(["--per-second", str(per_second)] if per_second else []), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, text=True)
        self.hosts.stdout.readline()
        started = time.monotonic()
        return self.tally.reached(registered + count * connections, seconds) - started

    def disconnect(self, how=signal.SIGTERM):
        self.hosts.send_signal(how)
        self.hosts.wait()
        gone = lambda: not self.machines.connections(self.machines.control, self.link_port)
        until("the links to end", gone, 60)

    def pids(self):
        return [self.control.pid, self.hosts.pid]


class Tally:
    """What a control plane tells of registrations: how many it took, refused, and took for stale, and when."""

    def __init__(self, lines):
        self.told = threading.Condition()
        self.history = [(time.monotonic(), 0, 0, 0)]
        threading.Thread(target=self.listen, args=(lines,), daemon=True).start()

    def listen(self, lines):
        for line in lines:
            with self.told:
                self.history.append((time.monotonic(), *map(int, line.split())))
                self.told.notify_all()

    registered = property(lambda self: self.history[-1][1])
    refused = property(lambda self: self.history[-1][2] + self.history[-1][3])

    def reached(self, count, seconds):
        """When so many had been registered."""
        with self.told:
            if not self.told.wait_for(lambda: self.registered >= count, seconds):
                raise TimeoutError(f"{self.registered} of {count} are registered after {seconds} s")
            return next(at for at, registered, *_ in self.history if registered >= count)

"""What watches Instances and tells of them: AW, and Prometheus with its black-box exporter and Alertmanager."""
import http.server
import json
import socket
import subprocess
import threading
import time

# Both group what they tell for so long, and tell what changed after so long.
GROUP_WAIT_SECONDS, GROUP_INTERVAL_SECONDS = 5, 15
CHECK_SECONDS = 15
HELD_SECONDS = 30


class Receiver:
    """Takes the notifications of all of them, each on a path of its own, and can refuse to."""

    def __init__(self):
        self.status, self.lock, self.taken = 200, threading.Lock(), []
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                with receiver.lock:
                    status = receiver.status
                    receiver.taken.append((time.monotonic(), self.path, status, json.loads(body)))
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def notifications(self, path, after=0):
        """What arrived and was answered well: (when, alerts)."""
        with self.lock:
            taken = list(self.taken)
        return [(at, body) for at, to, status, body in taken if to == path and status == 200 and at >= after]


class Watcher:
    """One who watches, as its receiver sees it.

    An alert is (key, place, open): the place of the Instance that it is about, or None when it is about many.
    """

    def __init__(self, name, receiver, path, alerts_of):
        self.name, self.receiver, self.path, self.alerts_of = name, receiver, path, alerts_of

    def told(self, after=0):
        """(when, alert), for each alert that was told to be something else than before."""
        known, found = {}, []
        for at, body in self.receiver.notifications(self.path):
            for key, place, is_open in self.alerts_of(body):
                if known.get(key, False) != is_open:
                    known[key] = is_open
                    if at >= after:
                        found.append((at, (key, place, is_open)))
        return found

    def count(self, after):
        return len(self.receiver.notifications(self.path, after))

    def open(self):
        known = {}
        for _, (key, place, is_open) in self.told():
            known[key] = (place, is_open)
        return {key: place for key, (place, is_open) in known.items() if is_open}


def aw_alerts(places):
    def alerts_of(body):
        for event in body if isinstance(body, list) else [body]:
            if "state" in event:
                place = places.get(event["subject"].removeprefix("instance/"))
                yield event["data"]["key"], place, event["state"] == "open"
    return alerts_of


def alertmanager_alerts(first_port):
    def alerts_of(body):
        for alert in body["alerts"]:
            place = int(alert["labels"]["instance"].rsplit(":", 1)[1]) - first_port
            yield alert["labels"]["instance"], place, alert["status"] == "firing"
    return alerts_of


class Prometheus:
    """The three programs, set up as their manuals do it, with AW's intervals in place of their longer defaults."""
    PORTS = {"prometheus": 9090, "alertmanager": 9093, "blackbox": 9115}

    def __init__(self, folder, receiver, hosts):
        """`hosts`: the ports of the Instances of each Host."""
        self.folder, self.children = folder, []
        self.write("blackbox.yml", {"modules": {"http": {
            "prober": "http", "timeout": "5s", "http": {"preferred_ip_protocol": "ip4"}}}})
        self.write("alertmanager.yml", {
            "route": {
                "receiver": "fast", "group_by": ["alertname", "host"], "group_wait": f"{GROUP_WAIT_SECONDS}s",
                "group_interval": f"{GROUP_INTERVAL_SECONDS}s", "repeat_interval": "4h",
                "routes": [{"matchers": ['rule="held"'], "receiver": "held"}]},
            "receivers": [
                {"name": name, "webhook_configs": [{"url": f"http://127.0.0.1:{receiver.port}/{name}"}]}
                for name in ("fast", "held")]})
        self.write("rules.yml", {"groups": [{"name": "instances", "rules": [
            {"alert": "InstanceDown", "expr": "probe_success == 0", "for": held, "labels": {"rule": name}}
            for name, held in (("fast", "0s"), ("held", f"{HELD_SECONDS}s"))]}]})
        self.write("prometheus.yml", {
            "global": {"scrape_interval": f"{CHECK_SECONDS}s", "scrape_timeout": "6s", "evaluation_interval": "5s"},
            "rule_files": [folder + "/rules.yml"],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [self.address("alertmanager")]}]}]},
            "scrape_configs": [{
                "job_name": "instances", "metrics_path": "/probe", "params": {"module": ["http"]},
                "static_configs": [
                    {"targets": [f"http://127.0.0.1:{port}/healthz" for port in ports], "labels": {"host": host}}
                    for host, ports in hosts.items()],
                "relabel_configs": [
                    {"source_labels": ["__address__"], "target_label": "__param_target"},
                    {"source_labels": ["__address__"], "regex": "http://([^/]*)/.*", "target_label": "instance"},
                    {"target_label": "__address__", "replacement": self.address("blackbox")}]}]})

    def address(self, name):
        return f"127.0.0.1:{self.PORTS[name]}"

    def write(self, name, document):
        # JSON is YAML.
        with open(f"{self.folder}/{name}", "w") as file:
            json.dump(document, file)

    def start(self):
        listen = lambda name: f"--web.listen-address={self.address(name)}"
        self.spawn("prometheus-blackbox-exporter", f"--config.file={self.folder}/blackbox.yml", listen("blackbox"))
        self.spawn("prometheus-alertmanager", f"--config.file={self.folder}/alertmanager.yml", listen("alertmanager"),
                   f"--storage.path={self.folder}/alertmanager", "--cluster.listen-address=")
        self.spawn("prometheus", f"--config.file={self.folder}/prometheus.yml", listen("prometheus"),
                   f"--storage.tsdb.path={self.folder}/prometheus")
        for port in self.PORTS.values():
            wait_for_port(port)

    def spawn(self, *words):
        with open(f"{self.folder}/{words[0]}.log", "w") as log:
            self.children.append(subprocess.Popen(words, stdout=log, stderr=log))

    def pids(self):
        return [child.pid for child in self.children]

    def end(self):
        for child in self.children:
            child.terminate()
            child.wait()


def wait_for_port(port, seconds=60):
    deadline = time.monotonic() + seconds
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)

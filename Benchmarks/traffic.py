#!/usr/bin/env python3
"""The two ends of a measurement: an origin that answers, and a client that asks and measures.

    traffic.py origin PORT
    traffic.py bulk ADDRESS PORT MIB STREAMS     one JSON line: seconds, mib
    traffic.py small ADDRESS PORT COUNT          one JSON line: sorted round trips, in microseconds
    traffic.py fresh ADDRESS PORT COUNT          the same, with a new connection for each
    traffic.py watch ADDRESS PORT                one request every 0.5 s on a new connection, until the end of input:
                                                 a JSON line for each, with how long it took and whether it was answered
    traffic.py back ADDRESS PORT                 a request every 0.1 s until one is answered: when, by the wall clock

A request is one line: "PING", or "BULK bytes".
"""
import json
import socket
import sys
import threading
import time

BLOCK = bytes(1 << 20)
# How long a watched request is waited for, in seconds.
PATIENCE = 60


def origin(port):
    with socket.create_server(("127.0.0.1", port), backlog=1024) as server:
        while True:
            connection, _ = server.accept()
            threading.Thread(target=answer, args=(connection,), daemon=True).start()


def answer(connection):
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection, connection.makefile("rb") as lines:
        try:
            for line in lines:
                words = line.split()
                if words[0] == b"PING":
                    connection.sendall(b"PONG\n")
                    continue
                left = int(words[1])
                while left > 0:
                    connection.sendall(BLOCK[:left] if left < len(BLOCK) else BLOCK)
                    left -= len(BLOCK)
        except (ConnectionError, OSError):
            pass


def dial(address, port, timeout=30):
    connection = socket.create_connection((address, port), timeout=timeout)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def fetch(address, port, size):
    buffer = bytearray(1 << 20)
    with dial(address, port, timeout=120) as connection:
        connection.sendall(b"BULK %d\n" % size)
        left = size
        while left > 0:
            got = connection.recv_into(buffer)
            if got == 0:
                raise ConnectionError("the far end closed early")
            left -= got


def bulk(address, port, mib, streams):
    each = mib * (1 << 20) // streams
    threads = [threading.Thread(target=fetch, args=(address, port, each)) for _ in range(streams)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"seconds": time.monotonic() - started, "mib": mib}


def ping(connection):
    connection.sendall(b"PING\n")
    if not connection.recv(16):
        raise ConnectionError("the far end closed")


def small(address, port, count):
    with dial(address, port) as connection:
        ping(connection)
        return sorted(timed(lambda: ping(connection)) for _ in range(count))


def fresh(address, port, count):
    def once():
        with dial(address, port) as connection:
            ping(connection)

    once()
    return sorted(timed(once) for _ in range(count))


def timed(act):
    started = time.perf_counter()
    act()
    return (time.perf_counter() - started) * 1e6


def one(address, port, patience):
    try:
        with dial(address, port, timeout=patience) as connection:
            ping(connection)
        return True
    except OSError:
        return False


def watch(address, port):
    """No request waits for another; the last ones are waited for."""
    def request():
        began = time.monotonic()
        good = one(address, port, PATIENCE)
        # In one piece: other threads write, too.
        sys.stdout.write(json.dumps({"took": time.monotonic() - began, "good": good}) + "\n")
        sys.stdout.flush()

    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    while not ended.wait(0.5):
        threading.Thread(target=request).start()


def back(address, port):
    """Requests that hang in a dead tunnel do not hold up those after them."""
    answered = threading.Event()

    def request():
        if one(address, port, 5) and not answered.is_set():
            answered.set()
            print(json.dumps(time.time()), flush=True)

    while not answered.wait(0.1):
        threading.Thread(target=request, daemon=True).start()


def main():
    verb, *words = sys.argv[1:]
    if verb == "origin":
        return origin(int(words[0]))
    address, *numbers = words
    answer = {"bulk": bulk, "small": small, "fresh": fresh, "watch": watch,
              "back": back}[verb](address, *map(int, numbers))
    if answer is not None:
        print(json.dumps(answer))


if __name__ == "__main__":
    main()

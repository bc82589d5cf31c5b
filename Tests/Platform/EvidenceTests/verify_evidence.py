#!/usr/bin/env python3
"""Verifies published evidence logs: a second implementation that shares no code with AW and needs nothing installed.

    verify_evidence.py [--key VKEY] DIRECTORY...

Prints one JSON object for each directory. Exit code: 0 all intact, 1 problems found, 2 wrong usage.
"""
import base64
import binascii
import hashlib
import json
import os
import re
import sys

WIDTH = 256

# Ed25519 (RFC 8032 section 5.1), for checking signatures only.

P = 2**255 - 19
Q = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)


def recover_x(y, sign):
    if y >= P:
        return None
    x2 = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    if x2 == 0:
        return None if sign else 0
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P:
        x = x * ROOT_OF_MINUS_ONE % P
    if (x * x - x2) % P:
        return None
    return P - x if (x & 1) != sign else x


def decompress(data):
    y = int.from_bytes(data, "little")
    sign = y >> 255
    y &= (1 << 255) - 1
    x = recover_x(y, sign)
    return None if x is None else (x, y, 1, x * y % P)


def add(a, b):
    e = (a[1] - a[0]) * (b[1] - b[0]) % P
    f = (a[1] + a[0]) * (b[1] + b[0]) % P
    g = 2 * a[3] * b[3] * D % P
    h = 2 * a[2] * b[2] % P
    i, j, k, m = f - e, h - g, h + g, f + e
    return (i * j % P, k * m % P, j * k % P, i * m % P)


def multiply(scalar, point):
    result = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point = add(point, point)
        scalar >>= 1
    return result


BASE_Y = 4 * pow(5, P - 2, P) % P
BASE_X = recover_x(BASE_Y, 0)
BASE = (BASE_X, BASE_Y, 1, BASE_X * BASE_Y % P)


def signature_is_valid(public, message, signature):
    a, r = decompress(public), decompress(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= Q:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % Q
    left, right = multiply(s, BASE), add(r, multiply(h, a))
    return (left[0] * right[2] - right[0] * left[2]) % P == 0 and (left[1] * right[2] - right[1] * left[2]) % P == 0


# The tree of RFC 6962.


def leaf_hash(entry):
    return hashlib.sha256(b"\0" + entry).digest()


def tree_root(hashes):
    if not hashes:
        return hashlib.sha256(b"").digest()
    while len(hashes) > 1:
        pairs = [
            hashlib.sha256(b"\1" + hashes[i] + hashes[i + 1]).digest() for i in range(0, len(hashes) - 1, 2)
        ]
        hashes = pairs + hashes[len(pairs) * 2 :]
    return hashes[0]


def level_above(hashes):
    return [tree_root(hashes[i : i + WIDTH]) for i in range(0, len(hashes) // WIDTH * WIDTH, WIDTH)]


# Text forms: every reader refuses what it would not write itself.


def strict_base64(text):
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if base64.b64encode(data).decode() == text else None


def parse_key(data):
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    match = re.fullmatch(r"([^\s+]+)\+([0-9a-f]{8})\+(\S+)\n", text)
    key = strict_base64(match[3]) if match else None
    if key is None or len(key) != 33 or key[0] != 1:
        return None
    name = match[1].encode()
    if hashlib.sha256(name + b"\n" + key).digest()[:4].hex() != match[2]:
        return None
    return name, key[1:], bytes.fromhex(match[2])


def parse_checkpoint(note, key):
    name, public, key_id = key
    body, gap, signatures = note.partition(b"\n\n")
    lines = body.split(b"\n")
    if not gap or not note.endswith(b"\n") or len(lines) < 3 or not re.fullmatch(rb"0|[1-9][0-9]*", lines[1]):
        return None
    root = strict_base64(lines[2].decode("ascii", "replace"))
    if root is None or len(root) != 32 or lines[0] != name:
        return None
    for line in signatures[:-1].split(b"\n"):
        start = "\u2014 ".encode() + name + b" "
        if not line.startswith(start):
            continue
        signature = strict_base64(line[len(start) :].decode("ascii", "replace"))
        if signature and len(signature) == 68 and signature[:4] == key_id:
            if signature_is_valid(public, body + b"\n", signature[4:]):
                return int(lines[1]), root
    return None


def tile_name(kind, index, count):
    groups = ["%03d" % (index % 1000)]
    index //= 1000
    while index:
        groups.insert(0, "x%03d" % (index % 1000))
        index //= 1000
    return "tile/%s/%s%s" % (kind, "/".join(groups), "" if count == WIDTH else ".p/%d" % count)


def parse_tile_name(name):
    match = re.fullmatch(r"tile/(entries|[0-7])/((?:x\d{3}/)*\d{3})(?:\.p/([1-9]\d{0,2}))?", name)
    if not match:
        return None
    count = int(match[3]) if match[3] else WIDTH
    index = int(match[2].replace("x", "").replace("/", ""))
    kind = match[1] if match[1] == "entries" else int(match[1])
    return (kind, index, count) if tile_name(kind, index, count) == name else None


def tiles(kind, items):
    return [(kind, i // WIDTH, min(WIDTH, items - i)) for i in range(0, items, WIDTH)]


def parse_bundle(data, most):
    entries, position = [], 0
    while len(entries) < most and position + 2 <= len(data):
        end = position + 2 + int.from_bytes(data[position : position + 2], "big")
        if end > len(data):
            break
        entries.append(data[position + 2 : end])
        position = end
    return entries, position


def entry_problem(data, index):
    try:
        value = json.loads(data.decode("utf-8"))
    except ValueError:
        return "it is not JSON"
    if not isinstance(value, dict) or value.get("v") != 1:
        return "unknown format"
    if value.get("index") != index:
        return "it says that it is another entry"
    time = value.get("at")
    if not isinstance(time, str) or not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", time):
        return "its time is not an RFC 3339 time in UTC"
    if not isinstance(value.get("kind"), str) or not isinstance(value.get("actor"), str) or "data" not in value:
        return "it has no kind, no actor or no data"
    return None


class Verifier:
    def __init__(self, directory):
        self.directory = directory
        self.problems, self.leftovers, self.used = [], [], set()
        self.size, self.root, self.newest = 0, b"", None
        self.leaves, self.undecided = [], []

    def problem(self, file, entry, what):
        self.problems.append({"file": file, "entry": entry, "what": what})

    def read(self, name):
        try:
            with open(os.path.join(self.directory, name), "rb") as file:
                return file.read()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def run(self, given):
        data = self.read("log.vkey")
        own = parse_key(data) if data is not None else None
        if own is None and (data is not None or given is None):
            self.problem("log.vkey", None, "it is missing or not a verifier key")
        if given and own and given != own:
            self.problem("log.vkey", None, "it is not the key that was given")
        key = given or own
        if key is None:
            return
        note = self.read("checkpoint")
        checkpoint = parse_checkpoint(note, key) if note is not None else None
        if checkpoint is None:
            return self.problem("checkpoint", None, "it is missing, malformed or not signed by the log's key")
        self.size, self.root = checkpoint
        self.used = {"checkpoint", "log.vkey"}
        if not self.read_leaves():
            return
        self.decide()
        self.check_upper_levels()
        self.check_other_files()

    def read_tile(self, kind, index, count):
        wanted = tile_name(kind, index, count)
        for name in dict.fromkeys([wanted, tile_name(kind, index, WIDTH)]):
            data = self.read(name)
            if data is not None:
                self.used.add(name)
                if name != wanted:
                    self.leftovers.append(name)
                return data, name, name == wanted
        return None, wanted, True

    def read_hashes(self, kind, index, count, first):
        data, name, exact = self.read_tile(kind, index, count)
        if data is None:
            return self.problem(name, first, "it is missing")
        if len(data) != 32 * (count if exact else WIDTH):
            return self.problem(name, first, "it has the wrong length")
        return [data[i * 32 : i * 32 + 32] for i in range(count)]

    def read_entries(self, index, count):
        first = index * WIDTH
        data, name, exact = self.read_tile("entries", index, count)
        if data is None:
            return self.problem(name, first, "it is missing")
        entries, used = parse_bundle(data, count)
        if len(entries) != count or (exact and used != len(data)):
            return self.problem(name, first + min(len(entries), count - 1), "the lengths of its entries do not fit")
        for offset, entry in enumerate(entries):
            what = entry_problem(entry, first + offset)
            if what:
                self.problem(name, first + offset, what)
            elif first + offset == self.size - 1:
                self.newest = json.loads(entry)["at"]
        return [leaf_hash(entry) for entry in entries]

    def read_leaves(self):
        for _, index, count in tiles(0, self.size):
            hashes = self.read_hashes(0, index, count, index * WIDTH)
            entries = self.read_entries(index, count)
            if hashes is None and entries is None:
                return False
            hashes, entries = hashes or entries, entries or hashes
            if hashes != entries:
                parent = self.parent(index) if count == WIDTH else None
                if parent == tree_root(hashes):
                    self.blame("entries", index, count, hashes, entries)
                elif parent == tree_root(entries):
                    self.blame(0, index, count, hashes, entries)
                    hashes = entries
                else:
                    self.undecided.append((index, count, hashes, entries))
            self.leaves += hashes
        return True

    def parent(self, index):
        for _, above, count in tiles(1, self.size // WIDTH):
            if above == index // WIDTH:
                data = self.read(tile_name(1, above, count))
                if data is not None and len(data) == 32 * count:
                    return data[index % WIDTH * 32 : index % WIDTH * 32 + 32]
        return None

    def blame(self, kind, index, count, hashes, entries):
        for offset in range(count):
            if hashes[offset] != entries[offset]:
                self.problem(tile_name(kind, index, count), index * WIDTH + offset, "changed")

    def decide(self):
        if not self.undecided:
            return
        others = list(self.leaves)
        for index, count, _, entries in self.undecided:
            others[index * WIDTH : index * WIDTH + count] = entries
        tiles_fit, entries_fit = tree_root(self.leaves) == self.root, tree_root(others) == self.root
        if entries_fit:
            self.leaves = others
        for index, count, hashes, entries in self.undecided:
            if not entries_fit:
                self.blame("entries", index, count, hashes, entries)
            if entries_fit or not tiles_fit:
                self.blame(0, index, count, hashes, entries)

    def check_upper_levels(self):
        root_fits = tree_root(self.leaves) == self.root
        explained = bool(self.problems)
        known, level, span = self.leaves, 0, 1
        while len(known) >= WIDTH:
            known, level, span = level_above(known), level + 1, span * WIDTH
            for _, index, count in tiles(level, len(known)):
                first = index * WIDTH
                hashes = self.read_hashes(level, index, count, first * span)
                for offset, value in enumerate(hashes or []):
                    if value == known[first + offset]:
                        continue
                    if root_fits:
                        self.problem(tile_name(level, index, count), (first + offset) * span, "changed")
                    elif level == 1:
                        explained = True
                        self.problem(tile_name(0, first + offset, WIDTH), (first + offset) * span, "changed")
        if not root_fits and not explained:
            self.problem("checkpoint", self.size - self.size % WIDTH, "its root is not that of the entries")

    def check_other_files(self):
        for folder, _, names in os.walk(self.directory):
            for file in names:
                name = os.path.relpath(os.path.join(folder, file), self.directory)
                tile = parse_tile_name(name)
                if name in self.used:
                    continue
                if file.startswith(".tmp-"):
                    self.leftovers.append(name)
                elif tile:
                    self.check_older(name, *tile)
                else:
                    self.problem(name, None, "it does not belong to the log")

    def check_older(self, name, kind, index, count):
        data, known, span, first = self.read(name), self.leaves, 1, index * WIDTH
        if kind == "entries":
            entries, used = parse_bundle(data, count)
            if len(entries) != count or used != len(data):
                return self.problem(name, first + len(entries), "the lengths of its entries do not fit")
            hashes = [leaf_hash(entry) for entry in entries]
        else:
            for _ in range(kind):
                known, span = level_above(known), span * WIDTH
            if len(data) != 32 * count:
                return self.problem(name, first * span, "it has the wrong length")
            hashes = [data[i * 32 : i * 32 + 32] for i in range(count)]
        if first + count > len(known):
            self.leftovers.append(name)
        for offset, value in enumerate(hashes[: max(0, len(known) - first)]):
            if value != known[first + offset]:
                self.problem(name, (first + offset) * span, "it differs from the newer form of the tile")


def main(arguments):
    given = None
    if arguments[:1] == ["--key"]:
        given = parse_key((arguments[1] + "\n").encode()) if len(arguments) > 1 else None
        if given is None:
            print("not a verifier key", file=sys.stderr)
            return 2
        arguments = arguments[2:]
    if not arguments or not all(os.path.isdir(directory) for directory in arguments):
        print(__doc__, file=sys.stderr)
        return 2
    broken = False
    for directory in arguments:
        verifier = Verifier(directory)
        verifier.run(given)
        broken = broken or bool(verifier.problems)
        report = {"size": verifier.size, "root": verifier.root.hex(), "newest": verifier.newest}
        report["problems"] = sorted(verifier.problems, key=lambda p: (p["file"], p["entry"] or 0))
        report["leftovers"] = sorted(verifier.leftovers)
        print(json.dumps(report))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

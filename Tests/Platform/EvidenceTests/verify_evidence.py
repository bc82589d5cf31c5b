#!/usr/bin/env python3
"""Verifies published evidence logs and bundles: a second implementation that shares no code with AW and needs nothing
installed.

    verify_evidence.py [--key VKEY] [--witness VKEY --cosigned NOTE] PATH...

A path is the folder of a log, or the file of a bundle. Prints one JSON object for each, with two verdicts that are never
one: the problems of integrity, and what is known of completeness. Exit code: 0 all intact and no witness contradicted,
1 otherwise, 2 wrong usage.
"""
import base64
import binascii
import datetime
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


def parse_json(text):
    def refuse(name):
        raise ValueError(name + " is no JSON")

    return json.loads(text, parse_constant=refuse)


def strict_base64(text):
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if base64.b64encode(data).decode() == text else None


def parse_key(data, kind=1):
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    match = re.fullmatch(r"([^\s+]+)\+([0-9a-f]{8})\+(\S+)\n", text)
    key = strict_base64(match[3]) if match else None
    if key is None or len(key) != 33 or key[0] != kind:
        return None
    name = match[1].encode()
    if hashlib.sha256(name + b"\n" + key).digest()[:4].hex() != match[2]:
        return None
    return name, key[1:], bytes.fromhex(match[2])


def parse_checkpoint(note, key):
    name, public, key_id = key
    body, gap, signatures = note.partition(b"\n\n")
    lines = body.split(b"\n")
    if not gap or not note.endswith(b"\n") or len(lines) < 3 or not re.fullmatch(rb"0|[1-9][0-9]{0,17}", lines[1]):
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


# Witnesses: cosignature/v1 says that at a time the log went on from what the witness had cosigned before.


def parse_cosigned(note, log_key, witness_key):
    signed = parse_checkpoint(note, log_key)
    if signed is None:
        return None
    name, public, key_id = witness_key
    body, _, signatures = note.partition(b"\n\n")
    for line in signatures.split(b"\n"):
        start = "\u2014 ".encode() + name + b" "
        data = strict_base64(line[len(start) :].decode("ascii", "replace")) if line.startswith(start) else None
        if data is None or len(data) != 76 or data[:4] != key_id:
            continue
        seconds = int.from_bytes(data[4:12], "big")
        if seconds >= 253_402_300_800:
            continue
        if signature_is_valid(public, b"cosignature/v1\ntime %d\n%s\n" % (seconds, body), data[12:]):
            at = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")
            return {"witness": name.decode(), "size": signed[0], "root": signed[1], "at": at}
    return None


def completeness(verdict, cosigned, says):
    seen = cosigned or {}
    return {"verdict": verdict, "witness": seen.get("witness"), "size": seen.get("size"), "at": seen.get("at"),
            "says": says}


UNKNOWN = completeness("unknown", None, "no witness was asked")


def compare(cosigned, root):
    """With what the same number of entries hashes to here; None when there are fewer."""
    if root is None:
        return completeness("truncated", cosigned, "the witness saw more entries than there are")
    if root != cosigned["root"]:
        return completeness("forked", cosigned, "the witness saw other entries")
    return completeness("witnessed", cosigned, "what the witness saw is here; of later entries nothing is known")


# Heartbeats: when a control plane that had not ended wrote none, or counted some that are not there.


def milliseconds(at):
    """None for what is no time of the one form that AW writes: UTC, since 1970, with three digits of a fraction."""
    form = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z"
    if not isinstance(at, str) or not re.fullmatch(form, at):
        return None
    try:
        time = datetime.datetime.strptime(at[:19] + "+0000", "%Y-%m-%dT%H:%M:%S%z")
    except ValueError:
        return None
    return None if time.year < 1970 else int(time.timestamp()) * 1000 + int(at[20:23])


def parse_beat(entry):
    """None for an entry that says nothing of whether a control plane was there."""
    value = parse_json(entry)
    data = value["data"]
    if value["kind"] == "node.lost" and isinstance(data, dict) and isinstance(data.get("lostNode"), str):
        return {"source": data["lostNode"], "at": value["at"], "lost": True}
    if value["kind"] != "evidence.heartbeat" or not isinstance(data, dict):
        return None
    number, every = data.get("number"), data.get("everySeconds")
    if not isinstance(data.get("node"), str) or type(number) is not int or type(every) is not int:
        return None
    if not 1 <= number <= 2**53 - 1 or not 1 <= every <= 31_536_000:
        return None
    if data.get("phase") not in ("began", "goes-on", "ended"):
        return None
    ended = data["phase"] == "ended"
    return {"source": data["node"], "number": number, "at": value["at"], "every": every, "ended": ended,
            "lost": False}


def is_late(beat, at):
    passed = milliseconds(at) - milliseconds(beat["at"])
    return not beat["ended"] and passed > beat["every"] * 1500


def find_gaps(beats, newest):
    before, gaps = {}, []

    def gap(source, since, until, missing, is_open, cause=None):
        gaps.append({"source": source, "since": since, "until": until, "missing": missing, "isOpen": is_open,
                     "cause": cause})

    for beat in beats:
        last = before.get(beat["source"])
        if beat["lost"]:
            if last and not last["ended"]:
                gap(beat["source"], last["at"], beat["at"], 0, False, "lost")
                # Nothing is expected of it until it begins again.
                before[beat["source"]] = {**last, "ended": True}
            continue
        before[beat["source"]] = beat
        missing = max(0, beat["number"] - (last["number"] if last else 0) - 1)
        if missing or (last and is_late(last, beat["at"])):
            gap(beat["source"], last["at"] if last else None, beat["at"], missing, False)
    for source in sorted(before):
        if newest is not None and is_late(before[source], newest):
            gap(source, before[source]["at"], newest, 0, True)
    return gaps


# The proofs of RFC 6962.


def inclusion_is_valid(leaf, index, size, proof, root):
    if not 0 <= index < size:
        return False
    node, last, value = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if node % 2 or node == last:
            value = hashlib.sha256(b"\1" + sibling + value).digest()
            while node % 2 == 0 and node:
                node, last = node // 2, last // 2
        else:
            value = hashlib.sha256(b"\1" + value + sibling).digest()
        node, last = node // 2, last // 2
    return last == 0 and value == root


def parse_proof(text):
    head, gap, checkpoint = text.partition("\n\n")
    lines = head.split("\n")
    if not gap or len(lines) < 2 or lines[0] != "c2sp.org/tlog-proof@v1":
        return None
    if not re.fullmatch(r"index (0|[1-9][0-9]*)", lines[1]):
        return None
    hashes = [strict_base64(line) for line in lines[2:]]
    if any(value is None or len(value) != 32 for value in hashes):
        return None
    return int(lines[1][6:]), hashes, checkpoint


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
        value = parse_json(data.decode("utf-8"))
    except (ValueError, RecursionError):
        return "it is not JSON"
    if not isinstance(value, dict) or not is_number(value.get("v"), 1):
        return "unknown format"
    if not is_number(value.get("index"), index):
        return "it says that it is another entry"
    if milliseconds(value.get("at")) is None:
        return "its time is not an RFC 3339 time in UTC"
    if not isinstance(value.get("kind"), str) or not isinstance(value.get("actor"), str) or "data" not in value:
        return "it has no kind, no actor or no data"
    if "subject" in value:
        subject = value["subject"]
        if not isinstance(subject, dict) or not all(isinstance(subject.get(name), str) for name in ("type", "id")):
            return "its subject has no type or no id"
    return None


def is_number(value, wanted):
    """True is 1 for Python, but not in JSON."""
    return type(value) is int and value == wanted


class Verifier:
    def __init__(self, directory):
        self.directory = directory
        self.problems, self.leftovers, self.used = [], [], set()
        self.size, self.root, self.newest = 0, b"", None
        self.leaves, self.undecided, self.beats = [], [], []
        self.completeness = UNKNOWN

    def problem(self, file, entry, what):
        self.problems.append({"file": file, "entry": entry, "what": what})

    def read(self, name):
        try:
            with open(os.path.join(self.directory, name), "rb") as file:
                return file.read()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def report(self):
        report = {"size": self.size, "root": self.root.hex(), "newest": self.newest}
        report["problems"] = sorted(self.problems, key=lambda p: (p["file"], p["entry"] or 0))
        report["leftovers"] = sorted(self.leftovers)
        report["completeness"] = self.completeness
        return report

    def run(self, given, witness=None):
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
        cosigned = parse_cosigned(witness[1], key, witness[0]) if witness else None
        if witness and cosigned is None:
            self.problem("cosigned", None, "it is not a checkpoint of this log that the witness cosigned")
        if cosigned and self.size < cosigned["size"]:
            self.completeness = compare(cosigned, None)
        if not self.read_leaves():
            return
        self.decide()
        if cosigned and self.size >= cosigned["size"] and tree_root(self.leaves) == self.root:
            self.completeness = compare(cosigned, tree_root(self.leaves[: cosigned["size"]]))
        self.check_upper_levels()
        self.check_other_files()
        if not self.problems:
            sources = len({beat["source"] for beat in self.beats if not beat["lost"]})
            gaps = find_gaps(self.beats, self.newest)
            self.completeness = {**self.completeness, "sources": sources, "gaps": gaps}

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
                continue
            if first + offset == self.size - 1:
                self.newest = parse_json(entry)["at"]
            beat = parse_beat(entry)
            if beat:
                self.beats.append(beat)
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


class BundleVerifier:
    def __init__(self, path):
        self.path, self.problems, self.entries = path, [], 0
        self.size, self.root, self.newest, self.completeness = 0, b"", None, UNKNOWN

    def problem(self, entry, what):
        self.problems.append({"file": "bundle", "entry": entry, "what": what})

    def report(self):
        report = {"size": self.size, "root": self.root.hex(), "newest": self.newest, "entries": self.entries}
        report["problems"] = sorted(self.problems, key=lambda p: p["entry"] or 0)
        report["leftovers"], report["completeness"] = [], self.completeness
        return report

    def run(self, given, witness=None):
        try:
            with open(self.path, "rb") as file:
                bundle = parse_json(file.read().decode("utf-8"))
            note, log, entries = bundle["checkpoint"].encode(), bundle["log"].encode(), bundle["entries"]
            if bundle["bundle"] != "aw-evidence-bundle/1" or not isinstance(entries, list):
                raise ValueError
            if not all(value is None or isinstance(value, str) for value in bundle["scope"].values()):
                raise ValueError
            if not all(map(self.is_item, entries)):
                raise ValueError
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return self.problem(None, "it is no evidence bundle")
        self.entries = len(entries)
        own = parse_key(log + b"\n")
        if own is None:
            self.problem(None, "the log's key in it is none")
        if given and own and given != own:
            self.problem(None, "the log's key in it is not the one that was given")
        key = given or own
        signed = parse_checkpoint(note, key) if key else None
        if signed is None:
            return self.problem(None, "its checkpoint is malformed or not signed by the log's key") if key else None
        self.size, self.root = signed
        cosigned = parse_cosigned(witness[1], key, witness[0]) if witness else None
        if cosigned and self.size > cosigned["size"]:
            self.completeness = completeness("unknown", cosigned, "only the log itself can show it")
        elif cosigned:
            self.completeness = compare(cosigned, self.root if self.size == cosigned["size"] else None)
        last = -1
        for item in entries:
            index = item["index"]
            if index <= last:
                self.problem(index, "it is not in order")
            last = index
            what = self.item_problem(item, bundle)
            if what:
                self.problem(index, what)
            elif item.get("entry") is not None:
                self.newest = parse_json(item["entry"])["at"]

    @staticmethod
    def is_item(item):
        if type(item["index"]) is not int or not isinstance(item.get("disclosures", []), list):
            return False
        texts = [item["proof"], *item.get("disclosures", [])]
        texts += [item[name] for name in ("entry", "hash") if item.get(name) is not None]
        # Half a surrogate pair has no bytes: that raises, as what else is wrong.
        return all(isinstance(text, str) and text.encode() is not None for text in texts)

    def item_problem(self, item, bundle):
        proof = parse_proof(item["proof"])
        if proof is None or proof[0] != item["index"]:
            return "its proof is malformed"
        if proof[2] != bundle["checkpoint"]:
            return "its proof has another checkpoint"
        commitments = []
        if item.get("entry") is not None:
            data = item["entry"].encode()
            what = entry_problem(data, item["index"])
            if what:
                return what
            entry = parse_json(data)
            if not self.in_scope(entry, bundle["scope"]):
                return "it is not of what the bundle is about"
            commitments = entry["data"].get("_sd") if isinstance(entry["data"], dict) else None
            commitments = commitments if isinstance(commitments, list) else []
            leaf = leaf_hash(data)
        else:
            try:
                leaf = bytes.fromhex(item["hash"])
            except (KeyError, TypeError, ValueError):
                return "it has neither an entry nor a hash"
        if not inclusion_is_valid(leaf, item["index"], self.size, proof[1], self.root):
            return "the entry was changed, or is not in the log"
        for disclosure in item.get("disclosures", []):
            digest = base64.urlsafe_b64encode(hashlib.sha256(disclosure.encode()).digest()).decode().rstrip("=")
            if digest not in commitments:
                return "a value beside it is not the one that the entry commits to"
        return None

    def in_scope(self, entry, scope):
        subject = entry["subject"]["id"] if "subject" in entry else None
        wanted = [("org", entry.get("org")), ("act", entry.get("act")), ("subject", subject)]
        if any(scope.get(name) is not None and scope[name] != value for name, value in wanted):
            return False
        # Times of one form and one zone compare as texts.
        since, until = scope.get("since"), scope.get("until")
        return (since is None or entry["at"] >= since) and (until is None or entry["at"] <= until)


def main(arguments):
    given, witness_key, note = None, None, None
    while arguments[:1] and arguments[0] in ("--key", "--witness", "--cosigned") and len(arguments) > 1:
        option, value, arguments = arguments[0], arguments[1], arguments[2:]
        if option == "--cosigned":
            with open(value, "rb") as file:
                note = file.read()
            continue
        parsed = parse_key((value + "\n").encode(), 1 if option == "--key" else 4)
        if parsed is None:
            print("not a verifier key", file=sys.stderr)
            return 2
        given, witness_key = (parsed, witness_key) if option == "--key" else (given, parsed)
    if not arguments or not all(map(os.path.exists, arguments)) or (witness_key is None) != (note is None):
        print(__doc__, file=sys.stderr)
        return 2
    broken = False
    for path in arguments:
        verifier = Verifier(path) if os.path.isdir(path) else BundleVerifier(path)
        verifier.run(given, (witness_key, note) if note is not None else None)
        contradicted = verifier.completeness["verdict"] in ("truncated", "forked")
        broken = broken or bool(verifier.problems) or contradicted
        print(json.dumps(verifier.report()))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

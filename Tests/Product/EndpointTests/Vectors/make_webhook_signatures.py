#!/usr/bin/env python3
"""Computes signatures after Standard Webhooks with nothing of AW's, and writes webhook-signatures.json beside itself."""
import base64
import hashlib
import hmac
import json
import pathlib

KEYS = [
    "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    base64.b64encode(bytes(range(24))).decode(),
    base64.b64encode(bytes(range(64))).decode(),
    base64.b64encode(b"\xff" * 32).decode(),
]
CASES = [
    ([0], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, '{"test": 2432232314}'),
    ([1], "ntf_1", 0, ""),
    ([2, 1], "ntf_2", 1795662000, '{"title":"größer & <kleiner>"}'),
    ([3, 0], "aw_x-2", 4102444800, '[{"a":1},{"b":"\\u0001"}]'),
    ([0, 1], "ntf_3", 1795662000, "x" * 19999),
]


def sign(key, id, timestamp, body):
    message = f"{id}.{timestamp}.{body}".encode()
    return "v1," + base64.b64encode(hmac.new(base64.b64decode(key), message, hashlib.sha256).digest()).decode()


def main():
    vectors = [
        {
            "secrets": ["whsec_" + KEYS[key] for key in keys],
            "id": id,
            "timestamp": timestamp,
            "body": body,
            "signature": " ".join(sign(KEYS[key], id, timestamp, body) for key in keys),
        }
        for keys, id, timestamp, body in CASES
    ]
    path = pathlib.Path(__file__).with_name("webhook-signatures.json")
    path.write_text(json.dumps(vectors, indent=1, ensure_ascii=False) + "\n")


main()

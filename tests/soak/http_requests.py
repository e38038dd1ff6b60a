"""Good HTTP requests to be spoilt, and JSON that is good in shape alone. Pure.

No request names a device that is not the attackers' own, creates one beyond them, moves the clock or ends the platform.
"""

from collections.abc import Callable
from random import Random
from typing import Any

import orjson

DEEP = 20_000
JSON = b"application/json"


def request(method: str, target: str, body: bytes | None = None, *headers: bytes) -> bytes:
    lines = [f"{method} {target} HTTP/1.1".encode(), b"Host: 127.0.0.1", *headers]
    if body is not None:
        lines += [b"Content-Type: " + JSON, b"Content-Length: %d" % len(body)]
    return b"\r\n".join((*lines, b"", body or b""))


def calls(rng: Random, device_id: str) -> list[tuple[str, str, Any]]:
    """One of each call: method, target, and what its body says."""
    vendors = f"/v5/iot/{rng.choice(('p', 'default', '%41', 'a b'.replace(' ', '%20')))}/devices"
    device, ours = f"{vendors}/{device_id}", f"/_platform/devices/{device_id}"
    auth = {"auth_type": "SECRET", "secret": "attackers-secret", "secure_access": False, "timeout": 0}
    return [
        ("GET", "/_platform", None),
        ("GET", "/_platform/statistics", None),
        ("GET", "/_platform/openapi.json", None),
        ("GET", f"/_platform/sessions?device_id={device_id}", None),
        ("GET", f"{vendors}?limit={rng.randint(-1, 60)}&offset={rng.randint(-1, 600)}&status=ONLINE", None),
        ("GET", f"{vendors}?start_time=20260101T000000Z&marker={'f' * rng.randint(23, 25)}&node_id={device_id}", None),
        ("GET", device, None),
        ("POST", f"{device}/action?action_id=resetSecret", {"secret_type": "PRIMARY", "force_disconnect": True}),
        ("POST", f"{device}/action?action_id=", {"secret": "attackers-secret"}),
        ("POST", f"{device}/freeze", None),
        ("POST", f"{device}/unfreeze", None),
        ("PUT", device, {"device_name": "one", "description": "two", "auth_info": {"timeout": 1}}),
        ("POST", vendors, {"device_id": device_id, "node_id": device_id, "product_id": "p", "auth_info": auth}),
        ("POST", "/_platform/devices", {"device_id": device_id, "primary": "attackers-secret", "protocol": "mqtt"}),
        ("POST", f"{ours}/commands", {"command_name": "c", "paras": {"a": [1, {"b": None}]}, "timeout": 1}),
        ("POST", f"{ours}/messages", {"payload": {"a": 1}, "topic": None, "qos": 1}),
        ("POST", "/_platform/clock", {"advance": rng.choice((0, -1, "soon", None, [], True and "1h"))}),
        ("POST", "/nowhere", {"any": "thing"}),
    ]


def from_caller(rng: Random, device_id: str) -> list[bytes]:
    """The same as bytes."""
    return [request(method, target, encoded(said)) for method, target, said in calls(rng, device_id)]


def encoded(said: Any) -> bytes | None:
    return None if said is None else orjson.dumps(said)


def misshapen(rng: Random, device_id: str) -> bytes:
    """A call whose body is JSON of the wrong shape, or nearly JSON."""
    method, target, said = rng.choice([one for one in calls(rng, device_id) if one[2] is not None])
    key = rng.choice(list(said))
    if key == "device_id" or target.endswith("/clock"):
        key = "also"  # another id would be another device, and a number would move the clock
    changed = {**said, key: "\N{SECTION SIGN}"}
    marker = '"\N{SECTION SIGN}"'.encode()
    body = orjson.dumps(changed).replace(marker, rng.choice(VALUES)(rng))
    return request(method, target, rng.choice((body, body, body, b"[" + body + b"]", b"\xef\xbb\xbf" + body)))


VALUES: tuple[Callable[[Random], bytes], ...] = (
    lambda rng: rng.choice((b"null", b"true", b"0", b"-1", b"1.5", b'""', b"[]", b"{}", b'"PRIMARY"', b"[[{}]]")),
    lambda rng: b"9" * rng.choice((19, 20, 400, 5000)),
    lambda rng: rng.choice((b"NaN", b"Infinity", b"-", b"01", b"1e999", b"1e-999", b"'x'", b"undefined", b"")),
    lambda rng: rng.choice((b"[", b'{"a":')) * rng.choice((10, 200, DEEP)),
    lambda rng: b"[" * rng.choice((100, 1000)) + b"]" * rng.choice((100, 1000)),
    lambda rng: rng.choice((b'"\xff\xfe"', b'"\xc0\x80"', b'"\xed\xa0\x80"', b'"\\ud800"', b'"\\u0000"', b'"\x00"')),
    lambda rng: b'"' + b"x" * rng.choice((33, 257, 2049, 66_000)) + b'"',
    lambda rng: b'{"secret":1,"secret":2,"__proto__":{}}',
)

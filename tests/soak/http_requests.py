"""Good HTTP requests to be spoilt, and JSON that is good in shape alone. Pure.

No request names a device that is not the attackers' own, creates one beyond them, moves the clock or ends the platform.
"""

from collections.abc import Callable
from random import Random
from typing import Any

import orjson

DEEP = 20_000
SLEEPER = "intruder-asleep"
"""The attackers' device of NB-IoT."""
ROMA_ID = 1
"""The attackers' product, and their device, of ROMA LINK."""
RESETS = "/_platform/devices/reset-secrets"
NO_ID = "f" * 24
JSON = b"application/json"


def request(method: str, target: str, body: bytes | None = None, *headers: bytes) -> bytes:
    lines = [f"{method} {target} HTTP/1.1".encode(), b"Host: 127.0.0.1", *headers]
    if body is not None:
        lines += [b"Content-Type: " + JSON, b"Content-Length: %d" % len(body)]
    return b"\r\n".join((*lines, b"", body or b""))


Call = tuple[str, str, Any]
"""Method, target, and what the body says."""


def calls(rng: Random, device_id: str) -> list[Call]:
    """One of each call."""
    tenant = rng.choice(("p", "default", "%41", "a%20b"))
    return [
        *_of_devices(rng, device_id),
        *_of_downlinks(f"/v5/iot/{tenant}/devices/{device_id}"),
        *_of_rules(rng, f"/v5/iot/{tenant}/routing-rule"),
        *_of_sleepers(rng, f"/v5/iot/{tenant}/devices/{rng.choice((SLEEPER, device_id))}"),
        *_of_roma(rng, f"/v2/{tenant}/link/instances/{tenant}"),
    ]


def _of_downlinks(device: str) -> list[Call]:
    message = {"message": {"a": [1]}, "message_id": "m", "ttl": 5, "topic": "t", "encoding": "none"}
    return [
        ("POST", f"{device}/messages", message),
        ("POST", f"{device}/messages", {"message": "QQ==", "encoding": "base64", "topic_full_name": "t"}),
        ("GET", f"{device}/messages", None),
        ("GET", f"{device}/messages/m", None),
        ("DELETE", f"{device}/messages/m", None),
        ("POST", f"{device}/commands", {"service_id": "s", "command_name": "c", "paras": {"a": 1}}),
        ("GET", f"{device}/properties?service_id=s", None),
        ("PUT", f"{device}/properties", {"services": [{"service_id": "s", "properties": {}}]}),
    ]


def _of_rules(rng: Random, rules: str) -> list[Call]:
    target = {"http_forwarding": {"url": rng.choice(("http://127.0.0.1:9/", "http://[::1", "http://x@y", "\n"))}}
    rule = {"rule_name": "r", "subject": {"resource": "device.status", "event": "update"}, "app_type": "GLOBAL"}
    return [
        ("POST", f"{rules}/rules", rule),
        ("GET", f"{rules}/rules?limit={rng.randint(-1, 60)}&active=true&marker={NO_ID}", None),
        ("PUT", f"{rules}/rules/{NO_ID}", {"active": True, "description": "d"}),
        ("DELETE", f"{rules}/rules/{NO_ID}", None),
        ("POST", f"{rules}/actions", {"rule_id": NO_ID, "channel": "HTTP_FORWARDING", "channel_detail": target}),
        ("PUT", f"{rules}/actions/{NO_ID}", {"channel_detail": target}),
        ("GET", f"{rules}/actions?offset={rng.randint(-1, 600)}&rule_id={NO_ID}", None),
    ]


def _of_sleepers(rng: Random, device: str) -> list[Call]:
    command = {"paras": {"a": 1}, "expire_time": 60, "send_strategy": rng.choice(("delay", "immediately"))}
    return [
        ("POST", f"{device}/async-commands", command),
        ("GET", f"{device}/async-commands?limit=50&start_time=20260101T000000Z", None),
        ("GET", f"{device}/async-commands/{NO_ID}", None),
        ("GET", f"{device}/async-commands-history?status=EXPIRED", None),
        ("POST", f"{device}/async-commands-history/count", None),
    ]


def _of_roma(rng: Random, link: str) -> list[Call]:
    """Devices are created of a product only that is not there."""
    one = rng.choice((str(ROMA_ID), "2", "x", "9" * 17, "9" * 18, "force-offline"))
    product = {"name": "attackers", "app_id": "a", "manufacturer_id": "m", "manufacturer_name": "m", "model": "m"}
    new = {"product": {"product_id": 10**16}, "device_name": "nobody", "node_id": "nn", "app_id": "a", "status": 0}
    return [
        ("GET", f"{link}/devices?limit={rng.randint(-1, 2000)}&offset={rng.choice((0, -1, 10**30))}", None),
        ("GET", f"{link}/devices?online_status=0,2&product_id={one}&created_date_start=0", None),
        ("POST", f"{link}/devices", new),
        ("POST", f"{link}/devices/force-offline", {"device_ids": [ROMA_ID, 1.5, 10**16]}),
        ("GET", f"{link}/devices/{one}", None),
        ("PUT", f"{link}/devices/{one}", {"device_name": "one", "status": rng.choice((0, 1)), "description": "d"}),
        ("DELETE", f"{link}/devices/2", None),
        ("GET", f"{link}/devices/{one}/authentication", None),
        ("PUT", f"{link}/devices/{one}/authentication", {"user_name": "attacker-1", "password": "Open-Sesame-0001"}),
        ("POST", f"{link}/products", {**product, "product_type": 0, "protocol_type": 0}),
        ("GET", f"{link}/products/{one}", None),
        ("PUT", f"{link}/products/{one}/authentication", {"user_name": "", "password": ""}),
        ("DELETE", f"{link}/products/{ROMA_ID}", None),
        ("GET", f"{link}/nowhere", None),
    ]


def _of_devices(rng: Random, device_id: str) -> list[Call]:
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
        ("GET", f"/_platform/registrations?device_id={device_id}", None),
        ("PUT", "/_platform/products/attackers", {"protocol": rng.choice(("mqtt", "coap"))}),
        ("POST", RESETS, {"device_ids": [device_id], "force_disconnect": True, "pace": {"size": 1, "every": 0.1}}),
        ("POST", RESETS, {"resets": [{"device_id": device_id, "secret": "attackers-secret"}]}),
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

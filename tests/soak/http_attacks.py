"""What an attacker of the control API does on one connection, drawn from a seed and a number. Pure."""

from collections.abc import Callable, Sequence
from datetime import datetime
from random import Random

from tests.soak.attacks import Attack, Ending
from tests.soak.http_requests import from_caller, misshapen, request
from tests.soak.mutation import split, spoil

HTTP = 1
"""Where attacks on MQTT say which version."""

CREATES = (b"POST /v5/iot/", b"POST /v2/", b"POST /_platform/devices ", b"PUT /_platform/products/")
LINES = (
    b"",
    b"GET",
    b"GET  /  HTTP/1.1",
    b"GET / HTTP/9.9",
    b"GET / HTTP/1.0",
    b"GET /_platform",
    b"GET /%zz%00%ff HTTP/1.1",
    b"GET /\xe7\x94\xb5 HTTP/1.1",
    b"GET http://elsewhere.example/_platform HTTP/1.1",
    b"GET //_platform/../_platform?%=&&=;# HTTP/1.1",
    b"CONNECT 127.0.0.1:1883 HTTP/1.1",
    b"OPTIONS * HTTP/1.1",
    b"TRACE /_platform HTTP/1.1",
    b"BREW /pot HTTP/1.1",
    b"get /_platform HTTP/1.1",
    b"PRI * HTTP/2.0",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET /_platform HTTP/1.1\rX: y",
)
HEADERS = (
    b"No-Colon",
    b": no name",
    b"Bad Name: x",
    b"Space-Before : x",
    b" Folded: x",
    b"Nul: a\x00b",
    b"High: \xff\xfe",
    b"Host: elsewhere.example",
    b"Host: [::1",
    b"Origin: https://example.org",
    b"Origin: \xff://[",
    b"Expect: 100-continue",
    b"Expect: a miracle",
    b"Connection: close, upgrade, keep-alive",
    b"Upgrade: websocket",
    b"Upgrade: h2c",
    b"Content-Type: text/plain",
    b"Content-Type: \x09;;=",
    b"Content-Encoding: gzip",
    b"Authorization: SDK-HMAC-SHA256 Access=x, SignedHeaders=, Signature=",
    b"X-Auth-Token: \xf0\x9f",
    b"Instance-Id: \xff",
    b"Cookie: " + b"a=b; " * 200,
)
LENGTHS = (
    b"-1",
    b"+2",
    b"0x2",
    b"2, 2",
    b"2 2",
    b"",
    b"two",
    b"1",
    b"3",
    b"99999999999",
    b"9" * 40,
    b"2\r\nContent-Length: 3",
)
CODINGS = (
    b"chunked",
    b"Chunked ",
    b"xchunked",
    b"chunked, identity",
    b"identity",
    b"gzip, chunked",
    b"chunked\r\nTransfer-Encoding: x",
)
CHUNKS = (
    b"2\r\n{}\r\n0\r\n\r\n",
    b"2;" + b"x" * 5000 + b"\r\n{}\r\n0\r\n\r\n",
    b"-1\r\n{}\r\n0\r\n\r\n",
    b"fffffffffffffffff\r\n{}",
    b"ffffff\r\n{}",
    b"2\r\n{}0\r\n\r\n",
    b"2\n{}\n0\n\n",
    b"0\r\nTrailer: x\r\n" + b"X-T: y\r\n" * 50 + b"\r\n",
    b"0\r\n" + b"y" * 3000,
    b"zz\r\n",
    b"0\r\n\r\nGET /_platform HTTP/1.1\r\nHost: smuggled\r\n\r\n",
)


class HttpPlan:
    """Draws attacks that name devices of the attackers' own."""

    def __init__(self, seed: int, intruders: Sequence[str]) -> None:
        self.seed = seed
        self._intruders = intruders

    def attack(self, number: int, _: datetime) -> Attack:
        rng = Random(f"http/{self.seed}/{number}")
        device_id = rng.choice(self._intruders)
        part = rng.choice(list(PARTS))
        sent = PARTS[part](rng, device_id)
        return Attack(number, part, HTTP, split(rng, sent), 1, rng.choice(list(Ending)))


def _valid(rng: Random, device_id: str) -> bytes:
    return rng.choice(from_caller(rng, device_id))


def _pipelined(rng: Random, device_id: str) -> bytes:
    """Several requests at once, one of them perhaps spoilt."""
    good = from_caller(rng, device_id)
    return b"".join(rng.choices(good, k=rng.randint(2, 40))) + rng.choice((b"", b"\x00", _spoilt(rng, device_id)))


def _spoilt(rng: Random, device_id: str) -> bytes:
    """Bytes of requests gone wrong; none of those that create devices, whose ids would go wrong too."""
    return spoil(rng, [one for one in from_caller(rng, device_id) if not one.startswith(CREATES)])


def _bad_head(rng: Random, device_id: str) -> bytes:
    line = rng.choice((*LINES, *(b"GET /_platform HTTP/1.1",) * len(LINES)))
    return b"\r\n".join((line, *rng.choices(HEADERS, k=rng.randint(0, 5)), b"", b""))


def _lying_length(rng: Random, device_id: str) -> bytes:
    return _reset(device_id, b"Content-Length: " + rng.choice(LENGTHS)) + b"{}" + rng.choice((b"", b"}", b"x" * 300))


def _bad_chunks(rng: Random, device_id: str) -> bytes:
    return _reset(device_id, b"Transfer-Encoding: " + rng.choice(CODINGS)) + rng.choice(CHUNKS)


def _smuggling(rng: Random, device_id: str) -> bytes:
    both = [b"Content-Length: %d" % rng.choice((0, 2, 5, 60)), b"Transfer-Encoding: " + rng.choice(CODINGS)]
    rng.shuffle(both)
    return _reset(device_id, *both) + rng.choice(CHUNKS)


def _too_much(rng: Random, device_id: str) -> bytes:
    size = rng.choice((65_536, 65_537, 300_000))
    return rng.choice(
        (
            _reset(device_id, b"Content-Length: %d" % size) + b" " * size,
            _reset(device_id, b"Transfer-Encoding: chunked") + b"%x\r\n%b\r\n0\r\n\r\n" % (size, b" " * size),
            request("GET", "/_platform?" + "x" * size),
            request("GET", "/_platform", None, b"X-Large: " + b"x" * size),
            request("GET", "/_platform", None, *(b"X-%d: y" % number for number in range(size // 60))),
        )
    )


def _half(rng: Random, device_id: str) -> bytes:
    whole = _valid(rng, device_id)
    return whole[: rng.randint(0, len(whole) - 1)]


def _reset(device_id: str, *headers: bytes) -> bytes:
    """The head of a reset, which says of its body what it likes."""
    target = f"/v5/iot/p/devices/{device_id}/action?action_id=resetSecret"
    return request("POST", target, None, b"Content-Type: application/json", *headers)


PARTS: dict[str, Callable[[Random, str], bytes]] = {
    "valid": _valid,
    "pipelined": _pipelined,
    "spoilt": _spoilt,
    "bad head": _bad_head,
    "lying length": _lying_length,
    "bad chunks": _bad_chunks,
    "smuggling": _smuggling,
    "misshapen": misshapen,
    "too much": _too_much,
    "half": _half,
}

"""Judges what attackers of the control API are answered: each whole answer has its id, each refusal its body."""

from collections import Counter
from collections.abc import Iterator

import orjson

from tests.soak.attacks import Attack

HEAD_END, LINE_END = b"\r\n\r\n", b"\r\n"
OF_ROMA = ("SCB.", "ROMA.")
"""How the codes begin that only ROMA LINK has; its errors say the request's id."""
Headers = dict[bytes, bytes]
SERVER_ERRORS = 500


class HttpJudge:
    """Counts answers by status, and keeps what is wrong with them."""

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.wrong: list[str] = []

    def heard(self, attack: Attack, data: bytes) -> None:
        try:
            for status, headers, body in _answers(data):
                self.statuses[status] += 1
                if flaw := _flaw(status, headers, body):
                    self.wrong.append(f"{flaw}: {status} {body[:200]!r} to {attack}")
        except ValueError as error:
            self.wrong.append(f"no HTTP: {error}: {data[:200]!r} to {attack}")


def _answers(data: bytes) -> Iterator[tuple[int, Headers, bytes]]:
    """Yield the answers that came whole."""
    while HEAD_END in data:
        head, _, data = data.partition(HEAD_END)
        line, *rest = head.split(b"\r\n")
        if not line.startswith(b"HTTP/1.1 "):
            raise ValueError(line)
        status = int(line.split()[1])
        if status < 200:
            continue
        pairs = (one.split(b": ", 1) for one in rest)
        headers = {name.lower(): value for name, value in pairs}
        cut = _cut(headers, data)
        if cut is None:
            return
        body, data = cut
        yield status, headers, body


def _cut(headers: Headers, data: bytes) -> tuple[bytes, bytes] | None:
    """Return a body and what follows it, or None when it has not come whole."""
    if headers.get(b"transfer-encoding") == b"chunked":
        return _unchunked(data)
    length = int(headers.get(b"content-length", b"0"))
    return None if len(data) < length else (data[:length], data[length:])


def _unchunked(data: bytes) -> tuple[bytes, bytes] | None:
    body = b""
    while LINE_END in data:
        size_line, _, data = data.partition(LINE_END)
        size = int(size_line, 16)
        if len(data) < size + len(LINE_END):
            return None
        body, data = body + data[:size], data[size + len(LINE_END) :]
        if not size:
            return body, data
    return None


def _flaw(status: int, headers: Headers, body: bytes) -> str | None:
    if b"x-request-id" not in headers:
        return "no X-Request-Id"
    if status >= SERVER_ERRORS:
        return "an error of ours"
    if status >= 400 and not _is_vendors(orjson.loads(body), headers[b"x-request-id"].decode()):
        return "no error of the vendor's"
    return None


def _is_vendors(error: dict[str, str], request_id: str) -> bool:
    named = {"request_id": request_id} if error["error_code"].startswith(OF_ROMA) else {}
    return error == {"error_code": error["error_code"], "error_msg": error.get("error_msg"), **named}

"""Judges what attackers of the control API are answered: each whole answer has its id, each refusal its body."""

from collections import Counter
from collections.abc import Iterator

import orjson

from tests.soak.attacks import Attack

HEAD_END = b"\r\n\r\n"
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


def _answers(data: bytes) -> Iterator[tuple[int, dict[bytes, bytes], bytes]]:
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
        length = int(headers.get(b"content-length", b"0"))
        if len(data) < length:
            return
        yield status, headers, data[:length]
        data = data[length:]


def _flaw(status: int, headers: dict[bytes, bytes], body: bytes) -> str | None:
    if b"x-request-id" not in headers:
        return "no X-Request-Id"
    if status >= SERVER_ERRORS:
        return "an error of ours"
    if status >= 400 and orjson.loads(body).keys() != {"error_code", "error_msg"}:
        return "no error of the vendor's"
    return None

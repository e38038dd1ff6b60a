"""The hook as HTTP: in front of everything else, because a broker must always be answered.

EMQX takes an answer of 4xx or 5xx for none and asks somebody else, or lets the client in: whatever goes wrong, the
answer is 200 and a refusal.
"""

import hmac
import traceback
from collections.abc import Callable
from typing import NamedTuple, TypeVar
from urllib.parse import parse_qsl

from starlette.types import ASGIApp, Receive, Scope, Send

from broker.complaints import complain
from broker.control_api.guard import names_loopback
from broker.hooks import calls
from broker.hooks.judge import HOOK_FAILED, MALFORMED, UNKNOWN_CALLER, Judge
from broker.hooks.remote_sessions import Premises

PREFIX = "/_hook/"
MAX_BODY = 2 << 20
"""Three fields of a CONNECT, each as long as MQTT lets it be, in JSON with every character escaped."""

TOKEN_HEADER = b"x-auth-token"
C = TypeVar("C")
Question = Callable[[bytes], bool | None]


class Words(NamedTuple):
    """How a broker wants to be told."""

    media_type: bytes
    yes: bytes
    no: bytes


WORDS = {
    "rabbitmq": Words(b"text/plain", b"allow", b"deny"),
    "emqx": Words(b"application/json", b'{"result":"allow"}', b'{"result":"deny"}'),
}


def questions(engine: str, judge: Judge) -> dict[str, Question]:
    """What a broker may ask, by path; the answer to a body that says nothing is None."""
    login = {"rabbitmq": calls.login_of_form, "emqx": calls.login_of_json}[engine]
    topic = {"rabbitmq": calls.topic_of_form, "emqx": calls.topic_of_json}[engine]
    asked: dict[str, Question] = {
        {"rabbitmq": "user", "emqx": "auth"}[engine]: lambda body: _judged(login(body), judge.lets_in),
        {"rabbitmq": "topic", "emqx": "acl"}[engine]: lambda body: _judged(topic(body), judge.allows_topic),
    }
    if engine == "rabbitmq":
        asked["vhost"] = lambda body: _judged(calls.virtual_host_of_form(body), judge.knows)
        asked["resource"] = lambda body: _judged(calls.resource_of_form(body), judge.allows_resource)
    return {f"{PREFIX}{engine}/{name}": question for name, question in asked.items()}


class HookEndpoint:
    """Answers what begins with `/_hook/`, whatever it is, and leaves the rest to the application behind it."""

    def __init__(self, behind: ASGIApp, engine: str, judge: Judge, token: str | None, premises: Premises) -> None:
        self._behind = behind
        self._words = WORDS[engine]
        self._questions = questions(engine, judge)
        self._judge = judge
        self._token = None if token is None else token.encode()
        self._premises = premises

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(PREFIX):
            await self._behind(scope, receive, send)
            return
        question = self._questions.get(scope["path"], _meaningless) if scope["method"] == "POST" else _meaningless
        body = await _body(receive)
        answer = self._words.yes if self._answer(scope, question, body) else self._words.no
        headers = [(b"content-type", self._words.media_type), (b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    def _answer(self, scope: Scope, question: Question, body: bytes | None) -> bool:
        """Judge, and have it in the journal before anybody hears of it."""
        try:
            answer = self._judged(scope, question, body)
        except Exception:  # noqa: BLE001 - the guard: an answer of 500 would let the device in elsewhere
            self._premises.statistics.internal_errors += 1
            complain(f"a hook call failed\n{traceback.format_exc()}")
            self._judge.refuse(HOOK_FAILED)
            answer = False
        self._premises.journal.flush()
        return answer

    def _judged(self, scope: Scope, question: Question, body: bytes | None) -> bool:
        if not self._is_known(scope):
            self._judge.refuse(UNKNOWN_CALLER)
            return False
        answer = None if body is None else question(body)
        if answer is None:
            self._judge.refuse(MALFORMED)
        return bool(answer)

    def _is_known(self, scope: Scope) -> bool:
        """Whether a call is of the broker: with the token, if there is one, and never from another's web page."""
        headers = dict(scope["headers"])
        origin = headers.get(b"origin")
        if origin is not None and not names_loopback(origin.decode("latin-1")):
            return False
        if self._token is None:
            return True
        in_query = dict(parse_qsl(scope["query_string"].decode("latin-1"))).get("token", "")
        return any(hmac.compare_digest(one, self._token) for one in (headers.get(TOKEN_HEADER, b""), in_query.encode()))


def _meaningless(_: bytes) -> None:
    """What is asked elsewhere, or in another way."""


def _judged(call: C | None, judge: Callable[[C], bool]) -> bool | None:
    return None if call is None else judge(call)


async def _body(receive: Receive) -> bytes | None:
    """Receive a body to its end; None if it is too long, or ends before its end."""
    pieces, size = [], 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        size += len(message.get("body", b""))
        if size <= MAX_BODY:
            pieces.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(pieces) if size <= MAX_BODY else None

"""Who may call: whoever has the token or signs with the secret key; anybody when neither is set.

A head shows who cannot be let in; whether a signature is right shows at the end of the body, and until then no route
sees anything of the request. The body is kept once, in the pieces in which it came.
"""

import hashlib
import hmac
from collections import deque
from collections.abc import Sequence

from starlette.types import Message, Receive, Scope

from broker.auth.signature import TIME_FORMAT, AccessKey, Claim, Flaw, Headers, Request, is_genuine, read_claim
from broker.clock import Clock
from broker.control_api.errors import BadSignature, TokenMissing, Unauthorised


class Callers:
    """The callers of one platform, as its settings name them."""

    def __init__(self, token: str | None, key: AccessKey | None, clock: Clock) -> None:
        self._token = None if token is None else token.encode()
        self._key = key
        self._clock = clock

    @property
    def are_known(self) -> bool:
        return self._token is not None or self._key is not None

    def claim(self, headers: Headers) -> Claim | None:
        """Return what is left to prove of a caller, if anything is; raises Unauthorised or BadSignature."""
        if not self.are_known or self._has_token(headers):
            return None
        is_wrong_token = self._token is not None and b"x-auth-token" in headers
        if self._key is None or (is_wrong_token and b"authorization" not in headers):
            raise Unauthorised if is_wrong_token else TokenMissing
        claim = read_claim(headers, self._key.id, self._clock.utc())
        if isinstance(claim, Flaw):
            raise self._refusal(claim)
        return claim

    async def proved(self, claim: Claim, scope: Scope, headers: Headers, receive: Receive) -> Receive:
        """Take the body in and return how to receive it again; raises BadSignature, BodyTooLarge."""
        assert self._key is not None, "there is no claim without a key"
        messages = await _whole(receive)
        request = Request(scope["method"], scope["raw_path"], scope["query_string"], headers)
        if not is_genuine(claim, request, _body_hash(messages), self._key):
            raise self._refusal(Flaw.WRONG)
        return _again(messages, receive)

    def _has_token(self, headers: Headers) -> bool:
        return self._token is not None and hmac.compare_digest(headers.get(b"x-auth-token", b""), self._token)

    def _refusal(self, flaw: Flaw) -> BadSignature:
        server_time = f",server time:{self._clock.utc():{TIME_FORMAT}}" if flaw is Flaw.EXPIRED else ""
        return BadSignature(flaw + server_time)


async def _whole(receive: Receive) -> list[Message]:
    """Receive until a body has ended, or its sender is gone."""
    messages = [await receive()]
    while messages[-1].get("more_body"):
        messages.append(await receive())
    return messages


def _body_hash(messages: Sequence[Message]) -> str:
    digest = hashlib.sha256()
    for message in messages:
        digest.update(message.get("body", b""))
    return digest.hexdigest()


def _again(messages: Sequence[Message], receive: Receive) -> Receive:
    left = deque(messages)

    async def receive_again() -> Message:
        return left.popleft() if left else await receive()

    return receive_again

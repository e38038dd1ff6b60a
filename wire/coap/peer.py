"""One CoAP peer: what this side of a conversation remembers, resends and drops. Bytes and a time in, news out.

A peer holds almost nothing while it is idle, because there is one for each of thousands of devices.
"""

import math
from collections import deque
from collections.abc import Callable, Collection

from aiocoap import Code, Message, Type

from wire.coap.exchanges import Acknowledged, Asked, Event, Failed, Failure, Rejected, Request, Response, Sending
from wire.coap.messages import ProtocolError, decode, encode, unknown_critical_option

ACK_TIMEOUT_S = 2.0
ACK_RANDOM_FACTOR = 1.5
MAX_RETRANSMIT = 4
MAX_TRANSMIT_WAIT_S = 93.0
EXCHANGE_LIFETIME_S = 247.0
"""RFC 7252 §4.8: the default transmission parameters and what follows from them."""

REMEMBERED = 8
"""How many received message ids a peer remembers: the RFC's 247 s of all of them would be 4 KB a request."""

NEVER = math.inf


class CoapPeer:
    """The conversation with one peer.

    `send` takes each datagram; `first_mid` is the first message id and token, which ought to be hard to guess on a
    line without encryption; `jitter` returns a number in [0, 1). Times are seconds on any clock that never goes back.
    One confirmable message at most is under way (NSTART = 1, §4.7), and others wait: the owner bounds what it sends.
    `wake_at` is when `wake` is due next.
    """

    __slots__ = ("_asked", "_jitter", "_mid", "_notified", "_seen", "_send", "_sending", "_token", "_waiting")

    def __init__(self, send: Callable[[bytes], None], first_mid: int, jitter: Callable[[], float]) -> None:
        self._send = send
        self._jitter = jitter
        self._mid = self._token = first_mid & 0xFFFF
        self._sending: Sending | None = None
        self._waiting: deque[tuple[Message, bool]] | None = None
        self._asked: dict[bytes, Asked] | None = None
        self._seen: dict[int, tuple[float, bytes]] | None = None
        self._notified: dict[int, bytes] | None = None

    @property
    def wake_at(self) -> float:
        expires_at = min((one.expires_at for one in self._asked.values()), default=NEVER) if self._asked else NEVER
        return min(self._sending.again_at, expires_at) if self._sending else expires_at

    def request(self, message: Message, now: float, *, confirmable: bool = True) -> bytes:
        """Send a request and return its token; with `observe` 0 the answer may be the first of many."""
        self._token = (self._token + 1) & 0xFFFF
        token = message.token = self._token.to_bytes(2)
        if self._asked is None:
            self._asked = {}
        self._asked[token] = Asked(observes=message.opt.observe == 0, expires_at=NEVER)
        self._transmit(message, now, confirmable=confirmable)
        return token

    def notify(self, token: bytes, message: Message, now: float, *, confirmable: bool = False) -> None:
        """Send a notification under the token of the observer's request."""
        message.token = token
        self._transmit(message, now, confirmable=confirmable)

    def respond(self, request: Message, response: Message, now: float) -> None:
        """Answer a request: in the acknowledgement of a confirmable one (§5.2.1)."""
        response.token = request.token
        if request.mtype is Type.CON:
            response.mtype, response.mid = Type.ACK, request.mid
        else:
            response.mtype, response.mid = Type.NON, self._next_mid()
        self._reply(request.mid, encode(response), now)

    def forget(self, token: bytes) -> None:
        """Want no answer any more; a notification that comes all the same is rejected."""
        if self._asked:
            self._asked.pop(token, None)

    def cancel(self, tokens: Collection[bytes], now: float) -> None:
        """Forget requests, and send the one that is under way no more (§4.2 lets the sender give up at any time)."""
        for token in tokens:
            self.forget(token)
        if self._sending is not None and self._sending.is_request and self._sending.token in tokens:
            self._go_on(now)

    def hurry(self, now: float) -> None:
        """Send what waits for its acknowledgement once more, because the other side was heard: it may have slept.

        It is the same message, which who has it already takes for a repetition. Such a copy is no retransmission by
        §4.2: their number and their growing waits spare a line on which nothing is heard, and they go on as planned, so
        that the message is given up when it would have been. None comes within ACK_TIMEOUT of the first or of another.
        """
        sending = self._sending
        if sending is not None and now - sending.sent_at >= ACK_TIMEOUT_S:
            sending.sent_at = now
            self._send(sending.data)

    def receive(self, datagram: bytes, now: float) -> list[Event]:
        """Take a datagram in; nothing that is in it raises."""
        try:
            message = decode(datagram)
        except ProtocolError as error:
            if error.mid is not None:
                self._send_empty(Type.RST, error.mid)
            return []
        if message.mtype in (Type.ACK, Type.RST):
            return self._acknowledged(message, now)
        if message.code.is_request():
            return self._requested(message, now)
        if message.code.is_response():
            return self._answered(message, now)
        if message.mtype is Type.CON:  # a ping (§4.3), or a code that nobody knows
            self._send_empty(Type.RST, message.mid)
        return []

    def wake(self, now: float) -> list[Event]:
        """Send again what is due, give up what was sent often enough."""
        events: list[Event] = []
        sending = self._sending
        if sending is not None and now >= sending.again_at:
            if sending.resent < MAX_RETRANSMIT:
                sending.resent += 1
                sending.timeout_s *= 2
                sending.again_at = now + sending.timeout_s
                self._send(sending.data)
            else:
                events += self._given_up(sending, Failure.TIMEOUT, now)
        for token in [token for token, one in (self._asked or {}).items() if now >= one.expires_at]:
            self.forget(token)
            events.append(Failed(token, Failure.TIMEOUT))
        return events

    def _transmit(self, message: Message, now: float, *, confirmable: bool) -> None:
        if self._sending is not None and (confirmable or message.code.is_request()):
            self._waiting = self._waiting or deque()
            self._waiting.append((message, confirmable))
            return
        message.mtype, message.mid = Type.CON if confirmable else Type.NON, self._next_mid()
        data = encode(message)
        if confirmable:
            timeout_s = ACK_TIMEOUT_S * (1 + self._jitter() * (ACK_RANDOM_FACTOR - 1))
            again_at = now + timeout_s
            is_request = message.code.is_request()
            self._sending = Sending(message.mid, message.token, data, is_request, now, timeout_s, again_at)
        elif message.code.is_request():
            self._await_answer(message.token, now)
        else:
            self._remember_notification(message)
        self._send(data)

    def _remember_notification(self, message: Message) -> None:
        """Keep the last notification's message id of each token: a reset names nothing else."""
        tokens = {mid: token for mid, token in (self._notified or {}).items() if token != message.token}
        tokens[message.mid] = message.token
        self._notified = tokens

    def _await_answer(self, token: bytes, now: float) -> None:
        asked = self._asked.get(token) if self._asked else None
        if asked is not None:
            asked.expires_at = now + MAX_TRANSMIT_WAIT_S

    def _acknowledged(self, message: Message, now: float) -> list[Event]:
        sending = self._sending
        if message.mtype is Type.RST and self._notified and message.mid in self._notified:
            return [Rejected(self._notified.pop(message.mid), Failure.RESET)]
        if sending is None or sending.mid != message.mid:
            return []
        if message.mtype is Type.RST:
            return self._given_up(sending, Failure.RESET, now)
        if message.code is Code.EMPTY:
            self._await_answer(sending.token, now)
        elif message.token != sending.token or not message.code.is_response():
            return []  # no answer to what was asked (§5.3.2)
        self._go_on(now)
        if message.code is not Code.EMPTY:
            return self._deliver(message, now)
        return [] if sending.is_request else [Acknowledged(sending.token)]

    def _answered(self, message: Message, now: float) -> list[Event]:
        """Take a response in a message of its own."""
        if self._is_repeated(message, now):
            return []
        is_wanted = self._asked is not None and message.token in self._asked
        if message.mtype is Type.CON or not is_wanted:
            self._reply(message.mid, _empty(Type.ACK if is_wanted else Type.RST, message.mid), now)
        if not is_wanted:
            return []
        if self._sending is not None and self._sending.token == message.token:
            self._go_on(now)  # the acknowledgement was lost; the answer stands for it (§5.2.2)
        return self._deliver(message, now)

    def _deliver(self, message: Message, now: float) -> list[Event]:
        token = message.token
        asked = self._asked.get(token) if self._asked else None
        if asked is None:
            return []
        number = message.opt.observe
        if not asked.observes or number is None or not message.code.is_successful():
            self.forget(token)
        elif asked.is_behind(number, now):
            return []
        else:
            asked.number, asked.numbered_at, asked.expires_at = number, now, NEVER
        return [Response(token, message)]

    def _requested(self, message: Message, now: float) -> list[Event]:
        if self._is_repeated(message, now):
            return []
        option = unknown_critical_option(message)
        if option is None:
            return [Request(message)]
        if message.mtype is Type.CON:  # one in a NON is rejected, which may be silent (§5.4.1)
            self.respond(message, Message(code=Code.BAD_OPTION, payload=b"option %d" % option), now)
        return []

    def _is_repeated(self, message: Message, now: float) -> bool:
        """Remember a message id; one that was seen is answered as before (§4.2, §4.5)."""
        if self._seen is None:
            self._seen = {}
        seen = self._seen
        known = seen.get(message.mid)
        if known is not None and now - known[0] < EXCHANGE_LIFETIME_S:
            if known[1] and message.mtype is Type.CON:
                self._send(known[1])
            return True
        seen.pop(message.mid, None)
        if len(seen) >= REMEMBERED:
            del seen[next(iter(seen))]
        seen[message.mid] = (now, b"")
        return False

    def _reply(self, mid: int, data: bytes, now: float) -> None:
        """Answer a message, and its repetitions alike."""
        if self._seen is not None and mid in self._seen:
            self._seen[mid] = (now, data)
        self._send(data)

    def _given_up(self, sending: Sending, failure: Failure, now: float) -> list[Event]:
        is_wanted = self._asked is not None and self._asked.pop(sending.token, None) is not None
        self._go_on(now)
        if not sending.is_request:
            return [Rejected(sending.token, failure)]
        return [Failed(sending.token, failure)] if is_wanted else []

    def _go_on(self, now: float) -> None:
        """The way is free: send what has waited, up to the next confirmable message."""
        self._sending = None
        while self._waiting and self._sending is None:
            message, confirmable = self._waiting.popleft()
            if not message.code.is_request() or (self._asked and message.token in self._asked):
                self._transmit(message, now, confirmable=confirmable)
        if not self._waiting:
            self._waiting = None

    def _next_mid(self) -> int:
        self._mid = (self._mid + 1) & 0xFFFF
        return self._mid

    def _send_empty(self, kind: Type, mid: int) -> None:
        self._send(_empty(kind, mid))


def _empty(kind: Type, mid: int) -> bytes:
    return bytes((0x40 | kind << 4, 0)) + mid.to_bytes(2)

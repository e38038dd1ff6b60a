"""A session's own connection to a broker: what the client says to others goes up as it came, what comes goes down."""

import asyncio
import traceback
from dataclasses import replace
from typing import Protocol, cast

from broker.access.delivery import Delivery
from broker.access.turns import Turns
from broker.auth.decision import Reason
from broker.complaints import complain
from broker.engines.engine import NotReady, Ready
from broker.engines.packet_ids import PacketIds
from broker.engines.shares import Codes, brokers_share, merged, unwanted_share
from broker.notes import Notes
from broker.sessions import Answer, ClientLink, Ending, Session
from wire.mqtt import (
    ConnAck,
    Disconnect,
    Framer,
    PacketType,
    PingReq,
    ProtocolError,
    Publish,
    PubRel,
    ReasonCode,
    SubAck,
    Subscribe,
    UnsubAck,
    Unsubscribe,
    read_frame,
)

FAILURE = ReasonCode.UNSPECIFIED_ERROR
PINGREQ = PingReq().encode()
UNSUPPORTED_VERSION = (1, ReasonCode.UNSUPPORTED_PROTOCOL_VERSION)
HAS_PACKET_ID = 0x06
"""In the first byte of a PUBLISH: its QoS is above 0."""


class Shared(Protocol):
    """What the connections to one broker have in common."""

    turns: Turns
    delivery: Delivery
    notes: Notes
    highest_qos: int
    linger_s: float

    def answered(self, upstream: "Upstream", outcome: Ready | NotReady) -> None:
        """The broker has taken the session, or has not."""

    def ended(self, upstream: "Upstream") -> None:
        """The connection is gone, or will not be."""


class Upstream(asyncio.Protocol):
    """One connection, from the CONNECT that it is made with to its end; the line of its session."""

    __slots__ = (
        "_asked",
        "_due",
        "_framer",
        "_greeting",
        "_ids",
        "_is_open",
        "_link",
        "_relay",
        "_transport",
        "deadline",
        "has_left",
        "session",
    )

    def __init__(self, relay: Shared, session: Session, greeting: bytes, deadline: float) -> None:
        self._relay = relay
        self._greeting = greeting
        self._framer = Framer()
        self._transport: asyncio.Transport | None = None
        self._due: list[bytes] | None = None
        self._asked: dict[int, tuple[Subscribe | Unsubscribe, Codes]] | None = None
        self._ids: PacketIds | None = None
        self._is_open = False
        self._link = cast("ClientLink", session.link)  # who is relayed has come to us
        self.session = session
        self.deadline = deadline
        self.has_left = False

    # -- the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        if self.has_left:
            self._transport.abort()
            return
        self._transport.write(self._greeting)
        self._greeting = b""

    def data_received(self, data: bytes) -> None:
        """The guard is here: whatever a broker brings about, it ends one session and no other."""
        try:
            for frame in self._framer.feed(data):
                if self.has_left:
                    return
                self._take(frame)
        except ProtocolError as error:
            self.fail(f"protocol error: {error}")
        except Exception:  # noqa: BLE001 - the guard
            self._relay.notes.statistics.internal_errors += 1
            complain(f"what the engine said to {self.session.peer} failed\n{traceback.format_exc()}")
            self.fail("internal error")

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self.fail(str(exc or "closed"))
        self._relay.ended(self)

    def fail(self, detail: str) -> None:
        """There is no connection, or none any more; without effect for a session that has left."""
        if self.has_left:
            return
        if self._is_open:
            self.session.link.cut(Ending.ENGINE_CLOSED)
        else:
            self._relay.answered(self, NotReady(Reason.ENGINE_UNAVAILABLE, detail))

    def pause_writing(self) -> None:
        """The broker takes less than the client has for it."""
        if not self.has_left:
            self._link.pause_reading()

    def resume_writing(self) -> None:
        if not self.has_left:
            self._link.resume_reading()

    # -- the line of the session

    def publish(self, session: Session, packet: Publish) -> None:
        if packet.retain and self._relay.highest_qos < 2:
            self._write(replace(packet, retain=False).encode(session.terms.level))
        else:
            self._write(self._link.raw())

    def subscribe(self, session: Session, packet: Subscribe, codes: Codes) -> None:  # noqa: ARG002 - as for `ping`
        self._ask(packet, codes, brokers_share(packet, codes, self._relay.highest_qos))

    def unsubscribe(self, session: Session, packet: Unsubscribe, codes: Codes) -> None:
        share = unwanted_share(packet, codes)
        for text in () if share is None else share.filters:
            session.downlinks.revoke(text)
        self._ask(packet, codes, share)

    def answer(self, session: Session, packet: Answer) -> None:
        """Pass on what a client says of a message: of its own, by its own packet id."""
        if isinstance(packet, PubRel):
            self._write(self._link.raw())
            return
        its_id = self._known_ids().of_answer(packet)
        if its_id == packet.packet_id:
            self._write(self._link.raw())
        else:
            self._write(replace(packet, packet_id=its_id).encode(session.terms.level))

    def ping(self, session: Session) -> None:  # noqa: ARG002 - a line that all sessions share would need it
        """Have the broker answer: a client is to notice that it is stuck."""
        self._write(PINGREQ)

    def subscribed_qos(self, session: Session, topic: str) -> int | None:
        return session.downlinks.subscribed_qos(topic)

    def disconnect(self, packet: Disconnect) -> None:
        self._write(packet.encode(self.session.terms.level))

    def leave(self) -> None:
        """Hang up, when the broker has taken what there is; without DISCONNECT it publishes the will."""
        if self.has_left:
            return
        self.write_due()
        self.has_left = True
        if self._transport is None:
            self._relay.ended(self)
            return
        self._transport.close()
        if self._transport.get_write_buffer_size():
            asyncio.get_running_loop().call_later(self._relay.linger_s, self._transport.abort)

    def abort(self) -> None:
        """End at once."""
        if self._transport is not None:
            self._transport.abort()

    def pause(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    # -- up

    def write_due(self) -> None:
        due, self._due = self._due, None
        if due and self._transport is not None and not self._transport.is_closing() and not self.has_left:
            self._transport.write(b"".join(due))

    def _write(self, data: bytes) -> None:
        if self._due is None:
            self._due = []
            self._relay.turns.write_after(self)
        self._due.append(data)

    def _ask(self, packet: Subscribe | Unsubscribe, codes: Codes, share: Subscribe | Unsubscribe | None) -> None:
        """Have the broker answer its share; without one there is nothing to wait for."""
        if self._asked is None:
            self._asked = {}
        self._asked[packet.packet_id] = packet, codes
        if share is packet:
            self._write(self._link.raw())
        elif share is not None:
            self._write(share.encode(self.session.terms.level))
        elif isinstance(packet, Subscribe):
            self._take_suback(SubAck(packet.packet_id, ()))
        else:
            self._take_unsuback(UnsubAck(packet.packet_id))

    # -- down

    def _take(self, frame: bytes) -> None:
        session = self.session
        match frame[0] >> 4:
            case PacketType.PUBLISH:
                self._relay.notes.statistics.delivered += 1
                session.link.send(self._known_ids().of_message(frame) if frame[0] & HAS_PACKET_ID else frame)
            case PacketType.CONNACK:
                self._take_connack(read_frame(ConnAck, frame, session.terms.level))
            case PacketType.SUBACK:
                self._take_suback(read_frame(SubAck, frame, session.terms.level))
            case PacketType.UNSUBACK:
                self._take_unsuback(read_frame(UnsubAck, frame, session.terms.level))
            case PacketType.PUBREL:
                session.link.send(self._known_ids().of_release(frame))
            case _:
                session.link.send(frame)

    def _known_ids(self) -> PacketIds:
        if self._ids is None:
            self._ids = PacketIds(self.session.downlinks)
        return self._ids

    def _take_connack(self, answer: ConnAck) -> None:
        if self._is_open:
            raise ProtocolError("a second CONNACK")
        if answer.code == 0:
            self._is_open = True
            self._relay.answered(self, Ready(answer))
            return
        reason = Reason.ENGINE_LACKS_VERSION if answer.code in UNSUPPORTED_VERSION else Reason.ENGINE_REFUSED
        self._relay.answered(self, NotReady(reason, f"CONNACK {answer.code:#04x}", answer))

    def _take_suback(self, packet: SubAck) -> None:
        """Answer a SUBSCRIBE with our codes and the broker's, in the order of its filters."""
        asked, codes = self._answered(packet.packet_id)
        if not isinstance(asked, Subscribe):
            raise ProtocolError("a SUBACK to no SUBSCRIBE")
        answer = replace(packet, codes=merged(codes, packet.codes))
        for (text, _), ours, code in zip(asked.filters, codes, answer.codes, strict=True):
            if ours is None and code < FAILURE:
                self.session.downlinks.grant(text, code)
        self._relay.delivery.answer(self.session, answer)
        self._relay.delivery.hand_over(self.session)

    def _take_unsuback(self, packet: UnsubAck) -> None:
        """Answer an UNSUBSCRIBE; before MQTT 5 there are no codes."""
        asked, codes = self._answered(packet.packet_id)
        if not isinstance(asked, Unsubscribe):
            raise ProtocolError("an UNSUBACK to no UNSUBSCRIBE")
        if self.session.terms.level == 5:
            packet = replace(packet, codes=merged(codes, packet.codes))
        self._relay.delivery.answer(self.session, packet)

    def _answered(self, packet_id: int) -> tuple[Subscribe | Unsubscribe | None, Codes]:
        return (self._asked or {}).pop(packet_id, (None, ()))

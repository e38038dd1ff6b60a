"""The builtin engine: subscriptions in a tree, queues in memory, nobody to wait for."""

from broker.access.delivery import Delivery
from broker.access.router import Grant, Router
from broker.engines.engine import READY, Opened
from broker.sessions import Answer, Session
from wire.mqtt import (
    Connect,
    Disconnect,
    PingResp,
    PubAck,
    Publish,
    ReasonCode,
    SubAck,
    Subscribe,
    UnsubAck,
    Unsubscribe,
)

MAX_QOS = 1
PINGRESP = PingResp()


class Builtin:
    """Is the engine, and the one line of all sessions; QoS 0 and 1, no retained messages, no wills."""

    def __init__(self, router: Router[str], delivery: Delivery) -> None:
        self._router = router
        self._delivery = delivery

    # -- the engine

    async def start(self) -> None:
        """It is ready as it is."""

    async def stop(self) -> None:
        """It has nothing to give back."""

    def open(self, session: Session, packet: Connect, opened: Opened) -> None:  # noqa: ARG002 - all are welcome
        session.line = self
        opened(READY)

    def forget(self, device_id: str) -> None:
        self._router.forget(device_id)

    def sweep(self) -> None:
        """Nothing of it grows old."""

    # -- a session's line

    def publish(self, session: Session, packet: Publish) -> None:
        self._delivery.fan_out(packet, self._router.receivers(packet.topic, session.device_id))
        if packet.qos:
            session.send(PubAck(packet.packet_id))

    def subscribe(self, session: Session, packet: Subscribe, codes: tuple[int | None, ...]) -> None:
        options = packet.options or (None,) * len(packet.filters)
        granted = []
        for (wanted, qos), option, code in zip(packet.filters, options, codes, strict=True):
            if code is None:
                code = min(qos, MAX_QOS)
                self._router.subscribe(session.device_id, wanted, Grant(code, option is not None and option.no_local))
            granted.append(code)
        self._delivery.answer(session, SubAck(packet.packet_id, tuple(granted)))
        self._delivery.hand_over(session)

    def unsubscribe(self, session: Session, packet: Unsubscribe, codes: tuple[int | None, ...]) -> None:
        found = (
            code if code is not None else self._unsubscribe(session, unwanted)
            for unwanted, code in zip(packet.filters, codes, strict=True)
        )
        self._delivery.answer(session, UnsubAck(packet.packet_id, tuple(found)))

    def answer(self, session: Session, packet: Answer) -> None:
        """It has sent nothing that the gate does not know of."""

    def ping(self, session: Session) -> None:
        session.send(PINGRESP)

    def subscribed_qos(self, session: Session, topic: str) -> int | None:
        return self._router.subscribed_qos(session.device_id, topic)

    def disconnect(self, packet: Disconnect) -> None:
        """Its subscriptions go, or stay, with the stored state."""

    def leave(self) -> None:
        """As above."""

    def pause(self) -> None:
        """A client that leaves too much unread is cut by its link."""

    def resume(self) -> None:
        """As above."""

    def _unsubscribe(self, session: Session, unwanted: str) -> ReasonCode:
        was_there = self._router.unsubscribe(session.device_id, unwanted)
        return ReasonCode.SUCCESS if was_there else ReasonCode.NO_SUBSCRIPTION_EXISTED

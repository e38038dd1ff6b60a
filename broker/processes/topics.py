"""The builtin engine over several processes: custom messages reach subscribers by way of the hub, in one order for all.

As long as nobody has subscribed to a custom topic they go nowhere. The first subscription waits until every process
knows: what is published after its SUBACK is not lost.
"""

import pickle
from collections.abc import Callable
from functools import partial

from broker.access.delivery import Delivery
from broker.access.router import Grant, Router
from broker.engines.builtin import Builtin
from broker.processes.channel import Channel
from broker.processes.letters import Said, WantsTopics
from broker.sessions import Session
from wire.mqtt import PubAck, Publish, Subscribe, Unsubscribe

Codes = tuple[int | None, ...]


class SharedTopics(Builtin):
    """A process's share: the subscriptions of the devices that it has."""

    def __init__(
        self,
        router: Router[str],
        delivery: Delivery,
        channel: Channel,
        is_live: Callable[[Session], bool],
        *,
        is_shared: bool,
    ) -> None:
        super().__init__(router, delivery)
        self._is_live = is_live
        self._channel = channel
        self.tells_hub = is_shared
        self._is_shared = is_shared
        self._waiting: list[Callable[[], None]] = []

    def publish(self, session: Session, packet: Publish) -> None:
        if self._waiting:
            self._waiting.append(partial(self._say, session, packet))
        else:
            self._say(session, packet)

    def _say(self, session: Session, packet: Publish) -> None:
        if self.tells_hub:
            self._channel.post(Said(session.device_id, pickle.dumps(packet, pickle.HIGHEST_PROTOCOL)))
        if packet.qos:
            session.send(PubAck(packet.packet_id))

    def heard(self, letter: Said, only: str | None = None) -> None:
        """Deliver what somebody published, or deliver it to one device `only`."""
        packet: Publish = pickle.loads(letter.packet)  # noqa: S301 - of a process of ours
        receivers = self._router.receivers(packet.topic, letter.sender)
        if only is not None:
            receivers = {only: receivers[only]} if only in receivers else {}
        self._delivery.fan_out(packet, receivers)

    def subscribe(self, session: Session, packet: Subscribe, codes: Codes) -> None:
        """The first makes all wait that comes after it in this process: it is served in order."""
        if self._is_shared or None not in codes:
            self._subscribe(session, packet, codes)
            return
        if not self._waiting and not self.tells_hub:
            self._channel.post(WantsTopics())
        self._waiting.append(partial(self._subscribe, session, packet, codes))

    def _subscribe(self, session: Session, packet: Subscribe, codes: Codes) -> None:
        if self._is_live(session):
            super().subscribe(session, packet, codes)

    def unsubscribe(self, session: Session, packet: Unsubscribe, codes: Codes) -> None:
        if self._waiting:
            self._waiting.append(partial(super().unsubscribe, session, packet, codes))
        else:
            super().unsubscribe(session, packet, codes)

    def share(self) -> None:
        """Every process tells the hub: whoever waits is served."""
        self._is_shared = True
        waiting, self._waiting = self._waiting, []
        for serve in waiting:
            serve()

    def hand_over(self, device_id: str) -> dict[str, Grant]:
        """The device goes to another process, and its subscriptions with it."""
        return self._router.forget(device_id)

    def take_over(self, device_id: str, grants: dict[str, Grant]) -> None:
        for topic_filter, grant in grants.items():
            self._router.subscribe(device_id, topic_filter, grant)

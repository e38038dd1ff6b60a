"""Clients that do at random what clients do see the same through an open gate as with mosquitto alone."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.broker.rig import BOTH_VERSIONS
from tests.peers.general_clients import CLOSED, GeneralClient, Scene, same_to_all
from wire.mqtt import (
    Packet,
    Properties,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    Subscribe,
    SubscriptionOptions,
    Unsubscribe,
    Will,
)

pytestmark = pytest.mark.peer

STEPS = 60
NAMES = "xyz"
TOPICS = ("a", "a/b", "a/b/c", "b", "$x/a", "/a", "a/")
FILTERS = ("#", "+", "a/#", "a/+", "+/b", "a", "a/b", "$x/#", "/+", "$share/g/a", "$share/g/a/#")


class Crowd:
    """Three clients at a time; what they do depends on the seed, and on what they are sent, and on nothing else."""

    def __init__(self, scene: Scene, rng: Random) -> None:
        self._scene = scene
        self._rng = rng
        self._in: dict[str, GeneralClient] = {}
        self._unanswered: dict[str, list[Packet]] = {}
        deeds: dict[Callable[[str, GeneralClient], Awaitable[None]], int] = {
            self._subscribe: 25,
            self._unsubscribe: 5,
            self._publish: 40,
            self._answer: 24,
            self._break_the_protocol: 3,
            self._leave: 3,
        }
        self._deeds = [one for one, weight in deeds.items() for _ in range(weight)]

    async def step(self) -> None:
        """Let one client do one thing; then everybody takes what came of it, who did it first."""
        name = self._rng.choice(NAMES)
        if name in self._in:
            await self._rng.choice(self._deeds)(name, self._in[name])
        else:
            self._in[name], self._unanswered[name] = await self._scene.login(name, **self._wishes()), []
        for one in sorted(self._in, key=lambda other: (other != name, other)):
            came = await self._in[one].nothing_more()
            self._unanswered[one] += [packet for packet in came if _wants_answer(packet)]
            if CLOSED in came:
                del self._in[one]

    def _wishes(self) -> dict[str, Any]:
        rng, level = self._rng, self._scene.level
        wishes = self._scene.keeping() if rng.random() < 0.5 else {}
        if level == 5 and rng.random() < 0.3:
            bounds = Properties(session_expiry_interval=60, receive_maximum=rng.randint(1, 3), maximum_packet_size=60)
            wishes["properties"] = bounds
        if rng.random() < 0.4:
            wishes["will"] = Will(rng.choice(TOPICS), b"will", rng.randrange(3), retain=rng.random() < 0.3)
        return wishes

    async def _subscribe(self, name: str, client: GeneralClient) -> None:
        rng = self._rng
        filters = tuple((rng.choice(FILTERS), rng.randrange(3)) for _ in range(rng.randint(1, 3)))
        options = tuple(
            SubscriptionOptions(
                no_local=rng.random() < 0.2 and not text.startswith("$share"),
                retain_as_published=rng.random() < 0.3,
                retain_handling=rng.randrange(3),
            )
            for text, _ in filters
        )
        number = (rng.randint(1, 300),) if rng.random() < 0.3 else ()
        client.send(Subscribe(rng.randint(1, 99), filters, options, Properties(subscription_identifier=number)))

    async def _unsubscribe(self, name: str, client: GeneralClient) -> None:
        client.send(Unsubscribe(self._rng.randint(1, 99), (self._rng.choice(FILTERS),)))

    async def _publish(self, name: str, client: GeneralClient) -> None:
        rng, said = self._rng, Properties(user_property=(("a", "b"),), content_type="t", response_topic="re")
        qos, payload = rng.randrange(3), b"%d" % rng.randrange(1000) * rng.choice((1, 1, 1, 30))
        packet_id = rng.randint(100, 60_000) if qos else 0
        client.send(Publish(rng.choice(TOPICS), payload, qos, packet_id, retain=rng.random() < 0.2, properties=said))

    async def _answer(self, name: str, client: GeneralClient) -> None:
        """Go on with the first exchanges that wait for the client."""
        due = self._unanswered[name]
        for _ in range(min(len(due), self._rng.choice((1, 2, 50)))):
            match due.pop(0):
                case Publish() as packet:
                    client.send((PubAck if packet.qos == 1 else PubRec)(packet.packet_id))
                case PubRec() as packet:
                    client.send(PubRel(packet.packet_id))
                case PubRel() as packet:
                    client.send(PubComp(packet.packet_id))

    async def _break_the_protocol(self, name: str, client: GeneralClient) -> None:
        """Be lost: of who just vanishes nobody knows when the broker has noticed it."""
        client.send(b"\0\0")
        await client.end()
        del self._in[name]

    async def _leave(self, name: str, client: GeneralClient) -> None:
        await client.leave()
        del self._in[name]


def _wants_answer(packet: Packet | str) -> bool:
    if isinstance(packet, PubRec):
        return packet.code < 0x80
    return isinstance(packet, PubRel) or (isinstance(packet, Publish) and packet.qos > 0)


@BOTH_VERSIONS
@pytest.mark.parametrize("seed", range(3))
async def test_clients_at_random_see_the_same(tmp_path: Path, seed: int, level: int) -> None:
    async def script(scene: Scene) -> None:
        crowd = Crowd(scene, Random(seed))
        for _ in range(STEPS):
            await crowd.step()

    await same_to_all(tmp_path, script, level)

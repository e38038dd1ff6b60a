"""Devices whose platform sends spoilt MQTT: each attempt ends exactly once, and no device crashes."""

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from random import Random
from typing import Any, get_args

import pytest

from simulator.clock import SystemClock
from simulator.device.backoff import Backoff, Shape
from simulator.device.keyring import Fallback, Keyring
from simulator.device.lifecycle import Device
from simulator.device.profiles import Profile
from simulator.dialects.mqtt import MqttDialect
from simulator.driver import Driver, Surroundings
from simulator.journal import Journal, Record
from simulator.links.engines import engine_named
from simulator.links.link import Endpoint, EngineName, LinkOptions
from simulator.scheduler import Scheduler
from tests.soak.mutation import shown, split, spoil
from tests.soak.packets import from_server
from tests.soak.settings import ROOM_S, SEED, SOAK_S
from tests.support.link_bench import link_bench, messages, outbox_of
from tests.support.mqtt_server import Peer, scripted_server
from tests.support.waiting import turns, until
from wire.mqtt import ConnAck, Connect

pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(SOAK_S + ROOM_S),
    pytest.mark.parametrize("level", [4, 5], ids=["3.1.1", "5"]),
    pytest.mark.parametrize("link", get_args(EngineName)),
]

SHARE = 0.05
AT_A_TIME = 32
HASTY = Profile("hasty", "made for soaks: tries again at once", Backoff(Shape.FIXED, base_s=0.001), subscribes=True)
NEWS = {"opened": "begun", "accepted": "accepted", **dict.fromkeys(("refused", "unreachable", "lost"), "ended")}


class SpoilingPlatform:
    """A server's script: accepts most devices, sends spoilt packets, and leaves in one of three ways."""

    def __init__(self, level: int) -> None:
        self.sent: deque[str] = deque(maxlen=20)
        self.connections = 0
        self._level = level
        self._numbers = count(1)

    async def __call__(self, peer: Peer) -> None:
        number = next(self._numbers)
        rng = Random(f"{SEED}/{self._level}/{number}")
        with contextlib.suppress(OSError):  # a link ends at any byte
            connect = await peer.take(Connect)
            self.connections += 1
            data = self._data(rng, connect.username or "")
            self.sent.append(f"#{number}: {shown(data)}")
            for piece in split(rng, data):
                await peer.send_bytes(piece)
                await turns(1)
            rng.choice((peer.finish, peer.reset, peer.close))()

    def _data(self, rng: Random, device_id: str) -> bytes:
        good = [packet.encode(self._level) for packet in from_server(rng, device_id, self._level)]
        opening = ConnAck(0).encode(self._level) if rng.random() < 0.8 else b""
        return opening + b"".join(
            b"".join(rng.choices(good[1:], k=rng.randint(0, 2))) + spoil(rng, good) for _ in range(rng.randint(1, 4))
        )

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Say what a failure needs to be repeated."""
        try:
            yield
        except BaseException:
            print(f"seed {SEED}, level {self._level}; the last that was sent:", *self.sent, sep="\n")
            raise
        print(f"seed {SEED}, level {self._level}: {self.connections} connections")


async def test_link_ends_exactly_once_whatever_it_is_sent(level: int, link: EngineName) -> None:
    loop, platform = asyncio.get_running_loop(), SpoilingPlatform(level)
    end = loop.time() + SOAK_S * SHARE
    with platform.telling():
        while loop.time() < end:
            async with link_bench(engine_named(link), platform, options=LinkOptions(level=level)) as bench:
                opened = [bench.open(number, outbox_of(*messages(3))) for number in range(1, AT_A_TIME + 1)]
                for one in opened:
                    await one.owner.ended()


async def test_device_outlives_whatever_it_is_sent(level: int, link: EngineName) -> None:
    loop, platform = asyncio.get_running_loop(), SpoilingPlatform(level)
    crashes: list[tuple[str, Exception]] = []
    records: list[Record] = []
    journal = Journal(SystemClock())
    journal.listeners.append(records.append)
    with platform.telling():
        async with scripted_server(platform) as server:
            scheduler = Scheduler(loop)
            engine = engine_named(link)(scheduler, Endpoint("127.0.0.1", server.port), LinkOptions(level=level))
            around = Surroundings(
                engine, MqttDialect(), scheduler, journal, SystemClock(), lambda *crash: crashes.append(crash)
            )
            drivers = [device(f"d{number}", around) for number in range(AT_A_TIME)]
            for driver in drivers:
                driver.start()
            await asyncio.sleep(SOAK_S * SHARE)
            for driver in drivers:
                driver.stop()
            await until(lambda: not engine.open_links, "every link is closed")
            scheduler.clear()
        assert crashes == []
        check_attempts(records)


def device(device_id: str, around: Surroundings[Any]) -> Driver:
    keyring = Keyring.of("primary-secret", "secondary-secret", Fallback.PRIMARY_THEN_SECONDARY)
    return Driver(Device(device_id, keyring, HASTY), around)


def check_attempts(records: list[Record]) -> None:
    """Each attempt is accepted at most once and ends once; a device's stop may have ended its last in silence."""
    told = Counter((one["device"], one["attempt"], NEWS[one["kind"]]) for one in records if one["kind"] in NEWS)
    assert set(told.values()) == {1}
    begun, ended = ({(who, attempt) for who, attempt, news in told if news == wanted} for wanted in ("begun", "ended"))
    left_open = [who for who, _ in begun - ended]
    assert ended <= begun
    assert len(left_open) == len(set(left_open))

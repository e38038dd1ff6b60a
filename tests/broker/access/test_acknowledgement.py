"""Nothing is acknowledged that the journal does not hold: what its file says at the moment of every write."""

import asyncio
from collections.abc import AsyncIterator, Callable
from itertools import count
from pathlib import Path
from typing import cast

import orjson
import pytest

from broker.access.admission import Admission
from broker.access.delivery import Delivery
from broker.access.events import Events
from broker.access.gate import Gate
from broker.access.link import Link, Links
from broker.access.router import Router
from broker.access.turns import Turns
from broker.access.uplinks import Uplinks
from broker.auth.registry import Registry
from broker.commands import Commands
from broker.engines.builtin import Builtin
from broker.journal import Journal
from broker.notes import Notes
from broker.sessions import Ending, Sessions
from broker.settings import Settings
from broker.statistics import Statistics
from broker.stored import StoredStates
from tests.broker.rig import FakeClock, connect, device
from tests.support.waiting import turns
from wire.mqtt import ConnAck, Disconnect, Packet, PingReq, PingResp, PubAck, Publish

UP = "$oc/devices/d1/sys/messages/up"


class Witness:
    """A transport that looks into the journal's file whenever something is written to it."""

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self.seen: list[tuple[bytes, list[str]]] = []
        self.has_ended = False

    def write(self, data: bytes) -> None:
        records = map(orjson.loads, self._journal.read_bytes().splitlines())
        self.seen.append((data, [record["kind"] for record in records]))

    def write_eof(self) -> None:
        self.has_ended = True

    def abort(self) -> None: ...

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, _: str) -> tuple[str, int]:
        return "127.0.0.1", 1


class Door:
    """A link behind the real gate, with a journal that nobody flushes but who acknowledges."""

    def __init__(self, path: Path) -> None:
        def never(_: Callable[[], None]) -> None: ...

        settings, clock, statistics = Settings(), FakeClock(), Statistics()
        self.journal = Journal(path, clock, never, 100)
        notes = Notes(self.journal, statistics, clock)
        registry, sessions = Registry([device()]), Sessions()
        stored = StoredStates(self.journal, clock)
        delivery = Delivery(sessions, stored, self.journal, statistics, clock)
        commands = Commands(registry, sessions, delivery, self.journal, map(str, count()))
        engine = Builtin(Router(), delivery)
        admission = Admission(settings, registry, sessions, stored, delivery, engine, notes)
        uplinks = Uplinks(commands, Events(sessions, delivery, self.journal, clock), self.journal, statistics)
        gate = Gate(settings, admission, uplinks, delivery, self.journal, statistics, ())
        self.witness = Witness(path)
        turns = Turns(asyncio.get_running_loop(), self.journal)
        self.link = Link(Links(settings, gate, notes, turns))
        self.link.connection_made(cast("asyncio.BaseTransport", self.witness))

    async def hears(self, *packets: Packet) -> None:
        """Feed packets in one piece, and let the turn end."""
        self.link.data_received(b"".join(packet.encode() for packet in packets))
        await turns(1)


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    door = Door(tmp_path / "j")
    yield door
    door.journal.close()


async def test_login_is_in_the_journal_when_its_connack_leaves(door: Door) -> None:
    await door.hears(connect())
    assert door.witness.seen == [(ConnAck(0).encode(), ["accepted"])]


async def test_refusal_is_in_the_journal_when_its_connack_leaves(door: Door) -> None:
    await door.hears(connect(secret="wrong-secret"))
    assert door.witness.seen == [(ConnAck(4).encode(), ["refused"])]


async def test_refused_client_is_left_with_its_answer(door: Door) -> None:
    await door.hears(connect(secret="wrong-secret"))
    assert door.witness.has_ended
    await door.hears(connect())
    assert len(door.witness.seen) == 1, "what a refused client goes on to say is not heard"


async def test_session_that_is_cut_has_ended_before_anybody_else_can_hear_of_it(door: Door) -> None:
    await door.hears(connect())
    door.link.cut(Ending.FORCED_RESET)
    assert door.witness.has_ended, "in this very turn, and not at its end: the reply of a reset leaves in the next"


async def test_message_is_in_the_journal_when_its_puback_leaves(door: Door) -> None:
    await door.hears(connect())
    await door.hears(PingReq(), Publish(UP, b'{"seq": 1}', 1, 1))
    assert door.witness.seen[1:] == [(PingResp().encode() + PubAck(1).encode(), ["accepted", "uplink"])]


async def test_message_is_in_the_journal_when_its_puback_leaves_with_the_end(door: Door) -> None:
    await door.hears(connect())
    await door.hears(Publish(UP, b'{"seq": 1}', 1, 1), Disconnect())
    assert door.witness.seen[1:] == [(PubAck(1).encode(), ["accepted", "uplink", "detached"])]


async def test_end_is_in_the_journal_when_the_last_bytes_leave(door: Door) -> None:
    await door.hears(connect())
    door.link.data_received(PingReq().encode())
    door.link.cut(Ending.FORCED_RESET)
    assert door.witness.seen[1:] == [(PingResp().encode(), ["accepted", "detached"])]

"""The queue of an LwM2M device: what is due, what became of it, and what time does to it."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from broker.async_commands import (
    DEFAULT_EXPIRE_S,
    MAX_COMMANDS,
    MAX_ENDED,
    MAX_WAITING,
    PATIENCE,
    AsyncCommand,
    AsyncCommands,
    CommandStatus,
    NewCommand,
    SendStrategy,
)
from broker.auth.registry import DeviceProtocol, Registry
from broker.errors import InvalidInput, UnknownCommand, UnknownDevice
from broker.journal import Journal
from tests.broker.rig import FakeClock, device

PENDING, SENT, DELIVERED = CommandStatus.PENDING, CommandStatus.SENT, CommandStatus.DELIVERED
EXPIRED, TIMEOUT = CommandStatus.EXPIRED, CommandStatus.TIMEOUT
LATER = NewCommand("svc", "set", b'{"secret":"open-sesame"}')
NOW = replace(LATER, send_strategy=SendStrategy.IMMEDIATELY)
PATIENCE_S = PATIENCE.total_seconds()


class Bench:
    """Commands of the sleeping devices `nb` and `nb2`, beside the MQTT device `d1`."""

    def __init__(self, path: Path, loop: asyncio.AbstractEventLoop) -> None:
        self.clock = FakeClock()
        self.journal = Journal(path, self.clock, loop.call_soon, 100_000)
        sleepers = [device(one, protocol=DeviceProtocol.COAP) for one in ("nb", "nb2")]
        self.registry = Registry([*sleepers, device("d1")])
        self.commands = AsyncCommands(self.registry, self.journal, self.clock)
        self._path = path

    def add(self, wanted: NewCommand = LATER, device_id: str = "nb") -> AsyncCommand:
        return self.commands.create(device_id, wanted)

    def out(self, wanted: NewCommand = LATER) -> AsyncCommand:
        """Add a command that is on its way."""
        command = self.add(wanted)
        assert self.commands.sent("nb", command.command_id)
        return command

    def due(self) -> AsyncCommand | None:
        return self.commands.next_due("nb")

    def records(self) -> list[dict[str, Any]]:
        self.journal.flush()
        return [json.loads(line) for line in self._path.read_text().splitlines()]


@pytest.fixture
async def bench(tmp_path: Path) -> Any:
    bench = Bench(tmp_path / "journal.jsonl", asyncio.get_running_loop())
    yield bench
    bench.journal.close()


def ids(commands: Iterator[AsyncCommand] | list[AsyncCommand]) -> list[str]:
    return [one.command_id for one in commands]


async def test_command_waits_until_its_device_can_be_reached(bench: Bench) -> None:
    command = bench.add()
    assert (command.status, command.sent_at) == (PENDING, None)
    assert bench.due() is command
    assert bench.commands.next_due("nb2") is None
    bench.clock.advance(10)
    assert bench.commands.sent("nb", command.command_id)
    assert (command.status, command.sent_at) == (SENT, bench.clock.utc())


async def test_next_command_waits_for_the_acknowledgement_of_the_one_before(bench: Bench) -> None:
    first, second = bench.add(), bench.add()
    assert bench.due() is first
    bench.commands.sent("nb", first.command_id)
    assert bench.due() is None
    bench.clock.advance(1)
    assert bench.commands.delivered("nb", first.command_id)
    assert (first.status, first.delivered_at) == (DELIVERED, bench.clock.utc())
    assert bench.due() is second


async def test_immediate_command_is_sent_from_its_creation_and_goes_first(bench: Bench) -> None:
    cached, at_once = bench.add(), bench.add(NOW)
    assert (at_once.status, at_once.sent_at) == (SENT, at_once.created_at)
    assert bench.due() is at_once
    bench.clock.advance(1)
    assert bench.commands.sent("nb", at_once.command_id)
    assert at_once.sent_at == at_once.created_at
    bench.commands.delivered("nb", at_once.command_id)
    assert bench.due() is cached


@pytest.mark.parametrize("acknowledged", [True, False])
@pytest.mark.parametrize(("successful", "status"), [(True, CommandStatus.SUCCESSFUL), (False, CommandStatus.FAILED)])
async def test_answer_ends_a_command(bench: Bench, acknowledged: bool, successful: bool, status: CommandStatus) -> None:
    command = bench.out()
    if acknowledged:
        bench.commands.delivered("nb", command.command_id)
    bench.clock.advance(2)
    assert bench.commands.answered("nb", command.command_id, b'{"code":0}', successful=successful)
    assert (command.status, command.result, command.answered_at) == (status, b'{"code":0}', bench.clock.utc())
    assert bench.commands.queued("nb") == []
    assert bench.commands.history("nb") == [command]


async def test_what_is_out_of_order_changes_nothing(bench: Bench) -> None:
    waiting = bench.add()
    at_once = bench.add(NOW)
    for one in (waiting, at_once):
        assert not bench.commands.delivered("nb", one.command_id)
        assert not bench.commands.answered("nb", one.command_id, None, successful=True)
    assert bench.commands.sent("nb", waiting.command_id)
    assert not bench.commands.sent("nb", waiting.command_id)
    bench.commands.answered("nb", waiting.command_id, None, successful=True)
    assert not bench.commands.delivered("nb", waiting.command_id)
    assert not bench.commands.answered("nb", waiting.command_id, None, successful=False)
    assert not bench.commands.sent("nb", "unknown")
    assert not bench.commands.sent("nb2", waiting.command_id)
    assert (waiting.status, at_once.status) == (CommandStatus.SUCCESSFUL, SENT)


@pytest.mark.parametrize("swept", [True, False], ids=["swept", "looked up"])
async def test_cached_command_expires(bench: Bench, swept: bool) -> None:
    short, long = bench.add(replace(LATER, expire_s=60)), bench.add()
    bench.clock.put_forward(59)
    bench.commands.expire()
    assert bench.due() is short
    bench.clock.put_forward(1)
    if swept:
        bench.commands.expire()
        assert short.status is EXPIRED
    assert bench.commands.get("nb", short.command_id).status is EXPIRED
    assert bench.due() is long
    bench.clock.put_forward(DEFAULT_EXPIRE_S)
    assert bench.due() is None
    assert not bench.commands.sent("nb", long.command_id)
    assert ids(bench.commands.history("nb")) == ids([short, long])


@pytest.mark.parametrize("wanted", [LATER, NOW])
async def test_command_that_is_not_acknowledged_times_out_and_the_next_goes_on(
    bench: Bench, wanted: NewCommand
) -> None:
    silent, following = bench.out(wanted), bench.add()
    bench.clock.put_forward(PATIENCE_S - 1)
    assert bench.due() is None
    bench.clock.put_forward(1)
    assert bench.due() is following
    assert silent.status is TIMEOUT
    assert not bench.commands.delivered("nb", silent.command_id)


async def test_immediate_command_to_a_device_that_is_away_times_out(bench: Bench) -> None:
    command = bench.add(NOW)
    bench.clock.put_forward(PATIENCE_S)
    bench.commands.expire()
    assert (command.status, bench.due()) == (TIMEOUT, None)


async def test_delivered_command_leaves_the_queue_when_no_answer_comes(bench: Bench) -> None:
    command = bench.out()
    bench.commands.delivered("nb", command.command_id)
    bench.clock.put_forward(PATIENCE_S - 1)
    assert bench.commands.queued("nb") == [command]
    bench.clock.put_forward(1)
    assert (bench.commands.queued("nb"), bench.commands.history("nb")) == ([], [command])
    assert command.status is DELIVERED
    assert bench.commands.answered("nb", command.command_id, None, successful=True)


async def test_command_that_is_taken_back_is_due_again_in_its_old_place(bench: Bench) -> None:
    first, second = bench.out(), bench.add()
    bench.clock.advance(1)
    assert bench.commands.taken_back("nb", first.command_id)
    assert (first.status, first.sent_at, first.is_out) == (PENDING, None, False)
    assert bench.due() is first
    assert not bench.commands.taken_back("nb", first.command_id)
    assert not bench.commands.taken_back("nb", second.command_id)
    assert bench.commands.sent("nb", first.command_id)
    bench.clock.advance(DEFAULT_EXPIRE_S)
    assert not bench.commands.taken_back("nb", first.command_id)
    assert first.status is TIMEOUT


async def test_immediate_command_that_is_taken_back_has_no_more_time_than_before(bench: Bench) -> None:
    command = bench.out(NOW)
    bench.clock.advance(PATIENCE_S - 1)
    assert bench.commands.taken_back("nb", command.command_id)
    assert (command.status, command.sent_at) == (SENT, command.created_at)
    assert bench.due() is command
    bench.clock.advance(1)
    assert (bench.due(), command.status) == (None, TIMEOUT)


async def test_command_that_was_delivered_or_answered_is_not_taken_back(bench: Bench) -> None:
    command = bench.out()
    bench.commands.delivered("nb", command.command_id)
    assert not bench.commands.taken_back("nb", command.command_id)
    bench.commands.answered("nb", command.command_id, None, successful=True)
    assert not bench.commands.taken_back("nb", command.command_id)
    assert command.status is CommandStatus.SUCCESSFUL


async def test_device_has_so_many_waiting_commands_and_no_more(bench: Bench) -> None:
    first, *_ = [bench.add(NOW if number % 2 else LATER) for number in range(MAX_WAITING)]
    with pytest.raises(InvalidInput, match=f"{MAX_WAITING} commands wait for device 'nb'"):
        bench.add()
    bench.add(device_id="nb2")
    bench.commands.sent("nb", first.command_id)
    bench.add()


async def test_ended_commands_are_remembered_to_a_bound(bench: Bench) -> None:
    made = []
    for _ in range(MAX_ENDED + 5):
        command = bench.out()
        bench.commands.answered("nb", command.command_id, None, successful=True)
        made.append(command)
    last = bench.add()
    assert ids(bench.commands.history("nb")) == ids(made[-(MAX_ENDED - 1) :])
    assert bench.commands.queued("nb") == [last]
    with pytest.raises(UnknownCommand):
        bench.commands.get("nb", made[0].command_id)


async def test_all_commands_together_are_bounded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_COMMANDS == 5_000
    monkeypatch.setattr("broker.async_commands.MAX_COMMANDS", 5)
    over = [bench.out() for _ in range(1)]
    bench.commands.answered("nb", over[0].command_id, None, successful=True)
    for _ in range(2):
        bench.add(device_id="nb")
        bench.add(device_id="nb2")
    assert len(bench.commands) == 5
    bench.add()
    assert (len(bench.commands), bench.commands.history("nb")) == (5, [])
    with pytest.raises(InvalidInput, match="5 commands wait for devices"):
        bench.add()


async def test_commands_are_for_known_lwm2m_devices(bench: Bench) -> None:
    with pytest.raises(InvalidInput, match="'d1' speaks MQTT"):
        bench.add(device_id="d1")
    with pytest.raises(UnknownDevice):
        bench.add(device_id="nobody")
    for look in (bench.commands.queued, bench.commands.history):
        with pytest.raises(UnknownDevice):
            look("nobody")
        assert look("nb") == []
    assert len(bench.commands) == 0


async def test_dropped_commands_are_gone(bench: Bench) -> None:
    command = bench.add()
    bench.commands.drop("nb")
    bench.commands.drop("nb")
    assert (bench.due(), len(bench.commands)) == (None, 0)
    assert not bench.commands.sent("nb", command.command_id)


async def test_every_change_is_journalled_without_what_the_command_says(bench: Bench, tmp_path: Path) -> None:
    command = bench.out()
    bench.commands.delivered("nb", command.command_id)
    bench.commands.answered("nb", command.command_id, b'"open-sesame"', successful=True)
    bench.add(replace(LATER, expire_s=1))
    bench.clock.put_forward(1)
    bench.commands.expire()
    bench.commands.expire()
    told = [(one["kind"], one["device"], one["status"]) for one in bench.records()]
    states = ["PENDING", "SENT", "DELIVERED", "SUCCESSFUL", "PENDING", "EXPIRED"]
    assert told == [("async_command", "nb", status) for status in states]
    assert "open-sesame" not in (tmp_path / "journal.jsonl").read_text() + repr(command)

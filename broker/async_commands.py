"""Asynchronous commands: kept for an LwM2M device until it can be reached, the vendor's way with devices that sleep.

They live in memory, and end with their device or with the platform. Whoever speaks with a device asks for the next
command when the device shows itself, and tells what becomes of it; cached commands go out one at a time, the next when
the device has acknowledged the one before.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from broker.auth.registry import DeviceProtocol, Registry
from broker.clock import Clock
from broker.errors import InvalidInput, UnknownCommand, UnknownDevice
from broker.journal import Journal
from broker.record_ids import RecordIds

MAX_WAITING = 20
"""The vendor caches so many commands of a device."""

MAX_ENDED = 50
"""So many of a device's commands are remembered when they are over."""

MAX_COMMANDS = 5_000
DEFAULT_EXPIRE_S, MAX_EXPIRE_S = 86_400, 2 * 86_400

PATIENCE = timedelta(seconds=180)
"""How long a device may take to acknowledge a command, and then to answer it: the vendor does not say."""


class CommandStatus(StrEnum):
    PENDING = "PENDING"
    EXPIRED = "EXPIRED"
    SENT = "SENT"
    DELIVERED = "DELIVERED"
    SUCCESSFUL = "SUCCESSFUL"
    FAILED = "FAILED"
    TIMEOUT = "TIMEOUT"


class SendStrategy(StrEnum):
    DELAY = "delay"
    IMMEDIATELY = "immediately"


@dataclass(frozen=True, slots=True)
class NewCommand:
    """A command to send; `paras` is JSON, and as it may hold a secret it is never journalled."""

    service_id: str | None
    command_name: str | None
    paras: bytes = field(repr=False)
    send_strategy: SendStrategy = SendStrategy.DELAY
    expire_s: int = DEFAULT_EXPIRE_S


@dataclass(slots=True, eq=False)
class AsyncCommand:
    """A command and what has become of it; `is_out` as soon as it was handed to the device's transport.

    A command that was to be sent immediately counts as sent from its creation, as the vendor has it.
    """

    command_id: str
    device_id: str
    wanted: NewCommand
    created_at: datetime
    status: CommandStatus
    sent_at: datetime | None = None
    delivered_at: datetime | None = None
    answered_at: datetime | None = None
    result: bytes | None = field(default=None, repr=False)
    is_out: bool = False

    @property
    def is_waiting(self) -> bool:
        """Whether it is still to be handed to the device's transport."""
        return not self.is_out and self.status in (CommandStatus.PENDING, CommandStatus.SENT)

    def is_queued(self, utc: datetime) -> bool:
        """Whether it is in its device's queue: to be sent, or so lately delivered that an answer may come."""
        if self.status is CommandStatus.DELIVERED:
            assert self.delivered_at is not None
            return utc < self.delivered_at + PATIENCE
        return self.status in (CommandStatus.PENDING, CommandStatus.SENT)

    def overdue(self, utc: datetime) -> CommandStatus | None:
        """Return what time has made of it, if it has."""
        if self.status is CommandStatus.PENDING and utc >= self.created_at + timedelta(seconds=self.wanted.expire_s):
            return CommandStatus.EXPIRED
        if self.status is CommandStatus.SENT and self.sent_at is not None and utc >= self.sent_at + PATIENCE:
            return CommandStatus.TIMEOUT
        return None


class AsyncCommands:
    """The commands by device, the oldest first; `created` is told of the device of every new one."""

    def __init__(self, registry: Registry, journal: Journal, clock: Clock) -> None:
        self._registry = registry
        self._journal = journal
        self._clock = clock
        self._ids = RecordIds(clock)
        self.created: Callable[[str], None] = lambda _device_id: None
        self._commands: dict[str, dict[str, AsyncCommand]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._commands.values()))

    def create(self, device_id: str, wanted: NewCommand) -> AsyncCommand:
        """Queue a command. Raises UnknownDevice, and InvalidInput for a device of MQTT or too many commands."""
        device = self._registry.get(device_id)
        if device is None:
            raise UnknownDevice(device_id)
        if device.protocol is not DeviceProtocol.COAP:
            raise InvalidInput(f"device {device_id!r} speaks MQTT, asynchronous commands are for LwM2M devices")
        self._make_room(device_id)
        now = self._clock.utc()
        command = AsyncCommand(self._ids.take(), device_id, wanted, now, CommandStatus.PENDING)
        if wanted.send_strategy is SendStrategy.IMMEDIATELY:
            command.status, command.sent_at = CommandStatus.SENT, now
        self._commands.setdefault(device_id, {})[command.command_id] = command
        self._note(command)
        self.created(device_id)
        self._journal.flush()
        return command

    def get(self, device_id: str, command_id: str) -> AsyncCommand:
        """Raises UnknownDevice, UnknownCommand."""
        for command in self._of(device_id):
            if command.command_id == command_id:
                return command
        raise UnknownCommand(command_id)

    def queued(self, device_id: str) -> list[AsyncCommand]:
        """Return what is still under way, the oldest first. Raises UnknownDevice."""
        now = self._clock.utc()
        return [one for one in self._of(device_id) if one.is_queued(now)]

    def history(self, device_id: str) -> list[AsyncCommand]:
        """Return what is over, the oldest first. Raises UnknownDevice."""
        now = self._clock.utc()
        return [one for one in self._of(device_id) if not one.is_queued(now)]

    def next_due(self, device_id: str) -> AsyncCommand | None:
        """Return what is to be sent to a device that can be reached now; nothing while it owes an acknowledgement."""
        commands = list(self._current(device_id))
        if any(one.status is CommandStatus.SENT and one.is_out for one in commands):
            return None
        waiting = [one for one in commands if one.is_waiting]
        at_once = (one for one in waiting if one.status is CommandStatus.SENT)
        return next(at_once, waiting[0] if waiting else None)

    def sent(self, device_id: str, command_id: str) -> bool:
        """A command is on its way; False if there is no such command to be sent."""
        command = self._find(device_id, command_id, CommandStatus.PENDING, CommandStatus.SENT)
        if command is None or command.is_out:
            return False
        command.is_out = True
        if command.status is CommandStatus.PENDING:
            command.status, command.sent_at = CommandStatus.SENT, self._clock.utc()
            self._note(command)
        return True

    def taken_back(self, device_id: str, command_id: str) -> bool:
        """A command has not arrived, as far as we know, and waits for its turn again; False if it is not on its way.

        One that was to be sent immediately has no more time for that than it had.
        """
        command = self._find(device_id, command_id, CommandStatus.SENT)
        if command is None or not command.is_out:
            return False
        command.is_out = False
        if command.wanted.send_strategy is SendStrategy.DELAY:
            command.status, command.sent_at = CommandStatus.PENDING, None
            self._note(command)
        return True

    def delivered(self, device_id: str, command_id: str) -> bool:
        """The device has acknowledged a command; False if it was not sent, or is over."""
        command = self._find(device_id, command_id, CommandStatus.SENT)
        if command is None or not command.is_out:
            return False
        command.status, command.delivered_at = CommandStatus.DELIVERED, self._clock.utc()
        self._note(command)
        return True

    def answered(self, device_id: str, command_id: str, result: bytes | None, *, successful: bool) -> bool:
        """The device has said what became of a command, in JSON; False if it was not sent, or is over."""
        command = self._find(device_id, command_id, CommandStatus.SENT, CommandStatus.DELIVERED)
        if command is None or not command.is_out:
            return False
        command.status = CommandStatus.SUCCESSFUL if successful else CommandStatus.FAILED
        command.result, command.answered_at = result, self._clock.utc()
        self._note(command)
        return True

    def drop(self, device_id: str) -> None:
        """The device is no more."""
        self._commands.pop(device_id, None)

    def expire(self) -> None:
        """Let time do to every command what it does."""
        for device_id in self._commands:
            for _ in self._current(device_id):
                pass

    def _of(self, device_id: str) -> Iterator[AsyncCommand]:
        if self._registry.get(device_id) is None:
            raise UnknownDevice(device_id)
        return self._current(device_id)

    def _current(self, device_id: str) -> Iterator[AsyncCommand]:
        """Yield a device's commands, the oldest first, as they are by now."""
        now = self._clock.utc()
        for command in self._commands.get(device_id, {}).values():
            if status := command.overdue(now):
                command.status = status
                self._note(command)
            yield command

    def _find(self, device_id: str, command_id: str, *expected: CommandStatus) -> AsyncCommand | None:
        for command in self._current(device_id):
            if command.command_id == command_id:
                return command if command.status in expected else None
        return None

    def _make_room(self, device_id: str) -> None:
        """Forget the oldest of what is over; raises InvalidInput when nothing can be forgotten."""
        if sum(one.is_waiting for one in self._current(device_id)) >= MAX_WAITING:
            raise InvalidInput(f"{MAX_WAITING} commands wait for device {device_id!r}, expected no more")
        self._forget_ended(device_id, MAX_ENDED - 1)
        if len(self) >= MAX_COMMANDS:
            for one in self._commands:
                self._forget_ended(one, 0)
            if len(self) >= MAX_COMMANDS:
                raise InvalidInput(f"{MAX_COMMANDS} commands wait for devices, expected no more")

    def _forget_ended(self, device_id: str, keep: int) -> None:
        """Forget all but so many of a device's commands that are over."""
        now, commands = self._clock.utc(), self._commands.get(device_id, {})
        ended = [one.command_id for one in commands.values() if not one.is_queued(now)]
        for command_id in ended[: max(0, len(ended) - keep)]:
            del commands[command_id]

    def _note(self, command: AsyncCommand) -> None:
        """Journal a command's status; what it says and what is answered are not the journal's business."""
        self._journal.write(
            "async_command", device=command.device_id, command_id=command.command_id, status=command.status
        )

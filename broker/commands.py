"""Commands to devices, and the wait for their answers."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

import orjson

from broker.access.delivery import Delivery
from broker.access.payloads import Json
from broker.access.queue import Message
from broker.access.topics import command_topic
from broker.auth.registry import Registry
from broker.errors import CommandTimeout, DeviceOffline, InvalidInput, UnknownDevice
from broker.journal import Journal, plain_integer
from broker.sessions import Session, Sessions


@dataclass(frozen=True, slots=True)
class Command:
    """A command of the vendor's format; `paras` may hold a secret and is never journalled, but for its `seq`."""

    name: str
    paras: dict[str, Json]
    service_id: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    request_id: str
    response: Json


class Commands:
    """Sends commands over live sessions; a session that ends leaves its commands unanswered at once."""

    def __init__(
        self, registry: Registry, sessions: Sessions, delivery: Delivery, journal: Journal, ids: Iterator[str]
    ) -> None:
        self._registry = registry
        self._sessions = sessions
        self._delivery = delivery
        self._journal = journal
        self._ids = ids
        self._waiting: dict[Session, dict[str, asyncio.Future[Json]]] = {}

    async def send(self, device_id: str, command: Command, timeout_s: float) -> Answer:
        """Send a command and wait for the device's answer.

        Raises UnknownDevice, DeviceOffline (also when the session ends meanwhile), CommandTimeout, and InvalidInput for
        a command that cannot be encoded.
        """
        if self._registry.get(device_id) is None:
            raise UnknownDevice(device_id)
        session = self._sessions.get(device_id)
        if session is None:
            raise DeviceOffline(f"device {device_id!r} is not online")
        payload = _payload(command)
        request_id = next(self._ids)
        answer: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(session, {})[request_id] = answer
        self._send(session, request_id, command, payload)
        try:
            async with asyncio.timeout(timeout_s):
                return Answer(request_id, await answer)
        except TimeoutError:
            raise CommandTimeout(f"device {device_id!r} did not answer within {timeout_s:g} s") from None
        finally:
            self._forget(session, request_id)

    def answered(self, session: Session, request_id: str, response: Json) -> None:
        """Take what a device says in answer to a command, expected or not."""
        result_code = plain_integer(response.get("result_code")) if isinstance(response, dict) else None
        self._journal.write("answered", device=session.device_id, request_id=request_id, result_code=result_code)
        answer = self._waiting.get(session, {}).get(request_id)
        if answer is not None and not answer.done():
            answer.set_result(response)

    def abandon(self, session: Session) -> None:
        """The session is gone: nobody will answer on it."""
        for answer in self._waiting.pop(session, {}).values():
            if not answer.done():
                answer.set_exception(DeviceOffline(f"device {session.device_id!r} went offline before it answered"))

    def _send(self, session: Session, request_id: str, command: Command, payload: bytes) -> None:
        seq = command.paras.get("seq")
        self._journal.write(
            "command",
            device=session.device_id,
            request_id=request_id,
            name=command.name,
            **({} if seq is None else {"seq": plain_integer(seq)}),
        )
        topic = command_topic(session.device_id, request_id)
        self._delivery.to_session(session, Message(topic, payload), session.downlinks.granted_qos(topic))

    def _forget(self, session: Session, request_id: str) -> None:
        waiting = self._waiting.get(session, {})
        waiting.pop(request_id, None)
        if not waiting:
            self._waiting.pop(session, None)


def _payload(command: Command) -> bytes:
    body = {"command_name": command.name, "paras": command.paras, "service_id": command.service_id}
    try:
        return orjson.dumps({key: value for key, value in body.items() if value is not None})
    except orjson.JSONEncodeError as error:
        raise InvalidInput(f"paras: {error}") from None

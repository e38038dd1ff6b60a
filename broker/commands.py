"""What the platform asks of devices, commands and properties, and the wait for their answers."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import orjson

from broker.access.delivery import Delivery
from broker.access.payloads import Json
from broker.access.queue import Message
from broker.access.topics import Exchange, request_topic
from broker.auth.registry import Registry
from broker.errors import CommandTimeout, DeviceOffline, InvalidInput, UnknownDevice
from broker.journal import Journal, plain_integer
from broker.sessions import Session, Sessions


@dataclass(frozen=True, slots=True)
class Command:
    """A command of the vendor's format; `paras` may hold a secret and is never journalled, but for its `seq`."""

    name: str | None
    paras: dict[str, Json] = field(repr=False)
    service_id: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    request_id: str
    response: Json


class Commands:
    """Sends requests over live sessions; a session that ends leaves its requests unanswered at once.

    Every request raises UnknownDevice, DeviceOffline (also when the session ends meanwhile), CommandTimeout, and
    InvalidInput when it cannot be encoded.
    """

    def __init__(
        self, registry: Registry, sessions: Sessions, delivery: Delivery, journal: Journal, ids: Iterator[str]
    ) -> None:
        self._registry = registry
        self._sessions = sessions
        self._delivery = delivery
        self._journal = journal
        self._ids = ids
        self._waiting: dict[Session, dict[tuple[Exchange, str], asyncio.Future[Json]]] = {}

    async def send(self, device_id: str, command: Command, timeout_s: float) -> Answer:
        """Send a command and wait for the device's answer."""
        body = {"command_name": command.name, "paras": command.paras, "service_id": command.service_id}
        seq = command.paras.get("seq")
        about = {"name": command.name, **({} if seq is None else {"seq": plain_integer(seq)})}
        return await self._ask(device_id, Exchange.COMMAND, body, timeout_s, {"kind": "command", **about})

    async def get_properties(self, device_id: str, service_id: str, timeout_s: float) -> Answer:
        """Ask for the properties of a service."""
        body, about = {"service_id": service_id}, {"kind": "properties", "action": "get"}
        return await self._ask(device_id, Exchange.GET_PROPERTIES, body, timeout_s, about)

    async def set_properties(self, device_id: str, services: Json, timeout_s: float) -> Answer:
        """Have properties set; they may hold a secret and are never journalled."""
        body, about = {"services": services}, {"kind": "properties", "action": "set"}
        return await self._ask(device_id, Exchange.SET_PROPERTIES, body, timeout_s, about)

    def answered(self, session: Session, asked: tuple[Exchange, str], response: Json) -> None:
        """Take what a device says in answer to a request, expected or not."""
        result_code = plain_integer(response.get("result_code")) if isinstance(response, dict) else None
        self._journal.write("answered", device=session.device_id, request_id=asked[1], result_code=result_code)
        answer = self._waiting.get(session, {}).get(asked)
        if answer is not None and not answer.done():
            answer.set_result(response)

    def abandon(self, session: Session) -> None:
        """The session is gone: nobody will answer on it."""
        for answer in self._waiting.pop(session, {}).values():
            if not answer.done():
                answer.set_exception(DeviceOffline(f"device {session.device_id!r} went offline before it answered"))

    async def _ask(
        self, device_id: str, exchange: Exchange, body: Mapping[str, Json], timeout_s: float, record: Mapping[str, Json]
    ) -> Answer:
        if self._registry.get(device_id) is None:
            raise UnknownDevice(device_id)
        session = self._sessions.reachable(device_id)
        if session is None:
            raise self._sessions.unreachable(device_id)
        payload = _encoded(body)
        request_id = next(self._ids)
        answer: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(session, {})[exchange, request_id] = answer
        self._journal.write(device=device_id, request_id=request_id, **record)
        topic = request_topic(device_id, exchange, request_id)
        self._delivery.to_session(session, Message(topic, payload), session.downlinks.granted_qos(topic))
        try:
            async with asyncio.timeout(timeout_s):
                return Answer(request_id, await answer)
        except TimeoutError:
            raise CommandTimeout(device_id, timeout_s, request_id) from None
        finally:
            self._forget(session, (exchange, request_id))

    def _forget(self, session: Session, asked: tuple[Exchange, str]) -> None:
        waiting = self._waiting.get(session, {})
        waiting.pop(asked, None)
        if not waiting:
            self._waiting.pop(session, None)


def _encoded(body: Mapping[str, Json]) -> bytes:
    """Encode what is there of a body."""
    try:
        return orjson.dumps({name: value for name, value in body.items() if value is not None})
    except orjson.JSONEncodeError as error:
        raise InvalidInput(f"{', '.join(body)}: {error}") from None

"""MQTT on aiomqtt, which was called asyncio-mqtt: for small fleets.

A device lives as aiomqtt's documentation has it: one task connects and takes message after message, one waits for each
acknowledgement, and aiomqtt's own sees to the keepalive. What it costs is what aiomqtt costs, but for a thread. Where
aiomqtt breaks the rules of links, it is kept from it:

* it dials in a thread, which leaves ghosts when it is given up: here its socket is connected already, and no thread is;
* an end before CONNACK it does not notice, and an error in a callback leaves it connected: both end the attempt;
* it acknowledges what nobody has seen yet, and swallows the code of PUBACK: here the device sees first, and hears it.

aiomqtt is a cover over paho-mqtt, which is tamed as on the paho link.
"""

import asyncio
import itertools
import logging
import socket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Self

import aiomqtt
import paho.mqtt.client as mqtt
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode as PahoReason

from simulator.links.answers import MQTT_5
from simulator.links.greeting import max_body
from simulator.links.link import Endpoint, LinkOptions
from simulator.links.outbox import MAX_PACKET_ID, Message
from simulator.links.tamed_paho import Line, TamedPaho, acceptance, connect_properties
from simulator.links.tcp import TcpEngine, TcpLink
from simulator.links.tls import TlsSocket
from simulator.scheduler import Scheduler
from wire.mqtt import ConnAck, Connect, ProtocolError

SILENT = logging.getLogger(__name__)
SILENT.disabled = True  # what aiomqtt and paho have to say, the link says in events


class AiomqttEngine(TcpEngine):
    """Opens links that aiomqtt talks on, to one endpoint for a fleet."""

    def __init__(self, scheduler: Scheduler, endpoint: Endpoint, options: LinkOptions) -> None:
        super().__init__(scheduler, endpoint, options)
        self.here = Here(self.loop)
        self.unwritten_ids = itertools.count(MAX_PACKET_ID + 1)

    def client(self, link: TcpLink, sock: socket.socket | TlsSocket) -> "AiomqttClient":
        return AiomqttClient(self, link, Line(sock))


class AiomqttClient:
    """Has aiomqtt talk for one link."""

    __slots__ = ("_calls", "_engine", "_life", "_link", "_loop", "_session")

    def __init__(self, engine: AiomqttEngine, link: TcpLink, line: Line) -> None:
        self._engine = engine
        self._loop = engine.loop
        self._link = link
        self._session = Session(engine.here, link, line, link.greeting(), max_body(engine.options))
        self._calls: set[asyncio.Task[None]] = set()
        self._life = self._loop.create_task(self._live())
        self._life.add_done_callback(self._ended)

    def publish(self, topic: str, payload: bytes) -> None:
        """aiomqtt waits for a QoS 0 message under a number too, which never reaches the wire."""
        self._call(self._publish(next(self._engine.unwritten_ids), topic, payload, 0))

    def send(self, message: Message, *, dup: bool) -> None:
        self._call(self._publish(message.packet_id, message.topic, message.payload, 1, dup=dup))

    def subscribe(self, packet_id: int, topic_filter: str, qos: int) -> None:
        self._call(self._subscribe(packet_id, topic_filter, qos))

    def say_goodbye(self, code: int) -> None:
        """Leave aiomqtt's context; what was asked for before goes out before, for its task was."""
        self._session.paho.goodbye = code
        self._life.cancel()

    def hang_up(self) -> None:
        """Close the line in the next turn: inside a callback of its own paho would wait for itself."""
        self._loop.call_soon(self._drop)

    # -- tasks

    async def _live(self) -> None:
        session, link = self._session, self._link
        try:
            async with session:
                if not link.has_ended:
                    link.answered(session.answer)
                async for said in session.messages:
                    self._heard(said)
        except aiomqtt.MqttError as error:
            session.reason = session.reason or f"protocol error: {error.__cause__}"

    def _heard(self, said: "aiomqtt.Message | ProtocolError") -> None:
        if self._link.has_ended:
            return
        if isinstance(said, ProtocolError):
            self._link.violated(said)
            return
        assert isinstance(said.payload, bytes | bytearray), "what paho gives it"
        self._link.arrived(said.topic.value, bytes(said.payload))
        if not self._link.has_ended:
            self._session.paho.ack(said.mid, said.qos)

    async def _publish(self, number: int, topic: str, payload: bytes, qos: int, *, dup: bool = False) -> None:
        self._session.paho.number(number, dup=dup)
        with suppress(aiomqtt.MqttError):  # the outbox keeps what was not acknowledged
            await self._session.publish(topic, payload, qos)

    async def _subscribe(self, packet_id: int, topic_filter: str, qos: int) -> None:
        self._session.paho.number(packet_id)
        with suppress(aiomqtt.MqttError):  # a SUBACK that does not come is no news of its own
            await self._session.subscribe(topic_filter, qos)

    def _call(self, call: Coroutine[Any, Any, None]) -> None:
        """Wait in a task for what aiomqtt makes of it."""
        task = self._loop.create_task(call)
        self._calls.add(task)
        task.add_done_callback(self._called)

    def _called(self, task: "asyncio.Task[None]") -> None:
        self._calls.discard(task)
        with suppress(asyncio.CancelledError):
            task.result()

    # -- the end

    def _drop(self) -> None:
        self._session.paho.drop()
        self._life.cancel()

    def _ended(self, life: "asyncio.Task[None]") -> None:
        """Leave nothing of aiomqtt behind, however it came to that."""
        self._session.paho.drop()
        self._session.forget()
        for call in self._calls:
            call.cancel()
        self._link.gone(self._session.reason or "closed")
        with suppress(asyncio.CancelledError):
            life.result()


class Here:
    """The loop as aiomqtt gets it. What it asks for from a thread of its own is done at once: there is no thread.

    Left to the next turn, it would be done to a descriptor that is closed by then, or another link's.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.add_reader = loop.add_reader
        self.remove_reader = loop.remove_reader
        self.add_writer = loop.add_writer
        self.remove_writer = loop.remove_writer
        self.create_task = loop.create_task

    @staticmethod
    def call_soon_threadsafe(callback: Callable[..., object], *arguments: object) -> None:
        callback(*arguments)


class Session(aiomqtt.Client):
    """aiomqtt's client on a line, for one connection; `reason` is why it ended, once it has.

    Of what aiomqtt keeps to itself it uses `_client`, `_loop`, `_queue`, `_connected`, `_disconnected`, `_misc_task`,
    `_client_connect` and the callbacks that stand below: a test of the shape of aiomqtt names them too.
    """

    _client: TamedPaho

    def __init__(self, here: Here, link: TcpLink, line: Line, connect: Connect, max_body: int) -> None:
        is_5 = connect.level == MQTT_5
        super().__init__(
            "dialled already",
            identifier=connect.client_id,
            username=connect.username,
            password=(connect.password or b"").decode(),
            protocol=aiomqtt.ProtocolVersion(connect.level),
            keepalive=connect.keepalive,
            clean_session=None if is_5 else connect.clean_session,
            clean_start=connect.clean_session if is_5 else mqtt.MQTT_CLEAN_START_FIRST_ONLY,
            properties=connect_properties(connect) if is_5 else None,
            logger=SILENT,
        )
        self._loop = here  # type: ignore[assignment]
        self._client.__class__ = TamedPaho
        self._client.tame(line, self, max_body)
        self._link = link
        self._is_broken = False
        self.answer = ConnAck()
        self.reason = ""

    @property
    def paho(self) -> TamedPaho:
        return self._client

    async def __aenter__(self) -> Self:
        """Connect as aiomqtt does, but in this thread, and notice when it ends before CONNACK."""
        self._client_connect()
        await asyncio.wait((self._connected, self._disconnected), return_when=asyncio.FIRST_COMPLETED)
        if not self._connected.done():
            raise aiomqtt.MqttError("no CONNACK") from self._disconnected.exception()
        return self

    def forget(self) -> None:
        """Leave no error that nobody asked for, and no circle to the collector."""
        self._client.forget()
        self._misc_task = None
        for future in (self._connected, self._disconnected):
            if not future.cancel() and not future.cancelled():
                future.exception()

    # -- what tamed paho tells

    @property
    def has_ended(self) -> bool:
        return self._is_broken or self._link.has_ended

    def answered(self, answer: ConnAck) -> None:
        """A refusal, with its code as it came."""
        self._link.answered(answer)

    def violated(self, error: ProtocolError) -> None:
        """Let it stand in the line behind the messages that came before it."""
        self._is_broken = True
        if self._connected.done():
            self._queue.put_nowait(error)  # type: ignore[arg-type]
        else:
            self._link.violated(error)

    # -- what paho calls back

    def _on_connect(
        self,
        client: mqtt.Client,
        userdata: object,
        flags: mqtt.ConnectFlags,
        reason_code: PahoReason,
        properties: Properties | None = None,
    ) -> None:
        self.answer = acceptance(flags, properties)
        super()._on_connect(client, userdata, flags, reason_code, properties)

    def _on_publish(
        self, client: mqtt.Client, userdata: object, mid: int, reason_code: PahoReason, properties: Properties
    ) -> None:
        super()._on_publish(client, userdata, mid, reason_code, properties)
        self._link.acknowledged(mid, reason_code.value)

    def _on_disconnect(
        self,
        client: mqtt.Client,
        userdata: object,
        flags: mqtt.DisconnectFlags,
        reason_code: PahoReason,
        properties: Properties | None = None,
    ) -> None:
        self.reason = self._client.why_it_ended(flags, reason_code)
        super()._on_disconnect(client, userdata, flags, reason_code, properties)
        if not self._disconnected.done():
            self._disconnected.set_exception(aiomqtt.MqttError(self.reason))

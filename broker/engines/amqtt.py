"""The amqtt package as the engine: its broker in this process, with a connection in memory for every session.

It is reached by its `external_connected`, and its `sessions` are looked at; nothing that it keeps to itself is touched.
Its version is pinned: what is worked around here are faults of that one.
"""

import asyncio
import logging
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import amqtt
from amqtt.broker import Broker
from amqtt.errors import AMQTTError, MQTTError

from broker.complaints import complain
from broker.engines.memory import Connection, Writer
from broker.engines.relay import Relay
from wire.mqtt import ConnAck, Connect, ReasonCode

VERSION = "0.12.1"
FOLDER = str(Path(amqtt.__file__).parent)
LISTENER = "default"
CONFIG: dict[str, Any] = {
    "listeners": {LISTENER: {"type": "external"}},
    "plugins": {"amqtt.plugins.base.BaseAuthPlugin": {}},  # lets all in, and unlike the anonymous one keeps their state
}
CLEAN_GONE_WITHIN_S = 2.0
LOOK_EVERY_S = 0.01

EXPECTED = (OSError, AMQTTError, MQTTError)
"""What its tasks fail with when a client is gone, or does not acknowledge: it looks at few of them."""

if amqtt.__version__ != VERSION:
    raise ImportError(f"amqtt is {amqtt.__version__}, expected {VERSION}")


class Amqtt(Relay):
    """At most one connection of a client id is served at a time: it would let both be, or make the new one deaf."""

    async def start(self) -> None:
        logging.getLogger("amqtt").setLevel(logging.CRITICAL)  # it tells of every client that goes, with tracebacks
        self._broker = Broker(CONFIG)
        self._served: dict[object, tuple[Connection, asyncio.Task[None]]] = {}
        loop = asyncio.get_running_loop()
        self._tell_of_failures = loop.get_exception_handler()
        loop.set_exception_handler(self._failed)
        await self._broker.start()
        self._dial = self._attach

    async def stop(self) -> None:
        await super().stop()
        tasks = {task for _, task in self._served.values()}
        for connection, _ in list(self._served.values()):
            connection.abort()
        if tasks:
            await asyncio.wait(tasks, timeout=self.linger_s)
        await self._broker.shutdown()
        for task in tasks:
            task.cancel()
        asyncio.get_running_loop().set_exception_handler(self._tell_of_failures)

    def _failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Tell of a failure that nobody looked at, but for what amqtt's tasks are expected to fail with."""
        error = context.get("exception")
        if isinstance(error, EXPECTED) and _is_its_own(error):
            return
        if self._tell_of_failures is None:
            loop.default_exception_handler(context)
        else:
            self._tell_of_failures(loop, context)

    async def _attach(self, factory: Callable[[], asyncio.Protocol]) -> None:
        """Dial: have it serve a connection, when it serves none of the same client id any more."""
        async with asyncio.timeout(self._settings.engine_timeout_s):
            await self._attach_in_turn(Connection(factory(), self.linger_s))

    async def _attach_in_turn(self, connection: Connection) -> None:
        greeting = connection.greeting()
        if greeting is None:
            return
        if greeting.level == 5:  # it would never answer
            connection.deliver(ConnAck(ReasonCode.UNSUPPORTED_PROTOCOL_VERSION).encode(5))
            connection.close()
            return
        key = greeting.client_id or connection
        while not connection.is_closing() and (before := self._served.get(key)) is not None:
            before[0].close()
            await asyncio.wait((before[1],))
        if not greeting.clean_session:
            await self._clean_gone(greeting, connection)
        if not connection.is_closing():
            self._serve(key, connection)

    def _serve(self, key: object, connection: Connection) -> None:
        connection.is_served = True
        connection.is_settled = lambda: self._has_passed_on(key)
        task = self._tasks.create_task(self._serving(key, connection))
        connection.on_end = lambda: self._end_soon(task)
        self._served[key] = connection, task

    def _end_soon(self, task: asyncio.Task[None]) -> None:
        """End what goes on for a client that is gone: amqtt waits for ever for one that went while it was starting."""
        asyncio.get_running_loop().call_later(self.linger_s, task.cancel)

    async def _serving(self, key: object, connection: Connection) -> None:
        """The guard is here: whatever goes wrong in it ends one session and no other."""
        try:
            await self._broker.external_connected(connection, Writer(connection), LISTENER)
        except Exception:  # noqa: BLE001 - the guard
            self.notes.statistics.internal_errors += 1
            complain(f"amqtt failed\n{traceback.format_exc()}")
        finally:
            del self._served[key]
            connection.over()
            known = self._broker.sessions.get(key)
            if known is not None and known[0].transitions.is_connected():  # it gave up in the middle, and would keep it
                known[0].transitions.disconnect()

    async def _clean_gone(self, greeting: Connect, connection: Connection) -> None:
        """Wait until a clean session is forgotten: one that is to be kept would go on with it, and end like it."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + CLEAN_GONE_WITHIN_S
        while not connection.is_closing() and loop.time() < deadline:
            known = self._broker.sessions.get(greeting.client_id)
            if known is None or not known[0].clean_session:
                return
            await asyncio.sleep(LOOK_EVERY_S)

    def _has_passed_on(self, key: object) -> bool:
        known = self._broker.sessions.get(key)
        return known is None or bool(known[0].delivered_message_queue.empty())


def _is_its_own(error: BaseException) -> bool:
    frames = traceback.walk_tb(error.__traceback__)
    return any(frame.f_code.co_filename.startswith(FOLDER) for frame, _ in frames)

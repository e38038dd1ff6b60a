"""Who is still there: no hook tells of the end of a connection, so the broker's list is read every few seconds.

What a broker lists and no session of this run stands for is cut: nobody knows which secret let it in. As at our own
port, a restart of the platform has every device log in again.
"""

import asyncio
import traceback

from broker.auth.credentials import parse_client_id
from broker.auth.decision import device_of
from broker.complaints import complain
from broker.hooks.engine import Connection, Engine, EngineError
from broker.hooks.remote_sessions import Premises, RemoteLink, RemoteSessions
from broker.journal import beginning


class PresencePoll:
    """Compares the broker's list with the sessions, again and again."""

    def __init__(self, remote: RemoteSessions, engine: Engine, premises: Premises, every_s: float) -> None:
        self._remote = remote
        self._engine = engine
        self._premises = premises
        self._every_s = every_s
        self._strays: frozenset[str] = frozenset()
        self._is_answered = True
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = self._premises.tasks.create_task(self._run(), name="hook.poll")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def look(self) -> None:
        """Compare once. Raises EngineError."""
        asked_at = self._premises.clock.now()
        listed = {one.client_id: one for one in await self._engine.connections()}
        for session, link in list(self._remote):
            if session.client_id in listed:
                link.was_seen = True
            elif await self._has_gone(link, asked_at):
                self._remote.over(link, link.ending or link.expected)
        await self._cut_strays(list(listed.values()))
        self._premises.journal.flush()

    async def _run(self) -> None:
        journal, via = self._premises.journal, self._remote.via
        while True:
            await asyncio.sleep(self._every_s)
            try:
                await self.look()
            except EngineError as error:
                if self._is_answered:
                    journal.write("engine_unreachable", via=via, why=str(error))
                self._is_answered = False
            except Exception:  # noqa: BLE001 - the guard of the poll: it goes on
                self._premises.statistics.internal_errors += 1
                complain(f"comparing the sessions failed\n{traceback.format_exc()}")
            else:
                if not self._is_answered:
                    journal.write("engine_reachable", via=via)
                self._is_answered = True

    async def _has_gone(self, link: RemoteLink, asked_at: float) -> bool:
        """Tell whether a connection that is not listed is none; what is being cut is confirmed elsewhere.

        A list may be behind, or empty after a restart of the broker's statistics: it is not believed alone.
        """
        if link.ending is not None or asked_at < link.begun_at + self._remote.settle_s:
            return False
        return not await self._engine.is_connected(link.visitor)

    async def _cut_strays(self, listed: list[Connection]) -> None:
        """Cut what belongs to no session, if it was so the last time too: a list may be behind."""
        ours = {session.client_id for session, _ in self._remote}
        strays = [one for one in listed if one.client_id not in ours and self._is_devices(one)]
        for one in strays:
            if one.name in self._strays:
                await self._engine.cut_connection(one)
                device = device_of(self._premises.registry, one.client_id)
                self._premises.journal.write(
                    "stray_cut", device=device, client_id=beginning(one.client_id), via=self._remote.via
                )
        self._strays = frozenset(one.name for one in strays)

    def _is_devices(self, one: Connection) -> bool:
        """Whether a connection is of a device, registered or no more, and not of whoever else uses the broker."""
        identity = parse_client_id(one.client_id)
        return device_of(self._premises.registry, one.client_id) is not None or (
            identity is not None and identity.name == one.username
        )

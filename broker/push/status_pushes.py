"""Pushes of device status: every change of a device's presence, to every receiver that an active rule names.

A device of MQTT is there as long as its session; one of NB-IoT is what its silence makes of it.
"""

import asyncio
from collections.abc import Iterator, Mapping
from datetime import datetime

from broker.auth.registry import Registry
from broker.journal import Journal
from broker.lwm2m.silence import Silence, Standing
from broker.push.forwarder import Forwarder, PushTerms
from broker.push.notification import PushedStatus, StatusChange
from broker.push.sender import Sender
from broker.push.target import Target
from broker.sessions import Session, Sessions
from broker.settings import Settings
from broker.statistics import Statistics


class StatusPushes:
    """Watches sessions and silence as long as somebody wants to be told; without receivers it is not even asked."""

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        sessions: Sessions,
        silence: Silence,
        tasks: asyncio.TaskGroup,
        journal: Journal,
        statistics: Statistics,
        ids: Iterator[str],
    ) -> None:
        self._registry = registry
        self._sessions = sessions
        self._silence = silence
        self._tasks = tasks
        self._journal = journal
        self._statistics = statistics
        self._ids = ids
        self._terms = PushTerms(settings.push_concurrency, settings.push_queue_limit, settings.push_backoff_s)
        self._sender = Sender(settings.push_timeout_s, anywhere=settings.expose)
        self._forwarders: dict[str, Forwarder] = {}
        self._opening: asyncio.Task[object] | None = None
        self._is_closed = False

    def follow(self, targets: Mapping[str, Target]) -> None:
        """Push to these receivers from now on, by the ids of their actions, and to no others."""
        if self._is_closed:
            return
        for action_id, forwarder in list(self._forwarders.items()):
            if targets.get(action_id) != forwarder.target:
                self._forwarders.pop(action_id).withdraw()
        if targets and not self._forwarders:
            self._opening = self._tasks.create_task(self._sender.open(), name="push.open")
        for action_id in targets.keys() - self._forwarders.keys():
            self._forwarders[action_id] = Forwarder(
                targets[action_id], self._terms, self._sender, self._tasks, self._journal, self._statistics
            )
        self._sessions.watcher = self._silence.watcher = self if self._forwarders else None

    def came(self, session: Session) -> None:
        self._tell(session.device_id, PushedStatus.ONLINE, session.connected_at, session.connected_at)

    def went(self, session: Session, utc: datetime) -> None:
        self._tell(session.device_id, PushedStatus.OFFLINE, utc, session.connected_at)

    def turned(self, device_id: str, standing: Standing, utc: datetime, online_at: datetime) -> None:
        self._tell(device_id, PushedStatus[standing.name], utc, online_at)

    async def close(self) -> None:
        """Tell nobody anything any more."""
        self.follow({})
        self._is_closed = True
        if self._opening is not None:
            self._opening.cancel()
        await self._sender.close()

    def _tell(self, device_id: str, status: PushedStatus, utc: datetime, last_online: datetime) -> None:
        device = self._registry.get(device_id)
        change = StatusChange(
            request_id=next(self._ids),
            device_id=device_id,
            node_id=device.node_id if device else None,
            product_id=device.product_id if device else None,
            status=status,
            utc=utc,
            last_online=last_online,
        )
        for forwarder in self._forwarders.values():
            forwarder.offer(change)

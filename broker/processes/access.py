"""The access side of one process of several, wired: as that of a single process, with the hub behind it."""

import asyncio
from itertools import count

from broker.access.admission import Admission
from broker.access.router import Router
from broker.access.side import AccessSide
from broker.auth.registry import Registry
from broker.auth.roma import RomaRegistry
from broker.engines.address import Kind
from broker.engines.choice import engine_for
from broker.engines.engine import Engine
from broker.engines.relay import Relay
from broker.notes import Notes
from broker.processes.channel import Channel
from broker.processes.claims import Claims
from broker.processes.door import Door
from broker.processes.letters import (
    Begin,
    Change,
    Confirmed,
    Cut,
    Forget,
    Put,
    PutForward,
    PutRoma,
    PutRomaProduct,
    Remove,
    RemoveRoma,
    RemoveRomaProduct,
    Settled,
    ShareTopics,
    Step,
)
from broker.processes.local import Caller, LocalAdmission, LocalSessions
from broker.processes.topics import SharedTopics
from broker.sessions import Session


class LocalSide(AccessSide):
    """Takes the hub's changes too: all of one in one callback."""

    claims: Claims
    admission: LocalAdmission

    def __init__(self, begin: Begin, channel: Channel, notes: Notes, tasks: asyncio.TaskGroup) -> None:
        self._channel = channel
        self._shares_topics = begin.shares_topics
        self._sharing = 0
        self._door: Door[Caller] = Door()
        self._local = LocalSessions(channel)
        registry = Registry(begin.devices, begin.products, RomaRegistry(begin.roma_products, begin.roma_devices))
        ids = (f"{begin.run}-{begin.number}-{number}" for number in count(1))
        super().__init__(begin.settings, registry, self._local, notes, ids, tasks)

    def change(self, letter: Change) -> None:
        """Make a change and confirm it; who was judged before it, and is not in yet, is judged again after it."""
        about = frozenset(name for step in letter.steps for name in step.about)
        self._door.shut(letter.number, about)
        if any(isinstance(step, ShareTopics) for step in letter.steps):
            self._sharing = letter.number
        for link, packet in self.claims.void(about):
            link.hold(None)
            self._door.wait(packet.client_id, (link, packet))
        cut = tuple(found for step in letter.steps if (found := self._take(step)) is not None)
        self.notes.journal.flush()
        self._channel.post_later(Confirmed(letter.number, cut))

    def settled(self, letter: Settled) -> None:
        for link, packet in self._door.open(letter.number):
            self.admission.judge(link, packet)
        if letter.number == self._sharing and isinstance(self.claims.engine, SharedTopics):
            self.claims.engine.share()

    def _take(self, step: Step) -> str | None:
        """Take a step; returns the device whose session it has cut, if there was one."""
        match step:
            case Cut(device_id, ending):
                return device_id if self.sessions.cut(device_id, ending) else None
            case Forget(device_id):
                self.stored.delete(device_id, self.sessions.get(device_id))
            case PutForward(seconds):
                self.notes.clock.put_forward(seconds)
            case ShareTopics() if isinstance(self.claims.engine, SharedTopics):
                self.claims.engine.tells_hub = True
            case _:
                _register(self.registry, step)
        return None

    def _make_engine(self) -> Engine:
        statistics = self.notes.statistics
        behind = self._behind()
        self.claims = Claims(behind, self._channel, self.settings, self._local, self.stored, statistics)
        return self.claims

    def _behind(self) -> SharedTopics | Relay:
        """Make the engine behind the claims: one whose share of a device can go to another process."""
        if self.settings.engine.kind is Kind.BUILTIN:
            return SharedTopics(Router(), self.delivery, self._channel, self._is_live, is_shared=self._shares_topics)
        engine = engine_for(self.settings, self.delivery, self.notes, self._turns, self._tasks)
        assert isinstance(engine, Relay), "the settings were checked"
        return engine

    def _make_admission(self) -> Admission:
        self.admission = LocalAdmission(
            self.settings, self.registry, self.sessions, self.stored, self.delivery, self.engine, self.notes
        )
        self.admission.door = self._door
        return self.admission

    def _is_live(self, session: Session) -> bool:
        return self.sessions.get(session.device_id) is session


def _register(registry: Registry, step: Step) -> None:
    """Do to a copy of the registry what was done to the hub's."""
    match step:
        case Put(device):
            registry.put(device)
        case Remove(device):
            registry.remove(device.device_id)
        case PutRoma(roma_device):
            registry.roma.put(roma_device)
        case RemoveRoma(roma_device):
            registry.roma.remove(roma_device)
        case PutRomaProduct(product):
            registry.roma.put_product(product)
        case RemoveRomaProduct(product_id):
            registry.roma.remove_product(product_id)

"""aiocoap's own contexts as devices: one for each, which registers in the clear, and is observed as ours are."""

import asyncio
import os
from dataclasses import replace

os.environ["AIOCOAP_REUSE_PORT"] = "0"  # otherwise contexts would share a port without a word

from aiocoap import Code, Context, Message
from aiocoap.resource import ObservableResource, Site

from simulator.control import Control
from simulator.limits import collector_spared, raise_descriptor_limit
from simulator.world import provision
from tests.benchmarks.devices import identities
from tests.benchmarks.meter import SETTLE_S, Result, connected, mark
from tests.benchmarks.ramp import DEADLINE_S, UNDER_WAY
from tests.benchmarks.servers import Server


class Reports(ObservableResource):
    """19/0/0: answers every read, and tells when somebody observes."""

    def __init__(self) -> None:
        super().__init__()
        self.observed = asyncio.Event()

    def update_observation_count(self, newcount: int) -> None:
        if newcount:
            self.observed.set()

    async def render_get(self, _request: Message) -> Message:
        return Message(code=Code.CONTENT, content_format=42)


async def register(server: Server, devices: int) -> Result:
    """Bring everybody in, a bounded number of them at a time."""
    raise_descriptor_limit()
    empty = mark(server.pid)
    names = await _provisioned(server, devices)
    room, contexts = asyncio.Semaphore(UNDER_WAY), list[Context]()

    async def play(name: str) -> None:
        async with room:
            reports, site = Reports(), Site()
            site.add_resource(["19", "0", "0"], reports)
            context = await Context.create_server_context(site, bind=("127.0.0.1", 0), transports=["udp6"])
            contexts.append(context)
            uri = f"coap://127.0.0.1:{server.coap}/rd?ep={name}&lt=86400&lwm2m=1.0&b=U"
            answer = await context.request(Message(code=Code.POST, uri=uri)).response
            assert answer.code is Code.CREATED, answer.code
            await reports.observed.wait()

    with collector_spared():
        before = mark(server.pid)
        async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as tasks:
            for name in names:
                tasks.create_task(play(name))
        after = mark(server.pid)
        await asyncio.sleep(SETTLE_S)
        idle = mark(server.pid)
    wall_s = after.wall_s - before.wall_s
    return {"registered_s": wall_s, "reported_s": wall_s, **connected(empty, before, after, idle)}


async def _provisioned(server: Server, devices: int) -> list[str]:
    known = [replace(one, secondary=None, protocol="coap") for one in identities(devices)]
    async with Control(server.api) as control:
        await provision(control, known)
    return [one.endpoint for one in known]

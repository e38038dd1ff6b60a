"""aiocoap's server context as a platform: takes every registration, and observes who has registered."""

import asyncio
import os
import socket

os.environ["AIOCOAP_REUSE_PORT"] = "0"  # otherwise two servers would share a port without a word

from aiocoap import Code, Context, Message
from aiocoap.resource import Resource, Site

from simulator.limits import collector_spared, raise_descriptor_limit


class Registrations(Resource):
    """rd: answers at once, then asks for 19/0/0 under observation, and reads what comes."""

    def __init__(self) -> None:
        super().__init__()
        self.context: Context | None = None
        self.tasks: set[asyncio.Task[None]] = set()

    async def render_post(self, request: Message) -> Message:
        task = asyncio.create_task(self._observe(request))
        self.tasks.add(task)
        return Message(code=Code.CREATED, location_path=["rd", "x"])

    async def _observe(self, request: Message) -> None:
        assert self.context is not None
        wanted = Message(code=Code.GET, uri_path=["19", "0", "0"], observe=0)
        wanted.remote = request.remote
        asked = self.context.request(wanted, handle_blockwise=False)
        await asked.response
        async for _ in asked.observation:
            pass


async def serve() -> None:
    raise_descriptor_limit()
    registrations, site = Registrations(), Site()
    site.add_resource(["rd"], registrations)
    with socket.socket(type=socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    registrations.context = await Context.create_server_context(site, bind=("127.0.0.1", port), transports=["udp6"])
    print(port, flush=True)
    with collector_spared():
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve())

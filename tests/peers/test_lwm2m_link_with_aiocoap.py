"""Our NB-IoT devices against a platform made of aiocoap's server context: it judges what they say and answer."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiocoap import Code, Context, Message
from aiocoap.resource import Resource, Site

from simulator.credentials import EndpointCredentials
from simulator.device.events import Cause, LinkLost, Refused
from simulator.links.link import Endpoint
from simulator.links.lwm2m.engine import Lwm2mEngine
from simulator.links.lwm2m.options import Lwm2mOptions, Sleep
from simulator.scheduler import Scheduler
from tests.support.link_bench import messages, outbox_of
from tests.support.link_owner import RecordingOwner
from tests.support.waiting import until

pytestmark = pytest.mark.peer

EP = "868333030000001"


class Directory(Resource):
    """rd, and the one location below it; remembers everything, and where the last device is."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[tuple[str, tuple[str, ...]]] = []
        self.device: Any = None
        self.update_code = Code.CHANGED

    async def render_post(self, request: Message) -> Message:
        self._note(request)
        self.device = request.remote
        if request.opt.uri_query:
            if f"ep={EP}" not in request.opt.uri_query:
                return Message(code=Code.FORBIDDEN)
            return Message(code=Code.CREATED, location_path=["rd", "42"])
        return Message(code=self.update_code)

    async def render_delete(self, request: Message) -> Message:
        self._note(request)
        return Message(code=Code.DELETED)

    def _note(self, request: Message) -> None:
        self.heard.append((request.code.name, request.opt.uri_query))


@asynccontextmanager
async def aiocoap_platform(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Directory, Context, int]]:
    monkeypatch.setenv("AIOCOAP_REUSE_PORT", "0")
    directory, site = Directory(), Site()
    for path in (["rd"], ["rd", "42"]):
        site.add_resource(path, directory)
    with socket.socket(type=socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = await Context.create_server_context(site, bind=("127.0.0.1", port), transports=["udp6"])
    try:
        yield directory, context, port
    finally:
        await context.shutdown()


def engine(port: int, options: Lwm2mOptions | None = None) -> Lwm2mEngine:
    scheduler = Scheduler(asyncio.get_running_loop())
    return Lwm2mEngine(scheduler, Endpoint("127.0.0.1", port), options or Lwm2mOptions())


def request(directory: Directory, code: Code, *path: str, **more: Any) -> Message:
    message = Message(code=code, uri_path=path, **more)
    message.remote = directory.device
    return message


async def test_device_registers_is_observed_reports_takes_a_write_and_deregisters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with aiocoap_platform(monkeypatch) as (directory, context, port):
        links, owner = engine(port), RecordingOwner(1)
        link = links.open(owner, 1, EndpointCredentials(EP, None), outbox_of(*messages(3)))
        await owner.accepted()
        asked = context.request(request(directory, Code.GET, "19", "0", "0", observe=0), handle_blockwise=False)
        assert (await asked.response).code is Code.CONTENT
        report = await anext(aiter(asked.observation))
        await until(lambda: owner.told("acknowledged") == [1, 2, 3], "all reports are acknowledged")
        written = request(directory, Code.PUT, "19", "1", "0", payload=b"turn", content_format=42)
        assert (await context.request(written).response).code is Code.CHANGED
        assert (await context.request(request(directory, Code.GET, "3", "0")).response).code is Code.NOT_FOUND
        asked.observation.cancel()
        link.close()
        await until(lambda: not links.open_links, "the link is closed")
    assert report.payload.startswith(b'{"seq":')
    assert owner.told("arrived") == [("19/1/0", b"turn")]
    assert directory.heard[0] == ("POST", (f"ep={EP}", "lt=86400", "lwm2m=1.0", "b=U"))
    assert directory.heard[-1] == ("DELETE", ())


async def test_refusal_and_forgotten_registration_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    async with aiocoap_platform(monkeypatch) as (directory, _, port):
        stranger = RecordingOwner(1)
        engine(port).open(stranger, 1, EndpointCredentials("nobody", None), outbox_of())
        assert await stranger.ended() == Refused(1, Cause.NOT_ALLOWED, "4.03")
        directory.update_code = Code.NOT_FOUND
        forgotten = RecordingOwner(1)
        engine(port, Lwm2mOptions(lifetime_s=1)).open(forgotten, 1, EndpointCredentials(EP, None), outbox_of())
        assert isinstance(await forgotten.ended(), LinkLost)


async def test_device_that_wakes_up_answers_what_aiocoap_sends_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A write to a device that sleeps is resent until the device hears it: once, however often it was sent."""
    options = Lwm2mOptions(sleep=Sleep(asleep_s=1.0, awake_s=10.0))
    async with aiocoap_platform(monkeypatch) as (directory, context, port):
        links, owner = engine(port, options), RecordingOwner(1)
        link = links.open(owner, 1, EndpointCredentials(EP, None), outbox_of())
        await owner.accepted()
        link._power.is_asleep = True
        answer = asyncio.ensure_future(
            context.request(request(directory, Code.PUT, "19", "1", "0", payload=b"turn")).response
        )
        asyncio.get_running_loop().call_later(0.5, lambda: setattr(link._power, "is_asleep", False))
        async with asyncio.timeout(10):
            assert (await answer).code is Code.CHANGED
        assert owner.told("arrived") == [("19/1/0", b"turn")]
        link.close()
        await until(lambda: not links.open_links, "the link is closed")

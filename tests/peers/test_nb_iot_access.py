"""NB-IoT access judged by clients that we did not write: libcoap registers over DTLS, aiocoap is a whole device."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiocoap
import pytest
from aiocoap import resource

from tests.broker.rig import Rig, running
from tests.peers.test_dtls_and_coap import LIBCOAPS, PATIENCE_S, run

pytestmark = pytest.mark.peer

IMEI, SECRET, OTHER = "868333030000001", b"0123456789abcdef", b"another--key-123"


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with running(tmp_path, coap_port=0, coaps_port=0) as rig:
        await rig.provision(IMEI, protocol="coap", primary=SECRET.hex(), secondary=None)
        yield rig


async def register(rig: Rig, built_on: str, key: bytes, endpoint: str = IMEI) -> None:
    url = f"coaps://127.0.0.1:{rig.platform.more_ports['coaps']}/rd?ep={endpoint}&lt=60&lwm2m=1.1&b=U"
    client = f"coap-client-{built_on}"
    links = ("-t", "40", "-e", "</19/0>,</19/1>")
    await run(client, "-B", "3", "-m", "post", *links, "-u", endpoint, "-k", key.decode(), url)


@LIBCOAPS
async def test_libcoap_registers_over_dtls_and_no_more_with_the_key_of_before_a_reset(rig: Rig, built_on: str) -> None:
    await register(rig, built_on, SECRET)
    (registered,) = rig.records("registered")
    assert (registered["device"], registered["secure"], registered["version"]) == (IMEI, True, 1)
    assert (await rig.reset(IMEI, secret=OTHER.hex())).status == 200
    await register(rig, built_on, SECRET)
    assert [one["reason"] for one in rig.records("handshake_failed")][:1] == ["wrong_key"]
    await register(rig, built_on, OTHER)
    assert [one["version"] for one in rig.records("registered")] == [1, 2]


async def test_libcoap_in_the_clear_reads_the_refusal_of_an_unknown_device(rig: Rig) -> None:
    port = rig.platform.more_ports["coap"]
    printed = await run("coap-client-notls", "-B", "3", "-m", "post", f"coap://127.0.0.1:{port}/rd?ep=nobody")
    assert "4.03" in printed


class Reports(resource.ObservableResource):
    """Object 19, instance 0: what the device reports."""

    def __init__(self) -> None:
        super().__init__()
        self.payload = b""
        self.observed = asyncio.Event()

    async def add_observation(self, request: aiocoap.Message, serverobservation: object) -> None:
        await super().add_observation(request, serverobservation)
        self.observed.set()

    async def render_get(self, _request: aiocoap.Message) -> aiocoap.Message:
        return aiocoap.Message(payload=self.payload, content_format=42)


async def test_aiocoap_as_a_device_is_observed_on_its_own_port_and_its_reports_arrive(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIOCOAP_REUSE_PORT", "0")
    reports, site = Reports(), resource.Site()
    site.add_resource(["19", "0", "0"], reports)
    context = await aiocoap.Context.create_server_context(site, bind=("127.0.0.1", 0), transports=["udp6"])
    try:
        url = f"coap://127.0.0.1:{rig.platform.more_ports['coap']}/rd?ep={IMEI}&lt=60&lwm2m=1.0&b=UQ"
        async with asyncio.timeout(PATIENCE_S):
            request = aiocoap.Message(code=aiocoap.POST, uri=url, content_format=40, payload=b"</19/0>,</19/1>")
            answer = await context.request(request).response
            assert answer.code is aiocoap.CREATED
            await reports.observed.wait()
        for seq in (1, 2, 3):
            reports.payload = b'{"seq": %d}' % seq
            reports.updated_state()
            await rig.record("uplink", device=IMEI, first=seq)
        async with asyncio.timeout(PATIENCE_S):
            location = "/".join(answer.opt.location_path)
            base = f"coap://127.0.0.1:{rig.platform.more_ports['coap']}/{location}"
            assert (
                await context.request(aiocoap.Message(code=aiocoap.DELETE, uri=base)).response
            ).code.dotted == "2.02"
    finally:
        await context.shutdown()
    assert rig.records("registered")[0]["queue_mode"] is True

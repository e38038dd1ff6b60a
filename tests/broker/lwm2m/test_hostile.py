"""What strangers, forgers and devices out of order bring about at the NB-IoT ports is theirs alone."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiocoap import Code

from broker.auth.registry import DeviceProtocol, Registry
from broker.lwm2m.admission import Admission
from broker.lwm2m.conversations import Conversations
from broker.lwm2m.listener import STRANGERS, PlainPort
from tests.broker.lwm2m.nb_device import KEY, NbDevice, nb_device
from tests.broker.rig import FakeClock, Rig, device, running

COMMANDS = "/v5/iot/p/devices/m1/async-commands"


@pytest.fixture
async def rig(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Rig]:
    async with running(tmp_path, clock, coap_port=0, coaps_port=0, sweep_s=0.01) as rig:
        await rig.provision("m1", "m2", protocol="coap", primary=KEY, secondary=None)
        yield rig


async def create(rig: Rig, paras: object) -> str:
    answer = await rig.call("POST", COMMANDS, {"service_id": "s", "command_name": "c", "paras": paras})
    assert answer.status == 201, answer
    return str(answer.body["command_id"])


async def written(at: NbDevice) -> int:
    """Wait for a command; return its number."""
    while not (found := [one for one in at.asked if one.code is Code.PUT]):
        await at.next_news()
    return int(json.loads(found[-1].payload)["mid"])


@pytest.mark.parametrize("is_secure", [False, True], ids=["coap", "coaps"])
async def test_internal_error_loses_one_datagram_and_is_counted(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], is_secure: bool
) -> None:
    port = rig.platform.more_ports["coaps" if is_secure else "coap"]
    async with (
        nb_device(port, "m1" if is_secure else None) as broken,
        nb_device(port, "m2" if is_secure else None) as well,
    ):
        if is_secure:
            assert await broken.handshake()
            assert await well.handshake()
        with monkeypatch.context() as patch:

            def fail(*_: object) -> None:
                raise RuntimeError("planted")

            patch.setattr(Conversations, "take", fail)
            broken._say(b"\x40\x00\x00\x01")
            broken._flush()
            while (await rig.statistics())["internal_errors"] == 0:
                pass
        await well.register("m2")
        await broken.register("m1")
    assert (await rig.statistics())["internal_errors"] == 1
    assert "planted" in capsys.readouterr().err


async def test_who_registers_and_leaves_from_everywhere_is_forgotten(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[PlainPort] = []
    take = PlainPort.take

    def spy(port: PlainPort, *datagram: object) -> None:
        seen[:] = [port]
        take(port, *datagram)  # type: ignore[arg-type]

    monkeypatch.setattr(PlainPort, "take", spy)
    async with AsyncExitStack() as open_sockets:  # all at once, lest the kernel gives a port twice
        for _ in range(STRANGERS + 20):
            one = await open_sockets.enter_async_context(nb_device(rig.platform.more_ports["coap"]))
            location = await one.register("m1")
            assert (await one.request(Code.DELETE, location)).code is Code.DELETED
    (port,) = seen
    assert len(port._strangers) <= STRANGERS


async def test_two_devices_at_one_address_take_each_others_place(rig: Rig) -> None:
    """Else the first one's end would deafen the second, and the second would get the first one's commands."""
    async with nb_device(rig.platform.more_ports["coap"]) as shared:
        await shared.register("m1")
        await shared.register("m2")
        command_id = await create(rig, {})
        (listed,) = (await rig.call("GET", "/_platform/registrations")).body["registrations"]
        assert listed["device_id"] == "m2"
        assert (await rig.call("GET", f"{COMMANDS}/{command_id}")).body["status"] == "PENDING"
        assert [one["reason"] for one in rig.records("unregistered")] == ["replaced"]


async def test_command_is_not_written_into_another_devices_session(rig: Rig) -> None:
    async with nb_device(rig.platform.more_ports["coaps"], "m1") as first:
        assert await first.handshake()
        await first.register("m1")
        first.asked.clear()
        first.begin_session("m2")  # the address has got another owner
        assert await first.handshake()
        await create(rig, {"for": "m1"})
        await first.register("m2")
        assert [one.code for one in first.asked] == [Code.GET]


async def test_session_outlives_its_registration_for_a_while(rig: Rig, clock: FakeClock) -> None:
    """A sweep that ends a session on which nobody ever registered leaves alone one that is as old, and was used."""
    coaps = rig.platform.more_ports["coaps"]
    async with nb_device(coaps, "m1") as one, nb_device(coaps, "m2") as idle:
        assert await one.handshake()
        location = await one.register("m1")
        clock.advance(50)
        assert await idle.handshake()
        clock.advance(50)
        assert (await one.request(Code.DELETE, location)).code is Code.DELETED
        clock.advance(15)
        await rig.record("session_ended", endpoint="m2")
        await one.register("m1")


async def test_device_that_becomes_one_of_mqtt_is_registered_no_longer(rig: Rig) -> None:
    async with nb_device(rig.platform.more_ports["coap"]) as one:
        await one.register("m1")
        await rig.provision("m1", protocol="mqtt")
        await rig.record("unregistered", device="m1", reason="protocol_changed")
    assert (await rig.call("GET", "/_platform/registrations")).body["count"] == 0


async def test_answer_that_is_nested_too_deeply_still_counts(rig: Rig) -> None:
    async with nb_device(rig.platform.more_ports["coap"]) as one:
        await one.register("m1")
        command_id = await create(rig, {})
        mid = await written(one)
        one.report(b'{"msgType":"deviceRsp","errcode":0,"mid":%d,"body":%b}' % (mid, b"[" * 500 + b"]" * 500), 1)
        await rig.record("async_command", command_id=command_id, status="SUCCESSFUL")
    assert (await rig.statistics())["internal_errors"] == 0


@pytest.mark.parametrize("scheme", ["coap", "coaps"])
async def test_command_that_fits_into_no_datagram_fails_and_the_next_goes(rig: Rig, scheme: str) -> None:
    async with nb_device(rig.platform.more_ports[scheme], "m1" if scheme == "coaps" else None) as one:
        if scheme == "coaps":
            assert await one.handshake()
        await one.register("m1")
        command_id = await create(rig, {"much": "x" * 20_000})
        assert (await rig.call("GET", f"{COMMANDS}/{command_id}")).body["status"] == "FAILED"
        await create(rig, {})
        await written(one)


def test_secret_that_is_not_hexadecimal_is_no_key_and_no_crash() -> None:
    """Such a secret may be in an old database."""
    registry = Registry()
    registry.put(device("m1", protocol=DeviceProtocol.COAP))
    admission = Admission(registry)
    assert admission.key_of(b"m1") is None
    assert admission.version_of(b"m1", b"k") is None
    assert admission.version_of(b"m1", None) is None

"""NB-IoT access on real sockets: what registers, what is refused and why, and what a reset does and does not do."""

import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiocoap import Code

from tests.broker.lwm2m.nb_device import KEY, NEW_KEY, NbDevice, nb_device
from tests.broker.rig import FakeClock, Rig, running
from tests.support.waiting import turns


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with running(tmp_path, coap_port=0, coaps_port=0) as rig:
        await rig.provision("m1", "m2", protocol="coap", primary=KEY, secondary=None)
        yield rig


def plain(rig: Rig) -> int:
    return rig.platform.more_ports["coap"]


def secure(rig: Rig) -> int:
    return rig.platform.more_ports["coaps"]


async def code_of(device: NbDevice, query: str) -> str:
    return str((await device.request(Code.POST, "rd", query)).code.dotted)


async def test_device_registers_in_the_clear_is_observed_reports_updates_and_leaves(rig: Rig) -> None:
    async with nb_device(plain(rig)) as device:
        location = await device.register("m1")
        (asked,) = device.asked
        assert (asked.opt.uri_path, asked.opt.observe, asked.opt.accept) == (("19", "0", "0"), 0, 42)
        device.report(b'{"seq": 1}', 1)
        device.report(b'{"seq": 2}', 2, confirmable=False)
        await rig.record("uplink", device="m1", first=1)
        await rig.record("uplink", device="m1", first=2)
        assert (await device.request(Code.POST, location, "lt=60")).code is Code.CHANGED
        assert (await device.request(Code.DELETE, location)).code is Code.DELETED
        assert (await device.request(Code.POST, location)).code is Code.NOT_FOUND
    (registered,) = rig.records("registered")
    assert (registered["secure"], registered["version"], registered["lifetime_s"]) == (False, None, 300)
    assert [one["reason"] for one in rig.records("unregistered")] == ["deregistered"]


async def test_device_registers_over_dtls_with_the_version_of_its_secret(rig: Rig) -> None:
    async with nb_device(secure(rig), "m1") as device:
        assert await device.handshake()
        await device.register("m1")
        device.report(b'{"seq": 7}', 1)
        await rig.record("uplink", device="m1", first=7)
    (registered,) = rig.records("registered")
    assert (registered["secure"], registered["version"]) == (True, 1)


async def test_reset_spares_the_open_session_refuses_the_old_key_and_takes_the_new_one(rig: Rig) -> None:
    async with nb_device(secure(rig), "m1") as device:
        assert await device.handshake()
        location = await device.register("m1")
        answer = await rig.reset("m1", secret=NEW_KEY, force_disconnect=True)
        assert answer.status == 200
        (reset,) = rig.records("reset")
        assert (reset["forced"], reset["cut"]) == (True, False)
        assert "not cut" in reset["warning"]
        assert (await device.request(Code.POST, location)).code is Code.CHANGED
        async with nb_device(secure(rig), "m1", KEY) as late:
            assert not await late.handshake()
        async with nb_device(secure(rig), "m1", NEW_KEY) as renewed:
            assert await renewed.handshake()
            await renewed.register("m1")
    (failed,) = rig.records("handshake_failed")
    assert (failed["endpoint"], failed["device"], failed["reason"]) == ("m1", "m1", "wrong_key")
    assert [one["version"] for one in rig.records("registered")] == [1, 2]
    assert [one["reason"] for one in rig.records("unregistered")] == ["replaced"]


async def test_secondary_secret_of_an_nb_iot_device_is_stored_and_lets_nobody_in(rig: Rig) -> None:
    assert (await rig.reset("m1", secret=NEW_KEY, secret_type="SECONDARY")).status == 200
    async with nb_device(secure(rig), "m1", NEW_KEY) as device:
        assert not await device.handshake()
    async with nb_device(secure(rig), "m1", KEY) as device:
        assert await device.handshake()


async def test_device_without_a_secret_is_untouched_by_a_reset(rig: Rig) -> None:
    async with nb_device(plain(rig)) as device:
        location = await device.register("m1")
        assert (await rig.reset("m1", force_disconnect=True)).status == 200
        assert (await device.request(Code.POST, location)).code is Code.CHANGED


async def test_unknown_identity_is_refused_by_the_handshake_and_journalled(rig: Rig) -> None:
    async with nb_device(secure(rig), "nobody") as device:
        assert not await device.handshake()
    (failed,) = rig.records("handshake_failed")
    assert (failed["endpoint"], failed["device"], failed["reason"]) == ("nobody", None, "unknown_identity")


@pytest.mark.parametrize(
    ("query", "code", "reason"),
    [
        ("ep=nobody&lt=60", "4.03", "unknown_device"),
        ("lt=60", "4.00", "bad_request"),
        ("ep=&lt=60", "4.00", "bad_request"),
        (f"ep={'x' * 65}", "4.00", "bad_request"),
        ("ep=m1&lt=0", "4.00", "bad_request"),
        ("ep=m1&lt=-1", "4.00", "bad_request"),
        ("ep=m1&lt=many", "4.00", "bad_request"),
        ("ep=m1&lt=99999999999", "4.00", "bad_request"),
        ("ep=m1&b=X", "4.00", "bad_request"),
        ("ep=m1&lwm2m=2.0", "4.12", "unsupported_version"),
    ],
)
async def test_registration_that_cannot_be_is_refused_with_the_vendors_code(
    rig: Rig, query: str, code: str, reason: str
) -> None:
    async with nb_device(plain(rig)) as device:
        assert await code_of(device, query) == code
    (refused,) = rig.records("refused")
    assert (refused["reason"], refused["code"]) == (reason, code)
    assert rig.records("registered") == []


async def test_endpoint_must_be_the_identity_that_was_proved(rig: Rig) -> None:
    async with nb_device(secure(rig), "m1") as device:
        assert await device.handshake()
        assert await code_of(device, "ep=m2") == "4.03"
    assert rig.records("refused")[0]["reason"] == "endpoint_mismatch"


async def test_registration_made_with_a_key_is_not_changed_by_who_has_none(rig: Rig) -> None:
    async with nb_device(secure(rig), "m1") as device, nb_device(plain(rig)) as stranger:
        assert await device.handshake()
        location = await device.register("m1")
        assert (await stranger.request(Code.DELETE, location)).code is Code.FORBIDDEN
        assert (await stranger.request(Code.POST, location)).code is Code.FORBIDDEN
        assert (await device.request(Code.POST, location)).code is Code.CHANGED


async def test_device_of_secure_access_does_not_register_in_the_clear(rig: Rig) -> None:
    await rig.provision("m3", protocol="coap", primary=KEY, secondary=None, secure_access=True)
    async with nb_device(plain(rig)) as device:
        assert await code_of(device, "ep=m3") == "4.03"
    assert rig.records("refused")[0]["reason"] == "secure_access_required"


async def test_mqtt_device_is_no_stranger_to_mqtt_alone(rig: Rig) -> None:
    await rig.provision("q1")
    async with nb_device(plain(rig)) as device:
        assert await code_of(device, "ep=q1") == "4.03"


@pytest.mark.parametrize("how", ["freeze", "delete"])
async def test_frozen_and_deleted_devices_lose_their_registration(rig: Rig, how: str) -> None:
    async with nb_device(plain(rig)) as device:
        location = await device.register("m1")
        if how == "freeze":
            await rig.call("POST", "/v5/iot/p/devices/m1/freeze")
        else:
            await rig.call("DELETE", "/v5/iot/p/devices/m1")
        assert (await device.request(Code.POST, location)).code is Code.NOT_FOUND
        assert await code_of(device, "ep=m1") == "4.03"
    assert [one["reason"] for one in rig.records("unregistered")] == ["frozen" if how == "freeze" else "deleted"]


async def test_lifetime_that_is_over_ends_the_registration(tmp_path: Path) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock, coap_port=0, sweep_s=0.01) as rig:
        await rig.provision("m1", protocol="coap", primary=KEY, secondary=None)
        async with nb_device(plain(rig)) as device:
            location = await device.register("m1", "&lt=60")
            clock.advance(59)
            assert (await device.request(Code.POST, location)).code is Code.CHANGED
            clock.advance(59)
            assert (await device.request(Code.POST, location)).code is Code.CHANGED
            clock.advance(60)
            await rig.record("unregistered", device="m1", reason="expired")
            assert (await device.request(Code.POST, location)).code is Code.NOT_FOUND


async def test_device_that_moves_is_observed_where_it_is(rig: Rig) -> None:
    async with nb_device(plain(rig)) as before, nb_device(plain(rig)) as after:
        location = await before.register("m1")
        assert (await after.request(Code.POST, location)).code is Code.CHANGED
        await rig.record("registration_updated", device="m1")
        await after.is_asked()
        after.report(b'{"seq": 3}', 1)
        await rig.record("uplink", device="m1", first=3)
        before.report(b'{"seq": 4}', 1, confirmable=False)
        assert (await before.request(Code.POST, location)).code is Code.CHANGED
    assert [one["first"] for one in rig.records("uplink")] == [3]


@pytest.mark.parametrize(("code", "path"), [(Code.GET, "rd"), (Code.PUT, "rd"), (Code.GET, ".well-known/core")])
async def test_what_is_not_offered_is_said_so(rig: Rig, code: Code, path: str) -> None:
    async with nb_device(plain(rig)) as device:
        answer = await device.request(code, path)
    assert answer.code in (Code.METHOD_NOT_ALLOWED, Code.NOT_FOUND)


async def test_platform_without_more_ports_serves_none(tmp_path: Path) -> None:
    async with running(tmp_path) as rig:
        assert rig.platform.more_ports == {}


async def test_status_follows_how_long_a_device_is_silent(tmp_path: Path) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock, coap_port=0) as rig:
        await rig.provision("m1", protocol="coap", primary=KEY, secondary=None)
        assert await status(rig) == "INACTIVE"
        async with nb_device(plain(rig)) as device:
            await device.register("m1", "&lt=2000000")
            assert await status(rig) == "ONLINE"
            clock.advance(25 * 3600)
            assert await status(rig) == "ONLINE"
            clock.advance(1)
            assert await status(rig) == "ABNORMAL"
            clock.advance(24 * 3600)
            assert await status(rig) == "OFFLINE"
            device.report(b'{"seq": 1}', 1)
            await rig.record("uplink", device="m1", first=1)
            assert await status(rig) == "ONLINE"
            location = await device.register("m1", "&lt=2000000")
            assert (await device.request(Code.DELETE, location)).code is Code.DELETED
        assert await status(rig) == "OFFLINE"


async def status(rig: Rig) -> str:
    return str((await rig.call("GET", "/v5/iot/p/devices/m1")).body["status"])


async def test_next_device_gets_in_after_junk_from_many_addresses(rig: Rig) -> None:
    for number in range(300):
        for port in (plain(rig), secure(rig)):
            with socket.socket(type=socket.SOCK_DGRAM) as junk:
                junk.sendto(bytes((0x40, 1, 0, number % 256)) + b"\x16\xfe\xfd" * (number % 9), ("127.0.0.1", port))
        await turns()  # the platform reads one datagram a turn
    async with nb_device(plain(rig)) as device, nb_device(secure(rig), "m2") as sealed:
        await device.register("m1")
        assert await sealed.handshake()
        await sealed.register("m2")
    assert rig.records("handshake_failed") == []
    assert (await rig.statistics())["internal_errors"] == 0


async def test_devices_are_listed_with_what_their_registration_rests_on(rig: Rig) -> None:
    async with nb_device(secure(rig), "m1") as sealed, nb_device(plain(rig)) as open_to_all:
        assert await sealed.handshake()
        await sealed.register("m1")
        await open_to_all.register("m2")
        entries = (await rig.call("GET", "/_platform/devices")).body["devices"]
    assert [one["registration"] for one in entries] == [{"secret_version": 1}, {"secret_version": None}]


async def test_registrations_are_listed(rig: Rig) -> None:
    async with nb_device(secure(rig), "m1") as device:
        assert await device.handshake()
        location = await device.register("m1")
        listed = (await rig.call("GET", "/_platform/registrations")).body
        assert listed["count"] == 1
        one = listed["registrations"][0]
        assert (one["device_id"], one["location"], one["secure"]) == ("m1", location.removeprefix("rd/"), True)
        assert (one["secret_version"], one["current"]) == (1, True)
        await rig.reset("m1", secret=NEW_KEY)
        (stale,) = (await rig.call("GET", "/_platform/registrations?device_id=m1")).body["registrations"]
        assert (stale["secret_version"], stale["current"]) == (1, False)
    assert (await rig.call("GET", "/_platform/registrations?device_id=m2")).body == {"count": 0, "registrations": []}

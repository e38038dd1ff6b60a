"""Devices of ROMA LINK at the MQTT port, and what every change does to their sessions."""

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.broker.link import OTHER, PASSWORD, PRODUCT, USER_NAME, Link, login, plain
from tests.broker.rig import Client, FakeClock, Rig, connect, running
from wire.mqtt import ConnAck, PubAck, Publish, SubAck, Subscribe

ALL_VERSIONS = pytest.mark.parametrize("level", [3, 4, 5], ids=["3.1", "3.1.1", "5"])


@pytest.fixture
async def link(rig: Rig) -> Link:
    return Link(rig)


@pytest.fixture
async def product(link: Link) -> dict[str, Any]:
    return await link.product()


@pytest.fixture
async def device(link: Link, product: dict[str, Any]) -> dict[str, Any]:
    return await link.device(product["id"])


def products(device: dict[str, Any], product: dict[str, Any], **fields: Any) -> Any:
    """Make the CONNECT of a device that uses its product's authentication."""
    return login({**device, "authentication": product["authentication"]}, **fields)


async def is_open(client: Client) -> bool:
    """Tell whether a session still answers."""
    client.send(Publish("/t", b"", 1, packet_id=9))
    return isinstance(await client.receive(), PubAck)


@ALL_VERSIONS
async def test_device_logs_in_with_its_password_and_with_its_products(
    link: Link, product: dict[str, Any], device: dict[str, Any], level: int
) -> None:
    for packet, slot in ((login(device, level=level), "primary"), (products(device, product, level=level), "product")):
        async with await link.rig.login(packet):
            (session,) = (await link.rig.sessions()).values()
            assert (session["device_id"], session["slot"]) == (device["client_id"], slot)
            assert (session["secret_version"], session["current"]) == (1, True)
            assert (await link.shown(device["id"]))["online_status"] == 1
        accepted = await link.rig.record("accepted", slot=slot)
        assert (accepted["device"], accepted["version"]) == (device["client_id"], 1)
        await link.rig.record("detached", slot=slot)
    assert (await link.shown(device["id"]))["online_status"] == 2


@pytest.mark.parametrize(
    ("client_id", "user_name", "password", "code", "reason"),
    [
        (None, USER_NAME, OTHER, 4, "wrong_password"),
        (None, "somebody", PASSWORD, 4, "user_name_mismatch"),
        (None, USER_NAME, None, 4, "wrong_password"),
        (None, None, None, 4, "user_name_mismatch"),
        ("D999999999abcdef", USER_NAME, PASSWORD, 4, "unknown_device"),
        ("D1", USER_NAME, PASSWORD, 2, "client_id_syntax"),
    ],
)
@ALL_VERSIONS
async def test_refusal_is_coarse_to_the_client_and_true_in_the_journal(
    link: Link,
    device: dict[str, Any],
    client_id: str | None,
    user_name: str | None,
    password: str | None,
    code: int,
    reason: str,
    level: int,
) -> None:
    if level < 5 and user_name is None:
        password = None
    packet = plain(client_id or device["client_id"], user_name, password, level=level)
    expected = code if level < 5 else {2: 0x85, 4: 0x86}[code]
    assert await link.rig.refusal(packet) == expected
    (refused,) = link.rig.records("refused")
    assert refused["reason"] == reason
    assert (refused["device"] is None) is (code == 2)


async def test_reset_leaves_the_session_and_lets_only_the_new_password_in(link: Link, device: dict[str, Any]) -> None:
    async with await link.rig.login(login(device)) as client:
        assert (await link.reset(device["id"], password=OTHER)).status == 200
        assert await is_open(client)
        (session,) = (await link.rig.sessions()).values()
        assert session["current"] is False
        assert await link.rig.refusal(login(device)) == 4
        assert await is_open(client)
    (reset,) = link.rig.records("reset")
    assert (reset["device"], reset["slot"], reset["version"], reset["cut"]) == (
        device["client_id"],
        "primary",
        2,
        False,
    )
    async with await link.rig.login(plain(device["client_id"], USER_NAME, OTHER)):
        assert link.rig.records("accepted")[-1]["version"] == 2


async def test_reset_of_the_user_name_alone_ends_the_old_one(link: Link, device: dict[str, Any]) -> None:
    await link.reset(device["id"], user_name="renamed")
    assert await link.rig.refusal(login(device)) == 4
    assert link.rig.records("refused")[-1]["reason"] == "user_name_mismatch"
    async with await link.rig.login(plain(device["client_id"], "renamed", PASSWORD)):
        pass


async def test_reset_of_the_product_leaves_sessions_and_the_devices_own_password(
    link: Link, product: dict[str, Any], device: dict[str, Any]
) -> None:
    async with await link.rig.login(products(device, product)) as client:
        answer = await link.call("PUT", f"products/{product['id']}/authentication", {})
        assert await is_open(client)
        (session,) = (await link.rig.sessions()).values()
        assert session["current"] is False
    assert await link.rig.refusal(products(device, product)) == 4
    async with await link.rig.login(products(device, {"authentication": answer.body})):
        assert link.rig.records("accepted")[-1]["version"] == 2
    async with await link.rig.login(login(device)):
        assert link.rig.records("accepted")[-1]["version"] == 1
    assert [one["version"] for one in link.rig.records("product_reset")] == [2]


async def test_product_of_another_device_lets_nobody_in(link: Link, device: dict[str, Any]) -> None:
    other = await link.product(name="valves")
    assert await link.rig.refusal(products(device, other)) == 4


@pytest.mark.parametrize(("level", "code"), [(4, None), (5, 0x98)])
async def test_disabled_device_is_cut_and_barred_until_it_is_enabled(
    link: Link, device: dict[str, Any], level: int, code: int | None
) -> None:
    async with await link.rig.login(login(device, level=level)) as client:
        assert (await link.call("PUT", f"devices/{device['id']}", {"status": 1})).body["online_status"] == 2
        assert await client.farewell() == code
    assert await link.rig.refusal(login(device)) == 5
    assert link.rig.records("refused")[-1]["reason"] == "frozen"
    await link.call("PUT", f"devices/{device['id']}", {"status": 1})
    await link.call("PUT", f"devices/{device['id']}", {"status": 0})
    async with await link.rig.login(login(device)):
        pass
    assert [one["reason"] for one in link.rig.records("detached")][:1] == ["frozen"]
    assert len(link.rig.records("frozen")) == len(link.rig.records("unfrozen")) == 1


async def test_device_that_is_created_disabled_waits_to_be_enabled(link: Link, product: dict[str, Any]) -> None:
    device = await link.device(product["id"], status=1)
    assert await link.rig.refusal(login(device)) == 5
    await link.call("PUT", f"devices/{device['id']}", {"status": 0})
    async with await link.rig.login(login(device)):
        pass


@pytest.mark.parametrize(("level", "code"), [(4, None), (5, 0x98)])
async def test_device_forced_offline_is_cut_and_may_return_at_once(
    link: Link, device: dict[str, Any], level: int, code: int | None
) -> None:
    body = {"device_ids": [device["id"]]}
    async with await link.rig.login(login(device, level=level)) as client:
        answer = await link.call("POST", "devices/force-offline", body)
        assert [one["id"] for one in answer.body["success"]] == [device["id"]]
        assert await link.rig.sessions() == {}
        assert await client.farewell() == code
    async with await link.rig.login(login(device)):
        pass
    assert link.rig.records("detached")[0]["reason"] == "forced_offline"
    await link.call("POST", "devices/force-offline", body)
    assert [one["cut"] for one in link.rig.records("forced_offline")] == [True, False]


async def test_deleted_device_is_cut_and_unknown(link: Link, device: dict[str, Any]) -> None:
    async with await link.rig.login(login(device)) as client:
        assert (await link.call("DELETE", f"devices/{device['id']}")).status == 204
        assert await client.farewell() is None
    assert await link.rig.refusal(login(device)) == 4
    assert link.rig.records("detached")[0]["reason"] == "deleted"
    assert (await link.call("DELETE", "products/1")).status == 204


async def test_second_login_takes_over(link: Link, product: dict[str, Any], device: dict[str, Any]) -> None:
    async with await link.rig.login(login(device)) as first, await link.rig.login(products(device, product)) as second:
        assert await first.farewell() is None
        assert await is_open(second)
    assert link.rig.records("detached")[0]["reason"] == "take_over"


async def test_refused_login_does_not_disturb_the_session(link: Link, device: dict[str, Any]) -> None:
    async with await link.rig.login(login(device)) as client:
        assert await link.rig.refusal(plain(device["client_id"], USER_NAME, OTHER)) == 4
        assert await is_open(client)


async def test_keepalive_has_the_same_bounds_and_the_same_end(tmp_path: Path) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock, sweep_s=0.01) as rig:
        link = Link(rig)
        device = await link.device((await link.product())["id"])
        assert await rig.refusal(login(device, keepalive=29)) == 2
        async with await rig.login(login(device, keepalive=30)) as client:
            clock.advance(46)
            assert await client.farewell() is None
        assert rig.records("detached")[0]["reason"] == "keepalive"


async def test_system_topics_belong_to_iotda(link: Link, device: dict[str, Any]) -> None:
    client_id = device["client_id"]
    async with await link.rig.login(login(device)) as client:
        client.send(Subscribe(1, ((f"$oc/devices/{client_id}/sys/#", 1), (f"/{client_id}/commands", 1))))
        answer = await client.receive()
        assert isinstance(answer, SubAck)
        assert answer.codes == (0x80, 1)
        client.send(Publish(f"$oc/devices/{client_id}/sys/messages/up", b'{"seq": 1}', 1, packet_id=2))
        assert isinstance(await client.receive(), PubAck)
    assert link.rig.records("uplink") == []
    assert [one["reason"] for one in link.rig.records("dropped")] == ["foreign_subscribe", "foreign_publish"]


async def test_devices_of_both_kinds_meet_on_custom_topics(link: Link, device: dict[str, Any]) -> None:
    topic = f"/{device['client_id']}/datas"
    async with await link.rig.login() as iotda, await link.rig.login(login(device)) as roma:
        iotda.send(Subscribe(1, ((topic, 0),)))
        assert isinstance(await iotda.receive(), SubAck)
        roma.send(Publish(topic, b"21.5"))
        received = await iotda.receive()
        assert isinstance(received, Publish)
        assert (received.topic, received.payload) == (topic, b"21.5")


async def test_stored_state_outlives_a_session_that_was_forced_offline(link: Link, device: dict[str, Any]) -> None:
    wanted = login(device, clean_session=False)
    async with await link.rig.login(wanted) as client:
        client.send(Subscribe(1, ((f"/{device['client_id']}/commands", 1),)))
        await client.receive()
        await link.call("POST", "devices/force-offline", {"device_ids": [device["id"]]})
        await client.farewell()
    async with await link.rig.client() as client:
        client.send(wanted)
        answer = await client.receive()
        assert isinstance(answer, ConnAck)
        assert answer.session_present


async def test_all_of_it_is_there_after_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path, db=tmp_path / "k.db") as rig:
        link = Link(rig)
        device = await link.device((await link.product())["id"])
        async with await rig.login(login(device)):
            pass
        reset = (await link.reset(device["id"])).body
        await rig.record("detached")
    async with running(tmp_path, db=tmp_path / "k.db") as rig:
        link = Link(rig)
        assert (await link.shown(1))["online_status"] == 2
        assert await rig.refusal(login(device)) == 4
        async with await rig.login(login({**device, "authentication": reset})):
            (session,) = (await rig.sessions()).values()
            assert (session["secret_version"], session["current"]) == (2, True)
        assert (await link.device(1))["id"] == 2


async def test_database_that_refuses_leaves_everything_as_it_is(tmp_path: Path) -> None:
    async with running(tmp_path, db=tmp_path / "k.db", busy_timeout_s=0.05) as rig:
        link = Link(rig)
        device = await link.device((await link.product())["id"])
        other = sqlite3.connect(tmp_path / "k.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        for method, path, body in (
            ("PUT", "devices/1/authentication", {}),
            ("PUT", "products/1/authentication", {}),
            ("PUT", "devices/1", {"status": 1}),
            ("DELETE", "devices/1", None),
            ("POST", "products", {**PRODUCT, "name": "valves"}),
        ):
            answer = await link.call(method, path, body)
            assert (answer.status, answer.body["error_code"]) == (500, "SCB.00000000")
            assert answer.body["error_msg"] == "Internal Server Error"
        other.close()
        assert [one["kind"] for one in rig.records()] == ["header", "product_created", "created"]
        async with await rig.login(login(device)):
            pass
        assert (await rig.statistics())["store_errors"] == 5


async def test_resets_at_once_are_each_in_force_in_their_turn(link: Link, device: dict[str, Any]) -> None:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(link.reset(device["id"])) for _ in range(20)]
    versions = [one["version"] for one in link.rig.records("reset")]
    assert versions == list(range(2, 22))
    shown = (await link.call("GET", f"devices/{device['id']}/authentication")).body
    assert shown in [one.result().body for one in tasks]
    async with await link.rig.login(login({**device, "authentication": shown})):
        assert link.rig.records("accepted")[-1]["version"] == 21


async def test_roma_and_iotda_devices_are_online_beside_each_other(link: Link, device: dict[str, Any]) -> None:
    async with await link.rig.login(connect()), await link.rig.login(login(device)):
        assert set(await link.rig.sessions()) == {"d1", device["client_id"]}

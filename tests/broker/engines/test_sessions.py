"""Who comes in, and who ends a session: the same with every engine behind the gate."""

from pathlib import Path

import pytest

from tests.broker.engines.stage import (
    EVERY,
    IN_EVERY_VERSION,
    Engine,
    message,
    nothing_more,
    publish,
    subscribe,
)
from tests.broker.rig import HOUR, SECONDARY, FakeClock, Rig, connect, running
from wire.mqtt import Disconnect

CUTS = [
    ("forced_reset", "POST", "action?action_id=resetSecret", {"force_disconnect": True}),
    ("frozen", "POST", "freeze", None),
    ("deleted", "DELETE", "", None),
]


@IN_EVERY_VERSION
async def test_login_is_journalled_and_shown(rig: Rig, level: int) -> None:
    async with await rig.login(connect(secret=SECONDARY, level=level)) as client:
        await nothing_more(client)
        shown = (await rig.sessions())["d1"]
        assert (shown["slot"], shown["secret_version"], shown["current"]) == ("secondary", 1, True)
        (record,) = rig.records("accepted")
        assert (record["device"], record["slot"], record["client_id"]) == ("d1", "secondary", f"d1_0_0_{HOUR}")
    assert rig.records("engine") == []


@EVERY
async def test_client_of_mqtt_3_1_is_let_in(rig: Rig) -> None:
    async with await rig.login(connect(level=3)) as client:
        await subscribe(client, ("#", 0))
        await nothing_more(client)
        assert (await rig.sessions())["d1"]["mqtt"] == "3.1"


@IN_EVERY_VERSION
async def test_refusals_never_reach_the_engine(rig: Rig, level: int) -> None:
    client_id, credentials = (0x85, 0x86) if level == 5 else (2, 4)
    attempts = [
        (connect("nobody", level=level), credentials, "nobody", "unknown_device"),
        (connect(secret="wrong-secret", level=level), credentials, "d1", "wrong_password"),
        (connect(client_id="nonsense", level=level), client_id, None, "client_id_syntax"),
        (connect(keepalive=10, level=level), client_id, "d1", "keepalive_out_of_range"),
    ]
    async with await rig.login() as client:
        await subscribe(client, ("talk", 1))
        for packet, code, _, _ in attempts:
            assert await rig.refusal(packet) == code
        found = [(one["code"], one["device"], one["reason"]) for one in rig.records("refused")]
        assert found == [attempt[1:] for attempt in attempts]
        async with await rig.login(connect("d2")) as other:
            await publish(other, "talk", b"still heard")
        assert (await message(client)).payload == b"still heard"


@IN_EVERY_VERSION
@pytest.mark.parametrize(("reason", "method", "path", "body"), CUTS, ids=[cut[0] for cut in CUTS])
async def test_session_is_cut_and_the_device_stays_out(
    rig: Rig, level: int, reason: str, method: str, path: str, body: object
) -> None:
    async with await rig.login(connect(level=level)) as client:
        await subscribe(client, ("#", 1))
        answer = await rig.call(method, f"/v5/iot/p/devices/d1/{path}".rstrip("/"), body)
        assert answer.status < 300
        assert await client.farewell() == (0x98 if level == 5 else None)
    assert (await rig.record("detached"))["reason"] == reason
    assert await rig.refusal(connect(level=level)) in (4, 5, 0x86, 0x87)
    assert await rig.sessions() == {}


@IN_EVERY_VERSION
async def test_reset_cuts_and_the_new_secret_comes_in_at_once(rig: Rig, level: int) -> None:
    client = await rig.login(connect(level=level))
    secret = "secondary-secret-1"
    for number in range(2, 7):
        await subscribe(client, ("#", 1))
        old, secret = secret, f"secondary-secret-{number}"
        async with client:
            await rig.reset(force_disconnect=True, secret=secret, secret_type="SECONDARY")
            assert await client.farewell() == (0x98 if level == 5 else None)
        assert old != secret
        client = await rig.login(connect(level=level, secret=secret))
        await nothing_more(client)
    client.writer.transport.abort()


@IN_EVERY_VERSION
async def test_new_login_takes_over_and_alone_gets_messages(rig: Rig, level: int) -> None:
    async with await rig.login(connect("d2", level=level)) as other, await rig.login(connect(level=level)) as old:
        await subscribe(old, ("talk", 1), ("old/alone", 1))
        async with await rig.login(connect(level=level, secret=SECONDARY)) as new:
            assert await old.farewell() == (0x8E if level == 5 else None)
            await subscribe(new, ("talk", 1))
            await publish(other, "old/alone", b"nobody")
            await publish(other, "talk", b"hello")
            assert (await message(new)).payload == b"hello"
            await nothing_more(new)
            assert list(await rig.sessions()) == ["d2", "d1"]
    assert [one["reason"] for one in rig.records("detached")][:1] == ["take_over"]


@EVERY
async def test_take_overs_in_a_row_leave_the_last_one_working(rig: Rig) -> None:
    clients = [await rig.login(connect(secret=SECONDARY)) for _ in range(10)]
    await subscribe(clients[-1], ("talk", 1))
    async with await rig.login(connect("d2")) as other:
        await publish(other, "talk", b"hello")
    assert (await message(clients[-1])).payload == b"hello"
    for client in clients[:-1]:
        assert await client.rest() == []
        client.writer.close()
    clients[-1].writer.transport.abort()


@IN_EVERY_VERSION
async def test_goodbye_of_a_client_ends_its_session_and_its_subscriptions(rig: Rig, level: int) -> None:
    async with await rig.login(connect("d2", level=level)) as gone:
        await subscribe(gone, ("talk", 1))
        gone.send(Disconnect())
        assert await gone.rest() == []
    assert (await rig.record("detached"))["reason"] == "client_disconnect"
    async with await rig.login(connect(level=level)) as sender, await rig.login(connect("d2", level=level)) as back:
        await publish(sender, "talk", b"hello")
        await nothing_more(back)


@EVERY
async def test_silent_client_is_cut_by_its_keep_alive_and_no_other(tmp_path: Path, engine: Engine) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock, engine=engine.address, sweep_s=0.01) as rig:
        await rig.provision("d1", "d2")
        async with await rig.login() as silent, await rig.login(connect("d2")) as talking:
            clock.advance(89)
            await nothing_more(talking)
            clock.advance(2)
            assert await silent.rest() == []
            await nothing_more(talking)
        assert [(one["device"], one["reason"]) for one in rig.records("detached")][:1] == [("d1", "keepalive")]

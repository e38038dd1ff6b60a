"""The gate on real sockets: login, topics, delivery."""

import asyncio
from pathlib import Path

import pytest

from broker.access import admission
from tests.broker.rig import BOTH_VERSIONS, HOUR, SECONDARY, Client, FakeClock, Rig, connect, running
from wire.mqtt import (
    Connect,
    Disconnect,
    PingReq,
    PingResp,
    PubAck,
    Publish,
    SubAck,
    Subscribe,
    UnsubAck,
    Unsubscribe,
    Will,
)

COMMANDS = "$oc/devices/d1/sys/commands/#"


async def subscribe(client: Client, *filters: tuple[str, int]) -> tuple[int, ...]:
    client.send(Subscribe(1, filters))
    answer = await client.receive()
    assert isinstance(answer, SubAck)
    return answer.codes


async def nothing_more(client: Client) -> None:
    """Show that nothing is on its way: the answer to a ping comes next."""
    client.send(PingReq())
    assert await client.receive() == PingResp()


@pytest.mark.parametrize(("level", "mqtt"), [(3, "3.1"), (4, "3.1.1"), (5, "5")])
async def test_login_is_journalled_with_slot_and_version(rig: Rig, level: int, mqtt: str) -> None:
    async with await rig.login(connect(secret=SECONDARY, level=level)):
        (record,) = rig.records("accepted")
        assert (await rig.sessions())["d1"]["mqtt"] == mqtt
    assert (record["device"], record["slot"], record["version"]) == ("d1", "secondary", 1)
    assert record["mqtt"] == mqtt
    assert record["client_id"] == f"d1_0_0_{HOUR}"
    assert record["peer"].startswith("127.0.0.1:")


async def test_session_shows_slot_version_and_whether_it_is_current(rig: Rig) -> None:
    async with await rig.login():
        shown = (await rig.sessions())["d1"]
        assert (shown["slot"], shown["secret_version"], shown["current"]) == ("primary", 1, True)
        await rig.reset()
        assert (await rig.sessions())["d1"]["current"] is False


@pytest.mark.parametrize(("level", "client_id", "credentials", "barred"), [(4, 2, 4, 5), (5, 0x85, 0x86, 0x87)])
async def test_refusal_is_journalled_with_its_true_reason(
    rig: Rig, level: int, client_id: int, credentials: int, barred: int
) -> None:
    await rig.provision("d2", secure_access=True)
    attempts = [
        (connect("nobody", level=level), credentials, "nobody", "unknown_device"),
        (connect(secret="wrong-secret", level=level), credentials, "d1", "wrong_password"),
        (connect(client_id="nonsense", level=level), client_id, None, "client_id_syntax"),
        (connect(keepalive=10, level=level), client_id, "d1", "keepalive_out_of_range"),
        (connect("d2", level=level), barred, "d2", "secure_access_required"),
    ]
    for packet, code, _, _ in attempts:
        assert await rig.refusal(packet) == code
    found = [(one["code"], one["device"], one["reason"]) for one in rig.records("refused")]
    assert found == [attempt[1:] for attempt in attempts]
    assert await rig.sessions() == {}


async def test_hour_is_judged_by_the_platforms_clock(tmp_path: Path) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock) as rig:
        await rig.provision("d1")
        async with await rig.login(connect(sign_type=1)):
            clock.advance(2 * 3600)
        assert await rig.refusal(connect(sign_type=1)) == 4
        async with await rig.login(connect(sign_type=0)):
            pass


@pytest.mark.parametrize(("level", "connack", "code"), [(2, b"\x20\2\0\1", 1), (6, b"\x20\3\0\x84\0", 0x84)])
async def test_another_mqtt_version_is_told_so_in_the_nearest_one(
    rig: Rig, level: int, connack: bytes, code: int
) -> None:
    async with await rig.client() as client:
        client.writer.write(b"\x10\x0d\x00\x04MQTT%c\x02\x00\x3c\x00\x00\x00" % level)
        assert await client.reader.read() == connack
    (record,) = rig.records("refused")
    assert (record["reason"], record["code"]) == ("unsupported_version", code)


@BOTH_VERSIONS
async def test_failure_of_ours_refuses_as_unavailable(
    rig: Rig, level: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug of ours")

    monkeypatch.setattr(admission, "decide", broken)
    code = 0x88 if level == 5 else 3
    assert await rig.refusal(connect(level=level)) == code
    (record,) = rig.records("refused")
    assert (record["reason"], record["code"]) == ("internal_error", code)
    assert "a bug of ours" in capsys.readouterr().err


@BOTH_VERSIONS
async def test_refused_login_does_not_disturb_the_session_of_that_client_id(rig: Rig, level: int) -> None:
    async with await rig.login(connect(level=level)) as client:
        assert await rig.refusal(connect(secret="wrong-secret")) == 4
        await nothing_more(client)
        assert list(await rig.sessions()) == ["d1"]


@BOTH_VERSIONS
async def test_new_login_takes_over_and_the_old_one_is_cut(rig: Rig, level: int) -> None:
    async with await rig.login(connect(level=level)) as old, await rig.login(connect(secret=SECONDARY)) as new:
        assert await old.farewell() == (0x8E if level == 5 else None)
        await nothing_more(new)
        assert (await rig.sessions())["d1"]["slot"] == "secondary"
    assert rig.records("detached")[0]["reason"] == "take_over"


@BOTH_VERSIONS
@pytest.mark.parametrize("how", ["$oc/devices/d2/sys/messages/down", "$oc/devices/+/sys/#", "$SYS/#"])
async def test_foreign_subscription_fails_and_the_others_are_granted(rig: Rig, how: str, level: int) -> None:
    failure = 0x87 if level == 5 else 0x80
    async with await rig.login(connect(level=level)) as client:
        assert await subscribe(client, (COMMANDS, 1), (how, 1), ("custom", 2)) == (1, failure, 1)
    (record,) = rig.records("dropped")
    assert (record["device"], record["topic"], record["reason"]) == ("d1", how, "foreign_subscribe")


async def test_journal_holds_no_more_than_the_beginning_of_a_long_topic(rig: Rig) -> None:
    topic = "$oc/" + "x" * 60_000
    async with await rig.login(connect(will=Will(topic, b"gone"))) as client:
        assert await subscribe(client, (topic, 1)) == (0x80,)
        client.send(Publish(topic, b"", 1, 5, retain=True))
        assert await client.receive() == PubAck(5)
    assert [one["topic"] for one in rig.records("dropped")] == [topic[:256]] * 4


@BOTH_VERSIONS
async def test_foreign_publish_is_acknowledged_dropped_and_counted(rig: Rig, level: int) -> None:
    topic = "$oc/devices/d2/sys/messages/up"
    async with await rig.login(connect(level=level)) as client:
        client.send(Publish(topic, b'{"seq": 1}', 1, 5))
        assert await client.receive() == PubAck(5, 0x87 if level == 5 else 0)
        assert (await rig.statistics())["dropped_foreign"] == 1
    assert [(one["topic"], one["reason"]) for one in rig.records("dropped")] == [(topic, "foreign_publish")]
    assert rig.records("uplink") == []


@BOTH_VERSIONS
@pytest.mark.parametrize(
    "packet",
    [
        Publish("$oc/devices/d2/sys/messages/up", b"x", 1, 5),
        Subscribe(1, (("$oc/devices/d2/#", 0), ("custom", 0))),
    ],
)
async def test_strict_policy_disconnects_on_a_foreign_topic(
    tmp_path: Path, packet: Publish | Subscribe, level: int
) -> None:
    async with running(tmp_path, strict_topics=True) as rig:
        await rig.provision("d1")
        async with await rig.login(connect(level=level)) as client:
            client.send(packet)
            assert await client.farewell() == (0x87 if level == 5 else None)
        assert [one["reason"] for one in rig.records("detached")] == ["topic_policy"]


@BOTH_VERSIONS
async def test_custom_topics_connect_devices_of_any_version(rig: Rig, level: int) -> None:
    await rig.provision("d2")
    async with await rig.login() as one, await rig.login(connect("d2", level=level)) as two:
        assert await subscribe(two, ("talk/+", 1)) == (1,)
        one.send(Publish("talk/now", b"hello", 1, 1), Publish("talk/now", b"again", 0))
        assert await one.receive() == PubAck(1)
        assert await two.receive() == Publish("talk/now", b"hello", 1, 1)
        assert await two.receive() == Publish("talk/now", b"again", 0)


@BOTH_VERSIONS
async def test_overlapping_filters_bring_one_copy_at_the_highest_qos(rig: Rig, level: int) -> None:
    async with await rig.login(connect(level=level)) as client:
        await subscribe(client, ("a/b", 0), ("a/+", 1), ("#", 0))
        client.send(Publish("a/b", b"x", 1, 1))
        got = {type(await client.receive()) for _ in range(2)}
        assert got == {PubAck, Publish}
        await nothing_more(client)


@BOTH_VERSIONS
async def test_unsubscribe_ends_it(rig: Rig, level: int) -> None:
    async with await rig.login(connect(level=level)) as client:
        await subscribe(client, ("a", 0), (COMMANDS, 1))
        client.send(Unsubscribe(2, ("a", "never/subscribed", COMMANDS)), Publish("a", b"x"))
        assert await client.receive() == UnsubAck(2, (0, 0x11, 0) if level == 5 else ())
        await nothing_more(client)


async def test_retained_message_and_will_are_ignored_and_journalled(rig: Rig) -> None:
    packet = connect(will=Will("last/words", b"x", 1, retain=True))
    async with await rig.login(packet) as client:
        client.send(Publish("a", b"x", 0, retain=True))
        await subscribe(client, ("#", 0))
        await nothing_more(client)
    assert [(one["topic"], one["reason"]) for one in rig.records("dropped")] == [
        ("last/words", "will_ignored"),
        ("a", "retain_ignored"),
    ]


async def command(rig: Rig, client: Client) -> Publish:
    """Send a command without waiting for its answer; return what the device gets."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(rig.call("POST", "/_platform/devices/d1/commands", {"command_name": "c", "timeout": 0.01}))
        packet = await client.receive()
    assert isinstance(packet, Publish)
    return packet


async def test_downlink_arrives_without_subscription_at_qos_0(rig: Rig) -> None:
    async with await rig.login() as client:
        assert (await command(rig, client)).qos == 0


async def test_subscription_raises_downlinks_to_qos_1(rig: Rig) -> None:
    async with await rig.login() as client:
        assert await subscribe(client, (COMMANDS, 1)) == (1,)
        assert (await command(rig, client)).qos == 1
        client.send(Unsubscribe(2, (COMMANDS,)))
        assert await client.receive() == UnsubAck(2)
        assert (await command(rig, client)).qos == 0


async def test_wildcards_bring_no_second_copy_of_a_downlink(rig: Rig) -> None:
    async with await rig.login() as client:
        await subscribe(client, ("#", 1), ("+/devices/#", 1), ("$oc/devices/d1/#", 0), (COMMANDS, 1))
        assert (await command(rig, client)).qos == 1
        await nothing_more(client)


async def test_node_id_login_makes_a_session_of_the_device(rig: Rig) -> None:
    await rig.provision("p_n", node_id="n", product_id="p")
    packet = connect("p_n", client_id=f"n_2_0_{HOUR}", username="n")
    assert isinstance(packet, Connect)
    async with await rig.login(packet):
        assert list(await rig.sessions()) == ["p_n"]


async def test_stale_hour_is_journalled_with_whether_the_secret_was_right(rig: Rig) -> None:
    for secret in (SECONDARY, "wrong-secret"):
        assert await rig.refusal(connect(secret=secret, sign_type=1, hour="2020010100")) == 4
    assert await rig.refusal(connect(secret="wrong-secret")) == 4
    stale, wrong, other = rig.records("refused")
    assert [(one["reason"], one["secret_was_right"]) for one in (stale, wrong)] == [
        ("stale_hour", True),
        ("stale_hour", False),
    ]
    assert "secret_was_right" not in other


async def test_subscription_ends_with_its_session(rig: Rig) -> None:
    await rig.provision("d2")
    async with await rig.login(connect("d2")) as gone:
        await subscribe(gone, ("talk/now", 1), ("talk/+", 0))
        gone.send(Disconnect())
        assert await gone.rest() == []
    async with await rig.login() as sender, await rig.login(connect("d2")) as back:
        sender.send(Publish("talk/now", b"hello", 1, 1))
        assert await sender.receive() == PubAck(1)
        await nothing_more(back)
    assert (await rig.statistics())["delivered"] == 0

"""What only a client of MQTT 5 can ask for, on real sockets."""

from pathlib import Path

import pytest

from tests.broker.rig import Client, Rig, connect, running
from wire.mqtt import (
    ConnAck,
    Connect,
    Packet,
    PingReq,
    PingResp,
    Properties,
    PubAck,
    Publish,
    SubAck,
    Subscribe,
    SubscriptionOptions,
    Unsubscribe,
    Will,
)


def connect5(device_id: str = "d1", **fields: object) -> Connect:
    """Make a CONNECT of MQTT 5; fields that are properties go among these."""
    own = {name: fields.pop(name) for name in ("secret", "will", "clean_session", "keepalive") if name in fields}
    return connect(device_id, level=5, properties=Properties(**fields), **own)  # type: ignore[arg-type]


async def subscribe(client: Client, *filters: tuple[str, int], **more: object) -> None:
    client.send(Subscribe(1, filters, **more))  # type: ignore[arg-type]
    assert isinstance(await client.receive(), SubAck)


async def offer(rig: Rig) -> ConnAck:
    async with await rig.client() as client:
        client.send(connect5())
        answer = await client.receive()
    assert isinstance(answer, ConnAck)
    return answer


async def quiet(client: Client) -> None:
    client.send(PingReq())
    assert await client.receive() == PingResp()


async def test_connack_says_what_is_offered(tmp_path: Path) -> None:
    async with running(tmp_path, receive_maximum=9) as rig:
        await rig.provision("d1")
        answer = await offer(rig)
    said = answer.properties
    assert (answer.code, answer.session_present) == (0, False)
    assert (said.maximum_qos, said.retain_available, said.receive_maximum) == (1, 0, 9)
    assert (said.shared_subscription_available, said.subscription_identifier_available) == (0, 0)
    assert (said.topic_alias_maximum, said.wildcard_subscription_available) == (0, None)


async def test_packet_of_the_offered_size_is_taken_and_one_byte_more_is_not(tmp_path: Path) -> None:
    async with running(tmp_path, max_packet_body=300) as rig:
        await rig.provision("d1")
        async with await rig.client() as client:
            client.send(connect5())
            answer = await client.receive()
            assert isinstance(answer, ConnAck)
            assert answer.properties.maximum_packet_size == 303
            frame = Publish("a", b"x" * 294, 1, 1)
            assert len(frame.encode(5)) == 303
            client.send(frame)
            assert await client.receive() == PubAck(1)
            client.send(Publish("a", b"x" * 295, 1, 1))
            assert await client.farewell() == 0x95


async def test_refusal_explains_what_the_client_can_mend_unless_it_wants_no_words(rig: Rig) -> None:
    answer = await rig.refused(connect5(keepalive=5))
    assert answer.properties.reason_string == "expected a keep alive of 30 to 1200 s"
    assert await rig.refused(connect5(keepalive=5, request_problem_information=0)) == ConnAck(0x85)


async def test_cut_explains_itself_unless_the_client_wants_no_words(rig: Rig) -> None:
    for asked, expected in ((1, "a secret of the device was reset"), (0, None)):
        async with await rig.login(connect5(secret="secondary-secret-1", request_problem_information=asked)) as client:
            await rig.reset(force_disconnect=True)
            (last,) = await client.rest()
        assert last.properties.reason_string == expected  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("packet", "code", "reason"),
    [
        (connect5(will=Will("t", b"x", retain=True)), 0x9A, "will_not_supported"),
        (connect5(will=Will("t", b"x", 2)), 0x9B, "will_not_supported"),
        (connect5(authentication_method="SCRAM-SHA-1"), 0x8C, "authentication_method"),
        (connect5(maximum_packet_size=20), 0x83, "packet_size_too_small"),
    ],
)
async def test_what_we_do_not_offer_is_refused_with_its_own_code(
    rig: Rig, packet: Connect, code: int, reason: str
) -> None:
    assert await rig.refusal(packet) == code
    (record,) = rig.records("refused")
    assert (record["device"], record["code"], record["reason"]) == ("d1", code, reason)


async def test_wrong_password_is_told_before_anything_else(rig: Rig) -> None:
    assert await rig.refusal(connect5(secret="wrong-secret", authentication_method="x")) == 0x86


async def test_plain_will_is_ignored_as_in_3_1_1(rig: Rig) -> None:
    async with await rig.login(connect5(will=Will("last/words", b"x", 1))):
        assert rig.records("dropped")[0]["reason"] == "will_ignored"


DENIED: list[tuple[Packet, int]] = [
    (Publish("t", b"x", 2, 1), 0x9B),
    (Publish("t", b"x", retain=True), 0x9A),
    (Publish("t", b"x", properties=Properties(topic_alias=1)), 0x94),
    (Subscribe(1, (("$share/g/t", 1),)), 0x9E),
    (Subscribe(1, (("t", 1),), properties=Properties(subscription_identifier=(7,))), 0xA1),
]


@pytest.mark.parametrize(("packet", "code"), DENIED, ids=lambda value: hex(value) if isinstance(value, int) else "")
async def test_what_the_connack_denied_ends_the_session_with_its_own_code(rig: Rig, packet: Packet, code: int) -> None:
    async with await rig.login(connect5()) as client:
        client.send(packet)
        assert await client.farewell() == code
    assert [one["reason"] for one in rig.records("detached")] == ["protocol_error"]


async def test_receive_maximum_bounds_what_is_in_flight(rig: Rig) -> None:
    async with await rig.login(connect5(receive_maximum=2)) as client:
        await subscribe(client, ("q", 1))
        client.send(*(Publish("q", b"%d" % number, 1, number) for number in range(1, 5)), PingReq())
        got = [await client.receive() for _ in range(7)]
        assert [one.payload for one in got if isinstance(one, Publish)] == [b"1", b"2"]
        assert got[-1] == PingResp()
        client.send(PubAck(1), PubAck(2, 0x80))
        assert [(await client.receive()).payload for _ in range(2)] == [b"3", b"4"]  # type: ignore[union-attr]


@pytest.mark.parametrize("qos", [0, 1])
async def test_message_over_the_clients_maximum_is_dropped_and_counted(rig: Rig, qos: int) -> None:
    async with await rig.login(connect5(maximum_packet_size=100, receive_maximum=1)) as client:
        await subscribe(client, ("q", qos))
        await rig.provision("d2")
        async with await rig.login(connect("d2")) as sender:
            for number, payload in enumerate((b"x" * 200, b"y" * 200, b"fits"), 1):
                sender.send(Publish("q", payload, 1, number))
                assert await sender.receive() == PubAck(number)
        got = await client.receive()
        assert isinstance(got, Publish)
        assert got.payload == b"fits"
        await quiet(client)
    assert [(one["topic"], one["reason"]) for one in rig.records("dropped")] == [("q", "too_large")] * 2
    assert (await rig.statistics())["dropped_too_large"] == 2


async def test_client_that_takes_our_connack_and_no_more_is_let_in(rig: Rig) -> None:
    size = len(ConnAck(0, properties=(await offer(rig)).properties).encode(5)) + 5  # as if it had a session expiry
    assert await rig.refusal(connect5(maximum_packet_size=size - 1)) == 0x83
    async with await rig.login(connect5(maximum_packet_size=size)) as client:
        await quiet(client)


async def test_client_that_does_not_even_take_a_refusal_gets_none(rig: Rig) -> None:
    async with await rig.client() as client:
        client.send(connect5(maximum_packet_size=4))
        assert await client.rest() == []
    assert rig.records("refused")[0]["reason"] == "packet_size_too_small"


async def test_answer_over_the_clients_maximum_is_discarded_and_the_request_is_served(rig: Rig) -> None:
    filters = tuple((f"q{number}", 0) for number in range(50))
    async with await rig.login(connect5(maximum_packet_size=50)) as client:
        client.send(Subscribe(1, filters), Publish("q7", b"served"), Unsubscribe(2, tuple(one for one, _ in filters)))
        assert await client.receive() == Publish("q7", b"served")
        await quiet(client)
    discarded = [(one["packet"], one["reason"]) for one in rig.records("dropped")]
    assert discarded == [("SUBACK", "too_large"), ("UNSUBACK", "too_large")]


async def test_no_local_keeps_a_clients_own_messages_from_it(rig: Rig) -> None:
    await rig.provision("d2")
    async with await rig.login(connect5()) as one, await rig.login(connect5("d2")) as two:
        options = (SubscriptionOptions(no_local=True),)
        await subscribe(one, ("talk/+", 1), options=options)
        await subscribe(two, ("talk/+", 1), options=options)
        one.send(Publish("talk/now", b"hello"))
        assert await two.receive() == Publish("talk/now", b"hello")
        await quiet(one)


async def test_properties_of_a_message_reach_clients_of_5_and_are_left_out_for_others(rig: Rig) -> None:
    await rig.provision("d2", "d3")
    properties = Properties(
        payload_format_indicator=1,
        content_type="text/plain",
        response_topic="answer/here",
        correlation_data=b"7",
        user_property=(("a", "1"), ("a", "2")),
    )
    async with (
        await rig.login(connect5()) as sender,
        await rig.login(connect5("d2")) as new,
        await rig.login(connect("d3")) as old,
    ):
        await subscribe(new, ("#", 0))
        await subscribe(old, ("#", 0))
        sender.send(Publish("ask", b"?", properties=properties))
        assert await new.receive() == Publish("ask", b"?", properties=properties)
        assert await old.receive() == Publish("ask", b"?")

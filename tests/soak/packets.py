"""Good packets to be spoilt: what real clients and real servers say, in both versions. Pure."""

from random import Random

import orjson

from simulator.credentials import MqttCredentials
from simulator.messages import system_topic
from wire.mqtt import (
    NO_PROPERTIES,
    ConnAck,
    Connect,
    Disconnect,
    Packet,
    PingReq,
    PingResp,
    Properties,
    PubAck,
    Publish,
    SubAck,
    Subscribe,
    SubscriptionOptions,
    UnsubAck,
    Unsubscribe,
    Will,
)

LEVELS = (4, 5)
FILTERS = ("room/1", "room/+", "+/+/#", "#", "room//", "$share/g/room", "$SYS/#", "/".join("+" * 200))
LONG = "x" * 3000


def login(rng: Random, credentials: MqttCredentials, level: int) -> Connect:
    """A CONNECT with these credentials and, often, something beside them."""
    asked = Properties(
        session_expiry_interval=rng.choice((None, 0, 60)),
        receive_maximum=rng.choice((None, 1, 20)),
        maximum_packet_size=rng.choice((None, 1, 40, 200, 1 << 20)),
        request_problem_information=rng.choice((None, 0, 1)),
        user_property=rng.choice(((), (("firmware", "1.0"),))),
    )
    return Connect(
        credentials.client_id,
        credentials.username,
        credentials.password.encode(),
        keepalive=rng.choice((30, 120, 1200)),
        clean_session=rng.random() < 0.7,
        will=rng.choice((None, None, Will("last/words", b"gone", 1))),
        level=level,
        properties=asked if level == 5 and rng.random() < 0.5 else NO_PROPERTIES,
    )


def from_client(rng: Random, device_id: str, victim: str, level: int) -> list[Packet]:
    """One of each that a device says after its CONNECT; `victim` is a device that it has no business with."""
    packet_id = rng.randint(1, 65_535)
    own, foreign = system_topic(device_id, "messages/up"), system_topic(victim, "messages/up")
    payload = orjson.dumps({"seq": rng.randint(-9, 1 << 40), "services": [{"properties": {"number": 1}}]})
    more = properties(rng) if level == 5 else NO_PROPERTIES
    wanted = tuple((rng.choice((*FILTERS, own, foreign, LONG)), rng.randint(0, 2)) for _ in range(rng.randint(1, 4)))
    options = tuple(SubscriptionOptions(no_local=rng.random() < 0.5) for _ in wanted)
    plain = all(not one.startswith("$share") for one, _ in wanted)
    return [
        Publish(own, payload, 1, packet_id, properties=more),
        Publish(own, payload),
        Publish(foreign, payload, 1, packet_id),
        Publish(system_topic(device_id, "commands/response/request_id=r-1"), b'{"result_code": 0}', 1, packet_id),
        Publish(rng.choice(("room/1", "room//", LONG)), rng.randbytes(rng.choice((0, 10, 5000))), 1, packet_id),
        Publish("room/1", payload, rng.randint(1, 2), packet_id, retain=rng.random() < 0.2, dup=rng.random() < 0.5),
        PubAck(packet_id),
        Subscribe(packet_id, wanted, options if level == 5 and plain else ()),
        Unsubscribe(packet_id, tuple(one for one, _ in wanted)),
        PingReq(),
        Disconnect(),
    ]


def from_server(rng: Random, device_id: str, level: int) -> list[Packet]:
    """One of each that a platform says to a device."""
    packet_id = rng.randint(1, 30)
    secret = {"secret": "0123456789abcdef", "secret_type": rng.choice(("PRIMARY", "SECONDARY", "NONE"))}
    command = orjson.dumps({"command_name": "set_secret", "paras": {**secret, "seq": rng.choice((1, None, [2]))}})
    topic = system_topic(device_id, f"commands/request_id={rng.randint(1, 9)}")
    more = properties(rng) if level == 5 else NO_PROPERTIES
    packets: list[Packet] = [
        ConnAck(0, session_present=rng.random() < 0.5),
        Publish(topic, command, properties=more),
        Publish(topic, command, rng.randint(1, 2), packet_id),
        Publish("room/1", rng.randbytes(rng.choice((0, 10, 5000)))),
        PubAck(packet_id),
        SubAck(packet_id, (1,)),
        UnsubAck(packet_id, (0,)),
        PingResp(),
    ]
    return [*packets, Disconnect(0x98)] if level == 5 else packets


def properties(rng: Random) -> Properties:
    """What a message of MQTT 5 may say beside its payload."""
    return Properties(
        payload_format_indicator=rng.choice((None, 0, 1)),
        message_expiry_interval=rng.choice((None, 0, 4_294_967_295)),
        content_type=rng.choice((None, "", "text/plain")),
        response_topic=rng.choice((None, "answer/here")),
        correlation_data=rng.choice((None, b"", b"7" * 100)),
        user_property=rng.choice(((), (("a", "1"), ("a", "2")))),
        topic_alias=rng.choice((None, None, None, 1)),
    )

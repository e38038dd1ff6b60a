"""Hypothesis strategies for every packet of both versions, and for every property of 5.0."""

from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

from wire.mqtt import (
    FROM_CLIENT,
    FROM_SERVER,
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

Kinds = dict[int, type[Packet]]

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
names = st.text(st.characters(exclude_characters="\0+#", exclude_categories=["Cs"]), min_size=1, max_size=20)
levels = st.one_of(st.just("+"), st.just(""), st.just("$oc"), names)
filters = st.lists(levels, min_size=1, max_size=5).map("/".join).filter(bool)
filters |= filters.map(lambda text: text + "/#") | st.just("#")
packet_ids = st.integers(1, 65_535)
payloads = st.binary(max_size=300)
wills = st.builds(Will, names, payloads, st.integers(0, 2), st.booleans())

FLAGS = st.integers(0, 1)
U16 = st.integers(0, 0xFFFF)
U32 = st.integers(0, 0xFFFF_FFFF)
PROPERTY_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "payload_format_indicator": FLAGS,
    "message_expiry_interval": U32,
    "content_type": texts,
    "response_topic": names,
    "correlation_data": payloads,
    "session_expiry_interval": U32,
    "assigned_client_identifier": texts,
    "server_keep_alive": U16,
    "authentication_method": texts,
    "authentication_data": payloads,
    "request_problem_information": FLAGS,
    "will_delay_interval": U32,
    "request_response_information": FLAGS,
    "response_information": texts,
    "server_reference": texts,
    "reason_string": texts,
    "receive_maximum": st.integers(1, 0xFFFF),
    "topic_alias_maximum": U16,
    "topic_alias": st.integers(1, 0xFFFF),
    "maximum_qos": FLAGS,
    "retain_available": FLAGS,
    "maximum_packet_size": st.integers(1, 0xFFFF_FFFF),
    "wildcard_subscription_available": FLAGS,
    "subscription_identifier_available": FLAGS,
    "shared_subscription_available": FLAGS,
}
USER_PROPERTY = st.lists(st.tuples(texts, texts), max_size=3).map(tuple)
SUBSCRIPTION_IDENTIFIER = st.integers(1, 268_435_455)


def properties(*wanted: str, **more: st.SearchStrategy[Any]) -> st.SearchStrategy[Properties]:
    """Draw any of the `wanted` properties, any of `more` and user properties, which may be everywhere."""
    optional = {name: PROPERTY_VALUES[name] for name in wanted}
    return st.fixed_dictionaries({}, optional={**optional, **more, "user_property": USER_PROPERTY}).map(
        lambda values: Properties(**values)
    )


def connect_of_5(connect: Connect) -> Connect:
    """Authentication data is never without a method."""
    if connect.properties.authentication_method is None:
        return replace(connect, properties=replace(connect.properties, authentication_data=None))
    return connect


MESSAGE = ("payload_format_indicator", "message_expiry_interval", "content_type", "response_topic", "correlation_data")
connects_5 = st.builds(
    Connect,
    client_id=texts,
    username=st.none() | texts,
    password=st.none() | payloads,
    keepalive=U16,
    clean_session=st.booleans(),
    will=st.none()
    | st.builds(Will, names, payloads, st.integers(0, 2), st.booleans(), properties("will_delay_interval", *MESSAGE)),
    level=st.just(5),
    properties=properties(
        "session_expiry_interval",
        "receive_maximum",
        "maximum_packet_size",
        "topic_alias_maximum",
        "request_response_information",
        "request_problem_information",
        "authentication_method",
        "authentication_data",
    ),
).map(connect_of_5)

CONNACK_CODES = [0, *bytes.fromhex("80 81 82 83 84 85 86 87 88 89 8a 8c 90 95 97 99 9a 9b 9c 9d 9f")]
PUBACK_CODES = [*bytes.fromhex("00 10 80 83 87 90 91 97 99")]
SUBACK_CODES = [*bytes.fromhex("00 01 02 80 83 87 8f 91 97 9e a1 a2")]
UNSUBACK_CODES = [*bytes.fromhex("00 11 80 83 87 8f 91")]
DISCONNECT_CODES = [
    *bytes.fromhex("00 04 80 81 82 83 87 89 8b 8d 8e 8f 90 93 94 95 96 97 98 99 9a 9b 9c 9d 9e 9f a0 a1 a2")
]

connack_properties = properties(
    "session_expiry_interval",
    "receive_maximum",
    "maximum_qos",
    "retain_available",
    "maximum_packet_size",
    "assigned_client_identifier",
    "topic_alias_maximum",
    "reason_string",
    "wildcard_subscription_available",
    "subscription_identifier_available",
    "shared_subscription_available",
    "server_keep_alive",
    "response_information",
    "server_reference",
    "authentication_method",
    "authentication_data",
)
connacks_5 = st.builds(ConnAck, st.sampled_from(CONNACK_CODES), properties=connack_properties)
connacks_5 |= st.builds(ConnAck, st.just(0), st.just(True), connack_properties)


publishes = st.builds(Publish, names, payloads, retain=st.booleans()) | st.builds(
    Publish, names, payloads, st.integers(1, 2), packet_ids, st.booleans(), st.booleans()
)


def publishes_5(message: st.SearchStrategy[Properties]) -> st.SearchStrategy[Publish]:
    aliased = st.builds(lambda more, alias: replace(more, topic_alias=alias), message, st.integers(1, 0xFFFF))
    topics = st.tuples(names, message) | st.tuples(st.just(""), aliased)
    return st.builds(lambda plain, at: replace(plain, topic=at[0], properties=at[1]), publishes, topics)


publishes_from_client_5 = publishes_5(properties(*MESSAGE, "topic_alias"))
publishes_from_server_5 = publishes_5(
    properties(
        *(*MESSAGE, "topic_alias"), subscription_identifier=st.lists(SUBSCRIPTION_IDENTIFIER, max_size=3).map(tuple)
    )
)
pubacks_5 = st.builds(PubAck, packet_ids, st.sampled_from(PUBACK_CODES), properties("reason_string"))
pubacks_5 |= st.builds(PubAck, packet_ids, st.sampled_from(PUBACK_CODES))


@st.composite
def _subscribes_5(draw: st.DrawFn) -> Subscribe:
    plain = st.tuples(st.tuples(filters, st.integers(0, 2)), st.booleans(), st.booleans(), st.integers(0, 2))
    share = st.tuples(names.map(lambda name: name.replace("/", "-")), filters).map(
        lambda two: f"$share/{two[0]}/{two[1]}"
    )
    shared = st.tuples(st.tuples(share, st.integers(0, 2)), st.just(False), st.booleans(), st.integers(0, 2))
    rows = draw(st.lists(plain | shared, min_size=1, max_size=4))
    options = tuple(SubscriptionOptions(*row[1:]) for row in rows)
    return Subscribe(
        draw(packet_ids),
        tuple(row[0] for row in rows),
        options if any(one != SubscriptionOptions() for one in options) else (),
        draw(properties(subscription_identifier=SUBSCRIPTION_IDENTIFIER.map(lambda one: (one,)))),
    )


subscribes_5 = _subscribes_5()
unsubscribes_5 = st.builds(Unsubscribe, packet_ids, st.lists(filters, min_size=1, max_size=4).map(tuple), properties())
subacks_5 = st.builds(
    SubAck,
    packet_ids,
    st.lists(st.sampled_from(SUBACK_CODES), min_size=1, max_size=9).map(tuple),
    properties("reason_string"),
)
unsubacks_5 = st.builds(
    UnsubAck,
    packet_ids,
    st.lists(st.sampled_from(UNSUBACK_CODES), min_size=1, max_size=9).map(tuple),
    properties("reason_string"),
)
disconnects_from_client_5 = st.builds(
    Disconnect,
    st.sampled_from(DISCONNECT_CODES),
    properties("session_expiry_interval", "reason_string", "server_reference"),
) | st.builds(Disconnect, st.sampled_from(DISCONNECT_CODES))
disconnects_from_server_5 = st.builds(
    Disconnect, st.sampled_from(DISCONNECT_CODES), properties("reason_string", "server_reference")
)
from_client_5: st.SearchStrategy[Packet] = st.one_of(
    connects_5,
    publishes_from_client_5,
    pubacks_5,
    subscribes_5,
    unsubscribes_5,
    disconnects_from_client_5,
    st.just(PingReq()),
)
from_server_5: st.SearchStrategy[Packet] = st.one_of(
    connacks_5,
    publishes_from_server_5,
    pubacks_5,
    subacks_5,
    unsubacks_5,
    disconnects_from_server_5,
    st.just(PingResp()),
)

named_connects = st.builds(
    Connect,
    client_id=texts,
    username=texts,
    password=st.none() | payloads,
    keepalive=U16,
    clean_session=st.booleans(),
    will=st.none() | wills,
    level=st.sampled_from((3, 4)),
)
anonymous_connects = st.builds(Connect, client_id=texts, will=st.none() | wills)
both_ways: st.SearchStrategy[Packet] = publishes | st.builds(PubAck, packet_ids)
from_client: st.SearchStrategy[Packet] = st.one_of(
    both_ways,
    named_connects,
    anonymous_connects,
    st.builds(
        Subscribe,
        packet_ids,
        st.lists(st.tuples(filters, st.integers(0, 2)), min_size=1, max_size=4).map(tuple),
    ),
    st.builds(Unsubscribe, packet_ids, st.lists(filters, min_size=1, max_size=4).map(tuple)),
    st.sampled_from((PingReq(), Disconnect())),
)
from_server: st.SearchStrategy[Packet] = st.one_of(
    both_ways,
    st.builds(ConnAck, st.integers(0, 255)),
    st.just(ConnAck(0, session_present=True)),
    st.builds(SubAck, packet_ids, st.lists(st.sampled_from((0, 1, 2, 0x80)), min_size=1, max_size=9).map(tuple)),
    st.builds(UnsubAck, packet_ids),
    st.just(PingResp()),
)


@dataclass(frozen=True, slots=True)
class Conversation:
    """What one peer says in one version."""

    kinds: Kinds
    version: int
    packets: list[Packet]

    @property
    def wire(self) -> bytes:
        return b"".join(packet.encode(self.version) for packet in self.packets)


def _conversations(kinds: Kinds, version: int, packets: st.SearchStrategy[Packet]) -> st.SearchStrategy[Conversation]:
    return st.builds(Conversation, st.just(kinds), st.just(version), st.lists(packets, min_size=1, max_size=6))


conversations = st.one_of(
    _conversations(FROM_CLIENT, 4, from_client),
    _conversations(FROM_SERVER, 4, from_server),
    _conversations(FROM_CLIENT, 5, from_client_5),
    _conversations(FROM_SERVER, 5, from_server_5),
)

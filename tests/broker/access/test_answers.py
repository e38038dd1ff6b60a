"""The first and the last word, in the client's version, within what the client allows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.access.answers import FAREWELL_CODES, Greeting, code_for, farewell, refusal
from broker.access.terms import PLAIN, Terms, terms_of
from broker.auth.decision import Reason
from broker.sessions import Ending
from broker.settings import Settings
from tests.broker.rig import connect
from wire.mqtt import FROM_SERVER, ConnAck, Decoder, Disconnect, Packet, Properties, ProtocolError, ReasonCode

SETTINGS = Settings()
UNTOLD = {
    Ending.CLIENT_DISCONNECT,
    Ending.CONNECTION_LOST,
    Ending.CONNECT_TIMEOUT,
    Ending.ENGINE_CLOSED,
    Ending.PROTOCOL_ERROR,
    Ending.PROCESS_LOST,
}


def decoded(data: bytes) -> Packet:
    decoder = Decoder(FROM_SERVER, version=5)
    decoder.feed(data)
    packet = decoder.next_packet()
    assert packet is not None
    return packet


def test_terms_are_what_the_connect_asks() -> None:
    asked = Properties(receive_maximum=3, maximum_packet_size=99, request_problem_information=0)
    assert terms_of(connect(level=5, properties=asked)) == Terms(5, 3, 99, problem_information=False)
    assert terms_of(connect(level=5, properties=Properties(topic_alias_maximum=4))) == PLAIN[5]


@pytest.mark.parametrize("level", [3, 4, 5])
def test_terms_of_a_connect_that_asks_nothing_are_shared(level: int) -> None:
    assert terms_of(connect(level=level)) is PLAIN[level]


@pytest.mark.parametrize(("code", "of_5"), [(1, 0x84), (2, 0x85), (3, 0x88), (4, 0x86), (5, 0x87), (0x9A, 0x9A)])
def test_return_codes_have_their_reason_codes(code: int, of_5: int) -> None:
    assert code_for(PLAIN[5], code) == of_5
    assert code_for(PLAIN[4], code) == code


def test_greeting_of_5_says_what_is_offered() -> None:
    assert decoded(
        Greeting(Settings(receive_maximum=7, max_packet_body=1000)).encode(PLAIN[5], present=True)
    ) == ConnAck(
        0,
        True,
        Properties(
            receive_maximum=7,
            maximum_packet_size=1003,
            maximum_qos=1,
            retain_available=0,
            topic_alias_maximum=0,
            shared_subscription_available=0,
            subscription_identifier_available=0,
        ),
    )


@pytest.mark.parametrize("body", [1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152])
def test_greatest_packet_that_is_offered_is_the_greatest_that_is_taken(body: int) -> None:
    packet = decoded(Greeting(Settings(max_packet_body=body)).encode(PLAIN[5], present=False))
    assert isinstance(packet, ConnAck)
    header = next(size for size, most in ((2, 127), (3, 16_383), (4, 2_097_151), (5, 268_435_455)) if body <= most)
    assert packet.properties.maximum_packet_size == header + body


def test_greeting_of_3_1_1_is_four_bytes() -> None:
    assert Greeting(SETTINGS).encode(PLAIN[4], present=False) == b"\x20\x02\x00\x00"
    assert Greeting(SETTINGS).encode(PLAIN[3], present=True) == b"\x20\x02\x01\x00"


def test_no_greeting_is_longer_than_the_longest() -> None:
    greeting = Greeting(Settings(max_packet_body=1 << 27))
    assert len(greeting.encode(PLAIN[5], present=True, expiry_s=0xFFFF_FFFF)) == greeting.longest
    assert len(greeting.encode(PLAIN[5], present=True)) < greeting.longest


@pytest.mark.parametrize(("size", "length"), [(4, 0), (5, 5), (30, 5), (100, 60)])
def test_refusal_is_no_longer_than_the_client_takes(size: int, length: int) -> None:
    assert len(refusal(Terms(5, maximum_packet_size=size), 0x83, Reason.PACKET_SIZE_TOO_SMALL, SETTINGS)) == length


def test_refusal_names_the_bounds_of_the_keep_alive() -> None:
    answer = decoded(refusal(PLAIN[5], 0x85, Reason.KEEPALIVE_OUT_OF_RANGE, Settings(keepalive_range_s=(7, 77))))
    assert answer == ConnAck(0x85, properties=Properties(reason_string="expected a keep alive of 7 to 77 s"))


CREDENTIALS = (
    Reason.UNKNOWN_DEVICE,
    Reason.AMBIGUOUS_NODE_ID,
    Reason.USER_NAME_MISMATCH,
    Reason.STALE_HOUR,
    Reason.WRONG_PASSWORD,
)


@pytest.mark.parametrize("reason", CREDENTIALS)
def test_refused_credentials_are_all_told_the_same(reason: Reason) -> None:
    assert decoded(refusal(PLAIN[5], 0x86, reason, SETTINGS)) == ConnAck(0x86)


@pytest.mark.parametrize("ending", list(Ending))
def test_every_ending_has_its_code_or_nobody_to_hear_it(ending: Ending) -> None:
    assert (ending in FAREWELL_CODES) is (ending not in UNTOLD)
    assert farewell(PLAIN[4], ending) == b""
    assert bool(farewell(PLAIN[5], ending)) is (ending not in UNTOLD)


@given(
    st.sampled_from([*FAREWELL_CODES]),
    st.integers(3, 200),
    st.booleans(),
    st.none() | st.builds(ProtocolError, st.text(max_size=100).filter(lambda text: "\0" not in text)),
)
def test_reason_string_is_there_when_it_is_wanted_and_fits(
    ending: Ending, size: int, wanted: bool, error: ProtocolError | None
) -> None:
    said = farewell(Terms(5, 1, size, wanted), ending, error)
    plain = Disconnect(FAREWELL_CODES[ending] if error is None else ReasonCode.MALFORMED_PACKET)
    whole = farewell(PLAIN[5], ending, error)
    assert said == (whole if wanted and len(whole) <= size else plain.encode(5))

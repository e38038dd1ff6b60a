"""The CONNECT of a device."""

import pytest

from simulator.credentials import MqttCredentials
from simulator.links.greeting import connect_packet, max_body
from simulator.links.link import LinkOptions
from wire.mqtt import FROM_CLIENT, Connect, Decoder

CREDENTIALS = MqttCredentials("d1_0_0_2026112109", "d1", "c0ffee")


@pytest.mark.parametrize(
    ("level", "clean", "expiry"), [(4, True, None), (4, False, None), (5, True, None), (5, False, 600)]
)
def test_connect_says_what_is_to_become_of_the_session(level: int, clean: bool, expiry: int | None) -> None:
    options = LinkOptions(keepalive_s=77, level=level, clean=clean, session_expiry_s=600)
    decoder = Decoder(FROM_CLIENT)
    decoder.feed(connect_packet(CREDENTIALS, options).encode(level))
    packet = decoder.next_packet()
    assert isinstance(packet, Connect)
    assert (packet.level, packet.clean_session, packet.keepalive) == (level, clean, 77)
    assert (packet.client_id, packet.username, packet.password) == ("d1_0_0_2026112109", "d1", b"c0ffee")
    assert packet.properties.session_expiry_interval == expiry


@pytest.mark.parametrize(("level", "announced", "largest"), [(4, None, 268_435_455), (5, 1000, 997)])
def test_only_5_can_say_how_large_a_packet_may_be(level: int, announced: int | None, largest: int) -> None:
    options = LinkOptions(level=level, maximum_packet_size=1000)
    assert connect_packet(CREDENTIALS, options).properties.maximum_packet_size == announced
    assert max_body(options) == largest

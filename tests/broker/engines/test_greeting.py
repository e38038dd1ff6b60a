"""What a broker is told of a session, and what it is not."""

from typing import Any

import pytest

from broker.access.downlinks import Downlinks
from broker.access.queue import Bounds
from broker.access.terms import Terms, terms_of
from broker.auth.registry import Slot
from broker.engines.address import EngineAddress
from broker.engines.greeting import greeting, window_of
from broker.sessions import Session
from broker.settings import Settings
from tests.broker.rig import START, connect
from wire.mqtt import NO_PROPERTIES, Connect, Properties, Will

WILL = Will("last/words", b"x", 1, retain=True)


def settings(**more: Any) -> Settings:
    return Settings(engine=EngineAddress.parse("mqtt://gate:pass@127.0.0.1"), **more)


def told(packet: Connect, chosen: Settings | None = None, keep_s: int = 0, slot: Slot | None = Slot.PRIMARY) -> Connect:
    terms = terms_of(packet)
    session = Session(
        device_id="d1",
        slot=slot,
        version=1,
        client_id=packet.client_id,
        peer="p",
        connected_at=START,
        link=None,  # type: ignore[arg-type]
        terms=terms,
        downlinks=Downlinks(0, Bounds(1, 1)),
        keep_s=keep_s,
    )
    return greeting(session, packet, chosen or settings())


@pytest.mark.parametrize("level", [3, 4, 5])
def test_device_has_its_id_and_the_gates_own_credentials(level: int) -> None:
    assert told(connect(level=level, will=WILL)) == Connect(
        "d1", "gate", b"pass", keepalive=0, clean_session=True, level=max(level, 4), properties=NO_PROPERTIES
    )


@pytest.mark.parametrize(
    ("level", "clean", "keep_s", "told_clean"),
    [(4, True, 0, True), (4, False, 60, False), (4, False, 0, True), (5, False, 0, False), (5, True, 60, True)],
)
def test_state_is_kept_if_we_keep_it(level: int, clean: bool, keep_s: int, told_clean: bool) -> None:
    packet = told(connect(level=level, clean_session=clean), keep_s=keep_s)
    assert packet.clean_session is told_clean
    assert packet.properties.session_expiry_interval == (keep_s or None if level == 5 else None)


def test_client_of_5_shares_its_window_between_both() -> None:
    asked = Properties(receive_maximum=9, maximum_packet_size=500, topic_alias_maximum=3, user_property=(("a", "b"),))
    packet = told(connect(level=5, properties=asked))
    assert packet.properties == Properties(receive_maximum=5, maximum_packet_size=500)


@pytest.mark.parametrize(("asked", "ours", "its"), [(1, 1, 1), (2, 1, 1), (9, 4, 5), (100, 20, 80)])
def test_window_is_shared(asked: int, ours: int, its: int) -> None:
    assert window_of(Terms(5, asked), settings()) == ours
    assert told(connect(level=5, properties=Properties(receive_maximum=asked))).properties.receive_maximum == its


def test_window_is_the_clients_own_when_nobody_else_sends() -> None:
    assert window_of(Terms(5, 9), Settings()) == 9
    assert window_of(Terms(5, 900), Settings()) == 20


def test_open_gate_passes_on_what_a_client_offers_and_wishes() -> None:
    asked = Properties(topic_alias_maximum=3, user_property=(("a", "b"),))
    packet = told(connect(level=5, will=WILL, properties=asked), settings(policy="open"), keep_s=60)
    assert packet.will == WILL
    assert packet.properties.topic_alias_maximum == 3
    assert packet.properties.session_expiry_interval == 60


def test_guest_is_greeted_as_it_came_but_for_the_credentials() -> None:
    packet = Connect("guest", keepalive=33, clean_session=False, will=WILL, level=4)
    expected = Connect("guest", "gate", b"pass", keepalive=33, clean_session=False, will=WILL, level=4)
    assert told(packet, settings(policy="open"), slot=None) == expected


def test_password_of_the_device_is_nowhere() -> None:
    packet = connect()
    assert packet.password is not None
    assert packet.password not in told(packet).encode()

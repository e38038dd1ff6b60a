"""Who is registered and until when; what a query may say."""

import pytest

from broker.lwm2m.registrations import Departure, Reason, Registration, Registrations, Wish, read_wish
from tests.broker.rig import FakeClock


def registration(location: str = "a", device_id: str = "d1", expires_at: float = 60.0) -> Registration[str]:
    return Registration(device_id, location, "peer", 1, 60, queue_mode=False, expires_at=expires_at)


def watched() -> tuple[Registrations[str], list[tuple[str, Departure]]]:
    registrations: Registrations[str] = Registrations(FakeClock())
    ended: list[tuple[str, Departure]] = []
    registrations.ended = lambda one, departure: ended.append((one.location, departure))
    return registrations, ended


@pytest.mark.parametrize(
    ("query", "wish"),
    [
        ("ep=m1", Wish("m1", None, queue_mode=False)),
        ("ep=m1&lt=60&b=U&lwm2m=1.1", Wish("m1", 60, queue_mode=False)),
        ("ep=urn:imei:868333030000001&b=UQ&sms=1", Wish("urn:imei:868333030000001", None, queue_mode=True)),
        ("ep=m1&b=U&Q", Wish("m1", None, queue_mode=True)),
        ("ep=m1&lt=2147483647", Wish("m1", 2_147_483_647, queue_mode=False)),
    ],
)
def test_registration_is_read(query: str, wish: Wish) -> None:
    assert read_wish(query.split("&"), is_update=False) == wish


@pytest.mark.parametrize("query", ["ep=m1&lt=٣", "ep=m1&lt=1.5", "ep=m1&lt= 60", "ep=m1&lt=2147483648", "ep=m1&b="])
def test_bad_registration_is_told(query: str) -> None:
    assert read_wish(query.split("&"), is_update=False) is Reason.BAD_REQUEST


def test_update_leaves_what_it_does_not_name() -> None:
    assert read_wish([], is_update=True) == Wish(None, None, queue_mode=None)
    assert read_wish(["lt=5", "b=UQ"], is_update=True) == Wish(None, 5, queue_mode=True)


def test_device_has_one_registration_and_the_newer_replaces_the_older() -> None:
    registrations, ended = watched()
    registrations.add(registration("a"), 0.0)
    registrations.add(registration("b"), 1.0)
    assert ended == [("a", Departure.REPLACED)]
    assert registrations.at("a") is None
    assert [one.location for one in registrations] == ["b"]


def test_lifetime_ends_to_the_second() -> None:
    registrations, ended = watched()
    registrations.add(registration("a", expires_at=60.0), 0.0)
    registrations.sweep(59.9)
    assert ended == []
    registrations.sweep(60.0)
    assert ended == [("a", Departure.EXPIRED)]
    assert len(registrations) == 0


@pytest.mark.parametrize("departure", Departure)
def test_silence_is_counted_beyond_the_registration_but_not_beyond_a_farewell(departure: Departure) -> None:
    registrations, _ = watched()
    assert registrations.silence.of_s("d1", 5.0) is None
    registrations.add(registration(), 0.0)
    registrations.heard("d1", 10.0)
    registrations.end("d1", departure)
    is_counted = departure in (Departure.EXPIRED, Departure.REPLACED, Departure.RESET)
    assert registrations.silence.of_s("d1", 15.0) == (5.0 if is_counted else None)


def test_silence_of_a_device_that_is_registered_no_longer_ends_with_it() -> None:
    registrations, _ = watched()
    registrations.add(registration(), 0.0)
    registrations.end("d1", Departure.EXPIRED)
    registrations.end("d1", Departure.FROZEN)
    assert registrations.silence.of_s("d1", 5.0) is None


def test_end_of_what_has_ended_says_nothing() -> None:
    registrations, ended = watched()
    registrations.end("d1", Departure.FROZEN)
    assert ended == []

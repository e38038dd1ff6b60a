"""Since when a device is known to have been in."""

from datetime import timedelta

from broker.presence import Presence
from tests.broker.rig import START, device

LATER = START + timedelta(milliseconds=1234)


def test_first_session_counts_and_later_ones_do_not() -> None:
    presence = Presence()
    assert presence.activated_at("d1") is None
    presence.entered("d1", START)
    presence.entered("d1", LATER)
    assert presence.activated_at("d1") == START
    assert len(presence.take_unsaved()) == 1
    assert presence.take_unsaved() == []


def test_end_of_the_last_session_is_kept_to_the_millisecond() -> None:
    presence = Presence()
    presence.left("d1", START)
    presence.left("d1", LATER + timedelta(microseconds=5))
    assert presence.left_at("d1") == LATER


def test_forgotten_device_is_unknown_and_not_saved() -> None:
    presence = Presence()
    presence.entered("d1", START)
    presence.left("d1", LATER)
    presence.forget("d1")
    assert (presence.activated_at("d1"), presence.left_at("d1")) == (None, None)
    assert presence.take_unsaved() == []


def test_what_could_not_be_saved_is_for_the_next_time_unless_its_device_is_gone() -> None:
    presence = Presence()
    presence.entered("d1", START)
    presence.entered("d2", LATER)
    unsaved = presence.take_unsaved()
    presence.forget("d1")
    presence.put_back(unsaved)
    assert presence.take_unsaved() == unsaved[1:]
    assert presence.take_unsaved() == []


def test_device_that_was_forgotten_and_came_again_is_saved_once() -> None:
    presence = Presence()
    presence.entered("d1", START)
    presence.forget("d1")
    presence.entered("d1", LATER)
    ((device_id, _),) = set(presence.take_unsaved())
    assert device_id == "d1"


def test_what_was_saved_is_restored_for_the_devices_that_are() -> None:
    presence = Presence()
    presence.restore([device("d1"), device("d2")], {"d1": 1000, "gone": 1000})
    assert presence.activated_at("d1") is not None
    assert presence.activated_at("d2") is presence.activated_at("gone") is None
    assert presence.take_unsaved() == []

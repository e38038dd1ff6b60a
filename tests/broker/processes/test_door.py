"""Who waits at a door, and until when."""

import pytest

from broker.processes.door import Door
from broker.processes.letters import EVERYBODY

D1, NODE, ROMA = "d1_0_0_2026112119", "n1_2_1_2026112119", "AbC123"


@pytest.mark.parametrize(
    ("names", "client_id", "shut"),
    [
        (("d1",), D1, True),
        (("d2",), D1, False),
        (("d1", "n1"), NODE, True),
        (("n1",), D1, False),
        ((ROMA,), ROMA, True),
        ((EVERYBODY,), D1, True),
        ((), D1, False),
    ],
)
def test_door_is_shut_to_the_names_of_a_change(names: tuple[str, ...], client_id: str, shut: bool) -> None:
    door: Door[str] = Door()
    door.shut(1, names)
    assert door.is_shut(client_id) is shut
    door.open(1)
    assert not door.is_shut(client_id)


def test_who_waits_is_let_through_by_the_last_change_in_order() -> None:
    door: Door[str] = Door()
    door.shut(1, ("d1",))
    door.shut(2, ("d1", "d2"))
    door.wait(D1, "first")
    door.wait(D1, "second")
    assert door.open(1) == []
    assert door.is_shut(D1)
    assert door.open(2) == ["first", "second"]
    assert door.open(2) == []


def test_change_of_everything_lets_through_who_waits_for_nothing_else() -> None:
    door: Door[str] = Door()
    door.shut(1, (EVERYBODY,))
    door.shut(2, ("d2",))
    door.wait(D1, "one")
    door.wait("d2_0_0_2026112119", "two")
    assert door.open(1) == ["one"]
    assert door.open(2) == ["two"]

"""The client of one device against datagrams written by hand; time is a number."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.links.lwm2m.client import (
    Answered,
    Lwm2mClient,
    Matter,
    Observed,
    Taken,
    Unanswered,
    Unobserved,
    Written,
)
from simulator.links.lwm2m.options import Lwm2mOptions, Sleep
from wire.coap import Code, Message, Type, decode, encode

EP = "868333030000001"


@dataclass
class Desk:
    """A client, and the platform's side of its conversation."""

    sent: list[bytes] = field(default_factory=list)
    mid: int = 0x7000

    def __post_init__(self) -> None:
        self.client = Lwm2mClient(self.sent.append, EP, Lwm2mOptions(), lambda: 0.5)

    def last(self) -> Message:
        return decode(self.sent[-1])

    def answer(self, code: Code, now: float = 0.0, **options: object) -> list[object]:
        """Answer the last request of the client's."""
        return self.give(Type.ACK, code, self.last().token, now, self.last().mid, **options)

    def ask(self, code: Code, *path: str, token: bytes = b"t", **options: object) -> list[object]:
        return self.give(Type.CON, code, token, 0.0, uri_path=path, **options)

    def empty(self, kind: Type, now: float = 0.0) -> list[object]:
        return self.give(kind, Code.EMPTY, b"", now, self.last().mid)

    def give(
        self, kind: Type, code: Code, token: bytes, now: float, mid: int | None = None, **options: object
    ) -> list[object]:
        self.mid += 1
        message = Message(code=code, **options)
        message.mtype, message.token, message.mid = kind, token, self.mid if mid is None else mid
        return list(self.client.receive(encode(message), now))

    def registered(self) -> "Desk":
        self.client.register(0.0)
        assert self.answer(Code.CREATED, location_path=("rd", "a1")) == [Answered(Matter.REGISTRATION, Code.CREATED)]
        return self

    def observed(self, token: bytes = b"o1") -> "Desk":
        assert self.ask(Code.GET, "19", "0", "0", token=token, observe=0) == [Observed()]
        return self


def test_update_and_deregistration_go_to_the_location_that_was_given() -> None:
    desk = Desk().registered()
    desk.client.update(1.0)
    assert (desk.last().code, desk.last().opt.uri_path) == (Code.POST, ("rd", "a1"))
    assert desk.answer(Code.CHANGED) == [Answered(Matter.UPDATE, Code.CHANGED)]
    desk.client.deregister(2.0)
    assert (desk.last().code, desk.last().opt.uri_path) == (Code.DELETE, ("rd", "a1"))
    assert desk.answer(Code.DELETED) == [Answered(Matter.DEREGISTRATION, Code.DELETED)]


def test_one_update_at_a_time_is_enough() -> None:
    desk = Desk().registered()
    desk.client.update(1.0)
    desk.client.update(1.5)
    sent = len(desk.sent)
    assert desk.answer(Code.CHANGED) == [Answered(Matter.UPDATE, Code.CHANGED)]
    assert len(desk.sent) == sent, "nothing waited for the first"


def test_deregistration_does_not_wait_for_an_update_and_its_answer_is_dropped() -> None:
    desk = Desk().registered()
    desk.client.update(1.0)
    token, mid = desk.last().token, desk.last().mid
    desk.client.deregister(1.1)
    assert desk.last().code is Code.DELETE
    assert desk.give(Type.ACK, Code.CHANGED, token, 1.2, mid) == []
    assert desk.answer(Code.DELETED) == [Answered(Matter.DEREGISTRATION, Code.DELETED)]


def test_registration_that_nobody_answers_is_given_up_after_all_its_resendings() -> None:
    desk = Desk()
    desk.client.register(0.0)
    news, resent = list[object](), 0
    while not news:
        resent += 1
        news += desk.client.wake(desk.client.wake_at)
    assert news == [Unanswered("no answer in time")]
    assert (resent, len(desk.sent)) == (5, 5), "sent once and resent four times (RFC 7252 §4.8)"


def test_registration_that_is_reset_is_rejected() -> None:
    desk = Desk()
    desk.client.register(0.0)
    assert desk.empty(Type.RST) == [Unanswered("rejected by the platform")]


def test_report_goes_under_the_token_of_the_observer_and_is_taken() -> None:
    desk = Desk().registered().observed()
    desk.client.report(b"x", 1.0, confirmable=True)
    report = desk.last()
    assert (report.mtype, report.token, report.opt.observe, report.payload) == (Type.CON, b"o1", 1, b"x")
    assert (report.code, report.opt.content_format) == (Code.CONTENT, 42)
    assert desk.empty(Type.ACK) == [Taken()]


def test_without_an_observer_nothing_is_reported() -> None:
    desk = Desk().registered()
    sent = len(desk.sent)
    desk.client.report(b"x", 1.0, confirmable=True)
    assert len(desk.sent) == sent


def test_report_that_is_never_acknowledged_means_that_nobody_is_there() -> None:
    desk = Desk().registered().observed()
    desk.client.report(b"x", 0.0, confirmable=True)
    news = list[object]()
    while not news:
        news += desk.client.wake(desk.client.wake_at)
    assert news == [Unanswered("a report was not acknowledged")]


def test_report_that_is_reset_ends_the_observation() -> None:
    desk = Desk().registered().observed()
    desk.client.report(b"x", 0.0, confirmable=True)
    assert desk.empty(Type.RST) == [Unobserved()]
    assert not desk.client.is_observed


def test_acknowledgement_for_an_older_observer_is_not_taken_for_the_new_one() -> None:
    desk = Desk().registered().observed(b"o1")
    desk.client.report(b"x", 0.0, confirmable=True)
    mid = desk.last().mid
    desk.observed(b"o2")
    assert desk.give(Type.ACK, Code.EMPTY, b"", 0.1, mid) == []


def test_same_observer_once_more_is_answered_and_no_news() -> None:
    desk = Desk().registered().observed(b"o1")
    assert desk.ask(Code.GET, "19", "0", "0", token=b"o1", observe=0) == []
    assert desk.last().opt.observe is not None


def test_observation_is_ended_by_who_began_it() -> None:
    desk = Desk().registered().observed(b"o1")
    assert desk.ask(Code.GET, "19", "0", "0", token=b"other", observe=1) == []
    assert desk.ask(Code.GET, "19", "0", "0", token=b"o1", observe=1) == [Unobserved()]
    assert desk.last().code is Code.CONTENT


def test_write_that_is_repeated_is_answered_again_and_told_once() -> None:
    desk = Desk().registered()
    assert desk.ask(Code.PUT, "19", "1", "0", payload=b"w") == [Written(b"w")]
    answer = desk.sent[-1]
    desk.mid -= 1
    assert desk.ask(Code.PUT, "19", "1", "0", payload=b"w") == []
    assert desk.sent[-1] == answer
    assert "w" not in repr(Written(b"w")), "a command may hold a secret"


def test_update_trigger_before_the_registration_is_of_no_use() -> None:
    desk = Desk()
    desk.client.register(0.0)
    desk.ask(Code.POST, "1", "0", "8")
    assert [decode(one).code for one in desk.sent] == [Code.POST, Code.CHANGED]


@pytest.mark.parametrize(("lifetime_s", "after_s"), [(86_400, 86_307.0), (200, 107.0), (186, 93.0), (10, 5.0)])
def test_registration_is_refreshed_as_late_as_resending_allows(lifetime_s: int, after_s: float) -> None:
    client = Lwm2mClient(lambda _: None, EP, Lwm2mOptions(lifetime_s), lambda: 0.5)
    assert client.refresh_after_s == after_s


def test_who_sleeps_registers_in_queue_mode() -> None:
    assert (Lwm2mOptions().binding, Lwm2mOptions(sleep=Sleep(1, 1)).binding) == ("U", "UQ")


@given(st.lists(st.binary(max_size=80), max_size=8))
def test_any_datagrams_are_taken(datagrams: list[bytes]) -> None:
    desk = Desk()
    desk.client.register(0.0)
    for now, datagram in enumerate(datagrams):
        desk.client.receive(datagram, now)

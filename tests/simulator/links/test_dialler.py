"""The dialler alone: a bound on what is under way, giving up, and what the machine refuses."""

import asyncio
import errno
import os
import socket
from collections.abc import Iterator

import pytest

from simulator.links import dialler as module
from simulator.links.dialler import Dialler, source_ports
from simulator.links.link import Endpoint
from tests.support.descriptors import open_sockets
from tests.support.ports import unanswering_port, unused_port
from tests.support.waiting import turns, until


class Answers:
    """What a dialler called back; closes the sockets at the end."""

    def __init__(self) -> None:
        self.sockets: list[socket.socket] = []
        self.reasons: list[str] = []

    def dial(self, dialler: Dialler) -> module.Dial:
        return dialler.dial(self.sockets.append, self.reasons.append)

    def __len__(self) -> int:
        return len(self.sockets) + len(self.reasons)

    def close(self) -> None:
        for sock in self.sockets:
            sock.close()


@pytest.fixture
def answers() -> Iterator[Answers]:
    answers = Answers()
    yield answers
    answers.close()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        yield listener


@pytest.fixture
def hanging() -> Iterator[Endpoint]:
    with unanswering_port() as port:
        yield Endpoint("127.0.0.1", port)


def dialler_to(endpoint: Endpoint) -> Dialler:
    return Dialler(asyncio.get_running_loop(), endpoint)


async def test_answer_never_comes_from_within_the_call(listener: socket.socket, answers: Answers) -> None:
    answers.dial(dialler_to(Endpoint(*listener.getsockname())))
    assert len(answers) == 0
    await until(lambda: answers.sockets, "a connected socket")
    assert answers.sockets[0].getpeername() == listener.getsockname()
    assert answers.sockets[0].gettimeout() == 0.0


async def test_source_port_is_one_that_the_machine_gives_out(listener: socket.socket, answers: Answers) -> None:
    answers.dial(dialler_to(Endpoint(*listener.getsockname())))
    await until(lambda: answers.sockets, "a connected socket")
    low, high = source_ports()
    assert low <= answers.sockets[0].getsockname()[1] <= high


async def test_ipv6_endpoint_is_dialled(answers: Answers) -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        answers.dial(dialler_to(Endpoint("::1", listener.getsockname()[1])))
        await until(lambda: answers, "an answer")
        assert answers.reasons == []


async def test_storm_of_dials_is_spread_over_turns(
    listener: socket.socket, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_PER_TURN", 3)
    dialler = dialler_to(Endpoint(*listener.getsockname()))
    for _ in range(10):
        answers.dial(dialler)
    seen = []
    for _ in range(4):
        await turns(1)
        seen.append(len(answers))
    assert seen == [3, 6, 9, 10]


async def test_no_more_dials_than_allowed_are_under_way(
    hanging: Endpoint, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_UNDER_WAY", 3)
    before = open_sockets()
    dialler = dialler_to(hanging)
    dials = [answers.dial(dialler) for _ in range(10)]
    for given_up in range(1, 11):
        under_way = min(3, 11 - given_up)
        await until(lambda: len(open_sockets() - before) == under_way, f"{under_way} under way")  # noqa: B023
        await turns()
        assert [dial.sock is not None for dial in dials[given_up - 1 :]].count(True) == under_way
        dialler.give_up(next(dial for dial in dials if dial.sock is not None))
    await turns()
    assert open_sockets() == before
    assert len(answers) == 0


async def test_dialler_works_on_after_everybody_in_the_queue_gave_up(
    listener: socket.socket, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_UNDER_WAY", 2)
    dialler = dialler_to(Endpoint(*listener.getsockname()))
    for dial in [answers.dial(dialler) for _ in range(10)]:
        dialler.give_up(dial)
    await turns()
    assert len(answers) == 0
    for _ in range(5):
        answers.dial(dialler)
    await until(lambda: len(answers.sockets) == 5, "five sockets")


async def test_failures_make_room_for_those_that_wait(answers: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_UNDER_WAY", 2)
    before = open_sockets()
    dialler = dialler_to(Endpoint("127.0.0.1", unused_port()))
    for _ in range(7):
        answers.dial(dialler)
    await until(lambda: len(answers) == 7, "seven answers")
    assert answers.reasons == [os.strerror(errno.ECONNREFUSED)] * 7
    assert open_sockets() == before


async def test_answer_may_dial_again(answers: Answers) -> None:
    dialler = dialler_to(Endpoint("127.0.0.1", unused_port()))
    dialler.dial(answers.sockets.append, lambda _reason: answers.dial(dialler))
    await until(lambda: answers.reasons, "the second answer")


def test_port_range_has_the_usual_default_where_the_machine_tells_none(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PORT_RANGE_FILE", f"{tmp_path}/missing")
    assert source_ports() == (32_768, 60_999)

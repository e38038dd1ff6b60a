"""How every link engine ends links, and serves very many or none; see test_conformance for the rules."""

import asyncio
import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from simulator.device.events import Accepted, LinkLost, Unreachable
from simulator.links.link import LinkOptions
from tests.support.link_bench import EngineFactory, Opened, link_bench, messages, outbox_of
from tests.support.mqtt_server import ClientGone, Peer, accepting, deaf, silent
from tests.support.ports import unanswering_port
from tests.support.waiting import turns, until
from wire.mqtt import ConnAck, Connect, Disconnect, Publish

IMPATIENT = LinkOptions(connect_timeout_s=0.1)


async def finishing(peer: Peer) -> None:
    await peer.take(Connect)
    peer.finish()


# -- close and cut


async def test_closing_an_open_link_says_disconnect_and_tells_nothing(engine: EngineFactory) -> None:
    async with link_bench(engine, accepting) as bench:
        one = bench.open()
        await one.owner.accepted()
        one.close()
        await bench.server.peers[0].gone.wait()
    assert bench.server.peers[0].packets[1:] == [Disconnect()]
    assert one.owner.events == [Accepted(1)]


async def test_closing_before_connack_tells_nothing(engine: EngineFactory) -> None:
    async with link_bench(engine, silent) as bench:
        one = bench.open()
        await until(lambda: bench.server.peers and bench.server.peers[0].packets, "CONNECT arrives")
        one.close()
        await bench.server.peers[0].gone.wait()
    assert one.owner.story == []
    assert [type(packet) for packet in bench.server.peers[0].packets] == [Connect]


async def test_closing_at_once_tells_nothing_and_dials_nobody(engine: EngineFactory) -> None:
    async with link_bench(engine, accepting) as bench:
        one = bench.open()
        one.close()
    assert one.owner.story == []
    assert bench.server.peers == []


async def test_closing_while_the_dial_hangs_tells_nothing(engine: EngineFactory) -> None:
    with unanswering_port() as port:
        async with link_bench(engine, silent, port=port) as bench:
            one = bench.open()
            await until(bench.link_descriptors, "the dial begins")
            one.close()
    assert one.owner.story == []


async def test_closing_when_accepted_is_told_leaves_nothing_behind(engine: EngineFactory) -> None:
    async with link_bench(engine, accepting) as bench:
        one = bench.open(1, outbox_of(*messages(1)))
        accept = one.owner.link_event

        def accept_and_close(event: Accepted) -> None:
            accept(event)
            one.close()

        one.owner.link_event = accept_and_close  # type: ignore[assignment,method-assign]
        await until(lambda: bench.server.peers and bench.server.peers[0].gone.is_set(), "the client leaves")
    assert one.owner.story == [Accepted(1)]
    assert bench.server.peers[0].packets[1:] == [Disconnect()]


async def test_closing_twice_or_after_the_end_changes_nothing(engine: EngineFactory) -> None:
    async with link_bench(engine, accepting, finishing) as bench:
        one = bench.open(1)
        await one.owner.accepted()
        one.close()
        one.close()
        other = bench.open(2)
        await other.owner.ended()
        other.link.close()
        other.link.cut("too late")
        other.link.publish("t", b"")
        other.link.subscribe("t", 1)
        other.link.send_due()
    assert bench.server.peers[0].packets[1:] == [Disconnect()]


async def test_closing_towards_a_peer_that_reads_nothing_still_ends(engine: EngineFactory) -> None:
    async with link_bench(engine, deaf) as bench:
        one = bench.open()
        await one.owner.accepted()
        one.link.publish("t", bytes(32 * 1024 * 1024))
        one.close()


async def test_cut_while_the_dial_hangs_is_unreachable(engine: EngineFactory) -> None:
    with unanswering_port() as port:
        async with link_bench(engine, silent, port=port) as bench:
            one = bench.open(attempt=7)
            await until(bench.link_descriptors, "the dial begins")
            one.link.cut("network down")
            assert one.owner.story == []  # the event follows, it does not come from within the call
            assert await one.owner.ended() == Unreachable(7, "network down")


async def test_cut_at_once_is_unreachable(engine: EngineFactory) -> None:
    async with link_bench(engine, accepting) as bench:
        one = bench.open(attempt=7)
        one.link.cut("network down")
        assert await one.owner.ended() == Unreachable(7, "network down")
    assert bench.server.peers == []


async def test_cut_before_connack_is_unreachable(engine: EngineFactory) -> None:
    async with link_bench(engine, silent) as bench:
        one = bench.open(attempt=7)
        await until(lambda: bench.server.peers and bench.server.peers[0].packets, "CONNECT arrives")
        one.link.cut("network down")
        assert await one.owner.ended() == Unreachable(7, "network down")


async def test_cut_of_an_open_link_loses_it_without_disconnect(engine: EngineFactory) -> None:
    async with link_bench(engine, accepting) as bench:
        one = bench.open(attempt=7)
        await one.owner.accepted()
        one.link.cut("network down")
        one.link.cut("twice")
        one.link.publish("t", b"")
        assert await one.owner.ended() == LinkLost(7, "network down")
        await bench.server.peers[0].gone.wait()
    assert bench.server.peers[0].packets[1:] == []


@pytest.mark.parametrize("turn", range(16))
@pytest.mark.parametrize("how", ["close", "cut"])
async def test_end_in_any_turn_of_the_loop_keeps_the_rules(engine: EngineFactory, how: str, turn: int) -> None:
    async def accepting_if_it_comes(peer: Peer) -> None:
        with suppress(ClientGone):
            await peer.accept()

    async with link_bench(engine, accepting_if_it_comes) as bench:
        one = bench.open()
        await turns(turn)
        if how == "close":
            one.close()
        else:
            one.link.cut("network down")
            await one.owner.ended()


async def test_cut_in_the_turn_of_a_message_keeps_the_rules(engine: EngineFactory) -> None:
    async with link_bench(engine, accepting) as bench:
        one = bench.open(attempt=7)
        await one.owner.accepted()
        one.link.publish("t", b"")
        one.outbox.add(messages(1)[0])
        one.link.send_due()
        one.link.subscribe("t", 1)
        one.link.cut("network down")
        assert await one.owner.ended() == LinkLost(7, "network down")


async def test_close_in_the_turn_of_messages_lets_them_go_out(engine: EngineFactory) -> None:
    async with link_bench(engine, accepting) as bench:
        one = bench.open()
        await one.owner.accepted()
        one.link.publish("t", b"")
        one.link.publish("t", b"")
        one.close()
        await bench.server.peers[0].gone.wait()
    assert bench.server.peers[0].packets[1:] == [Publish("t", b""), Publish("t", b""), Disconnect()]


@pytest.mark.parametrize("how", ["close", "cut"])
async def test_nothing_is_told_between_an_end_and_its_event_whatever_comes_meanwhile(
    engine: EngineFactory, how: str
) -> None:
    async def talkative(peer: Peer) -> None:
        with suppress(ClientGone, ConnectionError):
            await peer.take(Connect)
            await peer.send(ConnAck(), *(Publish("t", b"") for _ in range(5)))

    async with link_bench(engine, talkative) as bench:
        for turn in range(40):
            one = bench.open()
            await turns(turn)
            told: list[object] = []

            def end(one: Opened = one, told: list[object] = told) -> None:
                told.extend(one.owner.story)
                one.close() if how == "close" else one.link.cut("network down")

            asyncio.get_running_loop().call_soon(end)
            await until(lambda: not bench.engine.open_links, "it has ended")
            assert one.owner.story == (told if how == "close" else [*told, one.owner.terminal])


# -- many and few


async def test_dial_that_hangs_is_unreachable_in_time(engine: EngineFactory) -> None:
    with unanswering_port() as port:
        async with link_bench(engine, silent, port=port, options=IMPATIENT) as bench:
            assert await bench.open(attempt=7).owner.ended() == Unreachable(7, "no answer in time")


async def test_more_links_than_may_be_dialled_at_once_are_all_served(engine: EngineFactory) -> None:
    async with link_bench(engine, accepting) as bench:
        opened = [bench.open(attempt, look_at_descriptors=False) for attempt in range(1, 1301)]
        assert bench.engine.open_links == 1300
        await until(lambda: all(one.owner.events for one in opened), "all are accepted", within_s=20)
        for one in opened:
            one.close()
    assert all(one.owner.events == [Accepted(one.owner.attempt)] for one in opened)


async def test_without_a_free_descriptor_an_attempt_is_unreachable_and_the_next_one_works(
    engine: EngineFactory,
) -> None:
    async with link_bench(engine, accepting) as bench:
        with no_free_descriptor():
            starved = [bench.open(attempt, look_at_descriptors=False) for attempt in (1, 2, 3)]
            for one in starved:
                await one.owner.ended()
        assert [one.owner.terminal for one in starved] == [
            Unreachable(attempt, os.strerror(errno.EMFILE)) for attempt in (1, 2, 3)
        ]
        assert bench.link_descriptors() == set()
        later = bench.open(4)
        await later.owner.accepted()
        later.close()


@contextmanager
def no_free_descriptor() -> Iterator[None]:
    """Use up every file descriptor of the process, under a low limit of our own."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken: list[int] = []
    try:
        taken.append(os.dup(0))
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, taken[0] + 64), hard))
        with pytest.raises(OSError, match=os.strerror(errno.EMFILE)):
            taken.extend(os.dup(0) for _ in range(soft))
        yield
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

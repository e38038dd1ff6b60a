"""Streams on real socket pairs."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator

import pytest

from simulator.links.stream import Streams
from tests.support.waiting import turns, until


class Listening:
    """A receiver that remembers."""

    def __init__(self) -> None:
        self.data = b""
        self.ends: list[str] = []

    def data_received(self, data: bytes) -> None:
        self.data += data

    def stream_ended(self, reason: str) -> None:
        self.ends.append(reason)


class Pair:
    """A stream, who hears it, and the blocking socket at the other end."""

    def __init__(self) -> None:
        self.socket, self.peer = socket.socketpair()
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        self.peer.setblocking(False)
        self.heard = Listening()
        self.stream = Streams(asyncio.get_running_loop()).open(self.socket, self.heard)

    def read(self) -> bytes:
        """What has arrived at the other end."""
        found = b""
        try:
            while data := self.peer.recv(65_536):
                found += data
        except BlockingIOError:
            pass
        return found


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    pair = Pair()
    yield pair
    pair.stream.close()
    pair.peer.close()


async def test_writes_of_one_turn_leave_together_at_its_end(pair: Pair) -> None:
    pair.stream.write(b"one")
    pair.stream.write(b"two")
    assert pair.read() == b""
    await turns(2)
    assert pair.read() == b"onetwo"


async def test_what_the_kernel_does_not_take_at_once_follows_in_order(pair: Pair) -> None:
    data = bytes(range(256)) * 1000
    pair.stream.write(data)
    await turns()
    pair.stream.write(b"end")
    found = b""
    async with asyncio.timeout(5):
        while len(found) < len(data) + 3:
            found += pair.read()
            await turns(1)
    assert found == data + b"end"
    assert not pair.heard.ends


async def test_what_arrives_is_told_as_it_comes(pair: Pair) -> None:
    pair.peer.send(b"hello")
    await until(lambda: pair.heard.data == b"hello", "the data is told")


async def test_end_is_told_once_and_after_the_descriptor_is_gone(pair: Pair) -> None:
    pair.peer.send(b"last")
    pair.peer.close()
    await until(lambda: pair.heard.ends, "the end is told")
    assert pair.heard.ends == ["closed by the platform"]
    assert pair.heard.data == b"last"
    assert pair.socket.fileno() == -1


async def test_reset_is_told_with_its_reason() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        peer, _ = listener.accept()
    ours.setblocking(False)
    heard = Listening()
    stream = Streams(asyncio.get_running_loop()).open(ours, heard)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()
    stream.write(b"into the void")
    await until(lambda: heard.ends, "the end is told")
    assert heard.ends == ["Connection reset by peer"]


async def test_closed_stream_says_nothing_and_takes_nothing(pair: Pair) -> None:
    pair.stream.write(b"never sent")
    pair.stream.close()
    pair.stream.close()
    await turns()
    assert pair.peer.recv(100) == b""
    assert not pair.heard.ends


async def test_finished_stream_sends_the_rest_first(pair: Pair) -> None:
    pair.stream.write(b"goodbye")
    pair.stream.finish()
    assert pair.socket.fileno() == -1
    assert pair.read() == b"goodbye"
    assert pair.heard.ends == []
    await turns()
    assert pair.heard.ends == ["closed"]


async def test_stream_finishes_later_when_its_reader_is_slow(pair: Pair) -> None:
    pair.stream.write(b"x" * 100_000)
    pair.stream.finish()
    found = b""
    async with asyncio.timeout(5):
        while not pair.heard.ends:
            found += pair.read()
            await turns(1)
    found += pair.read()
    assert (len(found), pair.heard.ends) == (100_000, ["closed"])

"""The connection in memory: what each side sees of the other, and when."""

import asyncio

import pytest

from broker.engines.memory import HIGH_WATER, Connection, Writer
from tests.support.waiting import turns
from wire.mqtt import Connect, Disconnect, PingReq, PingResp, Publish

LINGER_S = 5.0


class Protocol(asyncio.Protocol):
    """Says one packet first, and notes what happens to it."""

    def __init__(self, *, wants_it: bool = True) -> None:
        self.wants_it = wants_it
        self.notes: list[str] = []
        self.heard = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, Connection)
        if self.wants_it:
            transport.write(Connect("d1").encode())
        else:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        self.heard += data

    def connection_lost(self, exc: Exception | None) -> None:
        assert exc is None
        self.notes.append("lost")

    def pause_writing(self) -> None:
        self.notes.append("pause")

    def resume_writing(self) -> None:
        self.notes.append("resume")


@pytest.fixture
def protocol() -> Protocol:
    return Protocol()


@pytest.fixture
async def connection(protocol: Protocol) -> Connection:
    """One that is served, and whose CONNECT was read."""
    made = Connection(protocol, LINGER_S)
    assert made.greeting() == Connect("d1")
    made.is_served = True
    assert await read_frame(made) == Connect("d1").encode()
    return made


async def read_frame(connection: Connection) -> bytes:
    """Read as amqtt does: type, length, the rest."""
    head = await connection.read(2)
    return head + await connection.read(head[1]) if head else b""


async def test_packets_are_read_in_order_and_in_pieces(connection: Connection) -> None:
    packets = [PingReq().encode(), Publish("a", b"").encode(), Publish("topic", b"payload").encode()]
    connection.write(packets[0] + packets[1])
    connection.write(packets[2])
    assert [await read_frame(connection) for _ in packets] == packets
    assert await connection.read(0) == b""


async def test_no_read_runs_into_the_next_packet(connection: Connection) -> None:
    connection.write(PingReq().encode() + PingReq().encode())
    assert await connection.read(100) == PingReq().encode()


async def test_reader_waits_for_a_packet(connection: Connection) -> None:
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(connection.read(2))
        await turns()
        assert not reading.done()
        connection.write(PingReq().encode())
    assert reading.result() == PingReq().encode()


async def test_what_was_written_is_read_before_the_end(connection: Connection, protocol: Protocol) -> None:
    connection.write(PingReq().encode())
    connection.close()
    connection.write(b"too late")
    assert connection.is_closing()
    assert await read_frame(connection) == PingReq().encode()
    assert await connection.read(1) == b""
    assert protocol.notes == [], "it is served yet"
    connection.over()
    connection.over()
    assert protocol.notes == ["lost"]


async def test_abort_forgets_what_was_written(connection: Connection) -> None:
    connection.write(PingReq().encode())
    connection.abort()
    assert connection.get_write_buffer_size() == 0
    assert await connection.read(1) == b""


async def test_connection_that_nobody_serves_is_lost_when_it_is_closed() -> None:
    protocol = Protocol()
    connection = Connection(protocol, LINGER_S)
    connection.greeting()
    connection.close()
    assert protocol.notes == []
    await turns(2)
    assert protocol.notes == ["lost"]


async def test_protocol_may_want_it_no_more() -> None:
    assert Connection(Protocol(wants_it=False), LINGER_S).greeting() is None


async def test_writer_is_told_to_wait_and_to_go_on(connection: Connection, protocol: Protocol) -> None:
    frame = Publish("a", b"x" * 100).encode()
    while connection.get_write_buffer_size() <= HIGH_WATER:
        assert protocol.notes == []
        connection.write(frame)
    connection.write(frame)
    assert protocol.notes == ["pause"]
    waiting = connection.get_write_buffer_size()
    await read_frame(connection)
    assert connection.get_write_buffer_size() == waiting - len(frame)
    while protocol.notes == ["pause"]:
        await read_frame(connection)
    assert protocol.notes == ["pause", "resume"]
    assert 0 < connection.get_write_buffer_size() < HIGH_WATER


async def test_what_the_server_writes_arrives_at_once_until_the_end(connection: Connection, protocol: Protocol) -> None:
    writer = Writer(connection)
    connection.pause_reading()
    writer.write(b"hello")
    await writer.drain()
    assert protocol.heard == b"hello"
    connection.resume_reading()
    await writer.close()
    writer.write(PingResp().encode())
    with pytest.raises(ConnectionAbortedError):
        writer.write(Publish("a", b"x", 1, 1).encode())
    assert protocol.heard == b"hello"
    assert connection.is_closing()
    assert (writer.get_peer_info(), writer.get_ssl_info()) == (("gate", 0), None)


@pytest.mark.parametrize("last", [Disconnect().encode(), b""], ids=["goodbye", "end"])
async def test_last_word_waits_until_the_server_has_passed_on_the_rest(connection: Connection, last: bytes) -> None:
    settled = False
    connection.is_settled = lambda: settled
    connection.write(Publish("a", b"x").encode() + last)
    if not last:
        connection.close()
    assert await read_frame(connection) == Publish("a", b"x").encode()
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(read_frame(connection))
        await turns(50)
        assert not reading.done()
        settled = True
    assert reading.result() == last


async def test_other_packets_do_not_wait_for_ever_for_a_server_that_is_busy(connection: Connection) -> None:
    connection.is_settled = lambda: False
    connection.write(PingReq().encode())
    assert await read_frame(connection) == PingReq().encode()


async def test_last_word_does_not_wait_longer_than_it_may(protocol: Protocol) -> None:
    connection = Connection(protocol, linger_s=0.01)
    connection.greeting()
    await read_frame(connection)
    connection.is_settled = lambda: False
    connection.on_end = lambda: protocol.notes.append("end")
    connection.is_served = True
    connection.close()
    assert protocol.notes == []
    assert await connection.read(1) == b""
    assert protocol.notes == ["end"]

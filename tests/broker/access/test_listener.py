"""The sockets: closing without losing the last word, time-outs, caps, and one bad peer among many."""

import asyncio
import socket
import struct
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from broker.access.gate import Gate
from tests.broker.rig import BOTH_VERSIONS, DEADLINE_S, Client, FakeClock, Rig, connect, running
from wire.mqtt import ConnAck, Disconnect, PingReq, PingResp, PubAck, Publish, Subscribe

UP = "$oc/devices/d1/sys/messages/up"
SOON: dict[str, Any] = {"sweep_s": 0.01}


def reset_connection(client: Client) -> None:
    """Close with RST, as a peer that crashed."""
    raw = client.writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.writer.transport.abort()


async def alive(client: Client) -> bool:
    client.send(PingReq())
    return await client.receive() == PingResp()


@BOTH_VERSIONS
async def test_refused_client_gets_its_connack_though_it_sent_more_than_is_read(rig: Rig, level: int) -> None:
    async with await rig.client() as client:
        client.send(connect(secret="wrong-secret", level=level))
        client.writer.write(PingReq().encode() * 500_000)
        assert await client.rest() == [ConnAck(0x86 if level == 5 else 4)]


async def test_cut_client_gets_its_disconnect_though_it_sent_more_than_is_read(rig: Rig) -> None:
    async with await rig.login(connect(level=5)) as client:
        client.writer.write(b"\xf0\x00" + PingReq().encode() * 500_000)
        assert await client.farewell() == 0x82


async def test_nothing_received_after_the_refusal_is_answered(rig: Rig) -> None:
    async with await rig.client() as client:
        client.send(connect(secret="wrong-secret"), connect(), PingReq())
        assert await client.rest() == [ConnAck(4)]
    assert rig.records("accepted") == []


async def test_pipelined_requests_are_answered_with_the_connack_in_order(rig: Rig) -> None:
    async with await rig.client() as client:
        client.send(connect(), Publish(UP, b'{"seq": 1}', 1, 1), PingReq(), Disconnect(), PingReq())
        assert await client.rest() == [ConnAck(0), PubAck(1), PingResp()]
    assert [one["reason"] for one in rig.records("detached")] == ["client_disconnect"]


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x00" * 64,
        b"\x30\xff\xff\xff\x7f",
        b"\x10\xff\xff\xff\xff\xff",
        PingReq().encode(),
    ],
)
async def test_garbage_before_connect_closes_that_peer(rig: Rig, garbage: bytes) -> None:
    async with await rig.client() as client:
        client.writer.write(garbage)
        assert await client.rest() == []
    assert [one["reason"] for one in rig.records("peer_closed")] == ["protocol_error"]


async def test_garbage_of_one_leaves_fifty_others_online(rig: Rig) -> None:
    names = [f"m{number}" for number in range(50)]
    await rig.provision(*names)
    async with AsyncExitStack() as stack:
        others = [await stack.enter_async_context(await rig.login(connect(name))) for name in names]
        async with await rig.login() as bad:
            bad.writer.write(b"\xf0\x00\xff\xff")
            assert await bad.rest() == []
        assert all([await alive(client) for client in others])
        assert len(await rig.sessions()) == 50
    assert rig.records("detached")[0]["reason"] == "protocol_error"


@BOTH_VERSIONS
@pytest.mark.parametrize(
    ("packet", "code"),
    [
        (connect().encode(), 0x82),
        (Publish("t", b"x", 2, 1).encode(5), 0x9B),
        (b"\x36\x05\x00\x01t\x00\x01", 0x81),
        (b"\x82\x03\x00\x01\x00", 0x82),
        (b"\x30\xff\xff\xff\x7f", 0x95),
    ],
)
async def test_broken_rule_after_connect_ends_the_session(rig: Rig, packet: bytes, code: int, level: int) -> None:
    async with await rig.login(connect(level=level)) as client:
        client.writer.write(packet)
        assert await client.farewell() == (code if level == 5 else None)
    assert [one["reason"] for one in rig.records("detached")] == ["protocol_error"]


@BOTH_VERSIONS
async def test_internal_error_closes_one_peer_and_is_counted(
    rig: Rig, level: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    await rig.provision("d2")

    def broken(*_: object) -> None:
        raise RuntimeError("a bug of ours")

    async with await rig.login(connect(level=level)) as one, await rig.login(connect("d2")) as two:
        monkeypatch.setattr(Gate, "_publish", broken)
        one.send(Publish(UP, b"x"))
        assert await one.farewell() == (0x80 if level == 5 else None)
        assert await alive(two)
    assert (await rig.statistics())["internal_errors"] == 1
    assert "a bug of ours" in capsys.readouterr().err
    assert rig.records("detached")[0]["reason"] == "internal_error"


async def test_connect_that_never_comes_is_timed_out(tmp_path: Path) -> None:
    async with running(tmp_path, connect_timeout_s=0.05, **SOON) as rig, await rig.client() as client:
        client.writer.write(connect().encode()[:10])
        assert await client.rest() == []
        assert [one["reason"] for one in rig.records("peer_closed")] == ["connect_timeout"]


async def test_dripping_bytes_do_not_put_off_the_connect_timeout(tmp_path: Path) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock, **SOON) as rig, await rig.client() as client:
        client.writer.write(connect().encode()[:10])
        await rig.call("GET", "/_platform")
        clock.advance(29)
        client.writer.write(connect().encode()[10:20])
        await rig.call("GET", "/_platform")
        clock.advance(2)
        assert await client.rest() == []


@BOTH_VERSIONS
async def test_silence_of_one_and_a_half_keepalives_ends_the_session(tmp_path: Path, level: int) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock, **SOON) as rig:
        await rig.provision("d1", "d2")
        async with (
            await rig.login(connect(keepalive=60, level=level)) as silent,
            await rig.login(connect("d2")) as talking,
        ):
            clock.advance(89)
            assert await alive(talking)
            clock.advance(2)
            assert await silent.farewell() == (0x8D if level == 5 else None)
            assert await alive(talking)
        first = rig.records("detached")[0]
        assert (first["device"], first["reason"]) == ("d1", "keepalive")


async def test_half_closed_client_gets_what_it_is_owed(rig: Rig) -> None:
    async with await rig.client() as client:
        client.send(connect(), Publish(UP, b'{"seq": 1}', 1, 1))
        client.writer.write_eof()
        assert await client.rest() == [ConnAck(0), PubAck(1)]
    assert [one["reason"] for one in rig.records("detached")] == ["connection_lost"]


async def test_crashed_client_leaves_no_session(rig: Rig) -> None:
    reset_connection(await rig.login())
    await rig.record("detached", device="d1", reason="connection_lost")
    assert await rig.sessions() == {}


async def test_client_that_comes_and_goes_is_journalled_as_a_peer(rig: Rig) -> None:
    async with await rig.client() as client:
        client.writer.close()
    await rig.record("peer_closed", reason="connection_lost")


async def test_late_end_of_a_taken_over_connection_leaves_the_new_session(rig: Rig) -> None:
    async with await rig.login() as old, await rig.login() as new:
        reset_connection(old)
        assert await alive(new)
        assert list(await rig.sessions()) == ["d1"]
    assert [one["reason"] for one in rig.records("detached")][:1] == ["take_over"]


async def test_cut_client_that_never_closes_is_aborted_after_a_while(tmp_path: Path) -> None:
    async with running(tmp_path, linger_s=0.05, stuck_s=0.01) as rig:
        await rig.provision("d1")
        async with await rig.login() as client:
            await rig.reset(force_disconnect=True)
            assert await client.rest() == []
            with pytest.raises(ConnectionError):
                await ping_for_ever(rig, client)


async def ping_for_ever(rig: Rig, client: Client) -> None:
    while True:
        client.send(PingReq())
        await client.writer.drain()
        await rig.statistics()


@BOTH_VERSIONS
async def test_client_that_does_not_read_is_cut_and_the_sender_lives_on(tmp_path: Path, level: int) -> None:
    async with running(tmp_path, write_cap=50_000, stuck_s=DEADLINE_S, linger_s=DEADLINE_S) as rig:
        await rig.provision("d1", "d2")
        async with await rig.login() as sender, await rig.login(connect("d2", level=level)) as deaf:
            deaf.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it is a read transport too
            deaf.send(Subscribe(1, (("flood", 0),)))
            await rig.record("accepted", device="d2")
            await flood(rig, sender)
            assert await alive(sender)
            assert list(await rig.sessions()) == ["d1"]
            deaf.writer.transport.resume_reading()  # type: ignore[attr-defined]
            endings = [one.code for one in await deaf.rest() if isinstance(one, Disconnect)]
            assert endings == ([0x97] if level == 5 else [])


async def flood(rig: Rig, sender: Client) -> None:
    """Send until the receiver is cut for being slow."""
    async with asyncio.TaskGroup() as tasks:
        cut = tasks.create_task(rig.record("detached", device="d2", reason="slow_consumer"))
        packet_id = 0
        while not cut.done():
            packet_id = packet_id % 65_535 + 1
            sender.send(Publish("flood", b"x" * 100_000, 1, packet_id))
            assert await sender.receive() == PubAck(packet_id)


async def test_qos_1_queue_of_a_slow_acknowledger_is_bounded_and_counted(tmp_path: Path) -> None:
    async with running(tmp_path, inflight_window=2, queue_limit=3) as rig:
        await rig.provision("d1")
        async with await rig.login() as client:
            client.send(Subscribe(1, (("q", 1),)))
            await client.receive()
            client.send(*(Publish("q", b"%d" % number, 1, number) for number in range(1, 9)))
            client.send(PingReq())
            got: list[Any] = []
            while not got or got[-1] != PingResp():
                got.append(await client.receive())
            assert [one.payload for one in got if isinstance(one, Publish)] == [b"1", b"2"]
            client.send(PubAck(1), PubAck(2))
            assert [(await client.receive()).payload for _ in range(2)] == [b"6", b"7"]  # type: ignore[union-attr]
        assert (await rig.statistics())["dropped_queue_full"] == 3


@BOTH_VERSIONS
async def test_stop_cuts_everybody_and_says_so_last(tmp_path: Path, level: int) -> None:
    async with AsyncExitStack() as stack:
        async with running(tmp_path, linger_s=0.2) as rig:
            await rig.provision("d1", "d2")
            packets = [connect(name, level=level) for name in ("d1", "d2")]
            clients = [await stack.enter_async_context(await rig.login(packet)) for packet in packets]
        for client in clients:
            assert await client.farewell() == (0x8B if level == 5 else None)
        assert [one["reason"] for one in rig.records("detached")] == ["stopping", "stopping"]
        assert rig.records()[-1]["kind"] == "stopped"


async def test_ten_thousand_bytes_at_a_time_or_one_it_is_the_same(rig: Rig) -> None:
    async with await rig.client() as client:
        for byte in connect().encode() + Publish(UP, b'{"seq": 1}', 1, 1).encode():
            client.writer.write(bytes((byte,)))
            await client.writer.drain()
        assert [await client.receive(), await client.receive()] == [ConnAck(0), PubAck(1)]


async def test_bytes_waiting_for_a_slow_acknowledger_are_bounded_and_counted(tmp_path: Path) -> None:
    async with running(tmp_path, inflight_window=1, queue_bytes=1000) as rig:
        await rig.provision("d1")
        async with await rig.login() as client:
            client.send(Subscribe(1, (("q", 1),)))
            await client.receive()
            client.send(*(Publish("q", b"%d" % number + b"." * 300, 1, number) for number in range(1, 9)))
            client.send(PingReq())
            while await client.receive() != PingResp():
                pass
        assert (await rig.statistics())["dropped_queue_full"] == 4


async def test_patience_is_the_same_after_traffic_as_after_connect(tmp_path: Path) -> None:
    clock = FakeClock()
    async with running(tmp_path, clock, **SOON) as rig:
        names = [f"m{number}" for number in range(3)]
        await rig.provision("d1", *names)

        async def swept(name: str) -> None:
            """Wait until every deadline was looked at: this client's, 45 s from its login, is over."""
            async with await rig.login(connect(name, keepalive=30)) as silent:
                clock.advance(89)
                assert await silent.rest() == []

        async with await rig.login(connect(keepalive=60)) as client:
            for name in names[:2]:
                await swept(name)
                assert await alive(client)
            clock.advance(2)
            await swept(names[2])
            assert await client.rest() == []
        detached = [(one["device"], one["reason"]) for one in rig.records("detached")]
        assert sorted(detached[:4]) == [("d1", "keepalive")] + [(name, "keepalive") for name in names]

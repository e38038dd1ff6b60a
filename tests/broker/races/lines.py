"""Sockets of devices and of callers that know at once what has come; both ask the kernel, not the loop."""

import asyncio
import json
import socket
from collections.abc import Callable
from typing import cast

from tests.broker.rig import connect
from wire.mqtt import FROM_SERVER, ConnAck, Decoder, PubAck, Publish

ESTABLISHED = 1
LAST_CHUNK = b"0\r\n\r\n"


class DeviceLine(asyncio.Protocol):
    """One connection of a device; it tells of its CONNACK and its PUBACKs, and knows when the platform has closed."""

    def __init__(self, level: int, greeted: Callable[[int], None], acknowledged: Callable[[int], None]) -> None:
        self.ended = asyncio.Event()
        self._level = level
        self._greeted = greeted
        self._acknowledged = acknowledged
        self._decoder = Decoder(FROM_SERVER, version=level)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._socket: socket.socket = transport.get_extra_info("socket")

    def data_received(self, data: bytes) -> None:
        self._decoder.feed(data)
        while (packet := self._decoder.next_packet()) is not None:
            if isinstance(packet, ConnAck):
                self._greeted(packet.code)
            elif isinstance(packet, PubAck):
                self._acknowledged(packet.packet_id)

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set()

    def local_address(self) -> tuple[str, int]:
        host, port = self._socket.getsockname()
        return host, port

    def is_open(self) -> bool:
        """Whether the kernel has seen neither end of it close."""
        if self._transport.is_closing():
            return False
        return self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == ESTABLISHED

    def log_in(self, device_id: str, secret: str) -> None:
        self._transport.write(connect(device_id, secret, level=self._level).encode(self._level))

    def report(self, device_id: str, packet_id: int, seq: int) -> None:
        """Publish a numbered message with QoS 1."""
        message = Publish(f"$oc/devices/{device_id}/sys/messages/up", b'{"seq": %d}' % seq, 1, packet_id)
        self._transport.write(message.encode(self._level))

    def drop(self) -> None:
        self._transport.abort()


class CallerLine(asyncio.Protocol):
    """One kept-alive HTTP connection, a call at a time; `answered` runs in the turn in which the reply is read."""

    def __init__(self) -> None:
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end:
            return
        status, *lines = head.decode().lower().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        if "transfer-encoding" in headers:
            if not body.endswith(LAST_CHUNK):
                return
        elif len(body) < int(headers.get("content-length", 0)):
            return
        self._received = b""
        self._answered(int(status.split()[1]), headers["x-request-id"], body)
        self._reply.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._reply.done():
            self._reply.set_exception(EOFError("the platform hung up on a call"))

    async def call(self, method: str, path: str, body: object, answered: Callable[[int, str, bytes], None]) -> None:
        """Call, and wait for the reply; `answered` is told its status, its request id and its body, chunks and all."""
        self._answered = answered
        self._reply = asyncio.get_running_loop().create_future()
        data = json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        self._transport.write(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
        await self._reply

    def close(self) -> None:
        self._reply = asyncio.get_running_loop().create_future()
        self._reply.set_result(None)
        self._transport.abort()

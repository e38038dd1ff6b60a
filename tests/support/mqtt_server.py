"""A scripted MQTT server on 127.0.0.1:0, for misbehaviour that no real broker can be asked for.

A script is a coroutine that is handed one client's connection. When it returns, the server reads on until the client
is gone. A script that fails fails the test.
"""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from broker.access.tls import TlsChannel, TlsFailed
from wire.mqtt import FROM_CLIENT, ConnAck, Connect, Decoder, Packet

READ_BYTES = 65_536
RESET_ON_CLOSE = struct.pack("ii", 1, 0)

P = TypeVar("P")


class ClientGone(Exception):
    """The script wanted a packet, and the client had ended the connection."""


class Peer:
    """One client's connection, as the server sees it; `packets` is everything the client ever sent."""

    def __init__(self, sock: socket.socket, tls: TlsChannel | None = None) -> None:
        self._tls = tls
        self.packets: list[Packet] = []
        self.gone = asyncio.Event()
        self._sock = sock
        self._decoder = Decoder(FROM_CLIENT)

    @property
    def descriptor(self) -> int:
        """The server's end, -1 when closed."""
        return self._sock.fileno()

    async def take(self, kind: type[P]) -> P:
        """Receive the next packet, which must be of this kind."""
        packet = await self.receive()
        assert isinstance(packet, kind), f"the client sent {packet!r}, expected {kind.__name__}"
        return packet

    async def accept(self, *, session_present: bool = False) -> Connect:
        """Receive CONNECT and accept it."""
        connect = await self.take(Connect)
        await self.send(ConnAck(0, session_present))
        return connect

    async def send(self, *packets: Packet) -> None:
        """Send packets, in one segment, in the version that the client speaks."""
        await self.send_bytes(b"".join(packet.encode(self._decoder.version) for packet in packets))

    async def send_bytes(self, data: bytes) -> None:
        while self._tls is not None and not self._tls.is_open:
            await self._read()
        await self._put(data if self._tls is None else self._tls.encrypt(data))

    def finish(self) -> None:
        """End the connection in order (FIN); what the client still sends is read."""
        if self._tls is not None:
            self._sock.send(self._tls.goodbye())
        self._sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """End the connection with a reset (RST)."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self.close()

    def close(self) -> None:
        self._sock.close()
        self.gone.set()

    async def read_to_the_end(self) -> None:
        """Receive everything until the client ends the connection."""
        with contextlib.suppress(ClientGone):
            while self.descriptor >= 0:
                await self.receive()

    async def receive(self) -> Packet:
        """Receive the next packet; ClientGone at the end of the connection."""
        while (packet := self._decoder.next_packet()) is None:
            await self._read()
        self.packets.append(packet)
        return packet

    async def _read(self) -> None:
        """Read what the client says, over TLS too; ClientGone at the end of the connection."""
        try:
            data = await asyncio.get_running_loop().sock_recv(self._sock, READ_BYTES)
        except ConnectionError:
            data = b""
        if not data:
            self.gone.set()
            raise ClientGone(f"after {self.packets}")
        self._decoder.feed(data if self._tls is None else await self._decrypted(self._tls, data))

    async def _decrypted(self, tls: TlsChannel, data: bytes) -> bytes:
        try:
            said = tls.receive(data)
        except TlsFailed as error:
            raise ClientGone(error.reason) from None
        await self._put(tls.take())
        return said

    async def _put(self, data: bytes) -> None:
        try:
            await asyncio.get_running_loop().sock_sendall(self._sock, data)
        except ConnectionError:
            if self._tls is None:
                raise
            raise ClientGone("during TLS") from None


Script = Callable[[Peer], Awaitable[None]]


class ScriptedServer:
    """The first connection gets the first script, and so on; the last script serves all that follow."""

    def __init__(
        self, tasks: asyncio.TaskGroup, scripts: tuple[Script, ...], context: ssl.SSLContext | None = None
    ) -> None:
        self._context = context
        self.peers: list[Peer] = []
        self._loop = asyncio.get_running_loop()
        self._tasks = tasks
        self._scripts = scripts
        self._running: set[asyncio.Task[None]] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
        self._listener.setblocking(False)
        self._loop.add_reader(self._listener, self._readable)

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    @property
    def descriptors(self) -> set[int]:
        """What the server's own end holds."""
        return {self._listener.fileno(), *(peer.descriptor for peer in self.peers)}

    @property
    def running(self) -> set[asyncio.Task[None]]:
        """The tasks of the scripts."""
        return set(self._running)

    def close(self) -> None:
        """Take nobody any more, and end every script."""
        self._loop.remove_reader(self._listener)
        self._listener.close()
        for task in self._running:
            task.cancel()

    def _readable(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except BlockingIOError:  # the client was gone before we looked
            return
        sock.setblocking(False)
        peer = Peer(sock, None if self._context is None else TlsChannel(self._context))
        script = self._scripts[min(len(self.peers), len(self._scripts) - 1)]
        self.peers.append(peer)
        task = self._tasks.create_task(self._serve(peer, script), name=f"peer-{len(self.peers)}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _serve(self, peer: Peer, script: Script) -> None:
        try:
            await script(peer)
            await peer.read_to_the_end()
        except ClientGone:
            if self._context is None:
                raise  # over TLS a script may begin before the client's handshake is over, and the client go meanwhile
        finally:
            peer.close()


@contextlib.asynccontextmanager
async def scripted_server(*scripts: Script, context: ssl.SSLContext | None = None) -> AsyncIterator[ScriptedServer]:
    """Serve while the body runs; with a context over TLS."""
    async with asyncio.TaskGroup() as tasks:
        server = ScriptedServer(tasks, scripts, context)
        try:
            yield server
        finally:
            server.close()


async def accepting(peer: Peer) -> None:
    """The script of a server that accepts the client and then only listens."""
    await peer.accept()


async def silent(peer: Peer) -> None:
    """The script of a server that never says a word."""


async def deaf(peer: Peer) -> None:
    """The script of a server that accepts the client and then reads nothing."""
    await peer.accept()
    await asyncio.Event().wait()

"""Plays attacks against a platform: many connections at a time, from addresses of their own."""

import asyncio
import contextlib
import socket
import struct
from collections import deque
from collections.abc import Callable
from datetime import datetime
from itertools import count
from typing import Protocol

from simulator.clock import Clock
from simulator.links.link import Endpoint
from tests.soak.attacks import Attack, Ending

AT_A_TIME = 32
STAYING = 100
SHOWN_ATTACKS = 20
PATIENCE_S = 0.5
READ_BYTES = 65_536
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


Heard = Callable[[Attack, bytes], None]


class Draws(Protocol):
    """Attacks by their numbers, from a seed."""

    seed: int

    def attack(self, number: int, utc: datetime) -> Attack:
        """Draw one."""


class Attackers:
    """Counts what it does, remembers the last attacks that it began, and tells `heard` what an attack was answered.

    Each attack comes from one of many loopback addresses: one alone would run out of ports.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        plan: Draws,
        clock: Clock,
        heard: Heard = lambda *_: None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self.connections = 0
        self.inputs = 0
        self.last: deque[Attack] = deque(maxlen=SHOWN_ATTACKS)
        self._endpoint = endpoint
        self._plan = plan
        self._clock = clock
        self._heard = heard
        self._patience_s = patience_s
        self._numbers = count(1)
        self._staying: deque[socket.socket] = deque()
        self._loop = asyncio.get_running_loop()

    async def attack(self, goes_on: Callable[[], bool]) -> None:
        """Attack for as long as asked, then leave nothing open."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for number in range(AT_A_TIME):
                    tasks.create_task(self._attack(goes_on), name=f"attacker-{number}")
        finally:
            while self._staying:
                self._staying.popleft().close()

    def story(self) -> str:
        """Tell what the attackers did last, for a failure that wants to be repeated."""
        last = "\n".join(map(str, self.last))
        return f"seed {self._plan.seed}, {self.connections} connections; the last attacks:\n{last}"

    async def _attack(self, goes_on: Callable[[], bool]) -> None:
        while goes_on():
            attack = self._plan.attack(next(self._numbers), self._clock.utc())
            self.last.append(attack)
            await self._play(attack)

    async def _play(self, attack: Attack) -> None:
        sock = socket.socket()
        sock.setblocking(False)
        sock.bind((f"127.0.1.{attack.number % 250 + 1}", 0))
        await self._loop.sock_connect(sock, (self._endpoint.host, self._endpoint.port))
        self.connections += 1
        self.inputs += attack.inputs
        with contextlib.suppress(ConnectionError, TimeoutError):  # the platform may close at any byte
            async with asyncio.timeout(self._patience_s):
                for piece in attack.pieces:
                    await self._loop.sock_sendall(sock, piece)
                    await asyncio.sleep(0)
        await self._leave(sock, attack)

    async def _leave(self, sock: socket.socket, attack: Attack) -> None:
        match attack.ending:
            case Ending.READS_ON:
                await self._read(sock, attack)
            case Ending.FINISHES:
                with contextlib.suppress(OSError):  # the platform was faster
                    sock.shutdown(socket.SHUT_WR)
                await self._read(sock, attack)
            case Ending.RESETS:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            case Ending.STAYS:
                self._staying.append(sock)
                if len(self._staying) <= STAYING:
                    return
                sock = self._staying.popleft()
        sock.close()

    async def _read(self, sock: socket.socket, attack: Attack) -> None:
        heard = bytearray()
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(self._patience_s):
                while piece := await self._loop.sock_recv(sock, READ_BYTES):
                    heard += piece
        self._heard(attack, bytes(heard))

"""A loopback socket between a paho-mqtt client and our codec.

One thread: paho writes at once when no network loop runs, and reads when `loop` is called.
"""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self, TypeVar

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties as PahoProperties

from wire.mqtt import FROM_CLIENT, ConnAck, Decoder, Packet

DEADLINE_S = 5.0


class Line:
    """A paho client and, at the other end of its socket, our codec in the version that the client speaks.

    `heard` is what its callbacks got.
    """

    def __init__(self, listener: socket.socket, **options: Any) -> None:
        self.heard: list[tuple[Any, ...]] = []
        self.client = Client(CallbackAPIVersion.VERSION2, reconnect_on_failure=False, **options)
        self._listener = listener
        self._decoder = Decoder(FROM_CLIENT)
        self.record_callbacks()

    def record_callbacks(self) -> None:
        client, hear = self.client, self.heard.append
        client.on_connect = lambda _c, _u, flags, code, _p: hear(("connect", flags.session_present, str(code)))
        client.on_subscribe = lambda _c, _u, mid, codes, _p: hear(("subscribe", mid, [c.value for c in codes]))
        client.on_unsubscribe = lambda _c, _u, mid, _codes, _p: hear(("unsubscribe", mid))
        client.on_publish = lambda _c, _u, mid, _code, _p: hear(("publish", mid))
        client.on_message = lambda _c, _u, m: hear(("message", m.topic, m.payload, m.qos, m.mid, m.retain, m.dup))
        client.on_log = lambda _c, _u, _level, text: hear((text,)) if text == "Received PINGRESP" else None

    def connect(self, **options: Any) -> Packet:
        assert self.client.connect("127.0.0.1", self._listener.getsockname()[1], **options) == 0
        self.server, _ = self._listener.accept()
        self.server.settimeout(DEADLINE_S)
        return self.take()

    def connected(self) -> Self:
        self.connect()
        self.give(ConnAck(), until=lambda: bool(self.heard))
        self.heard.clear()
        return self

    def take(self) -> Packet:
        """Decode the next packet that paho sends."""
        while (packet := self._decoder.next_packet()) is None:
            received = self.server.recv(4096)
            assert received, "paho closed the connection"
            self._decoder.feed(received)
        return packet

    def give(self, *packets: Packet, until: Callable[[], bool]) -> None:
        """Send packets to paho and let it read until `until` holds."""
        self.server.sendall(b"".join(packet.encode(self._decoder.version) for packet in packets))
        deadline = time.monotonic() + DEADLINE_S
        while not until():
            assert time.monotonic() < deadline, f"paho heard only {self.heard}"
            self.client.loop(timeout=0.1)

    def give_and_hear(self, *packets: Packet) -> list[tuple[Any, ...]]:
        self.give(*packets, until=lambda: len(self.heard) >= len(packets))
        return self.heard

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop(timeout=0)
        self.server.close()


class Line5(Line):
    """A line on which paho speaks 5.0; `heard` tells reason codes and properties too."""

    def record_callbacks(self) -> None:
        client, hear = self.client, self.heard.append
        client.on_connect = lambda _c, _u, flags, code, more: hear(
            ("connect", flags.session_present, code.value, told(more))
        )
        client.on_subscribe = lambda _c, _u, mid, codes, more: hear(
            ("subscribe", mid, [code.value for code in codes], told(more))
        )
        client.on_unsubscribe = lambda _c, _u, mid, codes, more: hear(
            ("unsubscribe", mid, [code.value for code in codes], told(more))
        )
        client.on_publish = lambda _c, _u, mid, code, more: hear(("publish", mid, code.value, told(more)))
        client.on_message = lambda _c, _u, m: hear(("message", m.topic, m.payload, m.qos, m.mid, told(m.properties)))
        client.on_disconnect = lambda _c, _u, flags, code, more: hear(
            ("disconnect", flags.is_disconnect_packet_from_server, code.value, told(more))
        )


def told(properties: PahoProperties | None) -> dict[str, Any]:
    return properties.json() if properties else {}


L = TypeVar("L", bound=Line)


@contextmanager
def opener(kind: type[L]) -> Iterator[Callable[..., L]]:
    """Give a function that opens lines of one kind, and close them all."""
    lines: list[L] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(DEADLINE_S)

        def opened(**options: Any) -> L:
            lines.append(kind(listener, **options))
            return lines[-1]

        yield opened
        for line in lines:
            line.close()


def paho_properties(packet: int, **values: Any) -> PahoProperties:
    properties = PahoProperties(packet)
    for name, value in values.items():
        setattr(properties, name, value)
    return properties

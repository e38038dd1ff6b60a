"""What a connect, an idle session and a message cost with each engine behind the gate, and at mosquitto without us."""

from collections.abc import Callable

from tests.benchmarks.lines import CPU, RATE, SIZE, Figure, Line, Unit, Value, per, plain, server_cpu
from tests.benchmarks.runs import Load

MOST_AT_AMQTT = 1_000
TALKERS = 200
MICROSECONDS = Unit(" µs", 0)

SERVERS = (
    ("builtin", "platform"),
    ("mosquitto, over a unix socket", "relay-unix"),
    ("mosquitto, over TCP", "relay-tcp"),
    ("amqtt, 1,000 at the most", "amqtt"),
    ("mosquitto alone, without a gate", "mosquitto"),
)
"""Case and server; the last is what the others stand beside."""


def engine_figures(devices: int) -> list[Figure]:
    return [
        Figure(
            "engine-cpu",
            "CPU of the gate for 1,000 connects, each with a QoS 1 publish, with these engines behind it",
            "builtin + 0.10 s",
            _lines(devices, server_cpu, CPU),
        ),
        Figure(
            "engine-memory",
            "Resident memory of the gate for an idle session",
            "5 KB",
            _lines(devices, lambda count: per("server_kb", count), SIZE),
        ),
        Figure(
            "engine-messages",
            f"CPU of the gate for a QoS 1 message from one of {TALKERS} devices to another",
            "15 µs on top",
            (*_talks("server_us", MICROSECONDS), *_talks("per_s", RATE, " a second")),
        ),
    ]


def _lines(devices: int, value: Callable[[int], Value], unit: Unit) -> tuple[Line, ...]:
    found = []
    for case, server in SERVERS:
        count = min(devices, MOST_AT_AMQTT) if server == "amqtt" else devices
        found.append(Line(case, Load("sockets", server, count), value(count), unit, len(SERVERS) - 1))
    return tuple(found)


def _talks(key: str, unit: Unit, more: str = "") -> list[Line]:
    return [
        Line(f"{case}{', messages' + more if more else ''}", Load("messages", server, TALKERS), plain(key), unit)
        for case, server in SERVERS
    ]

"""The figures: what each says, which runs it is read from, and what stands beside it."""

from collections.abc import Callable, Collection

from tests.benchmarks.engine_figures import engine_figures
from tests.benchmarks.lines import (
    COUNT,
    CPU,
    DELAY,
    PERCENT,
    RATE,
    SIZE,
    TIME,
    Figure,
    Line,
    Unit,
    Value,
    client_cpu,
    client_kb,
    per,
    plain,
    server_cpu,
    share,
)
from tests.benchmarks.nb_iot_figures import nb_iot_figures
from tests.benchmarks.runs import Load

MOST = {"aiomqtt": 1_000, "keyturn-on-aiomqtt": 2_000, "keyturn-tls-on-aiomqtt": 2_000}
"""Devices of the clients that are not measured with more."""

IDLE = 2_000
MOST_IN_ONE_PROCESS = 19_000


def figures(devices: int) -> list[Figure]:
    """All of them, for this many devices (twice as many where all are reset)."""
    more = min(2 * devices, MOST_IN_ONE_PROCESS)
    return [
        device_cpu(devices),
        device_memory(devices),
        device_idle(),
        platform_cpu(devices),
        platform_memory(devices),
        storm(devices),
        forced_reset(more),
        reset_all(more),
        durable(devices),
        durable_online(devices),
        over_tls(devices),
        *nb_iot_figures(more),
        *engine_figures(devices),
        capacity(),
    ]


DEVICE_SIDES = (
    ("keyturn fleet, at mosquitto", "keyturn", "mosquitto"),
    ("keyturn fleet, at keyturn", "keyturn", "platform"),
    ("the same, and a subscription", "keyturn-usual", "platform"),
    ("the same with link: paho, at mosquitto", "keyturn-on-paho", "mosquitto"),
    ("the same with link: aiomqtt, 2,000 at the most, at mosquitto", "keyturn-on-aiomqtt", "mosquitto"),
    ("paho-mqtt, at mosquitto", "paho-mqtt", "mosquitto"),
    ("aiomqtt, 1,000 at the most, at mosquitto", "aiomqtt", "mosquitto"),
    ("bare sockets, at mosquitto", "sockets", "mosquitto"),
)
"""Case, client and server; the first is what the others stand beside."""


def device_sides(devices: int, value: Callable[[int], Value], unit: Unit, without: Collection[str] = ()) -> list[Line]:
    """The same figure of every device side."""
    lines: list[Line] = []
    for case, client, server in DEVICE_SIDES:
        if client not in without:
            count = min(devices, MOST.get(client, devices))
            lines.append(Line(case, Load(client, server, count), value(count), unit, 0 if lines else None))
    return lines


def device_cpu(devices: int) -> Figure:
    title = "CPU of the device side for 1,000 connects, each with a QoS 1 publish"
    return Figure("device-cpu", title, "0.12 s", tuple(device_sides(devices, client_cpu, CPU)))


def device_memory(devices: int) -> Figure:
    lines = device_sides(devices, client_kb, SIZE, without=("keyturn-usual", "sockets"))
    return Figure("device-memory", "Resident memory of the device side for an idle device", "6 KB", tuple(lines))


def device_idle() -> Figure:
    lines = (
        Line("link: native", Load("keyturn-idle", "mosquitto", IDLE), share, PERCENT),
        Line("link: paho", Load("keyturn-idle-on-paho", "mosquitto", IDLE), share, PERCENT, 0),
        Line("link: aiomqtt", Load("keyturn-idle-on-aiomqtt", "mosquitto", IDLE), share, PERCENT, 0),
    )
    title = f"Of one core, what {IDLE:,} devices use that only keep their connections (keepalive 30 s)"
    return Figure("device-idle", title, "1% (native)", lines)


def platform_cpu(devices: int) -> Figure:
    used = server_cpu(devices)
    return Figure(
        "platform-cpu",
        "CPU of the server for 1,000 connects, each with a QoS 1 publish; mosquitto authenticates nobody",
        "0.10 s",
        (
            Line("keyturn, under a keyturn fleet", Load("keyturn", "platform", devices), used, CPU),
            Line("mosquitto, under a keyturn fleet", Load("keyturn", "mosquitto", devices), used, CPU, 0),
            Line("keyturn, under bare sockets", Load("sockets", "platform", devices), used, CPU),
            Line("mosquitto, under bare sockets", Load("sockets", "mosquitto", devices), used, CPU, 2),
        ),
    )


def platform_memory(devices: int) -> Figure:
    return Figure(
        "platform-memory",
        "Resident memory of the server for an idle session",
        "5 KB",
        (
            Line("keyturn", Load("keyturn", "platform", devices), per("server_kb", devices), SIZE),
            Line("mosquitto", Load("keyturn", "mosquitto", devices), per("server_kb", devices), SIZE, 0),
            Line(
                "keyturn, and the registry's record of the device",
                Load("keyturn", "platform", devices),
                per("server_and_registry_kb", devices),
                SIZE,
            ),
        ),
    )


def storm(devices: int) -> Figure:
    keyturn, mosquitto = Load("keyturn", "platform", devices), Load("keyturn", "mosquitto", devices)
    return Figure(
        "storm",
        f"{devices:,} devices of one process connect at once",
        "2 s",
        (
            Line("all recovered, at keyturn", keyturn, plain("recovered_s"), TIME),
            Line("all recovered, at mosquitto (backlog 100)", mosquitto, plain("recovered_s"), TIME, 0),
            Line("all accepted, at keyturn", keyturn, plain("accepted_s"), TIME),
            Line("all accepted, at mosquitto (backlog 100)", mosquitto, plain("accepted_s"), TIME, 2),
        ),
    )


def forced_reset(devices: int) -> Figure:
    load = Load("forced-resets", "platform", devices)
    return Figure(
        "forced-reset",
        f"Forced reset, {devices:,} devices online: from the request to the close that the device sees",
        "10 ms (p99)",
        (
            Line("singly, p99", load, plain("single_p99_ms"), DELAY),
            Line("singly, p50", load, plain("single_p50_ms"), DELAY),
            Line("in waves of 100, p99", load, plain("wave_p99_ms"), DELAY),
            Line("in waves of 100, p50", load, plain("wave_p50_ms"), DELAY),
            Line("replies read before the close", load, plain("early_replies"), COUNT),
        ),
    )


def reset_all(devices: int) -> Figure:
    load = Load("keyturn-reset-all", "platform", devices)
    return Figure(
        "reset-all",
        f"All primary secrets of {devices:,} devices reset with force",
        "10 s",
        (
            Line("until all are recovered on the secondary", load, plain("wall_s"), TIME),
            Line("CPU of the fleet, for 1,000 devices", load, client_cpu(devices), CPU),
            Line("CPU of the platform, for 1,000 devices", load, server_cpu(devices), CPU),
            Line("from a request to the lost link, p50", load, plain("cut_p50_ms"), DELAY),
            Line("from a request to the lost link, p99", load, plain("cut_p99_ms"), DELAY),
        ),
    )


def durable(devices: int) -> Figure:
    load = Load("durable-resets", "platform", devices)
    bulk = Load("bulk-resets", "platform", devices)
    return Figure(
        "durable-resets",
        "Resets through HTTP, each on disk before its reply, over 64 connections",
        "1,500/s",
        (
            Line("resets a second", load, plain("per_s"), RATE, more_is_better=True),
            Line("CPU of the platform, for 1,000 resets", load, plain("server_cpu_s_per_1000"), CPU),
            Line("the same in one call, resets a second", bulk, plain("per_s"), RATE, more_is_better=True),
            Line("the same in one call, CPU of the platform", bulk, server_cpu(devices), CPU),
        ),
    )


def durable_online(devices: int) -> Figure:
    load = Load("durable-resets-online", "platform", devices)
    return Figure(
        "durable-resets-online",
        f"The same for a minute while {devices:,} devices are online",
        "1,500/s",
        (
            Line("resets a second", load, plain("per_s"), RATE, more_is_better=True),
            Line("CPU of the platform, for 1,000 resets", load, plain("server_cpu_s_per_1000"), CPU),
            Line("loop lag of the platform meanwhile, p99", load, plain("lag_p99_ms"), DELAY),
        ),
    )


def over_tls(devices: int) -> Figure:
    native, paho = Load("keyturn-tls", "tls", devices), Load("keyturn-tls-on-paho", "tls", devices)
    few = min(devices, MOST["keyturn-tls-on-aiomqtt"])
    aiomqtt = Load("keyturn-tls-on-aiomqtt", "tls", few)
    clear = Load("keyturn", "platform", devices)
    return Figure(
        "tls",
        "The CPU and memory of a connect over TLS 1.3, each with a full handshake",
        "45 KB (platform, uvloop)",
        (
            Line("memory of the platform for a connection", native, per("server_kb", devices), SIZE),
            Line("memory of the fleet for a device", native, client_kb(devices), SIZE),
            Line("memory of the fleet for a device, link: paho", paho, client_kb(devices), SIZE, 1),
            Line("the same, link: aiomqtt, 2,000 at the most", aiomqtt, client_kb(few), SIZE, 1),
            Line("CPU of the platform for 1,000 connects", native, server_cpu(devices), CPU),
            Line("the same in the clear", clear, server_cpu(devices), CPU, 4),
            Line("CPU of the fleet for 1,000 connects", native, client_cpu(devices), CPU),
            Line("the same in the clear", clear, client_cpu(devices), CPU, 6),
            Line("the same over TLS, link: aiomqtt", aiomqtt, client_cpu(few), CPU, 6),
        ),
    )


def capacity() -> Figure:
    devices = MOST_IN_ONE_PROCESS
    load = Load("keyturn-many", "platform", devices)
    return Figure(
        "capacity",
        f"{devices:,} devices in one process, connected within 10 s",
        "19,000",
        (
            Line("until all are recovered", load, plain("recovered_s"), TIME),
            Line("memory of the fleet for a device", load, client_kb(devices), SIZE),
            Line("memory of the platform for a device", load, per("server_and_registry_kb", devices), SIZE),
        ),
    )

"""The figures of NB-IoT devices, with aiocoap's own contexts beside them: those speak in the clear alone."""

from tests.benchmarks.lines import CPU, SIZE, TIME, Figure, Line, client_cpu, client_kb, per, plain, server_cpu
from tests.benchmarks.runs import Load

MOST_AIOCOAP = 2_000


def nb_iot_figures(devices: int) -> list[Figure]:
    dtls, clear = Load("nb-iot-dtls", "nb-iot", devices), Load("nb-iot-plain", "nb-iot", devices)
    few = min(devices, MOST_AIOCOAP)
    theirs, at_theirs = Load("aiocoap", "nb-iot", few), Load("nb-iot-plain", "aiocoap", few)
    return [
        Figure(
            "nb-iot",
            f"{devices:,} NB-IoT devices of one process register at once",
            "10 s over DTLS, 5 s in the clear",
            (
                Line("over DTLS, all registered", dtls, plain("registered_s"), TIME),
                Line("over DTLS, all observed, and one report of each acknowledged", dtls, plain("reported_s"), TIME),
                Line("in the clear, all registered", clear, plain("registered_s"), TIME),
                Line("in the clear, all observed and reported", clear, plain("reported_s"), TIME),
            ),
        ),
        Figure(
            "nb-iot-cpu",
            "CPU for 1,000 NB-IoT devices, registered, observed and one report",
            "0.9 s over DTLS on either side",
            (
                Line("devices, over DTLS", dtls, client_cpu(devices), CPU),
                Line("devices, in the clear", clear, client_cpu(devices), CPU),
                Line(f"contexts of aiocoap, in the clear, {few:,}, no report", theirs, client_cpu(few), CPU, 1),
                Line("platform, over DTLS", dtls, server_cpu(devices), CPU),
                Line("platform, in the clear", clear, server_cpu(devices), CPU),
                Line(f"aiocoap as the server, in the clear, {few:,}", at_theirs, server_cpu(few), CPU, 4),
            ),
        ),
        Figure(
            "nb-iot-memory",
            "Resident memory for an NB-IoT device",
            "nothing was set",
            (
                Line("devices, over DTLS", dtls, client_kb(devices), SIZE),
                Line("devices, in the clear", clear, client_kb(devices), SIZE),
                Line(f"contexts of aiocoap, in the clear, {few:,}", theirs, client_kb(few), SIZE, 1),
                Line("platform, over DTLS", dtls, per("server_kb", devices), SIZE),
                Line("platform, in the clear", clear, per("server_kb", devices), SIZE),
                Line(f"aiocoap as the server, in the clear, {few:,}", at_theirs, per("server_kb", few), SIZE, 4),
            ),
        ),
    ]

"""One measured run in a process of its own; started by `runs`, it prints its result as one line of JSON."""

import argparse
import asyncio
import pkgutil
import sys
from collections.abc import Awaitable, Callable

import orjson
import uvloop

from tests.benchmarks.meter import NotReached, Result
from tests.benchmarks.servers import Server

Client = Callable[[Server, int], Awaitable[Result]]
CLIENTS = {
    "keyturn": "fleet:publish_only",
    "keyturn-on-paho": "fleet:on_paho",
    "keyturn-on-aiomqtt": "fleet:on_aiomqtt",
    "keyturn-idle": "fleet:idle",
    "keyturn-idle-on-paho": "fleet:idle_on_paho",
    "keyturn-idle-on-aiomqtt": "fleet:idle_on_aiomqtt",
    "keyturn-tls": "fleet:over_tls",
    "keyturn-tls-on-paho": "fleet:over_tls_on_paho",
    "keyturn-tls-on-aiomqtt": "fleet:over_tls_on_aiomqtt",
    "keyturn-usual": "fleet:usual",
    "keyturn-many": "fleet:many",
    "keyturn-reset-all": "fleet:reset_all",
    "nb-iot-dtls": "nb_iot:over_dtls",
    "nb-iot-plain": "nb_iot:in_the_clear",
    "aiocoap": "aiocoap_devices:register",
    "paho-mqtt": "paho_clients:connect",
    "aiomqtt": "aiomqtt_clients:connect",
    "sockets": "loader:connect",
    "messages": "exchange:messages",
    "forced-resets": "resets:forced",
    "durable-resets": "resets:durable",
    "bulk-resets": "resets:bulk",
    "durable-resets-online": "resets:durable_online",
}
"""Where each client is found; a neighbour must be installed only for its own figure."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.worker")
    parser.add_argument("client", choices=CLIENTS)
    parser.add_argument("devices", type=int)
    parser.add_argument("--pid", type=int, required=True, help="the server's process id")
    parser.add_argument("--port", type=int, required=True, help="the server's MQTT port on 127.0.0.1")
    parser.add_argument("--mqtts", type=int, default=0, help="its port of MQTT over TLS, if it has one")
    parser.add_argument("--coap", type=int, default=0, help="its CoAP port, if it has one")
    parser.add_argument("--coaps", type=int, default=0, help="its port of CoAP over DTLS, if it has one")
    parser.add_argument("--engine", type=int, default=0, help="the process id of the broker behind it, if there is one")
    parser.add_argument("--api", default="", help="the server's control API, if it has one")
    asked = parser.parse_args()

    async def run() -> Result:
        client: Client = pkgutil.resolve_name(f"tests.benchmarks.{CLIENTS[asked.client]}")
        server = Server(asked.pid, asked.port, asked.api, asked.mqtts, asked.coap, asked.coaps, asked.engine)
        return await client(server, asked.devices)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            result = runner.run(run())
        except NotReached as failure:
            sys.stderr.write(f"{failure}\n")
            return 1
    print(orjson.dumps(result).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())

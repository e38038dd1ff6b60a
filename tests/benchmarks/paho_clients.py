"""paho-mqtt without threads: one selector over all clients; what a read makes a client say is written at once."""

import selectors
import socket
import time
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode

from tests.benchmarks.devices import KEEPALIVE_S, Login
from tests.benchmarks.meter import NotReached, Result
from tests.benchmarks.ramp import DEADLINE_S, UNDER_WAY, Progress, own_address, ramp
from tests.benchmarks.servers import Server


async def connect(server: Server, devices: int) -> Result:
    return ramp(server, devices, lambda known, progress: Clients(server.port, known, progress).connect)


class Clients:
    """One for each device."""

    def __init__(self, port: int, known: list[Login], progress: Progress) -> None:
        self._port = port
        self._progress = progress
        self._selector = selectors.DefaultSelector()
        self._clients = [self._client(login) for login in known]

    def connect(self) -> None:
        """Bring everybody in, a bounded number of them at a time."""
        deadline, progress = time.monotonic() + DEADLINE_S, self._progress
        begun = 0
        while not progress.done:
            while begun < len(self._clients) and begun - progress.recovered < UNDER_WAY:
                self._begin(self._clients[begun])
                begun += 1
            for key, _ in self._selector.select(1.0):
                self._serve(key.data)
            if time.monotonic() > deadline:
                raise NotReached(f"paho-mqtt: {progress.recovered} of {progress.devices} clients within {DEADLINE_S} s")

    def _client(self, login: Login) -> paho.Client:
        who = login.credentials
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id=who.client_id, userdata=login)
        client.username_pw_set(who.username, who.password)
        client.on_connect = self._connected
        client.on_publish = self._published
        return client

    def _begin(self, client: paho.Client) -> None:
        client.connect("127.0.0.1", self._port, KEEPALIVE_S, bind_address=own_address())
        self._selector.register(_socket(client), selectors.EVENT_READ, client)

    def _serve(self, client: paho.Client) -> None:
        code = client.loop_read()
        while code == MQTTErrorCode.MQTT_ERR_SUCCESS and client.want_write():
            code = client.loop_write()
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise NotReached(f"paho-mqtt: {paho.error_string(code)}")

    def _connected(self, client: paho.Client, login: Login, _flags: Any, code: Any, _properties: Any) -> None:
        if code.is_failure:
            raise NotReached(f"paho-mqtt: {code}")
        self._progress.accept()
        client.publish(login.topic, login.greeting, qos=1)

    def _published(self, _client: paho.Client, _login: Login, _mid: int, _code: Any, _properties: Any) -> None:
        self._progress.recover()


def _socket(client: paho.Client) -> socket.socket:
    sock = client.socket()
    assert isinstance(sock, socket.socket), "it has just connected, without TLS"
    return sock

"""A RabbitMQ of our own on free loopback ports: MQTT software that we did not write, and can ask whom to let in.

It takes some 20 seconds to start: share one among tests where they allow it.
"""

import base64
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""Not the one on the path: that one becomes another user, and may have 1,024 files open."""

PLUGINS = ("rabbitmq_mqtt", "rabbitmq_management", "rabbitmq_auth_backend_http")
ATTEMPTS = 3
START_WITHIN_S = 90.0
LOOK_EVERY_S = 0.05


class RabbitMq:
    """One node that speaks MQTT 3.1.1 and serves its management API to `user`, who may do everything over MQTT too.

    With a `hook_url` it asks at `{hook_url}/user`, `/vhost`, `/resource` and `/topic` about everybody else, and shows
    the `hook_token`.
    """

    user = "operator"
    password = "operators-password"

    def __init__(self, folder: Path, *, hook_url: str | None = None, hook_token: str = "") -> None:
        self._folder = folder
        self._log = folder / "rabbitmq.log"
        self._config = folder / "rabbitmq.conf"
        self._enabled = folder / "enabled_plugins"
        self._enabled.write_text(f"[{','.join(PLUGINS)}].\n", encoding="utf-8")
        self._hook_lines = [] if hook_url is None else _asking(hook_url, hook_token)
        self._processes: list[subprocess.Popen[bytes]] = []
        self._take_ports()

    @property
    def management_url(self) -> str:
        return f"http://127.0.0.1:{self.management_port}"

    def start(self) -> None:
        """Start it and wait until it serves; AssertionError when it is not installed, or says why it does not start.

        A port that somebody else has taken meanwhile is given up for another.
        """
        assert PROGRAM.exists(), f"{PROGRAM} is missing (Debian: apt-get install rabbitmq-server)"
        for _ in range(ATTEMPTS):
            if self._starts():
                return
            self.stop()
            self._take_ports()
        raise AssertionError(self._log.read_text(errors="replace"))

    def stop(self) -> None:
        """End it without a chance to say good-bye: all that it has is in its folder."""
        while self._processes:
            process = self._processes.pop()
            process.kill()
            process.wait()

    def _take_ports(self) -> None:
        with ExitStack() as taken:
            servers = [taken.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(4)]
            ports = [int(one.getsockname()[1]) for one in servers]
        self.mqtt_port, self.management_port, self._distribution_port, self._names_port = ports
        self._config.write_text("\n".join([*self._lines(), *self._hook_lines, ""]), encoding="utf-8")

    def _starts(self) -> bool:
        """Start it; False if it ends instead of serving."""
        self._run("epmd", "-port", str(self._names_port), "-address", "127.0.0.1")
        node = self._run(str(PROGRAM))
        deadline = time.monotonic() + START_WITHIN_S
        while not self._serves():
            if node.poll() is not None:
                return False
            assert time.monotonic() < deadline, f"no RabbitMQ within {START_WITHIN_S:g} s: {self._log}"
            time.sleep(LOOK_EVERY_S)
        return True

    def _run(self, *command: str) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                command, env=self._environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self._folder
            )
        self._processes.append(process)
        return process

    def _lines(self) -> list[str]:
        return [
            "listeners.tcp = none",
            f"mqtt.listeners.tcp.1 = 127.0.0.1:{self.mqtt_port}",
            "mqtt.allow_anonymous = false",
            "management.tcp.ip = 127.0.0.1",
            f"management.tcp.port = {self.management_port}",
            f"default_user = {self.user}",
            f"default_pass = {self.password}",
            "default_user_tags.administrator = true",
            "log.console = true",
            "log.file = false",
        ]

    def _environment(self) -> dict[str, str]:
        loopback = "-kernel inet_dist_use_interface {127,0,0,1}"
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self._folder),
            "ERL_EPMD_PORT": str(self._names_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "NOTIFY_SOCKET": str(self._folder / "nobody"),  # as under systemd: the process that we start is the node
            "RABBITMQ_CONF_ENV_FILE": str(self._folder / "none"),
            "RABBITMQ_CONFIG_FILE": str(self._config),
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._enabled),
            "RABBITMQ_LOG_BASE": str(self._folder / "log"),
            "RABBITMQ_MNESIA_BASE": str(self._folder / "data"),
            "RABBITMQ_NODENAME": f"keyturn{self._names_port}@localhost",
            "RABBITMQ_PID_FILE": str(self._folder / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"{loopback} -start_epmd false",
        }

    def _serves(self) -> bool:
        login = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        url = f"{self.management_url}/api/health/checks/port-listener/{self.mqtt_port}"
        request = urllib.request.Request(url, headers={"Authorization": f"Basic {login}"})
        with suppress(urllib.error.URLError, OSError), urllib.request.urlopen(request, timeout=5):
            return True
        return False


def _asking(hook_url: str, hook_token: str) -> list[str]:
    query = f"?token={hook_token}" if hook_token else ""
    questions = ("user", "vhost", "resource", "topic")
    return [
        "auth_backends.1 = internal",
        "auth_backends.2 = http",
        "auth_http.http_method = post",
        *(f"auth_http.{what}_path = {hook_url}/{what}{query}" for what in questions),
    ]


@contextmanager
def rabbitmq(folder: Path, *, hook_url: str | None = None, hook_token: str = "") -> Iterator[RabbitMq]:
    """A node that runs while the body does; what it writes goes into the folder."""
    node = RabbitMq(folder, hook_url=hook_url, hook_token=hook_token)
    try:
        node.start()
        yield node
    finally:
        node.stop()

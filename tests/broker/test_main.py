"""The platform as a process: ready line, exit codes, signals, restarts."""

import json
import os
import re
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from broker import VERSION
from tests.broker.link import PRODUCT
from tests.broker.rig import PRIMARY, connect
from tests.support.ports import unused_port

FREE_PORTS = ("--mqtt-port", "0", "--http-port", "0")
ROOT = Path(__file__).parents[2]


def start(*flags: str, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "broker", *FREE_PORTS, *flags],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        **options,
    )


@contextmanager
def process(*flags: str, **options: Any) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """Run a platform until the block ends; yields it and its ready line."""
    with start(*flags, **options) as child:
        try:
            assert child.stdout
            yield child, json.loads(child.stdout.readline())
        finally:
            child.kill()


def post(ready: dict[str, Any], path: str, body: bytes = b"", method: str = "POST") -> int:
    url = f"http://127.0.0.1:{ready['http']['port']}{path}"
    request = urllib.request.Request(url, data=body, method=method, headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=5) as answer:
        status: int = answer.status
    return status


def refused(*flags: str) -> str:
    """Start a platform that must refuse; returns what it says."""
    with start(*flags) as child:
        _, said = child.communicate(timeout=10)
    assert child.returncode == 2, said
    return said


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_ready_line_says_where() -> None:
    with process() as (child, ready):
        assert ready["ready"] is True
        assert (ready["version"], ready["pid"]) == (VERSION, child.pid)
        assert ready["mqtt"]["host"] == ready["http"]["host"] == "127.0.0.1"
        for kind in ("mqtt", "http"):
            socket.create_connection(("127.0.0.1", ready[kind]["port"]), 5).close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_stops_it_cleanly(number: signal.Signals, tmp_path: Path) -> None:
    with process("--journal", str(tmp_path / "j")) as (child, _):
        child.send_signal(number)
        assert child.wait(5) == 0
    assert [one["kind"] for one in records(tmp_path / "j")] == ["header", "stopped"]


def test_shutdown_request_stops_it_cleanly() -> None:
    with process() as (child, ready):
        assert post(ready, "/_platform/shutdown") == 202
        assert child.wait(5) == 0


def test_it_ends_with_its_parent() -> None:
    with process("--parent-pipe") as (child, _):
        assert child.stdin
        child.stdin.close()
        assert child.wait(5) == 0


def test_without_parent_pipe_standard_input_does_not_matter() -> None:
    with process() as (child, ready):
        assert child.stdin
        child.stdin.close()
        assert post(ready, "/_platform/shutdown") == 202


def test_port_in_use_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for flag, what in (("--mqtt-port", "MQTT"), ("--http-port", "HTTP")):
            said = refused(flag, str(port))
            assert said.count("\n") == 1
            assert str(port) in said
            assert what in said


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (("--host", "0.0.0.0"), "loopback"),
        (("--host", "0.0.0.0", "--expose"), "--token"),
        (("--mqtt-port", "70000"), "mqtt_port"),
        (("--db", "/nonexistent/k.db"), "/nonexistent/k.db"),
        (("--journal", "/nonexistent/j"), "/nonexistent/j"),
        (("--sign-window-hours", "soon"), "sign-window-hours"),
        (("--sign-window-hours", "2", "1"), "sign_window_hours"),
        (("--roma-shortest-password", "7"), "roma_shortest_password"),
        (("--access-key", "canary"), "secret_key"),
        (("--secret-key", "canary"), "access_key"),
        (("--hook", "mosquitto"), "--hook"),
        (("--hook", "rabbitmq"), "engine_api"),
        (("--hook", "rabbitmq", "--engine-api", "ftp://op:canary@localhost"), "engine_api"),
        (("--hook-token", "canary"), "hook_token"),
        (("--surprise",), "--surprise"),
    ],
)
def test_impossible_start_is_exit_2_and_names_the_cause(flags: tuple[str, ...], expected: str) -> None:
    said = refused(*flags)
    assert expected in said
    assert "Traceback" not in said
    assert "canary" not in said


def test_secret_key_need_not_stand_in_the_process_list() -> None:
    variables = {**os.environ, "KEYTURN_SECRET_KEY": "canary"}
    with process("--access-key", "AK", env=variables) as (_, ready):
        with pytest.raises(urllib.error.HTTPError) as caught:
            post(ready, "/_platform/shutdown")
        assert caught.value.code == 401
        caught.value.close()
    with process(env=variables) as (_, ready):
        assert post(ready, "/_platform/shutdown") == 202


def test_secrets_of_a_hook_need_not_stand_in_the_process_list() -> None:
    variables = {**os.environ, "KEYTURN_ENGINE_PASSWORD": "canary-1", "KEYTURN_HOOK_TOKEN": "canary-2"}
    flags = ("--hook", "emqx", "--engine-api", f"http://op@127.0.0.1:{unused_port()}")
    with process(*flags, env=variables) as (_, ready):
        for token, reason in (("wrong", "unknown_caller"), ("canary-2", "malformed_call")):
            assert post(ready, f"/_hook/emqx/auth?token={token}", b"{}") == 200
            assert refusals(ready) == {reason: 1} | ({} if token == "wrong" else {"unknown_caller": 1})


def refusals(ready: dict[str, Any]) -> dict[str, int]:
    url = f"http://127.0.0.1:{ready['http']['port']}/_platform/statistics"
    with urllib.request.urlopen(url, timeout=5) as answer:
        found: dict[str, int] = json.load(answer)["refused"]
    return found


def test_restart_on_the_same_files_appends_a_header_and_keeps_the_devices(tmp_path: Path) -> None:
    files = ("--db", str(tmp_path / "k.db"), "--journal", str(tmp_path / "j"))
    line = json.dumps({"device_id": "d1", "primary": PRIMARY}).encode()
    with process(*files) as (child, first):
        post(first, "/_platform/devices", line)
        child.kill()
        child.wait(5)
    with (tmp_path / "j").open("a") as journal:
        journal.write('{"kind":"torn')
    with process(*files, "--mqtt-port", str(first["mqtt"]["port"])) as (_, second):
        assert second["mqtt"] == first["mqtt"]
        assert second["run"] != first["run"]
        with socket.create_connection(("127.0.0.1", second["mqtt"]["port"]), 5) as device:
            device.sendall(connect().encode())
            assert device.recv(4) == b"\x20\x02\x00\x00"
    kinds = re.findall(r'^{.*?"kind":"(\w+)', (tmp_path / "j").read_text(), re.MULTILINE)
    assert kinds[:4] == ["header", "provisioned", "torn", "header"]


def test_full_disk_refuses_the_change_and_the_platform_goes_on(tmp_path: Path) -> None:
    def little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))

    lines = b"\n".join(b'{"device_id": "d%d", "primary": "primary-secret"}' % number for number in range(5000))
    with process("--db", str(tmp_path / "k.db"), preexec_fn=little_room) as (_, ready):
        with pytest.raises(urllib.error.HTTPError) as caught:
            post(ready, "/_platform/devices", lines)
        assert caught.value.code == 500
        assert "IOTDA.000001" in caught.value.read().decode()
        caught.value.close()
        assert post(ready, "/_platform/devices", lines.splitlines()[0]) == 200


def test_hour_window_is_a_flag() -> None:
    hour = f"{datetime.now(UTC) - timedelta(hours=3):%Y%m%d%H}"
    with process("--sign-window-hours", "-3", "0") as (_, ready):
        post(ready, "/_platform/devices", json.dumps({"device_id": "d1", "primary": PRIMARY}).encode())
        with socket.create_connection(("127.0.0.1", ready["mqtt"]["port"]), 5) as device:
            device.sendall(connect(sign_type=1, hour=hour).encode())
            assert device.recv(4) == b"\x20\x02\x00\x00"


@pytest.mark.parametrize("flags", [(), ("--strict-dtls",)], ids=["", "strict"])
def test_end_of_dtls_sessions_by_a_reset_is_a_flag(flags: tuple[str, ...], tmp_path: Path) -> None:
    with process(*flags, "--coaps-port", "0", "--journal", str(tmp_path / "j")) as (_, ready):
        device = {"device_id": "m1", "primary": "0123456789abcdef", "protocol": "coap"}
        assert post(ready, "/_platform/devices", json.dumps(device).encode()) == 200
        reset = "/v5/iot/default/devices/m1/action?action_id=resetSecret"
        assert post(ready, reset, b'{"force_disconnect": true}') == 200
    (record,) = [one for one in records(tmp_path / "j") if one["kind"] == "reset"]
    assert ("warning" in record) is not bool(flags), "who is not strict says why nothing was cut"


def test_lengths_of_roma_link_are_flags() -> None:
    with process("--roma-shortest-password", "8", "--roma-strict-user-names") as (_, ready):
        base = "/v2/default/link/instances/default"
        assert post(ready, f"{base}/products", json.dumps(PRODUCT).encode()) == 201
        wanted = {"product": {"product_id": 1}, "device_name": "meter", "node_id": "m1", "app_id": "hall"}
        assert post(ready, f"{base}/devices", json.dumps(wanted).encode()) == 201
        login = f"{base}/devices/1/authentication"
        assert post(ready, login, b'{"password": "Aa1~Aa1~"}', "PUT") == 200
        with pytest.raises(urllib.error.HTTPError) as caught:
            post(ready, login, b'{"user_name": "short"}', "PUT")
        assert caught.value.code == 400
        caught.value.close()


def test_reset_of_roma_link_outlives_a_killed_platform(tmp_path: Path) -> None:
    base = "/v2/default/link/instances/default/products"
    with process("--db", str(tmp_path / "k.db")) as (child, ready):
        assert post(ready, base, json.dumps(PRODUCT).encode()) == 201
        assert post(ready, f"{base}/1/authentication", b'{"user_name": "renamed"}', "PUT") == 200
        child.kill()
    database = sqlite3.connect(tmp_path / "k.db")
    assert database.execute("SELECT user_name, authentication_version FROM roma_product").fetchall() == [("renamed", 2)]
    database.close()


def test_file_limit_is_raised_to_the_hard_limit() -> None:
    def lower() -> None:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))

    with process(preexec_fn=lower) as (child, _):
        soft, hard = resource.prlimit(child.pid, resource.RLIMIT_NOFILE)
        assert soft == hard


@pytest.mark.parametrize("processes", ["1", "2"])
def test_session_is_gone_in_the_real_loop_when_the_answer_arrives(processes: str) -> None:
    """The same promise as in the tests of rotation, on the event loop that the process runs on."""
    line = json.dumps({"device_id": "d1", "primary": PRIMARY}).encode()
    body = json.dumps({"secret": PRIMARY, "force_disconnect": True}).encode()
    with process("--access-processes", processes) as (_, ready):
        post(ready, "/_platform/devices", line)
        for _ in range(100):
            with socket.create_connection(("127.0.0.1", ready["mqtt"]["port"]), 5) as device:
                device.sendall(connect().encode())
                assert device.recv(4) == b"\x20\x02\x00\x00"
                post(ready, "/v5/iot/p/devices/d1/action?action_id=resetSecret", body)
                device.setblocking(False)
                assert device.recv(1) == b""


def test_second_platform_on_a_database_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    files = ("--db", str(tmp_path / "k.db"))
    with process(*files) as (first, _):
        said = refused(*files)
        assert said.count("\n") == 1
        assert str(tmp_path / "k.db") in said
        first.kill()
        first.wait(5)
        with process(*files) as (_, ready):
            assert ready["ready"] is True


FAULTY = """
import asyncio, sys
from broker import __main__ as platform

def plant():
    asyncio.get_running_loop().call_soon(fail)

def fail():
    raise {error}

platform.spare_the_collector = plant
sys.exit(platform.main(sys.argv[1:]))
"""


def faulty(error: str) -> subprocess.Popen[str]:
    """Run a platform whose loop has to deal with an error that nobody caught."""
    return subprocess.Popen(
        [sys.executable, "-c", FAULTY.format(error=error), *FREE_PORTS],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


def test_error_that_nobody_caught_is_a_crash() -> None:
    with faulty("RuntimeError('a bug of ours')") as child:
        _, said = child.communicate(timeout=10)
    assert child.returncode == 4
    assert "a bug of ours" in said


def test_socket_error_that_nobody_caught_is_none() -> None:
    with faulty("OSError('a peer that went away')") as child:
        assert child.stdout
        ready = json.loads(child.stdout.readline())
        assert post(ready, "/_platform/shutdown") == 202
        _, said = child.communicate(timeout=10)
    assert child.returncode == 0
    assert "a peer that went away" in said


def help_of(*command: str) -> str:
    asked = [sys.executable, *command, "--help"]
    return subprocess.run(asked, capture_output=True, text=True, cwd=ROOT, check=True).stdout


def test_help_names_the_command_and_hides_what_is_not_for_people() -> None:
    own, ours = help_of("-m", "broker"), help_of("-m", "simulator", "serve")
    assert own.startswith("usage: python -m broker ")
    assert ours.startswith("usage: keyturn serve ")
    for text in (own, ours):
        assert "--journal" in text
        assert "--parent-pipe" not in text

"""Marked secrets in everything that keyturn is given: they come out where they must, and nowhere else."""

import asyncio
import json
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.broker.rig import Client, connect
from tests.support.canary import MARK, files_that_show, shown
from tests.support.commands import CHECKOUT, ENVIRONMENT, keyturn
from tests.support.relay import Relay, relayed
from wire.mqtt import ConnAck, Connect, Publish, Will

pytestmark = pytest.mark.scenario

SECRET_KEY, TOKEN = f"{MARK}-secret-key", f"{MARK}-token"
VERBOSE = {"PYTHONDEVMODE": "1", "PYTHONASYNCIODEBUG": "1", "PYTHONFAULTHANDLER": "1"}
"""As talkative as Python can be: a slow callback, for one, is reported with its arguments."""

RUNNER = {**VERBOSE, "AK": "AKCANARY", "SK": SECRET_KEY}
DEVICES = 6
FLEET = "devices: fleet.ndjson, session: persistent, telemetry: {every: 300ms}"
TIMELINE = """
  - {id: up, start: [meters], until: "recovered == 100%"}
  - {id: command, deliver_secret: {fleet: meters, slot: primary}}
  - {id: rotate, reset_secret: {fleet: meters, slot: primary, force_disconnect: true}, until: "recovered == 100%"}
  - {id: message, deliver_secret: {fleet: meters, slot: secondary, via: message}}
  - {id: spare, reset_secret: {fleet: meters, slot: secondary}}
  - {id: generate, reset_secret: {fleet: meters, slot: secondary, secret: generated}}
  - {id: lockout, reset_secret: {fleet: meters, slot: primary, secret: generated, force_disconnect: true}}
  - {id: freeze, freeze: [meters]}
  - {id: unfreeze, unfreeze: [meters]}
"""


@dataclass
class Watched:
    """A platform process, and everything that it or anybody else said."""

    process: asyncio.subprocess.Process
    ready: Mapping[str, Any]
    folder: Path
    said: list[bytes] = field(default_factory=list)

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.ready['http']['port']}"


@asynccontextmanager
async def platform(folder: Path, *flags: str) -> AsyncIterator[Watched]:
    """`python -m broker` on the folder's database and journal; what it says goes into the folder."""
    files = ("--db", str(folder / "keyturn.db"), "--journal", str(folder / "journal.jsonl"))
    with (folder / "broker.stderr").open("ab") as stderr:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "broker", "--mqtt-port", "0", "--http-port", "0", *files, *flags),
            cwd=CHECKOUT,
            env={**ENVIRONMENT, **VERBOSE, "KEYTURN_SECRET_KEY": SECRET_KEY, "TMPDIR": str(folder)},
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
        )
    assert process.stdout is not None
    first = await process.stdout.readline()
    watched = Watched(process, json.loads(first), folder, [first])
    try:
        yield watched
    finally:
        if process.returncode is None:
            process.terminate()
        watched.said.append(await process.stdout.read())
        await process.wait()


def write_scenario(folder: Path, platform: str, name: str = "marked") -> Path:
    """Write a scenario whose devices come with marked secrets."""
    lines = (
        {"device_id": f"meter-{number}", "primary": f"{MARK}-p{number}", "secondary": f"{MARK}-s{number}"}
        for number in range(DEVICES)
    )
    (folder / "fleet.ndjson").write_text("\n".join(map(json.dumps, lines)))
    path = folder / f"{name}.yaml"
    head = f"name: {name}\nsettle: 1s\nplatform: {platform}\nfleets: {{meters: {{{FLEET}}}}}\n"
    path.write_text(f'{head}timeline:{TIMELINE}expect: ["connected == 0"]\n')
    return path


async def run(scenario: Path, report: Path, variables: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(
        keyturn, "run", scenario, "--report", report, cwd=scenario.parent, variables=variables
    )


def command_lines() -> Iterator[bytes]:
    """What `ps` shows of every process of this machine, while they run."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield path.read_bytes()
        except OSError:
            continue


@contextmanager
def locked(database: Path) -> Iterator[None]:
    connection = sqlite3.connect(database, isolation_level=None)
    try:
        connection.execute("BEGIN EXCLUSIVE")
        yield
    finally:
        connection.close()


async def exported(watched: Watched, file: Path) -> list[str]:
    """Export the devices, and return every secret that they have now: drawn and generated ones too."""
    flags = ("--platform", watched.api, "--access-key-env", "AK", "--secret-key-env", "SK", "--force")
    ended = await asyncio.to_thread(keyturn, "devices", "export", file, *flags, cwd=watched.folder, variables=RUNNER)
    assert ended.returncode == 0, ended.stderr
    watched.said += [ended.stdout.encode(), ended.stderr.encode()]
    lines = map(json.loads, file.read_text().splitlines())
    return [secret for line in lines for secret in (line["primary"], line["secondary"]) if secret]


async def test_run_against_a_platform_leaves_secrets_only_where_they_must_be(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    async with platform(outside, "--access-key", RUNNER["AK"]) as watched:
        mqtt = watched.ready["mqtt"]["port"]
        async with relayed("127.0.0.1", 0, mqtt) as relay:
            where = f"{{kind: remote, api: '{watched.api}', mqtt: 'mqtt://127.0.0.1:{relay.port}'"
            scenario = write_scenario(inside, f"{where}, access_key_env: AK, secret_key_env: SK}}")
            async with asyncio.TaskGroup() as tasks:
                ended = tasks.create_task(run(scenario, outside / "report", {**RUNNER, "TMPDIR": str(outside)}))
                lines = set(command_lines())
                while not ended.done():
                    lines |= set(command_lines())
                    await asyncio.sleep(0.05)
        done = ended.result()
        assert done.returncode == 0, done.stdout + done.stderr
        now = await exported(watched, inside / "export.ndjson")
    delivered = delivered_secrets(relay)
    secrets = {MARK, *now, *delivered}
    watched.said += [done.stdout.encode(), done.stderr.encode(), *lines]
    assert (len(now), len(delivered), len(secrets)) == (2 * DEVICES, 2 * DEVICES, 1 + 4 * DEVICES)
    assert packets_that_show(relay, secrets) == {(False, "commands")}
    assert [path.name for path in files_that_show(inside, secrets)] == ["export.ndjson", "fleet.ndjson"]
    assert {path.name.partition("-")[0] for path in files_that_show(outside, secrets)} <= {"keyturn.db"}
    assert {"device.jsonl", "platform.jsonl", "junit.xml", "results.json"} <= {
        path.name for path in (outside / "report").iterdir()
    }
    assert shown(b"\n".join(watched.said), secrets) == []


def delivered_secrets(relay: Relay) -> set[str]:
    """The secrets that went to devices in commands and messages."""
    packets = [one.packet for one in relay.passed if isinstance(one.packet, Publish) and not one.from_device]
    bodies = [json.loads(packet.payload) for packet in packets]
    return {body["paras"]["secret"] for body in bodies if body.get("command_name") == "set_secret"}


def packets_that_show(relay: Relay, secrets: set[str]) -> set[tuple[bool, str]]:
    """From which side, and on which topics, secrets passed."""
    found = set()
    for one in relay.passed:
        if one.packet is None or not shown(one.packet.encode(4), secrets):
            continue
        assert isinstance(one.packet, Publish)
        found.add((one.from_device, one.packet.topic.partition("/sys/")[2].partition("/request_id=")[0]))
    return found


async def test_embedded_run_leaves_nothing_behind(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    scenario = write_scenario(inside, "{kind: embedded}")
    done = await run(scenario, outside / "report", {**VERBOSE, "TMPDIR": str(outside)})
    assert done.returncode == 0, done.stdout + done.stderr
    assert shown((done.stdout + done.stderr).encode()) == []
    assert files_that_show(outside) == []
    assert [path.name for path in outside.iterdir()] == ["report"]


NB_KEY = MARK.encode().hex()[:32]
"""What an NB-IoT device has for a secret is hexadecimal; its bytes are on no wire."""

NB_IOT = """
name: marked keys
settle: 1s
fleets: {valves: {protocol: lwm2m, devices: valves.ndjson, telemetry: {every: 300ms}}}
timeline:
  - {id: up, start: [valves], until: "recovered == 100%"}
  - {id: command, deliver_secret: {fleet: valves, slot: primary}}
  - {id: reset, reset_secret: {fleet: valves, slot: primary, force_disconnect: true}}
  - {id: again, reconnect: {fleet: valves}, until: "recovered == 100%"}
  - {id: lockout, reset_secret: {fleet: valves, slot: primary, secret: generated}}
  - {id: late, reconnect: {fleet: valves}, until: "locked_out == 100%"}
"""


async def test_embedded_run_of_nb_iot_devices_leaves_nothing_behind(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    lines = (json.dumps({"device_id": f"valve-{number}", "primary": NB_KEY}) for number in range(DEVICES))
    (inside / "valves.ndjson").write_text("\n".join(lines))
    (inside / "marked.yaml").write_text(NB_IOT)
    done = await run(inside / "marked.yaml", outside / "report", {**VERBOSE, "TMPDIR": str(outside)})
    assert done.returncode == 0, done.stdout + done.stderr
    assert shown((done.stdout + done.stderr).encode(), {MARK, NB_KEY}) == []
    assert files_that_show(outside, {MARK, NB_KEY}) == []


LINK = "/v2/default/link/instances/default"
WRONG_PLACES: list[tuple[str, str, Mapping[str, str], bytes]] = [
    ("POST", "/_platform/devices", {}, b'{"device_id": "x", "primary": "%b"' % MARK.encode()),
    ("POST", "/_platform/devices", {}, b'{"device_id": "x y", "primary": "%b"}' % MARK.encode()),
    ("POST", "/_platform/devices", {}, b'{"device_id": "x", "primary": "%b and more than 32 in all"}' % MARK.encode()),
    ("POST", "/_platform/devices", {}, b'{"device_id": "x", "primary": ["%b"]}' % MARK.encode()),
    ("POST", "/_platform/devices", {}, b'{"device_id": "x", "secret": "%b"}' % MARK.encode()),
    ("POST", "/_platform/devices", {}, b'\xff{"primary": "%b"}' % MARK.encode()),
    ("POST", "/_platform/devices", {"Content-Type": "text/plain"}, MARK.encode()),
    ("POST", "/_platform/devices", {"Content-Type": f"application/{MARK}"}, b"{}"),
    ("POST", "/v5/iot/p/devices/meter/action?action_id=resetSecret", {}, b'{"secret": "%b!"}' % MARK.encode()),
    ("POST", "/v5/iot/p/devices/meter/action?action_id=resetSecret", {}, b'{"secret": {"%b": 1}}' % MARK.encode()),
    ("POST", "/v5/iot/p/devices/meter/action?action_id=resetSecret", {}, b'{"secret_type": "%b"}' % MARK.encode()),
    ("POST", "/v5/iot/p/devices/nobody/action?action_id=resetSecret", {}, b'{"secret": "%b"}' % MARK.encode()),
    ("POST", "/v5/iot/p/devices", {}, b'{"node_id": "n", "auth_info": {"secret": "%b"}}' % MARK.encode()),
    ("POST", "/v5/iot/p/devices", {}, b'{"node_id": "n", "product_id": "p", "auth_info": "%b"}' % MARK.encode()),
    ("PUT", "/v5/iot/p/devices/meter", {}, b'{"auth_info": {"timeout": "%b"}}' % MARK.encode()),
    ("POST", "/_platform/devices/meter/commands", {}, b'{"command_name": "c", "paras": "%b"}' % MARK.encode()),
    ("POST", "/_platform/devices/meter/commands", {}, b'{"command_name": "c", "paras": {"s": "%b"}}' % MARK.encode()),
    ("POST", "/_platform/devices/meter/messages", {}, b'{"payload": "%b", "qos": 2}' % MARK.encode()),
    ("POST", "/_platform/clock", {}, b'{"advance": "%b"}' % MARK.encode()),
    (
        "POST",
        "/_platform/devices/reset-secrets",
        {},
        b'{"resets": [{"device_id": "x", "secret": 1, "%b": 2}]}' % MARK.encode(),
    ),
    ("POST", "/v5/iot/p/devices/meter/messages", {}, b'{"message": "%b", "ttl": 7}' % MARK.encode()),
    ("POST", "/v5/iot/p/devices/meter/commands", {}, b'{"command_name": "c", "paras": "%b"}' % MARK.encode()),
    ("POST", "/v5/iot/p/devices/meter/async-commands", {}, b'{"paras": {"s": "%b"}}' % MARK.encode()),
    ("PUT", "/v5/iot/p/devices/meter/properties", {}, b'{"services": "%b"}' % MARK.encode()),
    ("POST", "/v5/iot/p/routing-rule/rules", {}, b'{"subject": "%b"}' % MARK.encode()),
    ("POST", f"{LINK}/products", {}, b'{"name": ["%b"]}' % MARK.encode()),
    ("PUT", f"{LINK}/devices/1/authentication", {}, b'{"password": "%b"}' % MARK.encode()),
    ("PUT", f"{LINK}/products/7/authentication", {}, b'{"password": "%b-A1"}' % MARK.encode()),
    ("PUT", f"{LINK}/devices/1", {}, b'{"status": "%b"}' % MARK.encode()),
    ("GET", "/_platform", {"X-Auth-Token": "", "Authorization": f"Bearer {MARK}"}, b""),
    ("GET", "/_platform", {"Origin": f"http://{MARK}"}, b""),
    ("GET", f"/_platform/devices?secrets={MARK}", {}, b""),
    ("GET", "/_platform", {"X-Auth-Token": f"{MARK}-of-another"}, b""),
    ("GET", "/_platform", {"X-Auth-Token": "", "Authorization": f"SDK-HMAC-SHA256 Access={MARK}"}, b""),
]


IN_PLACE_OF_AN_ID = [
    ("POST", f"/v5/iot/p/devices/{MARK}/freeze"),
    ("POST", f"/v5/iot/p/devices/{MARK}/action?action_id=resetSecret"),
    ("POST", f"/v5/iot/p/devices/meter/action?action_id={MARK}"),
    ("POST", f"/v5/iot/{MARK}/devices/nobody/freeze"),
    ("GET", f"/{MARK}"),
]
"""What asks for something by a name is answered with the name, to him who asked; and that is all."""

IN_A_CONNECT = [
    {"username": MARK},
    {"username": MARK, "password": MARK.encode()},
    {"password": MARK.encode()},
    {"will": Will(MARK, MARK.encode())},
]


async def test_secrets_in_wrong_places_are_neither_answered_nor_noted(tmp_path: Path) -> None:
    async with (
        platform(tmp_path, "--token", TOKEN) as watched,
        aiohttp.ClientSession(watched.api, headers={"X-Auth-Token": TOKEN}) as http,
    ):
        body = json.dumps({"device_id": "meter", "primary": f"{MARK}-p"}).encode()
        assert (await answer(http, "POST", "/_platform/devices", {}, body))[0] == 200
        for wrong in WRONG_PLACES:
            status, told = await answer(http, *wrong)
            assert 400 <= status < 500, wrong
            assert shown(told) == [], wrong
        for method, path in IN_PLACE_OF_AN_ID:
            assert (await answer(http, method, path, {}, b""))[0] in (400, 404)
        for fields in IN_A_CONNECT:
            async with await Client.open(watched.ready["mqtt"]["port"]) as client:
                client.send(connect("meter", "not-its-secret", **fields))
                assert isinstance(await client.receive(), ConnAck)
        with locked(tmp_path / "keyturn.db"):
            reset = b'{"secret": "%b-new"}' % MARK.encode()
            path = "/v5/iot/p/devices/meter/action?action_id=resetSecret"
            status, told = await answer(http, "POST", path, {}, reset)
        assert (status, shown(told)) == (500, [])
        for path in ("", "/devices", "/sessions", "/statistics"):
            status, told = await answer(http, "GET", f"/_platform{path}", {}, b"")
            assert (status, shown(told)) == (200, []), path
        status, told = await answer(http, "GET", "/_platform/devices?secrets=true", {}, b"")
        assert (status, shown(told)) == (200, [MARK]), "where they are asked for, they are told"
        watched.process.kill()
        await watched.process.wait()
    assert shown(b"".join(watched.said)) == []
    assert {path.name.partition("-")[0] for path in files_that_show(tmp_path)} == {"keyturn.db"}


async def answer(
    http: aiohttp.ClientSession, method: str, path: str, headers: Mapping[str, str], body: bytes
) -> tuple[int, bytes]:
    """Send one request; returns the status, and the head and body of the answer."""
    sent = {"Content-Type": "application/json", **headers}
    async with http.request(method, path, headers=sent, data=body or None) as response:
        return response.status, str(response.raw_headers).encode() + await response.read()


RIGHT_PLACES: list[tuple[str, str, bytes]] = [
    ("POST", "/_platform/devices", b'{"device_id": "meter", "primary": "%b-p"}' % MARK.encode()),
    ("POST", "/_platform/devices", b'{"device_id": "nb", "primary": "%b", "protocol": "coap"}' % NB_KEY.encode()),
    (
        "POST",
        "/_platform/devices/reset-secrets",
        b'{"resets": [{"device_id": "meter", "secret": "%b-q"}]}' % MARK.encode(),
    ),
    ("POST", "/v5/iot/p/devices/meter/messages", b'{"message": {"secret": "%b"}}' % MARK.encode()),
    ("POST", "/v5/iot/p/devices/nb/async-commands", b'{"paras": {"secret": "%b"}}' % MARK.encode()),
    (
        "POST",
        f"{LINK}/products",
        b"""{"name": "lamp", "app_id": "a", "manufacturer_id": "m", "manufacturer_name": "m",
        "model": "m", "product_type": 0, "protocol_type": 0}""",
    ),
    (
        "POST",
        f"{LINK}/devices",
        b"""{"product": {"product_id": 1}, "device_name": "lamp", "node_id": "lamp-1",
        "app_id": "a", "user_name": "lamp", "password": "%b-A1"}"""
        % MARK.encode(),
    ),
    ("PUT", f"{LINK}/devices/1/authentication", b'{"password": "%b-B2"}' % MARK.encode()),
    ("PUT", f"{LINK}/products/1/authentication", b'{"password": "%b-C3"}' % MARK.encode()),
    ("POST", f"{LINK}/devices/force-offline", b'{"device_ids": [1]}'),
]


async def test_secrets_in_right_places_are_in_the_database_and_on_the_way_to_their_devices_alone(
    tmp_path: Path,
) -> None:
    async with (
        platform(tmp_path, "--token", TOKEN) as watched,
        aiohttp.ClientSession(watched.api, headers={"X-Auth-Token": TOKEN}) as http,
    ):
        for method, path, body in RIGHT_PLACES:
            status, told = await answer(http, method, path, {}, body)
            assert status in (200, 201), (path, told)
        for path in ("", "/devices", "/sessions", "/registrations", "/products", "/statistics"):
            status, told = await answer(http, "GET", f"/_platform{path}", {}, b"")
            assert (status, shown(told, {MARK, NB_KEY})) == (200, []), path
        login = Connect("D000000001xxxxxx", "lamp", f"{MARK}-of-another".encode(), keepalive=60)
        async with await Client.open(watched.ready["mqtt"]["port"]) as client:
            client.send(login)
            assert isinstance(await client.receive(), ConnAck)
        async with await Client.open(watched.ready["mqtt"]["port"]) as client:
            client.send(connect("meter", f"{MARK}-q"))
            assert (await client.receive()) == ConnAck(0)
            message = await client.receive()
            assert isinstance(message, Publish)
            assert shown(message.payload) == [MARK]
        watched.process.kill()
        await watched.process.wait()
    assert shown(b"".join(watched.said), {MARK, NB_KEY}) == []
    assert {path.name.partition("-")[0] for path in files_that_show(tmp_path, {MARK, NB_KEY})} == {"keyturn.db"}


BAD_FLEETS = {
    "fleet.csv": f"device_id,primary\nmeter,{MARK}-and-much-more-than-32-characters\n",
    "fleet.json": f'[{{"device_id": "meter", "primary": "{MARK}"',
    "fleet.ndjson": f'{{"device_id": "{MARK}-p, q", "primary": "x"}}\n',
    "swapped.csv": f"device_id,primary\n{MARK}-p!,meter-1\n",
    "quoted.csv": f'device_id,primary\nmeter,"{MARK}\n',
}


@pytest.mark.parametrize("name", BAD_FLEETS)
def test_bad_file_of_devices_is_refused_without_a_word_of_what_is_in_it(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(BAD_FLEETS[name])
    ended = keyturn("devices", "import", name, cwd=tmp_path, variables=VERBOSE)
    assert ended.returncode == 2
    assert name in ended.stderr
    assert shown((ended.stdout + ended.stderr).encode()) == []


async def test_ends_that_nobody_wished_for_show_nothing(tmp_path: Path) -> None:
    """The runner's disk is full, its platform is killed, its output is closed, and the database is none."""
    async with platform(tmp_path) as watched:
        scenario = write_scenario(tmp_path, f"{{kind: remote, api: '{watched.api}'}}")
        report = tmp_path / "report"
        full = await asyncio.to_thread(
            keyturn, "run", scenario, "--report", report, cwd=tmp_path, largest_file=4096, variables=VERBOSE
        )
        closed = await listed_into_a_closed_pipe(watched.api)
        watched.process.kill()
        await watched.process.wait()
        gone = await run(scenario, report, VERBOSE)
    (tmp_path / "broken.db").write_text(f"this is no database: {MARK}\n" * 100)
    refused = await asyncio.to_thread(keyturn, "serve", "--db", tmp_path / "broken.db", cwd=tmp_path, variables=VERBOSE)
    assert (full.returncode, gone.returncode, refused.returncode) == (2, 3, 2)
    said = "".join(ended.stdout + ended.stderr for ended in (full, gone, refused))
    assert shown(said.encode() + closed + b"".join(watched.said)) == []
    assert shown((tmp_path / "broker.stderr").read_bytes()) == []
    assert files_that_show(report) == []


async def listed_into_a_closed_pipe(api: str) -> bytes:
    """Run `keyturn devices list` for a reader who has gone; returns what it says on stderr."""
    process = await asyncio.create_subprocess_exec(
        *("/bin/sh", "-c", f"{sys.executable} -m simulator devices list --json --platform {api} | true"),
        cwd=CHECKOUT,
        env={**ENVIRONMENT, **VERBOSE},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    return (await process.communicate())[1]

"""`keyturn devices`: what is listed never holds a secret, and what is exported can be imported again."""

import asyncio
import io
import json
import stat
from pathlib import Path

from rich.console import Console

from simulator.credentials import fingerprint
from simulator.report.devices import print_devices
from tests.support.commands import keyturn, serving

PRIMARY, SECONDARY, COAP = "canary-primary-0001", "canary-secondary-01", "0123456789abcdef"
DEVICES = (
    "device_id,primary,secondary,product_id,protocol,secure_access\n"
    f"p_meter,{PRIMARY},{SECONDARY},p,,true\nvalve,{COAP},,,coap,\n"
)


async def devices(folder: Path, command: str, *arguments: str | Path) -> str:
    """Run `keyturn devices …`, which must end well, and give what it prints."""
    ended = await asyncio.to_thread(keyturn, "devices", command, *arguments, cwd=folder)
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stderr
    return ended.stdout


async def test_exported_devices_are_the_same_on_a_new_platform(tmp_path: Path) -> None:
    (tmp_path / "devices.csv").write_text(DEVICES)
    async with serving() as first, serving() as second:
        await devices(tmp_path, "import", "devices.csv", "--platform", first.api)
        out = await devices(tmp_path, "export", "first.ndjson", "--platform", first.api)
        assert out == "2 devices written to first.ndjson, with their secrets\n"
        await devices(tmp_path, "import", "first.ndjson", "--platform", second.api)
        await devices(tmp_path, "export", "second.ndjson", "--platform", second.api)
    written = (tmp_path / "first.ndjson").read_text()
    assert (tmp_path / "second.ndjson").read_text() == written
    meter, valve = map(json.loads, written.splitlines())
    assert (meter["primary"], meter["secondary"], valve["primary"]) == (PRIMARY, SECONDARY, COAP)
    assert (meter["product_id"], meter["node_id"], meter["secure_access"]) == ("p", "meter", True)
    assert (valve["protocol"], valve["secondary"], valve["secure_access"]) == ("coap", None, False)
    assert stat.S_IMODE((tmp_path / "first.ndjson").stat().st_mode) == 0o600


async def test_secrets_are_nowhere_but_in_the_export(tmp_path: Path) -> None:
    (tmp_path / "devices.csv").write_text(DEVICES)
    journal = tmp_path / "platform.jsonl"
    async with serving("--journal", journal) as platform:
        address = ("--platform", platform.api)
        shown = [await devices(tmp_path, "import", "devices.csv", *address)]
        shown += [await devices(tmp_path, "list", *wish, *address) for wish in ((), ("--json",))]
        shown += [await devices(tmp_path, "export", "out.ndjson", *address)]
    for text in (*shown, journal.read_text()):
        assert "canary" not in text
        assert COAP not in text
    plain, lines = shown[1].splitlines(), shown[2].splitlines()
    marks = [f"v1:{fingerprint(secret)}" for secret in (PRIMARY, SECONDARY)]
    assert plain[0].split(" ") == ["p_meter", "p", "mqtt", "offline", *marks]
    assert plain[1].split(" ") == ["valve", "-", "coap", "offline", f"v1:{fingerprint(COAP)}", "-"]
    assert json.loads(lines[0])["primary"] == {"version": 1, "fingerprint": fingerprint(PRIMARY)}


async def test_export_overwrites_nothing_unless_it_is_told_to(tmp_path: Path) -> None:
    (tmp_path / "precious.json").write_text("{}")
    async with serving() as platform:
        arguments = ("devices", "export", "precious.json", "--platform", platform.api)
        ended = await asyncio.to_thread(keyturn, *arguments, cwd=tmp_path)
        assert ended.returncode == 2
        assert "precious.json: there is such a file already" in ended.stderr
        assert (tmp_path / "precious.json").read_text() == "{}"
        await devices(tmp_path, "export", "precious.json", "--force", "--platform", platform.api)
    assert (tmp_path / "precious.json").read_text() == ""


async def test_platform_that_does_not_list_its_devices_is_bad_usage(tmp_path: Path) -> None:
    async with serving("--token", "right") as platform:
        for command in (("list",), ("export", "out.ndjson")):
            ended = await asyncio.to_thread(keyturn, "devices", *command, "--platform", platform.api, cwd=tmp_path)
            assert ended.returncode == 2
            assert f"{platform.api} did not list its devices (401 IOTDA.000002" in ended.stderr
    assert not (tmp_path / "out.ndjson").exists()


def test_help_of_export_says_that_secrets_are_in_the_file(tmp_path: Path) -> None:
    assert "WITH THEIR SECRETS" in keyturn("devices", "export", "--help", cwd=tmp_path).stdout


def test_terminal_gets_a_table() -> None:
    secret = {"version": 3, "fingerprint": "0a1b2c3d"}
    online = {"slot": "secondary", "secret_version": 2}
    entry = {"product_id": None, "protocol": "mqtt", "frozen": False, "primary": secret, "secondary": None}
    screen = Console(file=io.StringIO(), force_terminal=True, color_system=None, width=100)
    entries = [
        entry | {"device_id": "d1", "session": online},
        entry | {"device_id": "d2", "session": None, "frozen": True},
        entry | {"device_id": "n1", "protocol": "coap", "session": None, "registration": {"secret_version": 3}},
        entry | {"device_id": "n2", "protocol": "coap", "session": None, "registration": {"secret_version": None}},
    ]
    print_devices(screen, entries)
    assert isinstance(screen.file, io.StringIO)
    words = [line.split() for line in screen.file.getvalue().splitlines()]
    assert ["device", "product", "protocol", "session", "primary", "secondary"] in words
    assert ["d1", "-", "mqtt", "secondary:v2", "v3:0a1b2c3d", "-"] in words
    assert ["d2", "-", "mqtt", "frozen", "v3:0a1b2c3d", "-"] in words
    assert ["n1", "-", "coap", "primary:v3", "v3:0a1b2c3d", "-"] in words
    assert ["n2", "-", "coap", "in-the-clear", "v3:0a1b2c3d", "-"] in words

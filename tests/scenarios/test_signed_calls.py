"""A whole run against a platform whose callers must sign: every call of the runner, its journal and its restart."""

import json
from pathlib import Path

import pytest

from tests.support.commands import PlatformProcess, keyturn, serving

ACCESS_KEY, SECRET_KEY = "AKRUNNER0123456789", "sk-runner-0123456789abcdefghij"
OF_THE_PLATFORM = {"KEYTURN_SECRET_KEY": SECRET_KEY}
OF_THE_RUNNER = {"RUNNER_AK": ACCESS_KEY, "RUNNER_SK": SECRET_KEY}
FLAGS = ("--access-key-env", "RUNNER_AK", "--secret-key-env", "RUNNER_SK")
SCENARIO = """
name: signed
settle: 5s
platform: {kind: remote, api: API, access_key_env: RUNNER_AK, secret_key_env: RUNNER_SK}
fleets: {meters: {count: 8, sign: 1, telemetry: {every: 500ms}}}
timeline:
  - {id: up, start: [meters], until: "recovered == 100%"}
  - {id: deliver, deliver_secret: {fleet: meters, slot: primary}}
  - {id: rotate, reset_secret: {fleet: meters, slot: primary, force_disconnect: true}, until: "recovered == 100%"}
  - {id: generate, reset_secret: {fleet: meters, slot: secondary, secret: generated}}
  - {id: freeze, freeze: [meters]}
  - {id: unfreeze, unfreeze: [meters]}
  - {id: night, advance_clocks: 25h}
  - {id: again, reset_secret: {fleet: meters, slot: secondary}, until: "recovered == 100%"}
expect: ["stranded == 0", "messages.lost == 0", "misjudged == 0"]
"""


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    return tmp_path / "signed.yaml"


def write(scenario: Path, platform: PlatformProcess, region: str = "") -> None:
    derived = f", region: {region}" if region else ""
    scenario.write_text(SCENARIO.replace("api: API", f"api: {platform.api}{derived}"))


@pytest.mark.scenario
@pytest.mark.parametrize("region", ["", "cn-north-4"], ids=["SDK-HMAC-SHA256", "V11-HMAC-SHA256"])
async def test_run_that_signs_passes_where_nobody_else_is_let_in(tmp_path: Path, scenario: Path, region: str) -> None:
    async with serving("--access-key", ACCESS_KEY, variables=OF_THE_PLATFORM) as platform:
        write(scenario, platform, region)
        ended = keyturn("run", scenario, cwd=tmp_path, variables=OF_THE_RUNNER)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    journal = (tmp_path / "keyturn-report/platform.jsonl").read_text()
    resets = [record for record in map(json.loads, journal.splitlines()) if record["kind"] == "reset"]
    assert len(resets) == 3 * 8
    everything = "".join(path.read_text() for path in (tmp_path / "keyturn-report").iterdir())
    assert not any(secret in everything + ended.stdout + ended.stderr for secret in (ACCESS_KEY, SECRET_KEY))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"RUNNER_SK": "sk-of-somebody-else"}, "verify aksk signature fail"),
        ({"RUNNER_AK": "AKOFSOMEBODYELSE"}, "ak not exist"),
        ({"RUNNER_SK": ""}, "the environment variable RUNNER_SK is empty"),
    ],
    ids=["secret key", "access key", "none"],
)
async def test_run_with_a_wrong_key_is_refused_at_once_and_the_key_not_shown(
    tmp_path: Path, scenario: Path, wrong: dict[str, str], told: str
) -> None:
    async with serving("--access-key", ACCESS_KEY, variables=OF_THE_PLATFORM) as platform:
        write(scenario, platform)
        ended = keyturn("run", scenario, cwd=tmp_path, variables={**OF_THE_RUNNER, **wrong})
    assert ended.returncode == 2
    assert told in ended.stderr
    assert "Traceback" not in ended.stderr
    shown = ended.stdout + ended.stderr
    assert not any(secret and secret in shown for secret in (ACCESS_KEY, SECRET_KEY, *wrong.values()))


async def test_devices_are_imported_listed_and_exported_with_signatures(tmp_path: Path) -> None:
    file, copy = tmp_path / "meters.csv", tmp_path / "copy.ndjson"
    file.write_text("device_id,primary,secondary\nmeter,primary-secret,secondary-secret\n")
    async with serving("--access-key", ACCESS_KEY, variables=OF_THE_PLATFORM) as platform:
        where = ("--platform", platform.api)
        unsigned = keyturn("devices", "import", file, *where, cwd=tmp_path)
        assert (unsigned.returncode, "Authorization not found" in unsigned.stderr) == (2, True), unsigned.stderr
        for command in (("import", file), ("list", "--json"), ("export", copy)):
            ended = keyturn("devices", *command, *where, *FLAGS, cwd=tmp_path, variables=OF_THE_RUNNER)
            assert ended.returncode == 0, ended.stderr
    assert json.loads(copy.read_text())["secondary"] == "secondary-secret"

"""A scenario whose devices run on aiomqtt, from the command line to the verdict, in the clear and over TLS."""

import json
from pathlib import Path

from tests.support.commands import keyturn

SCENARIO = """
name: on aiomqtt
loop_lag_limit: 5s
fleets:
  plain: {count: 5, link: aiomqtt, telemetry: {every: 200ms, qos: 1}}
  secure: {count: 5, link: aiomqtt, security: tls, mqtt: 5, session: persistent, telemetry: {every: 200ms, qos: 1}}
timeline:
  - {id: up, start: [plain, secure], until: "recovered == 100%"}
  - id: rotate
    reset_secret: {fleet: [plain, secure], slot: primary, force_disconnect: true}
    until: "recovered == 100%"
expect:
  - "up: slot.primary == 100%"
  - "rotate: slot.secondary == 100%"
  - "rotate: refused_per_device.max == 1"
  - "rotate: refused == 10"
  - "messages.lost == 0"
  - "stranded == 0"
"""


def test_devices_fall_back_to_their_secondary_after_a_forced_reset(tmp_path: Path) -> None:
    (tmp_path / "aiomqtt.yaml").write_text(SCENARIO)
    ended = keyturn("run", "aiomqtt.yaml", "--report", "report", cwd=tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stderr == ""
    records = [json.loads(line) for line in (tmp_path / "report" / "device.jsonl").read_text().splitlines()]
    assert {one["code"] for one in records if one["kind"] == "refused"} == {4, 0x86}

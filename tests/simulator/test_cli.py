"""The command line: one clear message and the right exit code for everything that can be foreseen."""

import asyncio
import json
import re
import signal
import socket
import sys
from pathlib import Path

import pytest

from simulator.report.folder import judge_folder
from tests.support.commands import ENVIRONMENT, keyturn, serving
from tests.support.ports import unused_port

SETTLING = re.compile(r'"kind":"step","step":"bar".*"state":"done"')
SMALL = """
name: small
intent: routine
settle: 2s
fleets: {meters: {count: 5}}
timeline:
  - {id: up, start: [meters], until: "recovered == 100%", timeout: 10s}
  - {id: rotate, reset_secret: {fleet: meters, slot: primary, force_disconnect: true}, until: "recovered == 100%"}
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return path


def test_unknown_scenario_is_bad_usage(tmp_path: Path) -> None:
    ended = keyturn("run", "rotate-primry", cwd=tmp_path)
    assert ended.returncode == 2
    assert "did you mean 'rotate-primary'" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_bad_scenario_names_file_line_and_column(tmp_path: Path, small: Path) -> None:
    small.write_text(SMALL.replace("count: 5", "cuont: 5"))
    ended = keyturn("check", small, cwd=tmp_path)
    assert ended.returncode == 2
    assert "small.yaml:5:" in ended.stderr
    assert "did you mean 'count'" in ended.stderr
    assert not (tmp_path / "keyturn-report").exists()


def test_unknown_flag_is_bad_usage(tmp_path: Path) -> None:
    ended = keyturn("run", "lockout", "--sede", "3", cwd=tmp_path)
    assert ended.returncode == 2
    assert "--sede" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_check_draws_the_timeline(tmp_path: Path) -> None:
    ended = keyturn("check", "rotate-primary", cwd=tmp_path)
    assert ended.returncode == 0
    assert "in waves of 100 every 2 s" in ended.stdout
    assert "500 devices" in ended.stdout


def test_unreachable_platform_is_exit_3(tmp_path: Path, small: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        ended = keyturn("run", small, "--platform", f"http://127.0.0.1:{taken.getsockname()[1]}", cwd=tmp_path)
    assert ended.returncode == 3
    assert "no answer from the control API" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_step_that_a_broker_cannot_serve_is_refused_before_anything_is_dialled(tmp_path: Path, small: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as broker:
        url = f"mqtt://127.0.0.1:{broker.getsockname()[1]}"
        ended = keyturn("run", small, "--platform", url, cwd=tmp_path)
        broker.setblocking(False)
        with pytest.raises(BlockingIOError):
            broker.accept()
    assert ended.returncode == 2
    first, line, _ = ended.stderr.splitlines()
    reason = f"step 'rotate' needs a control API, but {url} is an MQTT broker and nothing else"
    assert first == f"keyturn: {small}:8:32: timeline.1.reset_secret: {reason}"
    assert line.strip().startswith("- {id: rotate, reset_secret:")
    assert not (tmp_path / "keyturn-report").exists()


def test_broker_that_is_not_there_is_exit_3(tmp_path: Path, small: Path) -> None:
    small.write_text("".join(line for line in SMALL.splitlines(keepends=True) if "rotate" not in line))
    url = f"mqtt://127.0.0.1:{unused_port()}"
    ended = keyturn("run", small, "--platform", url, cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (3, f"keyturn: no MQTT broker at {url}: Connection refused\n")


def test_broker_over_tls_for_a_fleet_that_speaks_in_the_clear_is_bad_usage(tmp_path: Path, small: Path) -> None:
    ended = keyturn("run", small, "--platform", "mqtts://127.0.0.1", cwd=tmp_path)
    assert ended.returncode == 2
    assert "fleet 'meters' speaks MQTT, but platform.mqtt is not given" in ended.stderr


def test_report_folder_with_strangers_is_not_touched(tmp_path: Path, small: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("do not delete")
    ended = keyturn("run", small, "--report", "mine", cwd=tmp_path)
    assert ended.returncode == 2
    assert "thesis.txt" in ended.stderr
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "do not delete"


def test_too_many_devices_are_refused_with_the_arithmetic(tmp_path: Path, small: Path) -> None:
    ended = keyturn("run", small, "--set", "fleets.meters.count=900000", cwd=tmp_path)
    assert ended.returncode == 2
    assert "900000 devices need" in ended.stderr


def test_report_of_no_run_is_bad_usage(tmp_path: Path) -> None:
    ended = keyturn("report", "nowhere", cwd=tmp_path)
    assert ended.returncode == 2
    assert "expected the folder of a run" in ended.stderr


def test_serve_refuses_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ended = keyturn("serve", "--mqtt-port", str(taken.getsockname()[1]), "--http-port", "0", cwd=tmp_path)
    assert ended.returncode == 2
    assert "cannot listen on 127.0.0.1" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_serve_shows_its_own_flags(tmp_path: Path) -> None:
    ended = keyturn("serve", "--help", cwd=tmp_path)
    assert ended.returncode == 0
    assert "--mqtt-port" in ended.stdout


async def test_run_against_a_platform_that_is_already_there(tmp_path: Path, small: Path) -> None:
    async with serving() as platform:
        ended = await asyncio.to_thread(keyturn, "run", small, "--platform", platform.api, cwd=tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    judged = judge_folder(tmp_path / "keyturn-report")
    assert judged.report.measure("messages.lost == 0").value == 0
    assert judged.platform_records[0]["kind"] == "header"
    assert sum(record["kind"] == "accepted" for record in judged.platform_records) == 10


async def test_imported_devices_are_registered_all_or_none(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_text("device_id,primary,secondary\nd1,abcdefgh,\nd2,abcdefgh,12345678\n")
    bad.write_text("device_id,primary,secondary\nd3,abcdefgh,\nd4,short,\n")
    async with serving() as platform:
        ended = await asyncio.to_thread(keyturn, "devices", "import", good, "--platform", platform.api, cwd=tmp_path)
        assert (ended.returncode, "2 devices registered" in ended.stdout) == (0, True)
        ended = await asyncio.to_thread(keyturn, "devices", "import", bad, "--platform", platform.api, cwd=tmp_path)
        assert ended.returncode == 2
        assert "device 2: bad primary secret" in ended.stderr
        assert "short" not in ended.stderr


async def started(cwd: Path, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "simulator", *arguments),
        cwd=cwd,
        env=ENVIRONMENT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def accepted(journal: Path, count: int) -> None:
    """Wait until the platform took so many logins."""
    async with asyncio.timeout(30):
        while not (journal.exists() and journal.read_text().count('"kind":"accepted"') >= count):
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("signals", [1, 3])
async def test_ctrl_c_stops_cleanly_and_reports_what_was_seen(tmp_path: Path, small: Path, signals: int) -> None:
    await asyncio.to_thread(small.write_text, SMALL + "  - {id: idle, wait: 1h}\n")
    process, journal = await started(tmp_path, "run", str(small)), tmp_path / "keyturn-report" / "platform.jsonl"
    await accepted(journal, 10)
    for _ in range(signals):
        process.send_signal(signal.SIGINT)
        await asyncio.sleep(0.02)
    out, err = await process.communicate()
    assert process.returncode == 130, err.decode()
    assert b"INTERRUPTED" in out
    assert err == b""
    results = json.loads((tmp_path / "keyturn-report" / "results.json").read_text())
    assert (results["interrupted"], results["end"]["connected"]) == (True, 5)
    assert '"kind":"stopped"' in journal.read_text()


async def test_ctrl_c_while_devices_settle_is_reported_too(tmp_path: Path, small: Path) -> None:
    lasting = SMALL.replace("settle: 2s", "settle: 1h").replace('until: "recovered == 100%", timeout', "timeout")
    frozen = lasting + "  - {id: bar, freeze: [meters]}\n"
    await asyncio.to_thread(small.write_text, frozen)
    process, folder = await started(tmp_path, "run", str(small)), tmp_path / "keyturn-report"
    async with asyncio.timeout(30):
        while not ((folder / "device.jsonl").exists() and SETTLING.search((folder / "device.jsonl").read_text())):
            await asyncio.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = await process.communicate()
    assert (process.returncode, b"INTERRUPTED" in out, err) == (130, True, b"")


async def test_ctrl_c_in_a_ramp_starts_nobody_afterwards(tmp_path: Path, small: Path) -> None:
    ramp = SMALL.replace("count: 5", "count: 400").replace("start: [meters],", "start: [meters], over: 20s,")
    await asyncio.to_thread(small.write_text, ramp)
    process, folder = await started(tmp_path, "run", str(small)), tmp_path / "keyturn-report"
    await accepted(folder / "platform.jsonl", 20)
    process.send_signal(signal.SIGINT)
    await process.communicate()
    kinds = [record["kind"] for record in judge_folder(folder).device_records]
    assert "opened" not in kinds[kinds.index("settled") :]


async def test_two_runs_do_not_write_into_one_folder(tmp_path: Path, small: Path) -> None:
    await asyncio.to_thread(small.write_text, SMALL + "  - {id: idle, wait: 1h}\n")
    first = await started(tmp_path, "run", str(small))
    await accepted(tmp_path / "keyturn-report" / "platform.jsonl", 5)
    second = await asyncio.to_thread(keyturn, "run", "lockout", cwd=tmp_path)
    first.send_signal(signal.SIGINT)
    out, _ = await first.communicate()
    assert second.returncode == 2
    assert "another run is writing there" in second.stderr
    assert b"small" in out


def test_full_disk_is_one_clear_line(tmp_path: Path, small: Path) -> None:
    small.write_text(SMALL + "  - {id: idle, wait: 2s}\n")
    small.write_text(small.read_text().replace("count: 5", "count: 300"))
    ended = keyturn("run", small, cwd=tmp_path, largest_file=200_000)
    assert ended.returncode in (2, 3), ended.stderr
    assert "Traceback" not in ended.stderr
    assert "device.jsonl: File too large" in ended.stderr


def test_no_secret_is_ever_shown_or_written(tmp_path: Path, small: Path) -> None:
    canaries = ["canary-primary-0001", "canary-secondary-01"]
    (tmp_path / "devices.csv").write_text(f"device_id,primary,secondary\nmeter-1,{canaries[0]},{canaries[1]}\n")
    small.write_text(
        SMALL.replace("{count: 5}", "{devices: devices.csv}")
        + "  - {id: tell, deliver_secret: {fleet: meters, slot: primary, via: command}}\n"
    )
    ended = keyturn("run", small, cwd=tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    written = [path.read_text() for path in (tmp_path / "keyturn-report").iterdir()]
    assert any("meter-1" in text for text in written)
    for text in (ended.stdout, ended.stderr, *written):
        assert "canary" not in text

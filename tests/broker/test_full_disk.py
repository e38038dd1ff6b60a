"""Disks that are full, files that cannot be written, and a database that another process holds: real processes.

A limit on the size of its files stands in for a full disk: it is set on a running platform from outside, by anybody.
"""

import asyncio
import contextlib
import ctypes
import json
import os
import sqlite3
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.broker.rig import DEADLINE_S, PRIMARY
from tests.broker.subject import is_internal_error, is_served, running
from tests.broker.test_main import start
from wire.mqtt import PubAck, Publish

V5 = "/v5/iot/p/devices"
RESET = f"{V5}/d1/action?action_id=resetSecret"
NEW = {"secret": "new-primary-1", "force_disconnect": True}
CAP_DAC_OVERRIDE, PR_CAPBSET_DROP = 1, 24
CHANGES = [
    ("POST", RESET, NEW),
    ("POST", RESET, {"secret_type": "SECONDARY", "force_disconnect": True}),
    ("POST", f"{V5}/d1/freeze", None),
    ("POST", f"{V5}/d2/unfreeze", None),
    ("PUT", f"{V5}/d1", {"device_name": "another"}),
    ("DELETE", f"{V5}/d1", None),
    ("POST", V5, {"product_id": "p", "node_id": "n"}),
    ("POST", "/_platform/devices", {"device_id": "d1", "primary": "provisioned-1"}),
]


async def test_full_disk_refuses_every_change_and_changes_nothing(tmp_path: Path) -> None:
    async with running("--db", tmp_path / "k.db") as subject:
        await subject.provision("d1", "d2")
        assert (await subject.call("POST", f"{V5}/d2/freeze"))[0] == 204
        client, code = await subject.log_in(PRIMARY)
        async with client:
            assert code == 0
            before = await subject.state()
            subject.fill_disk()
            for change in CHANGES:
                assert is_internal_error(await subject.call(*change)), change
            assert await subject.state() == before
            assert await is_served(client)
        statistics = await subject.get("/_platform/statistics")
        assert (statistics["resets"], statistics["internal_errors"]) == (0, 0)
        assert await subject.verdict(PRIMARY) == 0
        assert await subject.verdict(NEW["secret"]) == 4
        assert await subject.verdict(PRIMARY, "d2") == 5


async def test_platform_goes_on_by_itself_when_there_is_room_again(tmp_path: Path) -> None:
    async with running("--db", tmp_path / "k.db") as subject:
        await subject.provision("d1")
        subject.fill_disk()
        assert is_internal_error(await subject.call("POST", RESET, NEW))
        subject.make_room()
        assert (await subject.call("POST", RESET, NEW))[0] == 200
        assert await subject.verdict(PRIMARY) == 4
        await subject.platform.kill()
    async with running("--db", tmp_path / "k.db") as subject:
        assert await subject.verdict(NEW["secret"]) == 0
        assert await subject.verdict(PRIMARY) == 4
        (device,) = (await subject.get("/_platform/devices"))["devices"]
        assert device["primary"]["version"] == 2


async def test_change_that_half_fits_is_refused_whole(tmp_path: Path) -> None:
    """The disk fills up in the middle of a commit, and takes a smaller change afterwards."""
    async with running("--db", tmp_path / "k.db") as subject:
        await subject.provision("d1")
        subject.fill_disk(room=(tmp_path / "k.db-wal").stat().st_size + 50_000)
        many = [{"device_id": f"m{number}", "primary": "s" * 32, "node_id": "n" * 60} for number in range(5000)]
        lines = "\n".join(map(json.dumps, many)).encode()
        headers = {"Content-Type": "application/x-ndjson"}
        async with subject.http.post("/_platform/devices", data=lines, headers=headers) as answer:
            assert is_internal_error((answer.status, await answer.json()))
        assert (await subject.get("/_platform/devices"))["count"] == 1
        assert (await subject.call("POST", RESET, NEW))[0] == 200
        await subject.platform.kill()
    async with running("--db", tmp_path / "k.db") as subject:
        assert (await subject.get("/_platform/devices"))["count"] == 1
        assert await subject.verdict(NEW["secret"]) == 0


async def test_full_disk_fails_each_device_of_a_batch(tmp_path: Path) -> None:
    async with running("--db", tmp_path / "k.db") as subject:
        await subject.provision("d1", "d2")
        subject.fill_disk()
        body = {"device_ids": ["d1", "d2"]}
        async with subject.http.post("/_platform/devices/reset-secrets", json=body) as answer:
            told = [json.loads(line) async for line in answer.content]
        assert [one.get("error_code") for one in told] == ["IOTDA.000001", "IOTDA.000001", None]
        assert told[-1] == {"count": 2, "reset": 0, "failed": 2}


async def test_first_session_on_a_full_disk_is_remembered_when_there_is_room(tmp_path: Path) -> None:
    async with running("--db", tmp_path / "k.db") as subject:
        await subject.provision("d1")
        subject.fill_disk()
        assert await subject.verdict(PRIMARY) == 0
        await subject.until(lambda statistics: statistics["store_errors"] > 0)
        subject.make_room()
        errors = (await subject.get("/_platform/statistics"))["store_errors"]
        await until_activated(tmp_path / "k.db")
        assert (await subject.get("/_platform/statistics"))["store_errors"] <= errors + 1
        await subject.platform.kill()
    async with running("--db", tmp_path / "k.db") as subject:
        assert (await subject.get(f"{V5}/d1"))["status"] == "OFFLINE"


async def until_activated(database: Path) -> None:
    """Look into the database until it says of its device that it was in."""
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        async with asyncio.timeout(DEADLINE_S):
            while connection.execute("SELECT activated_ms FROM device").fetchone() == (None,):
                await asyncio.sleep(0.05)


HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


@asynccontextmanager
async def held(database: Path) -> AsyncIterator[None]:
    pipe = asyncio.subprocess.PIPE
    holder = await asyncio.create_subprocess_exec(sys.executable, "-c", HOLD, str(database), stdin=pipe, stdout=pipe)
    try:
        assert holder.stdout
        assert await holder.stdout.readline() == b"held\n"
        yield
    finally:
        holder.kill()
        await holder.wait()


async def test_database_held_by_another_process_refuses_after_a_while_and_nobody_waits_for_it(tmp_path: Path) -> None:
    async with running("--db", tmp_path / "k.db") as subject:
        await subject.provision("d1")
        client, _ = await subject.log_in(PRIMARY)
        before = await subject.state()
        async with client:
            async with held(tmp_path / "k.db"), asyncio.TaskGroup() as tasks:
                reset = tasks.create_task(subject.call("POST", RESET, NEW))
                assert await is_served(client)
                assert await subject.state() == before
                assert not reset.done(), "others were served while the reset waited"
            assert is_internal_error(reset.result())
            assert await is_served(client)
            assert await subject.state() == before
            assert (await subject.call("POST", RESET, NEW))[0] == 200
        assert await subject.verdict(PRIMARY) == 4


def without_privileges() -> None:
    """Root may write what nobody may: give that up, as far as there is anything to give up."""
    if os.geteuid() == 0:
        ctypes.CDLL(None, use_errno=True).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0)


@pytest.mark.parametrize(("flag", "name"), [("--db", "k.db"), ("--journal", "platform.jsonl")])
@pytest.mark.parametrize("locked", ["file", "folder"])
def test_what_may_not_be_written_is_refused_at_the_start(tmp_path: Path, flag: str, name: str, locked: str) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    path = folder / name
    if locked == "file":
        path.touch(0o444)
    else:
        folder.chmod(0o555)
    try:
        with start(flag, str(path), preexec_fn=without_privileges) as child:
            _, said = child.communicate(timeout=20)
    finally:
        folder.chmod(0o755)
    assert child.returncode == 2, said
    assert str(path) in said
    assert said.count("\n") == 1


async def test_journal_on_a_full_disk_loses_records_and_nothing_else(tmp_path: Path) -> None:
    journal = tmp_path / "platform.jsonl"
    async with running("--journal", journal) as subject:
        await subject.provision("d1")
        client, _ = await subject.log_in(PRIMARY)
        async with client:
            subject.fill_disk(room=journal.stat().st_size + 10)
            client.send(Publish("$oc/devices/d1/sys/messages/up", b'{"seq": 1}', 1, 1))
            assert await client.receive() == PubAck(1)
            assert (await subject.call("POST", RESET, NEW))[0] == 200
            assert await client.rest() == []
        assert await subject.verdict(PRIMARY) == 4
        lost = (await subject.get("/_platform/statistics"))["journal_records_lost"]
        assert lost >= 4, "the message, the end of the session, the reset, the refusal"
        assert (await subject.get("/_platform"))["journal_records_lost"] == lost
        subject.make_room()
        assert await subject.verdict(NEW["secret"]) == 0
        assert (await subject.get("/_platform/statistics"))["journal_records_lost"] == lost
    whole = [line for line in journal.read_bytes().splitlines() if line.endswith(b"}")]
    told = [json.loads(line) for line in whole]
    assert [one["kind"] for one in told][:4] == ["header", "provisioned", "accepted", "gap"]
    assert told[3]["lost"] == lost
    assert told[4]["kind"] == "accepted"


@pytest.fixture
def full() -> Iterator[int]:
    """A file to which nothing can be written."""
    descriptor = os.open("/dev/full", os.O_WRONLY)
    yield descriptor
    os.close(descriptor)


async def test_complaints_that_find_no_room_either_take_nobody_down(full: int) -> None:
    async with running("--journal", "/dev/full", errors=full) as subject:
        await subject.provision("d1")
        assert (await subject.call("POST", RESET, NEW))[0] == 200
        assert await subject.verdict(NEW["secret"]) == 0
        assert (await subject.get("/_platform/statistics"))["journal_records_lost"] >= 4

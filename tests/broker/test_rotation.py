"""Reset, freeze, provision: durable first, then in force at one point, then answered."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from broker.auth.registry import Device, Registry
from tests.broker.rig import BOTH_VERSIONS, PRIMARY, SECONDARY, Client, Rig, connect, running
from wire.mqtt import ConnAck, PingReq, PingResp, PubAck, Publish

NEW = "new-primary-1"


def is_closed_now(client: Client) -> bool:
    """Ask the kernel, without waiting for the loop, whether the platform's end of the stream has come."""
    raw = client.writer.get_extra_info("socket")
    return client.reader.at_eof() or raw.getsockopt(6, 11, 1)[0] in (CLOSE_WAIT, CLOSED)


CLOSED, CLOSE_WAIT = 7, 8


async def test_answer_repeats_secret_and_type(rig: Rig) -> None:
    answer = await rig.reset(secret=NEW)
    assert (answer.status, answer.body) == (200, {"device_id": "d1", "secret": NEW, "secret_type": "PRIMARY"})
    (record,) = rig.records("reset")
    assert record["request_id"] == answer.headers["x-request-id"]
    assert (record["slot"], record["version"], record["forced"], record["cut"]) == (
        "primary",
        2,
        False,
        False,
    )
    assert record["generated"] is False


async def test_old_secret_fails_at_once_and_the_other_slot_goes_on(rig: Rig) -> None:
    await rig.reset(secret=NEW)
    assert await rig.refusal(connect(secret=PRIMARY)) == 4
    for secret in (NEW, SECONDARY):
        async with await rig.login(connect(secret=secret)):
            pass


async def test_generated_secret_is_32_hex_digits_and_lets_the_device_in(rig: Rig) -> None:
    answer = await rig.reset()
    secret = answer.body["secret"]
    assert len(secret) == 32
    assert set(secret) <= set("0123456789abcdef")
    assert rig.records("reset")[0]["generated"] is True
    async with await rig.login(connect(secret=secret)):
        pass


async def test_secondary_is_set_by_its_own_reset(rig: Rig) -> None:
    answer = await rig.reset(secret="new-secondary", secret_type="SECONDARY")
    assert answer.body["secret_type"] == "SECONDARY"
    async with await rig.login(connect(secret="new-secondary")):
        assert (await rig.sessions())["d1"]["slot"] == "secondary"


async def test_unforced_reset_leaves_the_session(rig: Rig) -> None:
    async with await rig.login() as client:
        await rig.reset(force_disconnect=False)
        client.send(PingReq())
        assert await client.receive() == PingResp()
        assert (await rig.sessions())["d1"]["current"] is False


@BOTH_VERSIONS
@pytest.mark.parametrize("slot", ["PRIMARY", "SECONDARY"])
async def test_forced_reset_cuts_whichever_slot_the_session_used(rig: Rig, slot: str, level: int) -> None:
    async with await rig.login(connect(level=level)) as client:
        await rig.reset(force_disconnect=True, secret_type=slot)
        assert await client.farewell() == (0x98 if level == 5 else None)
    (record,) = rig.records("reset")
    assert (record["forced"], record["cut"]) == (True, True)
    assert [one["reason"] for one in rig.records("detached")] == ["forced_reset"]


@BOTH_VERSIONS
async def test_session_is_gone_when_the_answer_to_a_forced_reset_arrives(rig: Rig, level: int) -> None:
    for _ in range(50):
        async with await rig.login(connect(secret=SECONDARY, level=level)) as client:
            await rig.reset(force_disconnect=True)
            assert is_closed_now(client)
            assert await rig.sessions() == {}


async def test_reset_is_on_disk_before_its_answer(rig: Rig) -> None:
    for number in range(20):
        await rig.reset(force_disconnect=True)
        assert len(rig.records("reset")) == number + 1


async def test_force_on_an_offline_device_cuts_nothing(rig: Rig) -> None:
    assert (await rig.reset(force_disconnect=True)).status == 200
    assert rig.records("reset")[0]["cut"] is False


async def test_what_was_due_still_goes_out_with_the_cut(rig: Rig) -> None:
    """An acknowledged message is one that the journal holds; everything else is not acknowledged."""
    topic = "$oc/devices/d1/sys/messages/up"
    async with await rig.login(connect(secret=SECONDARY)) as client, asyncio.TaskGroup() as tasks:
        tasks.create_task(rig.reset(force_disconnect=True))
        for seq in range(1, 2000):
            client.send(Publish(topic, b'{"seq": %d}' % seq, 1, seq))
        rest = await client.rest()
    acknowledged = {one.packet_id for one in rest if isinstance(one, PubAck)}
    recorded = {seq for one in rig.records("uplink") for seq in range(one["first"], one["last"] + 1)}
    assert acknowledged <= recorded


async def test_connects_racing_forced_resets_never_survive_on_an_old_version(rig: Rig) -> None:
    outcomes: list[object] = []

    async def hammer() -> None:
        while len(rig.records("reset")) < 30:
            async with await rig.client() as client:
                client.send(connect(secret=PRIMARY))
                outcomes.append(await client.receive())

    async def rotate() -> None:
        for _ in range(15):
            await rig.reset(secret=NEW, force_disconnect=True)
            assert all(one["current"] for one in (await rig.sessions()).values())
            await rig.reset(secret=PRIMARY, force_disconnect=True)
            assert all(one["current"] for one in (await rig.sessions()).values())

    async with asyncio.TaskGroup() as tasks:
        for _ in range(4):
            tasks.create_task(hammer())
        tasks.create_task(rotate())
    assert {ConnAck(0), ConnAck(4)} >= set(outcomes)
    versions = [one["version"] for one in rig.records("reset")]
    assert versions == list(range(2, 32))


async def test_accepted_versions_agree_with_the_resets_in_journal_order(rig: Rig) -> None:
    current = 1

    async def hammer() -> None:
        while len(rig.records("reset")) < 10:
            async with await rig.client() as client:
                client.send(connect(secret=PRIMARY))
                await client.receive()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(hammer())
        for _ in range(10):
            await rig.reset(secret=PRIMARY)
    for record in rig.records():
        if record["kind"] == "reset":
            current = record["version"]
        elif record["kind"] == "accepted":
            assert record["version"] == current


async def test_resets_in_flight_together_get_different_versions(rig: Rig) -> None:
    async with asyncio.TaskGroup() as tasks:
        for number in range(20):
            tasks.create_task(rig.reset(secret=f"primary-{number:03}"))
    assert [one["version"] for one in rig.records("reset")] == list(range(2, 22))


async def test_locked_database_refuses_the_reset_and_changes_nothing(tmp_path: Path) -> None:
    async with running(tmp_path, db=tmp_path / "k.db", busy_timeout_s=0.05) as rig:
        await rig.provision("d1")
        async with await rig.login() as client:
            other = sqlite3.connect(tmp_path / "k.db", isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            answer = await rig.reset(secret=NEW, force_disconnect=True)
            assert (answer.status, answer.body["error_code"]) == (500, "IOTDA.000001")
            client.send(PingReq())
            assert await client.receive() == PingResp()
            other.execute("ROLLBACK")
            other.close()
        assert rig.records("reset") == []
        assert await rig.refusal(connect(secret=NEW)) == 4
        assert (await rig.statistics())["store_errors"] == 1
        assert (await rig.reset(secret=NEW)).status == 200


async def test_registry_survives_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path, db=tmp_path / "k.db") as rig:
        await rig.provision("d1")
        await rig.reset(secret=NEW)
        await rig.call("POST", "/v5/iot/p/devices/d1/freeze")
    async with running(tmp_path, db=tmp_path / "k.db") as rig:
        assert await rig.refusal(connect(secret=NEW)) == 5
        await rig.call("POST", "/v5/iot/p/devices/d1/unfreeze")
        async with await rig.login(connect(secret=NEW)):
            assert (await rig.sessions())["d1"]["secret_version"] == 2


@BOTH_VERSIONS
async def test_freeze_cuts_and_keeps_out_until_unfrozen(rig: Rig, level: int) -> None:
    async with await rig.login(connect(level=level)) as client:
        assert (await rig.call("POST", "/v5/iot/p/devices/d1/freeze")).status == 204
        assert await client.farewell() == (0x98 if level == 5 else None)
    assert await rig.refusal(connect(level=level)) == (0x87 if level == 5 else 5)
    assert (await rig.call("POST", "/v5/iot/p/devices/d1/unfreeze")).status == 204
    async with await rig.login():
        pass
    assert [one["kind"] for one in rig.records() if "frozen" in one["kind"]] == ["frozen", "unfrozen"]
    assert rig.records("detached")[0]["reason"] == "frozen"


async def test_coap_device_wants_even_hexadecimal(rig: Rig) -> None:
    await rig.provision("nb", protocol="coap", primary="0123456789abcdef", secondary=None)
    for unfit in ("not-hex-at-all", "0123456789abc"):
        answer = await rig.reset("nb", secret=unfit)
        assert (answer.status, answer.body["error_code"]) == (400, "IOTDA.000006")
    assert (await rig.reset("nb", secret="fedcba9876543210")).status == 200
    assert (await rig.reset("nb")).status == 200


async def test_secondary_of_a_coap_device_is_stored_with_a_warning(rig: Rig) -> None:
    await rig.provision("nb", protocol="coap", primary="0123456789abcdef", secondary=None)
    answer = await rig.reset("nb", secret="fedcba9876543210", secret_type="SECONDARY", force_disconnect=True)
    assert answer.status == 200
    (record,) = rig.records("reset")
    assert "never used" in record["warning"]
    assert record["cut"] is False
    await rig.reset("nb", force_disconnect=True)
    assert "not cut" in rig.records("reset")[1]["warning"]
    await rig.reset("nb")
    assert "warning" not in rig.records("reset")[2]
    assert await rig.refusal(connect("nb", "fedcba9876543210")) == 4


async def test_provisioning_again_keeps_the_session_and_counts_on(rig: Rig) -> None:
    async with await rig.login() as client:
        await rig.provision("d1", primary="another-secret")
        client.send(PingReq())
        assert await client.receive() == PingResp()
        assert (await rig.sessions())["d1"]["current"] is False
    assert [one["primary"]["version"] for one in rig.records("provisioned")] == [1, 2]


async def test_no_secret_is_ever_in_the_journal(rig: Rig, tmp_path: Path) -> None:
    await rig.provision("d2", primary="canary-primary", secondary="canary-secondary")
    await rig.reset("d2", secret="canary-reset", force_disconnect=True)
    await rig.reset("d2", secret="canary with spaces")
    await rig.refusal(connect("d2", "canary-wrong"))
    async with await rig.login(connect("d2", "canary-reset")):
        command = {
            "command_name": "set_secret",
            "paras": {"secret": "canary-delivered", "seq": 1},
            "timeout": 0.01,
        }
        await rig.call("POST", "/_platform/devices/d2/commands", command)
    text = (tmp_path / "platform.jsonl").read_text(encoding="utf-8")
    assert "canary" not in text
    assert "set_secret" in text


async def test_failure_in_force_of_one_change_is_500_and_the_rest_of_the_batch_is_in_force(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"m{number}" for number in range(8)]
    await rig.provision(*names)
    put = Registry.put
    reported: list[object] = []

    def fail_for_one(registry: Registry, device: Device) -> None:
        if device.device_id == "m3":
            raise RuntimeError("a bug of ours")
        put(registry, device)

    monkeypatch.setattr(Registry, "put", fail_for_one)
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["exception"]))
    async with asyncio.TaskGroup() as tasks:
        answers = [tasks.create_task(rig.reset(name, secret=NEW)) for name in names]
    assert [one.result().status for one in answers] == [200, 200, 200, 500, 200, 200, 200, 200]
    assert [str(one) for one in reported] == ["a bug of ours"]
    assert {one["device"] for one in rig.records("reset")} == set(names) - {"m3"}
    assert "a bug of ours" in capsys.readouterr().err

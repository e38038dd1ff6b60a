"""Two access processes as devices and callers see them: what holds for one process holds for both together."""

import asyncio
import json
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import pytest

from broker.processes import hub
from tests.broker.processes.duo import Duo, owner_of, running_duo
from tests.broker.rig import BOTH_VERSIONS, DEADLINE_S, PRIMARY, SECONDARY, Client, connect
from wire.mqtt import (
    ConnAck,
    PingReq,
    PingResp,
    Properties,
    PubAck,
    Publish,
    ReasonCode,
    SubAck,
    Subscribe,
    UnsubAck,
    Unsubscribe,
)


@pytest.fixture
async def duo(tmp_path: Path) -> AsyncIterator[Duo]:
    async with running_duo(tmp_path) as duo:
        await duo.rig.provision("d1", "d2")
        yield duo


def kept(level: int = 5, **fields: object) -> object:
    """A CONNECT whose session leaves its state behind."""
    properties = {"properties": Properties(session_expiry_interval=600)} if level == 5 else {}
    return connect(level=level, clean_session=False, **properties, **fields)


async def test_reset_cuts_the_session_wherever_it_is_before_it_is_answered(duo: Duo) -> None:
    rig = duo.rig
    for pid in duo.pids * 2:
        async with await duo.login(pid) as client:
            answer = await rig.reset(secret=PRIMARY, force_disconnect=True)
            assert answer.status == 200
            assert await client.rest() == []
            assert await rig.sessions() == {}
    assert [one["cut"] for one in rig.records("reset")] == [True] * 4
    order = [one["kind"] for one in rig.records() if one.get("device") == "d1"]
    assert order == ["provisioned", *["accepted", "detached", "reset"] * 4]


async def test_old_secret_is_refused_and_the_new_one_taken_by_both(duo: Duo) -> None:
    await duo.rig.reset(secret="another-secret-1")
    for pid in duo.pids:
        async with await duo.client(pid) as client:
            client.send(connect())
            assert await client.receive() == ConnAck(4)
        async with await duo.login(pid, connect(secret="another-secret-1")):
            pass


@pytest.mark.parametrize("call", ["freeze", "delete"])
async def test_device_that_is_frozen_or_deleted_is_out_and_stays_out_of_both(duo: Duo, call: str) -> None:
    rig, device = duo.rig, "/v5/iot/p/devices/d1"
    async with await duo.login(duo.pids[1]) as client:
        method, path = ("DELETE", device) if call == "delete" else ("POST", f"{device}/freeze")
        assert (await rig.call(method, path)).status == 204
        assert await client.rest() == []
    for pid in duo.pids:
        async with await duo.client(pid) as client:
            client.send(connect())
            assert await client.receive() == ConnAck(4 if call == "delete" else 5)


async def test_clock_goes_forward_in_both(duo: Duo) -> None:
    told = await duo.rig.call("POST", "/_platform/clock", {"advance": 7200})
    for pid in duo.pids:
        async with await duo.client(pid) as client:
            client.send(connect(sign_type=1, hour=f"{datetime.fromisoformat(told.body['utc']):%Y%m%d%H}"))
            assert await client.receive() == ConnAck(0)


@BOTH_VERSIONS
async def test_newer_connection_takes_over_from_the_other_process(duo: Duo, level: int) -> None:
    first, second = duo.pids
    async with await duo.login(first, connect(level=level)) as old, await duo.login(second, connect(level=level)):
        assert await old.farewell() == (ReasonCode.SESSION_TAKEN_OVER if level == 5 else None)
        peers = [one["peer"] for one in (await duo.rig.sessions()).values()]
        assert peers == [duo.rig.records("accepted")[-1]["peer"]]
    kinds = [one["kind"] for one in duo.rig.records() if one.get("device") == "d1"]
    assert kinds[:4] == ["provisioned", "accepted", "detached", "accepted"]


@BOTH_VERSIONS
async def test_stored_state_follows_the_device_to_the_other_process(duo: Duo, level: int) -> None:
    first, second = duo.pids
    async with await duo.login(first, kept(level)) as client:
        client.send(Subscribe(1, (("custom/news", 1),)))
        assert isinstance(await client.receive(), SubAck)
        assert (await message(duo, {"seq": 1}))["delivered"]
        assert isinstance(await client.receive(), Publish)
    await duo.rig.record("detached")
    assert (await message(duo, {"seq": 2}))["queued"]
    client, connack = await duo.enter(second, kept(level))
    async with client:
        assert connack.session_present
        got = [await client.receive() for _ in range(2)]
        assert [(one.dup, json.loads(one.payload)["seq"]) for one in got] == [(True, 1), (False, 2)]
        async with await duo.login(first, connect("d2")) as other:
            other.send(Publish("custom/news", b"hello", 1, 7))
            assert await other.receive() == PubAck(7)
            assert (await client.receive()).payload == b"hello"
    assert duo.rig.records("forgotten") == []


async def test_clean_start_at_the_other_process_leaves_nothing(duo: Duo) -> None:
    first, second = duo.pids
    async with await duo.login(first, kept()) as client:
        client.send(Subscribe(1, (("custom/news", 1),)))
        await client.receive()
    await duo.rig.record("detached")
    async with await duo.login(second, connect(level=5)):
        pass
    await duo.rig.record("forgotten", reason="clean_start")
    client, connack = await duo.enter(first, kept())
    async with client:
        assert not connack.session_present


async def message(duo: Duo, payload: object) -> dict[str, bool]:
    answer = await duo.rig.call("POST", "/_platform/devices/d1/messages", {"payload": payload})
    assert answer.status == 202, answer
    return dict(answer.body)


async def test_vendors_message_waits_where_nobody_is_and_comes_down_at_either(duo: Duo) -> None:
    rig, messages = duo.rig, "/v5/iot/p/devices/d1/messages"
    for number, pid in enumerate(duo.pids):
        posted = await rig.call("POST", messages, {"message": f"m{number}"})
        assert posted.body["result"]["status"] == "PENDING"
        async with await duo.login(pid) as client:
            down = await client.receive()
            assert isinstance(down, Publish)
            assert json.loads(down.payload)["content"] == f"m{number}"
        await rig.record("detached", peer=rig.records("accepted")[-1]["peer"])
    listed = (await rig.call("GET", messages)).body["messages"]
    assert [one["status"] for one in listed] == ["DELIVERED"] * 2


async def test_command_is_answered_by_a_device_at_either(duo: Duo) -> None:
    for pid in duo.pids:
        async with await duo.login(pid) as client, asyncio.TaskGroup() as tasks:
            tasks.create_task(_answer(client))
            answer = await duo.rig.call("POST", "/_platform/devices/d1/commands", {"command_name": "c"})
            assert (answer.status, answer.body["response"]) == (200, {"result_code": 0})


async def _answer(client: Client) -> None:
    asked = await client.receive()
    assert isinstance(asked, Publish)
    request_id = asked.topic.partition("request_id=")[2]
    topic = f"$oc/devices/d1/sys/commands/response/request_id={request_id}"
    client.send(Publish(topic, b'{"result_code": 0}'))


async def test_refusals_of_calls_are_those_of_a_single_process(duo: Duo) -> None:
    rig = duo.rig
    offline = await rig.call("POST", "/_platform/devices/d1/commands", {"command_name": "c"})
    assert (offline.status, offline.body["error_code"]) == (403, "IOTDA.014016")
    unknown = await rig.call("POST", "/_platform/devices/nobody/messages", {"payload": "x"})
    assert (unknown.status, unknown.body["error_code"]) == (404, "IOTDA.014000")
    async with await duo.login(duo.pids[0]):
        late = await rig.call("POST", "/_platform/devices/d1/commands", {"command_name": "c", "timeout": 0.01})
        assert (late.status, late.body["error_code"]) == (504, "IOTDA.014111")


async def test_messages_between_devices_cross_the_processes_in_order(duo: Duo) -> None:
    first, second = duo.pids
    async with await duo.login(first) as client, await duo.login(second, connect("d2")) as other:
        client.send(Subscribe(1, (("custom/+", 1),)))
        assert await client.receive() == SubAck(1, (1,))
        other.send(*(Publish("custom/news", b"%d" % number, 1, number) for number in range(1, 51)))
        assert [(await client.receive()).payload for _ in range(20)] == [b"%d" % one for one in range(1, 21)]
        client.send(*(PubAck(number) for number in range(1, 21)))
        assert (await client.receive()).payload == b"21"


async def test_what_follows_the_first_subscription_is_served_after_it(duo: Duo) -> None:
    async with await duo.login(duo.pids[0]) as client:
        client.send(Subscribe(1, (("custom/a", 0), ("custom/b", 0))), Unsubscribe(2, ("custom/a",)))
        client.send(Publish("custom/a", b"unwanted"), Publish("custom/b", b"wanted", 1, 3))
        got = [await client.receive() for _ in range(4)]
    assert got == [SubAck(1, (0, 0)), UnsubAck(2), PubAck(3), Publish("custom/b", b"wanted")]


async def test_device_that_was_deleted_and_made_again_was_never_in(duo: Duo) -> None:
    async with await duo.login(duo.pids[0]) as client:
        assert (await duo.rig.call("DELETE", "/v5/iot/p/devices/d1")).status == 204
        assert await client.rest() == []
    await duo.rig.provision("d1")
    shown = (await duo.rig.call("GET", "/v5/iot/p/devices/d1")).body
    assert (shown["status"], "connection_status_update_time" in shown) == ("INACTIVE", False)


async def test_statistics_and_sessions_are_of_both(duo: Duo) -> None:
    rig = duo.rig
    async with await duo.login(duo.pids[0]), await duo.login(duo.pids[1], connect("d2")):
        assert set(await rig.sessions()) == {"d1", "d2"}
        figures = await rig.statistics()
    assert (figures["accepted"], figures["online"]) == (2, 2)
    assert figures["connections"] >= 2


async def test_what_devices_report_of_themselves_is_known_whichever_they_told(duo: Duo) -> None:
    paras = {"device_sdk_version": "1", "sw_version": "2", "fw_version": "3"}
    event = {"service_id": "$sdk_info", "event_type": "sdk_info_report", "paras": paras}
    async with await duo.login(duo.pids[1]) as client:
        client.send(Publish("$oc/devices/d1/sys/events/up", json.dumps({"services": [event]}).encode(), 1, 1))
        assert await client.receive() == PubAck(1)
        shown = await duo.rig.call("GET", "/v5/iot/p/devices/d1")
    assert (shown.body["status"], shown.body["sw_version"]) == ("ONLINE", "2")


async def test_stream_of_the_journal_has_the_records_of_all_processes(duo: Duo) -> None:
    for pid in duo.pids:
        async with await duo.login(pid):
            pass
        await duo.rig.record("accepted", peer=duo.rig.records("accepted")[-1]["peer"])
    described = await duo.rig.call("GET", "/_platform")
    assert described.body["journal_records"] >= len(duo.rig.records()) - 2


async def test_silent_process_is_told_of_and_the_reset_is_in_force(tmp_path: Path) -> None:
    async with running_duo(tmp_path, confirm_timeout_s=1.0) as duo:
        rig = duo.rig
        await rig.provision("d1")
        silent, other = duo.pids
        async with await duo.login(silent) as client, await duo.client(other) as late:
            os.kill(silent, signal.SIGSTOP)
            try:
                answer = await rig.reset(secret="another-secret-1", force_disconnect=True)
                assert (answer.status, answer.body["error_code"]) == (500, "IOTDA.000001")
                assert "has not confirmed" in answer.body["error_msg"]
                late.send(connect())
                assert await late.receive() == ConnAck(4)
            finally:
                os.kill(silent, signal.SIGCONT)
            assert await client.rest() == []
        (told,) = rig.records("unconfirmed")
        number = next(one["process"] for one in rig.records("process") if one["pid"] == silent)
        assert (told["processes"], "d1" in told["devices"]) == ([number], True)
        await rig.record("confirmed", process=number)
    assert len(rig.records("reset")) == 1


async def test_device_of_a_silent_process_is_nobody_elses(tmp_path: Path) -> None:
    async with running_duo(tmp_path, confirm_timeout_s=1.0) as duo:
        await duo.rig.provision("d1")
        silent, other = duo.pids
        async with await duo.login(silent, kept()), await duo.client(other) as client:
            os.kill(silent, signal.SIGSTOP)
            try:
                client.send(kept())
                answer = await client.receive()
                assert isinstance(answer, ConnAck)
                assert answer.code == ReasonCode.SERVER_UNAVAILABLE
            finally:
                os.kill(silent, signal.SIGCONT)
            await duo.rig.record("detached", reason="take_over")
        client, connack = await duo.enter(other, kept())
        async with client:
            assert connack.session_present
    assert [one["reason"] for one in duo.rig.records("refused")] == ["process_unresponsive"]


async def test_killed_process_is_started_again_and_its_sessions_are_over(duo: Duo) -> None:
    rig, (victim, other) = duo.rig, duo.pids
    async with await duo.login(victim) as client, await duo.login(other, connect("d2")) as bystander:
        os.kill(victim, signal.SIGKILL)
        with pytest.raises((EOFError, ConnectionError)):
            await client.receive()
        await rig.record("detached", reason="process_lost")
        assert set(await rig.sessions()) == {"d2"}
        await _until_two_serve(duo)
        assert victim not in duo.pids
        answer = await rig.reset(secret="another-secret-1", force_disconnect=True)
        assert answer.status == 200
        for pid in duo.pids:
            async with await duo.login(pid, connect(secret="another-secret-1")):
                pass
        bystander.send(PingReq())
        assert await bystander.receive() == PingResp()
    lost = [one for one in rig.records("process") if one["state"] == "lost"]
    assert [(one["pid"], one["exit"], one["cut"]) for one in lost] == [(victim, -signal.SIGKILL, 1)]
    assert (await rig.statistics())["ended"]["process_lost"] == 1


async def _until_two_serve(duo: Duo) -> None:
    await duo.rig.record("process", state="serving", process=3)


async def test_silent_process_does_not_keep_the_platform_from_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "STOP_S", 0.1)
    async with running_duo(tmp_path) as duo:
        silent, other = duo.pids
        os.kill(silent, signal.SIGSTOP)
    ends = {one["pid"]: (one["state"], one["exit"]) for one in duo.rig.records("process") if "exit" in one}
    assert ends == {silent: ("lost", -signal.SIGKILL), other: ("stopped", 0)}


async def test_commands_on_their_way_to_a_killed_process_are_answered(duo: Duo) -> None:
    async with await duo.login(duo.pids[0]) as client, asyncio.TaskGroup() as tasks:
        asked = tasks.create_task(duo.rig.call("POST", "/_platform/devices/d1/commands", {"command_name": "c"}))
        assert isinstance(await client.receive(), Publish)
        os.kill(duo.pids[0], signal.SIGKILL)
        async with asyncio.timeout(DEADLINE_S):
            answer = await asked
    assert (answer.status, answer.body["error_code"]) == (403, "IOTDA.014016")


async def test_wave_of_resets_leaves_no_old_session_at_either(tmp_path: Path) -> None:
    """Every session is gone from its process's own socket when its reset is answered, not only from the books."""
    devices = [f"w{number}" for number in range(60)]
    async with running_duo(tmp_path) as duo:
        rig = duo.rig
        await rig.provision(*devices)
        clients = {one: await rig.login(connect(one, secret=SECONDARY)) for one in devices}
        shares = Counter([await owner_of(client, duo.pids) for client in clients.values()])
        assert len(shares) == 2, "both processes have some"

        async def reset(device_id: str) -> None:
            answer = await rig.reset(device_id, secret=f"{device_id}-new-secret", force_disconnect=True)
            assert answer.status == 200
            sock = clients[device_id].writer.get_extra_info("socket")
            assert sock.getsockopt(6, 11, 1)[0] != 1, f"{device_id} is still connected"

        async with asyncio.TaskGroup() as tasks:
            for one in devices:
                tasks.create_task(reset(one))
        assert await rig.sessions() == {}
        for client in clients.values():
            client.writer.transport.abort()
    records = rig.records()
    for one in devices:
        mine = [record["kind"] for record in records if record.get("device") == one]
        assert mine == ["provisioned", "accepted", "detached", "reset"]

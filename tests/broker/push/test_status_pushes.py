"""A running platform tells real receivers who came and who went."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from broker.access.listener import Listener
from broker.auth.registry import Registry
from broker.errors import SettingsError
from broker.journal import Journal
from broker.lwm2m.silence import Silence
from broker.push.status_pushes import StatusPushes
from broker.push.target import Target
from broker.sessions import Sessions
from broker.settings import Settings
from broker.statistics import Statistics
from tests.broker.control_api.test_routing_rules import Rules
from tests.broker.rig import PRIMARY, Client, FakeClock, Rig, connect, running
from tests.support.receiver import Receiver, receiving


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


def bodies(receiver: Receiver) -> list[dict[str, Any]]:
    return [one["notify_data"]["body"] for one in receiver.pushes]


async def test_device_is_told_to_have_come_and_gone(rig: Rig, receiver: Receiver) -> None:
    await rig.provision("p_n", product_id="p")
    await Rules(rig).active(receiver.url)
    async with await rig.login(connect("p_n")):
        (online,) = await receiver.until(1)
    _, offline = await receiver.until(2)
    header = online["notify_data"]["header"]
    assert (header["device_id"], header["node_id"], header["product_id"]) == ("p_n", "n", "p")
    came, went = bodies(receiver)
    assert (came["status"], went["status"]) == ("ONLINE", "OFFLINE")
    assert came["last_online_time"] == went["last_online_time"]
    assert offline["event_time_ms"] == went["status_update_time"] >= came["status_update_time"]
    assert online["request_id"] != offline["request_id"]
    statistics = await rig.statistics()
    assert (statistics["pushed"], statistics["push_failures"]) == (2, 0)


async def test_platform_without_an_active_rule_pushes_and_journals_nothing(rig: Rig, receiver: Receiver) -> None:
    rules = Rules(rig)
    rule_id = await rules.create()
    await rules.forward(rule_id, receiver.url)
    async with await rig.login():
        pass
    await rig.record("detached")
    await rules.activate(rule_id)
    await rules.activate(rule_id, active=False)
    async with await rig.login():
        pass
    await rules.activate(rule_id)
    async with await rig.login():
        await receiver.until(1)
    assert receiver.statuses("d1")[0] == "ONLINE"
    assert len(rig.records("accepted")) == 3
    assert len(rig.records("pushed")) <= 2
    assert not rig.records("push_failed")


async def test_sessions_and_silence_are_watched_only_while_there_is_somebody_to_tell() -> None:
    sessions, silence, ids = Sessions(), Silence(FakeClock()), (f"r-{number}" for number in count(1))
    journal = Journal(None, FakeClock(), asyncio.get_running_loop().call_soon, 10)
    async with asyncio.TaskGroup() as tasks:
        pushes = StatusPushes(Settings(), Registry(), sessions, silence, tasks, journal, Statistics(), ids)
        watchers = [(sessions.watcher, silence.watcher)]
        for targets in ({"a": Target("http://127.0.0.1:9/", "127.0.0.1:9")}, {}):
            pushes.follow(targets)
            watchers.append((sessions.watcher, silence.watcher))
        await pushes.close()
        pushes.follow({"a": Target("http://127.0.0.1:9/", "127.0.0.1:9")})
        watchers.append((sessions.watcher, silence.watcher))
    assert watchers == [(None, None), (pushes, pushes), (None, None), (None, None)]


async def test_take_over_is_no_end(rig: Rig, receiver: Receiver) -> None:
    await Rules(rig).active(receiver.url)
    first = await rig.login()
    second = await rig.login()
    await first.farewell()
    async with first, second:
        await receiver.until(2)
    await receiver.until(3)
    assert receiver.statuses("d1") == ["ONLINE", "ONLINE", "OFFLINE"]


async def test_forced_reset_freeze_and_delete_are_ends(rig: Rig, receiver: Receiver) -> None:
    await rig.provision("d2", "d3")
    await Rules(rig).active(receiver.url)
    clients = [await rig.login(connect(device_id)) for device_id in ("d1", "d2", "d3")]
    await rig.reset("d1", force_disconnect=True)
    await rig.call("POST", "/v5/iot/p/devices/d2/freeze")
    await rig.call("DELETE", "/v5/iot/p/devices/d3")
    await receiver.until(6)
    for device_id, client in zip(("d1", "d2", "d3"), clients, strict=True):
        assert receiver.statuses(device_id) == ["ONLINE", "OFFLINE"]
        client.writer.transport.abort()


async def test_every_action_of_every_active_rule_is_served(rig: Rig, receiver: Receiver) -> None:
    rules = Rules(rig)
    async with receiving() as other:
        rule_id = await rules.active(receiver.url)
        await rules.forward(rule_id, other.url)
        await rules.active(other.url)
        async with await rig.login():
            await receiver.until(1)
            await other.until(2)
        assert len(receiver.pushes) == 1


async def test_pushes_go_where_an_action_leads_now(rig: Rig, receiver: Receiver) -> None:
    rules = Rules(rig)
    async with receiving() as other:
        rule_id = await rules.create()
        action_id = await rules.forward(rule_id, receiver.url)
        await rules.activate(rule_id)
        await rules.redirect(action_id, other.url)
        async with await rig.login():
            await other.until(1)
    assert receiver.pushes == []


async def test_receiver_that_does_not_answer_delays_neither_devices_nor_other_receivers(tmp_path: Path) -> None:
    async def never(_: dict[str, Any]) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async with running(tmp_path, push_timeout_s=60.0) as rig, receiving() as silent, receiving() as good:
        await rig.provision(*(f"d{number}" for number in range(40)))
        silent.answer = never
        rules = Rules(rig)
        await rules.active(silent.url)
        await rules.active(good.url)
        clients = [await rig.login(connect(f"d{number}")) for number in range(40)]
        await good.until(40)
        assert len(await rig.sessions()) == 40
        assert (await rig.statistics())["pushed"] == 40
    for client in clients:
        client.writer.transport.abort()
    records = rig.records("pushes_withdrawn")
    assert [record["count"] for record in records] == [40]


async def test_failing_receiver_is_given_up_with_a_record_that_holds_no_url(tmp_path: Path) -> None:
    async with running(tmp_path, push_backoff_s=(0.001,)) as rig:
        await rig.provision("d1")
        async with receiving() as gone:
            await Rules(rig).active(f"{gone.url}?token=open-sesame")
        async with await rig.login():
            record = await rig.record("push_failed", status="ONLINE")
        assert (record["reason"], record["attempts"]) == ("unreachable", 2)
        assert record["target"] == f"127.0.0.1:{gone.port}"
    assert "open-sesame" not in (tmp_path / "platform.jsonl").read_text()


async def test_platform_that_cannot_start_says_just_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> None:
        raise SettingsError("no devices today")

    monkeypatch.setattr(Listener, "start", fail)
    with pytest.raises(SettingsError, match="no devices today"):
        async with running(tmp_path):
            pass


async def test_end_of_the_platform_is_no_news_of_a_device(tmp_path: Path, receiver: Receiver) -> None:
    async with running(tmp_path) as rig:
        await rig.provision("d1")
        await Rules(rig).active(receiver.url)
        client = await rig.login()
        await rig.record("pushed")
    client.writer.transport.abort()
    assert receiver.statuses("d1") == ["ONLINE"]


async def test_devices_that_are_cut_at_once_are_all_told(rig: Rig, receiver: Receiver) -> None:
    """In order for each of them: its last state comes last."""
    names = [f"m{number}" for number in range(200)]
    await rig.provision(*names)
    await Rules(rig).active(receiver.url)
    clients: list[Client] = [await rig.login(connect(one)) for one in names]
    async with asyncio.TaskGroup() as resets:
        for one in names:
            resets.create_task(rig.reset(one, secret=f"{PRIMARY}-new", force_disconnect=True))
    await receiver.until(2 * len(names))
    assert Counter(tuple(receiver.statuses(one)) for one in names) == {("ONLINE", "OFFLINE"): len(names)}
    for client in clients:
        client.writer.transport.abort()

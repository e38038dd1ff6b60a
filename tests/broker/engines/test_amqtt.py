"""The amqtt package as the engine: what it is kept from doing wrong, and what becomes of its own failures."""

import asyncio
import gc
import sys
from pathlib import Path
from typing import Any

import amqtt
import pytest
from amqtt.broker import Broker

from broker.engines.address import EngineAddress
from broker.errors import SettingsError
from tests.broker.engines.stage import Engine, enter, message, nothing_more, persistent, publish, subscribe
from tests.broker.rig import Rig, connect, running
from tests.support.waiting import turns, until
from wire.mqtt import Disconnect, PubAck, Publish, Subscribe

AMQTT = EngineAddress.parse("amqtt")


@pytest.fixture
def engine() -> Engine:
    return Engine("amqtt", "amqtt")


def the_broker() -> Any:
    """Amqtt's own, which nobody hands out."""
    (found,) = (one for one in gc.get_objects() if type(one) is Broker and one.transitions.state == "started")
    return found


async def test_client_of_mqtt_5_is_told_that_the_engine_lacks_it(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: object) -> None:
        raise AssertionError("it takes MQTT 5 for something else, and would wait for the rest")

    with monkeypatch.context() as patched:
        patched.setattr(the_broker(), "external_connected", never)
        for packet in (connect(level=5), persistent(5)):
            assert await rig.refusal(packet) == 0x84
    found = [(one["device"], one["reason"], one["code"]) for one in rig.records("refused")]
    assert found == [("d1", "engine_lacks_version", 0x84)] * 2
    assert rig.records("engine") == [], "it is not down"
    async with await rig.login(connect(level=3)) as client:
        await nothing_more(client)


async def test_what_a_client_says_last_is_passed_on(rig: Rig) -> None:
    async with await rig.login(connect("d2")) as other:
        await subscribe(other, ("last/words", 0))
        async with await rig.login() as client:
            client.send(*(Publish("last/words", b"%d" % number, 1, number + 1) for number in range(50)), Disconnect())
            assert all(isinstance(one, PubAck) for one in await client.rest())
        assert [(await message(other)).payload for _ in range(50)] == [b"%d" % number for number in range(50)]


async def test_session_to_keep_does_not_go_on_with_a_clean_one(rig: Rig) -> None:
    """Amqtt forgets a clean session a second late, and would take it for the one that the client wants back."""
    async with await rig.login() as clean:
        await subscribe(clean, ("of/the/clean/one", 1))
        clean.send(Disconnect())
        assert await clean.rest() == []
    client, _ = await enter(rig, persistent())
    async with client:
        await subscribe(client, ("kept", 1))
        client.send(Disconnect())
        assert await client.rest() == []
    async with await rig.login(connect("d2")) as other:
        await publish(other, "of/the/clean/one", b"forgotten")
        await publish(other, "kept", b"waits")
    client, answer = await enter(rig, persistent())
    async with client:
        assert answer.session_present
        assert (await message(client)).payload == b"waits"
        await nothing_more(client)


async def test_failure_of_its_own_ends_one_session_and_is_told(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broker = the_broker()

    async def failing(*_: object) -> None:
        raise RuntimeError("a bug of amqtt's")

    async with await rig.login(connect("d2")) as other:
        with monkeypatch.context() as patched:
            patched.setattr(broker, "add_subscription", failing)
            async with await rig.login() as client:
                client.send(Subscribe(1, (("talk", 0),)))
                assert await client.rest() == []
        assert (await rig.record("detached"))["reason"] == "engine_closed"
        await nothing_more(other)
    assert "a bug of amqtt's" in capsys.readouterr().err
    await until(lambda: "d1" not in broker.sessions, "amqtt forgets the session that it gave up")
    assert (await rig.statistics())["internal_errors"] == 1
    async with await rig.login() as client:
        await subscribe(client, ("talk", 0))


async def test_clean_session_is_not_kept_for_ever(rig: Rig) -> None:
    broker = the_broker()
    async with await rig.login():
        assert list(broker.sessions) == ["d1"]
    await rig.record("detached")
    await until(lambda: not broker.sessions, "amqtt forgets a clean session")


async def test_client_that_goes_while_it_is_sent_what_it_did_not_acknowledge_comes_in_again(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    """Amqtt would wait for ever for the end of a session that has ended already."""
    for _ in range(8):
        client, _ = await enter(rig, persistent())
        client.send(Subscribe(1, (("talk", 1),)), *(Publish("talk", b"x", 1, number) for number in range(1, 5)))
        client.writer.close()
    client, answer = await enter(rig, persistent())
    async with client:
        assert answer.session_present
    gc.collect()
    assert [one for one in caplog.records if one.levelname == "ERROR"] == []


async def test_failure_that_nobody_looks_at_is_told(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.get_running_loop()
    loop.call_exception_handler({"message": "not of amqtt", "exception": TimeoutError()})
    assert "not of amqtt" in caplog.text


async def test_guest_of_the_same_client_id_takes_over(tmp_path: Path) -> None:
    async with running(tmp_path, engine=AMQTT, policy="open") as rig:
        guest = connect(client_id="watcher", username=None, password=None)
        async with await rig.login(guest) as client, await rig.login(guest) as second:
            assert await client.rest() == []
            await nothing_more(second)


async def test_stop_leaves_nothing_behind(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = asyncio.all_tasks()
    async with running(tmp_path, engine=AMQTT) as rig:
        await rig.provision("d1", "d2", "d3")
        for packet in (persistent(), persistent(device_id="d3")):
            client, _ = await enter(rig, packet)
            await subscribe(client, ("#", 1))
            client.writer.close()
        client = await rig.login(connect("d2"))
        await subscribe(client, ("#", 1))
        client.send(*(Publish("a", b"x", 1, number) for number in range(1, 100)))
        assert isinstance(await client.receive(), PubAck | Publish)
    assert asyncio.all_tasks() - before == set()
    client.writer.close()
    gc.collect()
    await turns(2)
    assert capfd.readouterr().err == ""


async def test_platforms_of_one_process_have_one_each(tmp_path: Path, rig: Rig) -> None:
    (tmp_path / "second").mkdir()
    async with running(tmp_path / "second", engine=AMQTT) as second:
        await second.provision("d1")
        async with await rig.login() as one, await second.login() as other:
            await subscribe(other, ("#", 0))
            await publish(one, "talk", b"x")
            await nothing_more(other)
    async with await rig.login(connect("d2")) as client:
        await nothing_more(client)


async def refused_start(folder: Path) -> str:
    with pytest.raises(SettingsError) as refused:
        async with running(folder, engine=AMQTT):
            pass
    return str(refused.value)


async def test_missing_package_is_named_with_the_way_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "broker.engines.amqtt", raising=False)
    monkeypatch.setitem(sys.modules, "amqtt", None)
    assert "pip install 'keyturn[amqtt]'" in await refused_start(tmp_path)


async def test_other_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "broker.engines.amqtt", raising=False)
    monkeypatch.setattr(amqtt, "__version__", "0.13.0")
    assert "amqtt is 0.13.0, expected 0.12.1" in await refused_start(tmp_path)

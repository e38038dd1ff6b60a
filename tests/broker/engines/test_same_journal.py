"""One script, every engine: the journal says the same."""

from pathlib import Path
from typing import Any

from tests.broker.engines.stage import (
    COMMANDS,
    RELAYED,
    Engine,
    command,
    enter,
    message,
    nothing_more,
    persistent,
    publish,
    subscribe,
    unsubscribe,
)
from tests.broker.rig import SECONDARY, Client, FakeClock, Rig, connect, running
from wire.mqtt import Disconnect, PubAck, Publish, Will

UP, FOREIGN = "$oc/devices/d1/sys/messages/up", "$oc/devices/d2/sys/messages/up"
OF_THIS_RUN = {"t", "run", "wall", "monotonic", "pid", "peer", "fingerprint", "request_id", "latency_s"}


async def play(rig: Rig) -> None:
    """Have two devices do what devices do, one thing after the other."""
    await rig.provision("d1", "d2")
    for packet in (connect(secret="wrong-secret"), connect("nobody"), connect(client_id="x"), connect(keepalive=1)):
        await rig.refusal(packet)
    client, _ = await enter(rig, persistent(will=Will("last/words", b"x", 1)))
    async with client, await rig.login(connect("d2")) as other:
        await talk(rig, client, other)
        await rig.reset(force_disconnect=True)
        assert await client.rest() == []
        await rig.call("POST", "/v5/iot/p/devices/d2/freeze")
        assert await other.rest() == []
    await rig.refusal(connect("d2"))
    await come_again(rig)


async def talk(rig: Rig, client: Client, other: Client) -> None:
    await subscribe(client, (COMMANDS, 1), ("talk", 1), (FOREIGN, 1))
    await subscribe(other, ("kept", 0))
    await unsubscribe(client, FOREIGN, "never/there")
    client.send(Publish(UP, b'{"seq": 1}', 1, 3), Publish(FOREIGN, b'{"seq": 2}', 1, 4), Publish(UP, b'{"seq": 3}'))
    client.send(Publish("kept", b"x", retain=True))
    assert {await client.receive() for _ in range(2)} == {PubAck(3), PubAck(4)}
    assert (await message(other)).payload == b"x"
    await publish(other, "talk", b'{"seq": 1}')
    assert (await message(client)).topic == "talk"
    await command(rig)
    assert (await message(client)).topic.startswith("$oc/devices/d1/sys/commands/")
    await nothing_more(client)


async def come_again(rig: Rig) -> None:
    """Have the first device take over itself, start anew, break a rule, and be deleted while it is away."""
    old, _ = await enter(rig, persistent(secret=SECONDARY))
    async with old, (await enter(rig, connect(secret=SECONDARY)))[0] as new:
        assert await old.rest() == []
        new.send(Publish("talk", b"x", 2, 9))
        assert await new.rest() == []
    async with (await enter(rig, persistent(secret=SECONDARY)))[0] as last:
        last.send(Disconnect())
        assert await last.rest() == []
    await rig.call("DELETE", "/v5/iot/p/devices/d1")


def normal(record: Any) -> Any:
    """A record without what differs from run to run."""
    if isinstance(record, dict):
        return {key: normal(value) for key, value in record.items() if key not in OF_THIS_RUN}
    return record


async def journal_of(folder: Path, **settings: Any) -> list[Any]:
    folder.mkdir()
    async with running(folder, FakeClock(), linger_s=0.2, stuck_s=0.02, **settings) as rig:
        await play(rig)
        return [normal(record) for record in rig.records()]


@RELAYED
async def test_journal_is_the_same_as_with_the_builtin_engine(tmp_path: Path, engine: Engine) -> None:
    expected = await journal_of(tmp_path / "builtin")
    found = await journal_of(tmp_path / "relayed", engine=engine.address)
    assert found == expected
    kinds = {record["kind"] for record in expected}
    assert kinds >= {"accepted", "refused", "detached", "dropped", "uplink", "command", "reset", "forgotten", "deleted"}

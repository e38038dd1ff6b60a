"""What the platform does with system messages: sequence numbers and answers."""

from pathlib import Path

import pytest

from tests.broker.rig import Rig
from wire.mqtt import PubAck, Publish

UP = "$oc/devices/d1/sys/properties/report"


async def say(rig: Rig, *payloads: bytes, qos: int = 1) -> None:
    async with await rig.login() as client:
        client.send(*(Publish(UP, one, qos, number * qos) for number, one in enumerate(payloads, 1)))
        client.send(Publish(UP, b"the end", 1, 99))
        while await client.receive() != PubAck(99):
            pass


async def test_sequence_numbers_are_on_disk_before_their_acknowledgement(rig: Rig) -> None:
    async with await rig.login() as client:
        for seq in range(1, 30):
            client.send(Publish(UP, b'{"seq": %d}' % seq, 1, seq))
            assert await client.receive() == PubAck(seq)
            assert rig.records("uplink")[-1]["last"] == seq


async def test_one_burst_becomes_one_range(rig: Rig) -> None:
    await say(rig, *(b'{"seq": %d}' % seq for seq in range(1, 21)))
    (record,) = rig.records("uplink")
    assert {**record, "t": 0} == {"t": 0, "kind": "uplink", "device": "d1", "qos": 1, "first": 1, "last": 20}


async def test_qos_0_is_recorded_as_such(rig: Rig) -> None:
    await say(rig, b'{"seq": 1}', qos=0)
    assert [one["qos"] for one in rig.records("uplink")] == [0]


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{}",
        b'{"seq": "1"}',
        b'{"seq": true}',
        b'{"seq": 1.5}',
        b'{"seq": 100000000000000000000000000}',
        b'{"seq": 9223372036854775808}',
        b'{"a": {"seq": 1}}',
        b'["seq", 1]',
        b'{"seq": 1',
        b"\xff",
    ],
)
async def test_message_without_integer_seq_is_acknowledged_and_not_recorded(rig: Rig, payload: bytes) -> None:
    await say(rig, payload)
    assert rig.records("uplink") == []
    statistics = await rig.statistics()
    assert statistics["uplinks"] == 2


async def test_payload_is_never_journalled(rig: Rig, tmp_path: Path) -> None:
    await say(rig, b'{"seq": 1, "secret": "canary-in-uplink"}')
    text = (tmp_path / "platform.jsonl").read_text(encoding="utf-8")
    assert "canary" not in text

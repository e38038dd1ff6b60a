"""What the ports do that no device sees: the order of journal and answer, and who is asked again."""

import asyncio
from pathlib import Path
from typing import Any, cast

from aiocoap import Code

from broker.journal import Journal
from broker.lwm2m.listener import Outgoing
from tests.broker.lwm2m.nb_device import KEY, nb_device
from tests.broker.rig import FakeClock, running
from tests.support.waiting import turns


class Witness:
    """A transport that looks into the journal whenever it is to send."""

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self.seen: list[str] = []

    def is_closing(self) -> bool:
        return False

    def sendto(self, _datagram: bytes, _address: Any) -> None:
        self.seen.append(self._journal.read_text(encoding="utf-8"))


async def test_nothing_is_acknowledged_that_the_journal_does_not_hold(tmp_path: Path) -> None:
    path = tmp_path / "platform.jsonl"
    journal = Journal(path, FakeClock(), asyncio.get_running_loop().call_soon, 100)
    outgoing, witness = Outgoing(journal), Witness(path)
    outgoing.send(cast("asyncio.DatagramTransport", witness), b"acknowledgement", ("127.0.0.1", 1))
    journal.uplink("m1", 1, 7)
    await turns()
    journal.close()
    assert ['"first":7' in seen for seen in witness.seen] == [True]


async def test_command_whose_write_is_lost_is_written_again(tmp_path: Path) -> None:
    async with running(tmp_path, coap_port=0) as rig:
        await rig.provision("m1", protocol="coap", primary=KEY, secondary=None)
        async with nb_device(rig.platform.more_ports["coap"]) as device:
            location = await device.register("m1")
            assert (await device.request(Code.POST, location)).code is Code.CHANGED
            device.to_lose = 1
            await rig.call("POST", "/v5/iot/p/devices/m1/async-commands", {"paras": {}})
            await device.is_asked(1, Code.PUT)
            assert device.to_lose == 0

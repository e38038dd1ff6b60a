"""The platform judged by mosquitto's clients, with credentials that the openssl command line made."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.broker.rig import PRIMARY, SECONDARY, Rig, connect, running
from wire.mqtt import PubAck, Publish

pytestmark = pytest.mark.peer

DEADLINE_S = 10
ESTABLISHED = "01"
UP = "$oc/devices/d1/sys/messages/up"

BOTH_VERSIONS = pytest.mark.parametrize(("version", "refused"), [("311", 4), ("5", 0x86)], ids=["3.1.1", "5"])
"""What `-V` wants, and the code that refused credentials get then."""


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with running(tmp_path) as rig:
        await rig.provision("d1")
        yield rig


async def run(*command: str, stdin: bytes = b"") -> tuple[int, str]:
    """Run a program to its end; returns its exit code and everything that it said."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(DEADLINE_S):
        said, _ = await process.communicate(stdin)
    return process.returncode or 0, said.decode()


def hour_now(offset_h: int = 0) -> str:
    return (datetime.now(UTC) + timedelta(hours=offset_h)).strftime("%Y%m%d%H")


async def credentials(secret: str, version: str = "311", sign: int = 0, hour: str | None = None) -> list[str]:
    """Make the flags of mosquitto's clients that log in as the device d1."""
    hour = hour or hour_now()
    code, digest = await run("openssl", "dgst", "-sha256", "-hmac", hour, stdin=secret.encode())
    assert code == 0, digest
    return ["-V", version, "-i", f"d1_0_{sign}_{hour}", "-u", "d1", "-P", digest.split()[-1]]


async def publish(rig: Rig, *flags: str, topic: str = UP, qos: int = 1) -> tuple[int, str]:
    """Log in, publish one message and leave; returns the exit code and the debug output."""
    target = ("-h", "127.0.0.1", "-p", str(rig.platform.mqtt_port), "-d")
    return await run("mosquitto_pub", *target, *flags, "-q", str(qos), "-t", topic, "-m", '{"seq": 1}')


async def subscribe(rig: Rig, *filters: str, flags: Sequence[str] = ()) -> tuple[int, str]:
    """Log in with MQTT 5 and subscribe; returns the exit code and the debug output of a second."""
    target = ("-h", "127.0.0.1", "-p", str(rig.platform.mqtt_port), "-d", "-W", "1")
    wanted = [flag for one in filters for flag in ("-t", one)]
    return await run("mosquitto_sub", *target, *await credentials(PRIMARY, "5"), "-q", "1", *wanted, *flags)


@asynccontextmanager
async def subscriber(rig: Rig, *flags: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Keep mosquitto_sub online as the device d1 until the block ends."""
    target = ("-h", "127.0.0.1", "-p", str(rig.platform.mqtt_port), "-k", "60")
    filters = ("-q", "1", "-t", "$oc/devices/d1/sys/#", "-F", "%q %t %p")
    process = await asyncio.create_subprocess_exec(
        "mosquitto_sub", *target, *flags, *filters, stdout=asyncio.subprocess.PIPE
    )
    try:
        await rig.record("accepted", device="d1")
        yield process
    finally:
        process.kill()  # SIGTERM is not enough for one that is just about to connect again
        await process.wait()


async def peer_port(rig: Rig) -> int:
    return int((await rig.sessions())["d1"]["peer"].rpartition(":")[2])


def is_established(port: int) -> bool:
    """Ask the kernel whether the client's end of a connection from this local port still stands."""
    table = Path("/proc/net/tcp").read_text(encoding="ascii")
    states = re.findall(rf"^ *\d+: 0100007F:{port:04X} [0-9A-F:]+ ([0-9A-F]{{2}})", table, re.MULTILINE)
    return ESTABLISHED in states


@BOTH_VERSIONS
@pytest.mark.parametrize(("secret", "slot"), [(PRIMARY, "primary"), (SECONDARY, "secondary")])
async def test_good_secret_gets_in_and_its_message_is_acknowledged(
    rig: Rig, secret: str, slot: str, version: str, refused: int
) -> None:
    code, said = await publish(rig, *await credentials(secret, version))
    assert code == 0, said
    assert "received CONNACK (0)" in said
    assert "received PUBACK" in said
    assert rig.records("accepted")[0]["slot"] == slot
    assert [(one["first"], one["last"]) for one in rig.records("uplink")] == [(1, 1)]


@BOTH_VERSIONS
async def test_wrong_secret_is_told_its_code(rig: Rig, version: str, refused: int) -> None:
    code, said = await publish(rig, *await credentials("wrong-secret", version))
    assert code != 0
    assert f"received CONNACK ({refused})" in said
    (record,) = rig.records("refused")
    assert (record["reason"], record["code"]) == ("wrong_password", refused)


@BOTH_VERSIONS
@pytest.mark.parametrize("offset_h", [-2, 2, -24 * 365])
async def test_stale_hour_is_refused_with_sign_1_and_accepted_with_sign_0(
    rig: Rig, offset_h: int, version: str, refused: int
) -> None:
    hour = hour_now(offset_h + (1 if offset_h > 0 else 0))
    _, said = await publish(rig, *await credentials(PRIMARY, version, 1, hour))
    assert f"received CONNACK ({refused})" in said
    assert rig.records("refused")[0]["reason"] == "stale_hour"
    _, said = await publish(rig, *await credentials(PRIMARY, version, 0, hour))
    assert "received CONNACK (0)" in said


async def test_present_hour_is_accepted_with_sign_1(rig: Rig) -> None:
    _, said = await publish(rig, *await credentials(PRIMARY, sign=1))
    assert "received CONNACK (0)" in said


@pytest.mark.parametrize(("flags", "code"), [(("-k", "10"), 0x85), (("-i", "nonsense"), 0x85)])
async def test_other_refusals_of_5_have_their_reason_codes(rig: Rig, flags: tuple[str, str], code: int) -> None:
    _, said = await publish(rig, *await credentials(PRIMARY, "5"), *flags)
    assert f"received CONNACK ({code})" in said


async def test_frozen_device_is_told_0x87_in_5(rig: Rig) -> None:
    await rig.call("POST", "/v5/iot/p/devices/d1/freeze")
    _, said = await publish(rig, *await credentials(PRIMARY, "5"))
    assert f"received CONNACK ({0x87})" in said


async def test_foreign_topics_of_5_get_not_authorised(rig: Rig) -> None:
    _, said = await publish(rig, *await credentials(PRIMARY, "5"), topic="$oc/devices/d2/sys/messages/up")
    assert f"received PUBACK (Mid: 1, RC:{0x87})" in said
    _, said = await subscribe(rig, "$oc/devices/d2/#", "custom")
    assert f"Subscribed (mid: 1): {0x87}, 1" in said


async def test_client_of_5_learns_from_the_connack_that_there_is_no_qos_2(rig: Rig) -> None:
    _, said = await publish(rig, *await credentials(PRIMARY, "5"), qos=2)
    assert "Message QoS not supported on broker" in said


async def test_client_of_5_learns_from_the_connack_that_nothing_is_retained(rig: Rig) -> None:
    _, said = await publish(rig, *await credentials(PRIMARY, "5"), "-r")
    assert "sending PUBLISH (d0, q1, r0" in said
    assert rig.records("dropped") == []


@pytest.mark.parametrize(("flags", "code"), [(("--will-retain",), 0x9A), (("--will-qos", "2"), 0x9B)])
async def test_will_that_is_not_offered_is_refused_with_its_own_code(
    rig: Rig, flags: tuple[str, ...], code: int
) -> None:
    will = ("--will-topic", "last/words", "--will-payload", "gone", *flags)
    _, said = await publish(rig, *await credentials(PRIMARY, "5"), *will)
    assert f"received CONNACK ({code})" in said


async def test_shared_subscription_of_5_is_disconnected_with_its_code(rig: Rig) -> None:
    _, said = await subscribe(rig, "$share/group/custom")
    assert f"Received DISCONNECT ({0x9E})" in said


async def test_subscription_identifier_of_5_is_disconnected_with_its_code(rig: Rig) -> None:
    _, said = await subscribe(rig, "custom", flags=("-D", "subscribe", "subscription-identifier", "7"))
    assert f"Received DISCONNECT ({0xA1})" in said


async def test_client_of_5_gets_nothing_over_its_maximum_packet_size(rig: Rig) -> None:
    await rig.provision("d2")
    flags = ("-D", "connect", "maximum-packet-size", "100")
    async with subscriber(rig, *await credentials(PRIMARY, "5"), *flags, "-t", "custom") as client:
        async with await rig.login(connect("d2")) as sender:
            for number, payload in enumerate((b"x" * 200, b"small"), 1):
                sender.send(Publish("custom", payload, 1, number))
                assert await sender.receive() == PubAck(number)
        assert client.stdout
        async with asyncio.timeout(DEADLINE_S):
            assert await client.stdout.readline() == b"1 custom small\n"
    assert [(one["topic"], one["reason"]) for one in rig.records("dropped")] == [("custom", "too_large")]


async def test_forced_reset_tells_a_client_of_5_that_it_was_cut_by_an_administrator(rig: Rig) -> None:
    async with subscriber(rig, *await credentials(PRIMARY, "5"), "-d") as client:
        assert client.stdout
        await rig.reset(force_disconnect=True)
        async with asyncio.timeout(DEADLINE_S):
            while line := (await client.stdout.readline()).decode():
                if f"Received DISCONNECT ({0x98})" in line:
                    break
        assert line


async def test_forced_reset_drops_the_client_before_its_answer_arrives(rig: Rig) -> None:
    async with subscriber(rig, *await credentials(PRIMARY)):
        port = await peer_port(rig)
        assert is_established(port)
        assert (await rig.reset(force_disconnect=True)).status == 200
        assert not is_established(port)
        assert await rig.sessions() == {}
        await rig.record("refused", device="d1", code=4)


async def test_unforced_reset_leaves_the_client_connected(rig: Rig) -> None:
    async with subscriber(rig, *await credentials(PRIMARY)):
        port = await peer_port(rig)
        assert (await rig.reset(force_disconnect=False)).status == 200
        _, said = await publish(rig, *await credentials(PRIMARY))
        assert "received CONNACK (4)" in said
        assert is_established(port)
        assert (await rig.sessions())["d1"]["current"] is False


async def test_refused_login_under_its_client_id_does_not_disturb_the_client(rig: Rig) -> None:
    flags = await credentials(PRIMARY)
    async with subscriber(rig, *flags) as client:
        port = await peer_port(rig)
        _, said = await publish(rig, *flags[:-1], "0" * 64)
        assert "received CONNACK (4)" in said
        assert await peer_port(rig) == port
        command = {"command_name": "still_there", "timeout": 0.01}
        await rig.call("POST", "/_platform/devices/d1/commands", command)
        assert client.stdout
        async with asyncio.timeout(DEADLINE_S):
            line = (await client.stdout.readline()).decode()
    assert line.startswith("1 $oc/devices/d1/sys/commands/request_id=")
    assert "still_there" in line


@pytest.mark.parametrize("flags", [("311",), ("5", "-x", "3600")], ids=["3.1.1", "5"])
async def test_message_waits_for_a_client_that_keeps_its_session(rig: Rig, flags: tuple[str, ...]) -> None:
    version, *expiry = flags
    target = ("-h", "127.0.0.1", "-p", str(rig.platform.mqtt_port), "-c", *expiry)
    login = await credentials(PRIMARY, version)
    subscribe_to = ("-q", "1", "-t", "$oc/devices/d1/sys/#")
    code, said = await run("mosquitto_sub", *target, *login, *subscribe_to, "-E")
    assert code == 0, said
    answer = await rig.call("POST", "/_platform/devices/d1/messages", {"payload": {"seq": 7}})
    assert answer.body == {"delivered": False, "queued": True}
    code, said = await run("mosquitto_sub", *target, *login, *subscribe_to, "-C", "1", "-F", "%q %t %p")
    assert (code, said) == (0, '1 $oc/devices/d1/sys/messages/down {"seq":7}\n')

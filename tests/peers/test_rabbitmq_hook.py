"""Hook mode with Debian's RabbitMQ, a broker that we did not write; devices are paho, a fleet of ours, bare sockets."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import paho.mqtt.client as paho
import pytest

from broker.auth.decision import Accepted
from broker.hooks.calls import Login
from broker.hooks.remote_sessions import RemoteSessions
from broker.sessions import Ending
from simulator.report.folder import judge_folder
from tests.broker.rig import HOUR, PRIMARY, Client, Rig, connect, running, sign
from tests.support.commands import keyturn
from tests.support.ports import unused_port
from tests.support.rabbitmq import RabbitMq, rabbitmq
from tests.support.waiting import until
from wire.mqtt import ConnAck, Connect, PubAck, Publish, SubAck, Subscribe

pytestmark = pytest.mark.peer

TOKEN = "hook-token-1"
SLOW_S = 20.0
FALLBACK = """
name: A fleet behind a hook
intent: revocation
fleets:
  meters: {count: 20, secrets: both, fallback: primary-then-secondary}
timeline:
  - {id: up, start: [meters], over: 1s, until: "recovered == 100%", timeout: 30s}
  - id: rotate
    reset_secret: {fleet: meters, slot: primary, force_disconnect: true}
    until: "recovered == 100%"
    timeout: 60s
expect:
  - "up: slot.primary == 100% of meters"
  - "rotate: slot.secondary == 100% of meters"
  - "rotate: outage.count == 20"
  - "rotate: stale_sessions == 20"
  - "old_secret_accepted == 0"
  - "stranded == 0"
"""


@dataclass
class Ground:
    """One RabbitMQ for all of these tests, and the port where it looks for the platform."""

    broker: RabbitMq
    hook_port: int


@dataclass
class Hooked:
    """RabbitMQ, and a platform that it asks."""

    broker: RabbitMq
    rig: Rig

    async def log_in(self, device_id: str = "d1", secret: str = PRIMARY, hour: str = HOUR) -> Client:
        """Connect to RabbitMQ; fails if it refuses."""
        client = await Client.open(self.broker.mqtt_port)
        client.send(connect(device_id, secret, hour=hour))
        answer = await client.receive()
        assert isinstance(answer, ConnAck)
        assert answer.code == 0
        return client

    async def refusal(self, packet: Connect) -> int:
        """Return the code that RabbitMQ refuses a CONNECT with."""
        async with await Client.open(self.broker.mqtt_port) as client:
            client.send(packet)
            (answer,) = await client.rest()
        assert isinstance(answer, ConnAck)
        return answer.code


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    port = unused_port()
    url = f"http://127.0.0.1:{port}/_hook/rabbitmq"
    with rabbitmq(tmp_path_factory.mktemp("rabbitmq"), hook_url=url, hook_token=TOKEN) as broker:
        yield Ground(broker, port)


@asynccontextmanager
async def platform(ground: Ground, folder: Path) -> AsyncIterator[Hooked]:
    broker = ground.broker
    api = f"http://{broker.user}@127.0.0.1:{broker.management_port}"
    asked = {"http_port": ground.hook_port, "hook": "rabbitmq", "engine_api": api, "engine_password": broker.password}
    async with running(folder, **asked, hook_token=TOKEN, engine_poll_s=0.2, engine_settle_s=3.0) as rig:
        await rig.provision("d1", "d2")
        yield Hooked(broker, rig)


@pytest.fixture
async def hooked(ground: Ground, tmp_path: Path) -> AsyncIterator[Hooked]:
    async with platform(ground, tmp_path) as hooked:
        yield hooked


class Paho:
    """paho in a thread of its own; `connected` and `lost` are what it was told, and when."""

    def __init__(self, port: int, secret: str = PRIMARY) -> None:
        self.connected: str | None = None
        self.lost: float | None = None
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=f"d1_0_0_{HOUR}")
        self._client.username_pw_set("d1", sign(secret).decode())
        self._client.on_connect = lambda _c, _u, _f, reason, _p: setattr(self, "connected", str(reason))
        self._client.on_disconnect = lambda *_: setattr(self, "lost", time.monotonic())
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def __enter__(self) -> "Paho":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()


async def test_refusal_reaches_the_device_and_its_true_reason_the_journal(hooked: Hooked) -> None:
    with Paho(hooked.broker.mqtt_port, "another-secret-1") as device:
        await until(lambda: device.connected, "paho is answered", SLOW_S)
        assert device.connected == "Bad user name or password"
    record = await hooked.rig.record("refused", device="d1")
    assert (record["reason"], record["code"], record["via"]) == ("wrong_password", 4, "rabbitmq")
    for packet, reason in (
        (connect("nobody"), "unknown_device"),
        (connect(username="d2"), "user_name_mismatch"),
        (connect(sign_type=1), "stale_hour"),
        (connect(client_id="c"), "client_id_syntax"),
    ):
        assert await hooked.refusal(packet) == 4
        await hooked.rig.record("refused", reason=reason)
    assert hooked.rig.records("accepted") == []


async def test_nobody_is_let_in_while_the_platform_is_away(ground: Ground, tmp_path: Path) -> None:
    """The code is that of wrong credentials: a device cannot tell, and neither can we."""
    async with platform(ground, tmp_path) as hooked:
        assert await hooked.refusal(connect("nobody")) == 4
    assert await hooked.refusal(connect()) == 4


async def test_forced_reset_is_seen_by_the_device_and_its_old_secret_is_refused(hooked: Hooked) -> None:
    with Paho(hooked.broker.mqtt_port) as device:
        await until(lambda: device.connected, "paho is answered", SLOW_S)
        assert device.connected == "Success"
        sent = time.monotonic()
        answer = await hooked.rig.reset(secret_type="PRIMARY", force_disconnect=True, secret="primary-secret-2")
        assert answer.status == 200
        await until(lambda: device.lost, "paho is cut", SLOW_S)
        assert device.lost is not None
        assert device.lost - sent < SLOW_S
    await hooked.rig.record("cut_confirmed", device="d1", reason="forced_reset")
    await hooked.rig.record("detached", device="d1", reason="forced_reset", version=1)
    assert await hooked.refusal(connect()) == 4
    async with await hooked.log_in(secret="primary-secret-2"), await hooked.log_in("d2"):
        sessions = await hooked.rig.sessions()
        assert (sessions["d1"]["secret_version"], sessions["d1"]["current"]) == (2, True)


async def test_reset_without_force_lets_the_connection_be(hooked: Hooked) -> None:
    async with await hooked.log_in() as device:
        await hooked.rig.reset(secret_type="PRIMARY", secret="primary-secret-2")
        assert not (await hooked.rig.sessions())["d1"]["current"]
        device.send(Publish("hall/7", b"x", 1, 7))
        assert isinstance(await device.receive(), PubAck)


async def test_device_that_is_cut_before_rabbitmq_has_its_connection_does_not_stay(
    hooked: Hooked, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = RemoteSessions.begin

    def begin_and_cut(remote: RemoteSessions, login: Login, verdict: Accepted) -> None:
        begin(remote, login, verdict)
        remote._sessions.cut("d1", Ending.FORCED_RESET)

    monkeypatch.setattr(RemoteSessions, "begin", begin_and_cut)
    async with await Client.open(hooked.broker.mqtt_port) as device:
        device.send(connect())
        assert await device.rest() in ([], [ConnAck(0)])
    await hooked.rig.record("cut_confirmed", device="d1", reason="forced_reset")


async def test_device_that_comes_again_displaces_itself_and_nobody_else(hooked: Hooked) -> None:
    async with await hooked.log_in() as first, await hooked.log_in() as second:
        assert await first.rest() == []
        async with await hooked.log_in(hour="2026112120") as third:
            assert await second.rest() == []
            await hooked.rig.record("cut_confirmed", reason="take_over")
            third.send(Publish("hall/7", b"x", 1, 7))
            assert isinstance(await third.receive(), PubAck)
            assert (await hooked.rig.sessions())["d1"]["client_id"] == "d1_0_0_2026112120"


async def test_device_uses_its_own_topics(hooked: Hooked) -> None:
    own = "$oc/devices/d1/sys/messages/down"
    async with await hooked.log_in() as device:
        device.send(Subscribe(1, ((own, 1), ("hall/+/a.b", 1))))
        assert isinstance(await device.receive(), SubAck)
        for topic in (own, "hall/7/a.b"):
            device.send(Publish(topic, b"x", 1, 7))
            received = {type(one): one for one in (await device.receive(), await device.receive())}
            assert received.keys() == {PubAck, Publish}
            packet = received[Publish]
            assert isinstance(packet, Publish)
            assert packet.topic in (topic, topic.replace(".", "/"))
            device.send(PubAck(packet.packet_id))
    assert hooked.rig.records("dropped") == []


@pytest.mark.parametrize("topic", ["$oc/devices/d2/sys/x", "$oc/devices/+/sys/#", "#", "+/devices/#", "*/x"])
async def test_filter_that_would_read_another_device_is_refused(hooked: Hooked, topic: str) -> None:
    async with await hooked.log_in() as device:
        device.send(Subscribe(1, ((topic, 1),)))
        assert await device.rest() == []
        key = topic.replace("/", ".").replace("+", "*")
        await hooked.rig.record("dropped", device="d1", reason="foreign_subscribe", topic=key, via="rabbitmq")
    await hooked.rig.record("detached", device="d1", reason="topic_policy")


async def test_publish_for_another_device_is_refused(hooked: Hooked) -> None:
    async with await hooked.log_in("d2") as other, await hooked.log_in() as device:
        other.send(Subscribe(1, (("$oc/devices/d2/#", 1),)))
        assert isinstance(await other.receive(), SubAck)
        device.send(Publish("$oc/devices/d2/sys/messages/down", b"x", 1, 7))
        assert await device.rest() == []
        await hooked.rig.record("dropped", device="d1", reason="foreign_publish")
        other.send(Publish("$oc/devices/d2/sys/events/up", b"mine", 1, 8))
        received = [await other.receive(), await other.receive()]
        assert [one.payload for one in received if isinstance(one, Publish)] == [b"mine"]


async def test_presence_follows_a_device_that_goes(hooked: Hooked) -> None:
    async with await hooked.log_in():
        assert (await hooked.rig.call("GET", "/v5/iot/p/devices/d1")).body["status"] == "ONLINE"
    record = await hooked.rig.record("detached", device="d1", reason="connection_lost")
    assert record["via"] == "rabbitmq"
    assert (await hooked.rig.call("GET", "/v5/iot/p/devices/d1")).body["status"] == "OFFLINE"


async def test_connection_of_an_earlier_run_has_to_log_in_again(ground: Ground, tmp_path: Path) -> None:
    async with platform(ground, tmp_path) as earlier:
        device = await earlier.log_in()
    async with device, platform(ground, tmp_path) as later:
        assert await device.rest() == []
        await later.rig.record("stray_cut", device="d1", client_id=f"d1_0_0_{HOUR}")


async def test_fleet_falls_back_to_its_secondary_secrets(hooked: Hooked, tmp_path: Path) -> None:
    rig, broker = hooked.rig, hooked.broker
    api = f"http://127.0.0.1:{rig.platform.http_port}"
    where = {"kind": "remote", "api": api, "mqtt": f"mqtt://127.0.0.1:{broker.mqtt_port}"}
    scenario = tmp_path / "fallback.yaml"
    scenario.write_text(f"{FALLBACK}platform: {json.dumps(where)}\n")
    ended = await asyncio.to_thread(keyturn, "run", scenario, cwd=tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    results = json.loads((tmp_path / "keyturn-report" / "results.json").read_text())
    assert (results["messages"]["lost"], results["messages"]["unconfirmed"]) == (None, 0)
    assert results["exposure"]["max"] < SLOW_S
    records = judge_folder(tmp_path / "keyturn-report").platform_records
    confirmed = [one for one in records if one["kind"] == "cut_confirmed"]
    assert len(confirmed) == 20
    assert {one["via"] for one in records if one["kind"] == "accepted"} == {"rabbitmq"}

"""MQTT over TLS judged by programs that are not ours: mosquitto's clients, and mosquitto as our devices' server."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from broker.certificates import made_in
from tests.broker.rig import PRIMARY, Rig, running
from tests.peers.test_mosquitto_clients import credentials, run
from tests.support.commands import keyturn
from tests.support.mosquitto import mosquitto
from tests.support.tls import VALID_AT

pytestmark = pytest.mark.peer

UP = "$oc/devices/d1/sys/messages/up"


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with running(tmp_path, mqtts_port=0) as rig:
        await rig.provision("d1", secure_access=True)
        yield rig


async def publish(rig: Rig, *flags: str) -> tuple[int, str]:
    where = ("-h", "127.0.0.1", "-p", str(rig.platform.more_ports["mqtts"]), "-d", *flags)
    return await run("mosquitto_pub", *where, *await credentials(PRIMARY), "-q", "1", "-t", UP, "-m", "{}")


def ca(rig: Rig) -> tuple[str, str]:
    return "--cafile", str(rig.platform.ca)


@pytest.mark.parametrize("version", ["tlsv1.2", "tlsv1.3"])
async def test_device_with_the_ca_file_comes_in(rig: Rig, version: str) -> None:
    code, said = await publish(rig, *ca(rig), "--tls-version", version)
    assert code == 0, said
    assert "received PUBACK" in said


async def test_device_that_trusts_others_stays_out_and_the_journal_says_why(rig: Rig) -> None:
    code, _ = await publish(rig, "--cafile", "/etc/ssl/certs/ca-certificates.crt")
    assert code != 0
    assert (await rig.record("tls_failed"))["reason"] == "client_does_not_trust_us"


async def test_device_without_tls_stays_out_and_the_journal_says_why(rig: Rig) -> None:
    code, _ = await publish(rig)
    assert code != 0
    assert (await rig.record("tls_failed"))["reason"] == "not_tls"


async def test_openssl_verifies_the_platform(rig: Rig) -> None:
    address = f"127.0.0.1:{rig.platform.more_ports['mqtts']}"
    verify = ("-CAfile", str(rig.platform.ca), "-verify_ip", "127.0.0.1", "-verify_return_error")
    code, said = await run("openssl", "s_client", "-connect", address, *verify)
    assert code == 0, said
    assert "Verify return code: 0 (ok)" in said
    assert "Verified peername" in said or "Verification: OK" in said


SCENARIO = """
name: over TLS, at mosquitto
platform: {{kind: broker-only, mqtts: 'mqtts://localhost:{port}', ca: '{ca}'}}
fleets:
  native: {{count: 10, security: tls}}
  paho: {{count: 10, security: tls, link: paho, mqtt: 5}}
  aiomqtt: {{count: 10, security: tls, link: aiomqtt}}
timeline:
  - {{id: up, start: [native, paho, aiomqtt], until: "recovered == 100%", timeout: 20s}}
  - {{id: again, reconnect: {{fleet: [native, paho, aiomqtt]}}, until: "recovered == 100%", timeout: 20s}}
expect: ["refused == 0", "unreachable == 0"]
"""


async def test_our_devices_verify_mosquitto_and_connect(tmp_path: Path) -> None:
    ca_file, certificate, key = made_in(tmp_path, "127.0.0.1", VALID_AT)
    tls = (f"cafile {ca_file}", f"certfile {certificate}", f"keyfile {key}")
    async with mosquitto(tmp_path, lines=tls) as broker:
        (tmp_path / "tls.yaml").write_text(SCENARIO.format(port=broker.port, ca=ca_file))
        ended = await asyncio.to_thread(keyturn, "run", "tls.yaml", cwd=tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr

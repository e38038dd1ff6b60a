"""A stage for devices without a network: memory links, virtual time, and every record that was written."""

import hashlib
import hmac
from typing import Any

import orjson

from simulator.device.backoff import Backoff, Shape
from simulator.device.keyring import Fallback, Keyring
from simulator.device.lifecycle import Device
from simulator.device.profiles import Profile
from simulator.dialects.mqtt import MqttDialect
from simulator.driver import Driver, Surroundings
from simulator.journal import Journal, Record
from simulator.scheduler import Scheduler
from tests.support.memory_links import MemoryEngine, MemoryLink
from tests.support.virtual_time import VirtualClock, VirtualTime
from wire.mqtt import Publish

PRIMARY, SECONDARY = "primary-secret", "secondary-secret"
WAIT_S = 10.0

STEADY = Profile(
    name="steady",
    source="made for tests: waits ten seconds, whatever happened",
    backoff=Backoff(Shape.FIXED, base_s=WAIT_S),
    fallback=Fallback.PRIMARY_THEN_SECONDARY,
    subscribes=True,
)


class Stage:
    """Makes drivers that share one memory engine."""

    def __init__(self) -> None:
        self.time = VirtualTime()
        self.scheduler = Scheduler(self.time)  # type: ignore[arg-type]
        self.clock = VirtualClock(self.time)
        self.engine = MemoryEngine(self.scheduler)
        self.crashes: list[tuple[str, Exception]] = []
        self.records: list[Record] = []
        journal = Journal(self.clock)
        journal.listeners.append(self.records.append)
        self.around = Surroundings(self.engine, MqttDialect(), self.scheduler, journal, self.clock, self._crashed)

    def driver(
        self,
        device_id: str = "d1",
        *,
        profile: Profile = STEADY,
        primary: str = PRIMARY,
        secondary: str | None = SECONDARY,
    ) -> Driver:
        """A device that is switched off."""
        keyring = Keyring.of(primary, secondary, profile.fallback)
        return Driver(Device(device_id, keyring, profile), self.around)

    def online(self, device_id: str = "d1", **settings: Any) -> Driver:
        """A device that is connected, and whose connect event was acknowledged."""
        driver = self.driver(device_id, **settings)
        driver.start()
        self.engine.last.accept()
        self.engine.last.acknowledge()
        return driver

    def of_kind(self, kind: str) -> list[Record]:
        return [record for record in self.records if record["kind"] == kind]

    def kinds(self) -> list[str]:
        return [record["kind"] for record in self.records]

    def _crashed(self, device_id: str, error: Exception) -> None:
        self.crashes.append((device_id, error))


def password_of(secret: str, hour: str = "2025010110") -> str:
    """What a device with this secret must present in that hour."""
    return hmac.new(hour.encode(), secret.encode(), hashlib.sha256).hexdigest()


def fingerprint_of(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()[:8]


def body(publish: Publish) -> dict[str, Any]:
    """The JSON in a published message."""
    parsed = orjson.loads(publish.payload)
    assert isinstance(parsed, dict), parsed
    return parsed


def command(link: MemoryLink, payload: bytes | dict[str, Any], request_id: str = "r1") -> dict[str, Any]:
    """Send the device of a link a command; give the body of its answer."""
    device_id = link.credentials.username
    text = payload if isinstance(payload, bytes) else orjson.dumps(payload)
    link.deliver(f"$oc/devices/{device_id}/sys/commands/request_id={request_id}", text)
    answer = link.sent[-1]
    assert answer.topic == f"$oc/devices/{device_id}/sys/commands/response/request_id={request_id}", answer
    assert answer.qos == 1, answer
    return body(answer)


def set_secret(secret: object, secret_type: object = "PRIMARY", **paras: object) -> dict[str, Any]:
    """The command that hands a device a new secret."""
    return {"command_name": "set_secret", "paras": {"secret": secret, "secret_type": secret_type, **paras}}

"""MQTT devices of IoTDA: the password is signed with the hour, and every matter has a topic."""

from dataclasses import dataclass
from datetime import datetime

from simulator.credentials import MqttCredentials, iotda_credentials
from simulator.device.profiles import Profile
from simulator.dialects.dialect import Body, Uplink
from simulator.messages import Command, connect_event, read_command, system_topic, telemetry


@dataclass(frozen=True, slots=True)
class MqttDialect:
    """`sign` None leaves the sign digit to each profile."""

    sign: int | None = None
    shows_secret: bool = True
    answers_at_once: bool = True

    def credentials(self, device_id: str, secret: str, profile: Profile, utc: datetime) -> MqttCredentials:
        sign = profile.sign if self.sign is None else self.sign
        return iotda_credentials(device_id, secret, utc, sign=sign)

    def subscription(self, device_id: str) -> tuple[str, int]:
        return system_topic(device_id, "commands/#"), 1

    def greeting(self, device_id: str, utc: datetime) -> Uplink:
        return system_topic(device_id, "events/up"), connect_event(device_id, utc)

    def report(self, device_id: str, properties: Body) -> Uplink:
        return system_topic(device_id, "properties/report"), telemetry(properties)

    def request(self, device_id: str, topic: str, payload: bytes) -> tuple[str, Command] | None:
        prefix = system_topic(device_id, "commands/request_id=")
        return (topic.removeprefix(prefix), read_command(payload)) if topic.startswith(prefix) else None

    def response(self, device_id: str, request_id: str, command: Command) -> Uplink:
        return system_topic(device_id, f"commands/response/request_id={request_id}"), command.response

"""NB-IoT devices of IoTDA: the secret is a pre-shared key, and all application data goes through object 19.

The vendor's codec plug-ins turn a device's own bytes into JSON and back; these devices speak that JSON themselves
(support.huaweicloud.com, devg-iothub, codec development): `deviceReq` and `deviceRsp` up, `cloudReq` down.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import orjson

from simulator.credentials import EndpointCredentials, is_psk, psk
from simulator.device.profiles import Profile
from simulator.dialects.dialect import Body, Uplink
from simulator.messages import NONSENSE, Command, command_of

UPLINK, DOWNLINK = "19/0/0", "19/1/0"


@dataclass(frozen=True, slots=True)
class Lwm2mDialect:
    """`endpoints` names the devices whose endpoint name is not their device id; without `shows_secret` all is clear."""

    endpoints: Mapping[str, str]
    shows_secret: bool = True
    answers_at_once: bool = False

    def credentials(self, device_id: str, secret: str, _profile: Profile, _utc: datetime) -> EndpointCredentials:
        endpoint = self.endpoints.get(device_id, device_id)
        return EndpointCredentials(endpoint, psk(secret) if self.shows_secret else None)

    def subscription(self, _device_id: str) -> None:
        """It is the platform that asks to observe."""

    def greeting(self, _device_id: str, _utc: datetime) -> None:
        """The registration has said everything."""

    def report(self, _device_id: str, properties: Body) -> Uplink:
        data = [{"serviceId": "keyturn", "serviceData": properties}]
        return UPLINK, {"msgType": "deviceReq", "hasMore": 0, "data": data}

    def request(self, _device_id: str, topic: str, payload: bytes) -> tuple[str, Command] | None:
        try:
            body = orjson.loads(payload)
            if topic != DOWNLINK or body["msgType"] != "cloudReq" or type(body["mid"]) is not int:
                return None
            command = command_of(body["cmd"], body["paras"])
            return str(body["mid"]), command if command.secret is None or is_psk(command.secret) else NONSENSE
        except (ValueError, KeyError, TypeError):
            return None

    def response(self, _device_id: str, request_id: str, command: Command) -> Uplink:
        body = {"response_name": f"{command.name}_response", "seq": command.seq}
        return UPLINK, {"msgType": "deviceRsp", "mid": int(request_id), "errcode": command.result_code, "body": body}

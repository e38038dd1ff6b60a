"""A device on the vendor's own SDK, started by tests in a virtual environment of its own.

The argument is a checkout of github.com/huaweicloud/huaweicloud-iot-device-sdk-python. Reads JSON lines: first host,
device_id, secret and, for TLS, a CA file, later {"secret": …} for a new one, or {} to ask for the time. Writes JSON
lines: that the first connect is over, and what came down.
"""

import json
import os
import sys
import threading

sys.path.insert(0, sys.argv[1])

from iot_device_sdk_python.client.client_conf import ClientConf
from iot_device_sdk_python.client.connect_auth_info import ConnectAuthInfo
from iot_device_sdk_python.client.iot_result import SUCCESS
from iot_device_sdk_python.client.listener.command_listener import CommandListener
from iot_device_sdk_python.client.listener.device_message_listener import DeviceMessageListener
from iot_device_sdk_python.client.listener.property_listener import PropertyListener
from iot_device_sdk_python.client.request.command_response import CommandRsp
from iot_device_sdk_python.client.request.service_property import ServiceProperty
from iot_device_sdk_python.iot_device import IotDevice
from iot_device_sdk_python.timesync.time_sync_listener import TimeSyncListener


def tell(**fields):
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


class Application(CommandListener, DeviceMessageListener, PropertyListener, TimeSyncListener):
    """What a customer writes on top of the SDK: it answers everything."""

    def __init__(self, client):
        self._client = client

    def on_command(self, request_id, service_id, command_name, paras):
        tell(command=command_name, paras=paras)
        answer = CommandRsp()
        answer.result_code, answer.response_name, answer.paras = 0, command_name, {"echo": paras}
        self._client.respond_command(request_id, answer)

    def on_device_message(self, message):
        tell(message=message.content)

    def on_property_set(self, request_id, services):
        tell(set=[service.properties for service in services])
        self._client.respond_properties_set(request_id, SUCCESS)

    def on_property_get(self, request_id, service_id):
        tell(get=service_id)
        self._client.respond_properties_get(request_id, [ServiceProperty(service_id, {"level": 7})])

    def on_time_sync_response(self, device_send_time, server_recv_time, server_send_time):
        tell(time=[device_send_time, server_recv_time, server_send_time])


def main():
    first = json.loads(sys.stdin.readline())
    info = ConnectAuthInfo()
    info.server_uri, info.port = first["host"], 8883 if "ca" in first else 1883
    info.iot_cert_path = first.get("ca")
    info.id, info.secret = first["device_id"], first["secret"]
    device = IotDevice(ClientConf(info))
    client = device.get_client()
    application = Application(client)
    client.set_command_listener(application)
    client.set_device_msg_listener(application)
    client.set_properties_listener(application)
    device.get_time_sync_service().set_listener(application)
    threading.Thread(target=lambda: tell(connected=device.connect()), daemon=True).start()
    for line in sys.stdin:
        wanted = json.loads(line)
        if "secret" in wanted:
            info.secret = wanted["secret"]
        else:
            device.get_time_sync_service().request_time_sync()
    os._exit(0)  # the SDK's own threads would go on for ever


if __name__ == "__main__":
    main()

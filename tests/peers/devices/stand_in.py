"""A STAND-IN for the vendor's Python device SDK 1.2.0, which is on no package index: it is not the vendor's program.

It runs on the paho-mqtt 2.0.0 that the SDK pins and does on the wire what was read in the SDK's sources and seen of it
(github.com/huaweicloud/huaweicloud-iot-device-sdk-python@dd0ee5c, transport/mqtt/mqtt_connection.py): a test compares
the two wherever the SDK is at hand. In one thing it is better: the SDK stays away for good when its link is cut within
the second after a CONNECT that it waits out. Reads and writes the same JSON lines as vendor.py beside it.
"""

import hashlib
import hmac
import json
import os
import random
import ssl
import sys
import threading
import time

import paho.mqtt.client as mqtt

KEEPALIVE_S = 120
AFTER_CONNECT_S = 1.0
SHORTEST_S, LONGEST_S = 1.0, 30.0


def tell(**fields):
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


class StandIn:
    def __init__(self, host, device_id, secret, ca=None):
        self.host, self.device_id, self.secret, self.ca = host, device_id, secret, ca
        self.client = self.lost_at = None
        self.was_accepted = False
        self.is_first = True

    def run(self):
        """Connect for ever: at once after a link was lost, with a growing wait after a refusal; it never shrinks."""
        retries = 0
        while True:
            began = time.monotonic()
            self.link()
            if self.was_accepted:
                self.lost_at = milliseconds()
                continue
            time.sleep(max(0.0, began + AFTER_CONNECT_S - time.monotonic()))
            time.sleep(min(LONGEST_S, SHORTEST_S + 2**retries * random.uniform(0.8, 1.0)))
            retries += 1

    def link(self):
        """Open a link and live on it until it ends; never subscribes."""
        hour = time.strftime("%Y%m%d%H", time.gmtime())
        self.was_accepted = False
        client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, f"{self.device_id}_0_1_{hour}", True, reconnect_on_failure=False
        )
        client.max_inflight_messages_set(20)
        client.username_pw_set(
            self.device_id, hmac.new(hour.encode(), self.secret.encode(), hashlib.sha256).hexdigest()
        )
        client.on_connect, client.on_message = self.on_connect, self.on_message
        if self.ca is not None:
            client.tls_set(self.ca, cert_reqs=ssl.CERT_OPTIONAL, tls_version=ssl.PROTOCOL_TLSv1_2)
            client.tls_insecure_set(True)
        try:
            client.connect(self.host, 1883 if self.ca is None else 8883, KEEPALIVE_S)
        except OSError:
            return
        client.loop_forever()

    def on_connect(self, client, _data, _flags, code, _properties):
        if code.is_failure:
            return
        self.was_accepted, self.client = True, client
        if self.is_first:
            self.is_first = False
            threading.Timer(AFTER_CONNECT_S, tell, kwargs={"connected": 0}).start()
        self.log(client, milliseconds(), f"connect complete, the uri is {self.host}")
        if self.lost_at is not None:
            self.log(client, self.lost_at, "connect lost")

    def log(self, client, timestamp, content):
        paras = {"timestamp": timestamp, "type": "DEVICE_STATUS", "content": content}
        self.event(client, "$log", "log_report", paras)

    def ask_for_the_time(self):
        self.event(self.client, "$time_sync", "time_sync_request", {"device_send_time": milliseconds()})

    def event(self, client, service_id, event_type, paras):
        event = {
            "service_id": service_id,
            "event_type": event_type,
            "event_time": time.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "event_id": "",
            "paras": paras,
        }
        self.publish(client, "events/up", {"object_device_id": self.device_id, "services": [event]})

    def on_message(self, client, _data, message):
        path = message.topic.partition("/sys/")[2]
        kind, _, request_id = path.partition("/request_id=")
        body = json.loads(message.payload)
        match kind:
            case "commands":
                tell(command=body["command_name"], paras=body["paras"])
                answer = {"result_code": 0, "response_name": body["command_name"], "paras": {"echo": body["paras"]}}
            case "messages/down":
                tell(message=body["content"])
                return
            case "properties/set":
                tell(set=[service["properties"] for service in body["services"]])
                answer = {"result_code": 0, "result_desc": "Success"}
            case "properties/get":
                tell(get=body["service_id"])
                service = {"service_id": body["service_id"], "properties": {"level": 7}, "event_time": None}
                answer = {"services": [service]}
            case "events/down":
                self.on_events(body["services"])
                return
            case _:
                return
        self.publish(client, f"{kind}/response/request_id={request_id}", answer)

    def on_events(self, services):
        for service in services:
            if service["event_type"] == "time_sync_response":
                paras = service["paras"]
                tell(time=[int(paras[key]) for key in ("device_send_time", "server_recv_time", "server_send_time")])

    def publish(self, client, path, body):
        client.publish(f"$oc/devices/{self.device_id}/sys/{path}", json.dumps(body), qos=1)


def milliseconds():
    return str(int(time.time() * 1000))


def main():
    first = json.loads(sys.stdin.readline())
    device = StandIn(first["host"], first["device_id"], first["secret"], first.get("ca"))
    threading.Thread(target=device.run, daemon=True).start()
    for line in sys.stdin:
        wanted = json.loads(line)
        if "secret" in wanted:
            device.secret = wanted["secret"]
        else:
            device.ask_for_the_time()
    os._exit(0)  # in the middle of whatever it waits for


if __name__ == "__main__":
    main()

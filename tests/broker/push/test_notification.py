"""The body of a push, field by field."""

import json
from datetime import timedelta

from broker.push.notification import PushedStatus, StatusChange
from tests.broker.rig import START

LATER = START + timedelta(seconds=61, milliseconds=5)


def test_body_is_the_vendors_with_its_two_formats_of_time() -> None:
    change = StatusChange("run-7", "p_n", "n", "p", PushedStatus.OFFLINE, LATER, START)
    assert json.loads(change.encode()) == {
        "resource": "device.status",
        "event": "update",
        "event_time": "20261121T193101Z",
        "event_time_ms": "2026-11-21T19:31:01.005Z",
        "request_id": "run-7",
        "notify_data": {
            "header": {
                "app_id": "default",
                "device_id": "p_n",
                "node_id": "n",
                "product_id": "p",
                "gateway_id": "p_n",
                "tags": [],
            },
            "body": {
                "status": "OFFLINE",
                "last_online_time": "20261121T193000Z",
                "status_update_time": "2026-11-21T19:31:01.005Z",
            },
        },
    }


def test_what_is_not_known_is_left_out() -> None:
    body = json.loads(StatusChange("r", "d1", None, None, PushedStatus.ONLINE, START, START).encode())
    assert body["notify_data"]["header"].keys() == {"app_id", "device_id", "gateway_id", "tags"}

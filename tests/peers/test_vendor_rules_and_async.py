"""Routing rules and asynchronous commands, judged by the vendor's own SDK; the pushes go to a server of aiohttp's."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.broker.rig import connect, running
from tests.support.iotda_console import METER, Call, Console, sdk
from tests.support.receiver import receiving

pytestmark = pytest.mark.peer

HEX = "0123456789abcdef"
URL = "http://127.0.0.1:9/pushes"
UNKNOWN = "0" * 24


def create_rule(resource: str = "device.status", event: str = "update", **fields: Any) -> Call:
    body = sdk.AddRuleReq(subject=sdk.RoutingRuleSubject(resource=resource, event=event), **fields)
    return lambda client: client.create_routing_rule(sdk.CreateRoutingRuleRequest(body=body))


def show_rule(rule_id: str) -> Call:
    return lambda client: client.show_routing_rule(sdk.ShowRoutingRuleRequest(rule_id=rule_id))


def list_rules(**query: Any) -> Call:
    return lambda client: client.list_routing_rules(sdk.ListRoutingRulesRequest(**query))


def update_rule(rule_id: str, **fields: Any) -> Call:
    request = sdk.UpdateRoutingRuleRequest(rule_id=rule_id, body=sdk.UpdateRuleReq(**fields))
    return lambda client: client.update_routing_rule(request)


def delete_rule(rule_id: str) -> Call:
    return lambda client: client.delete_routing_rule(sdk.DeleteRoutingRuleRequest(rule_id=rule_id))


def http(url: str, **fields: Any) -> Any:
    return sdk.ChannelDetail(http_forwarding=sdk.HttpForwarding(url=url, **fields))


def create_action(rule_id: str, url: str = URL, channel: str = "HTTP_FORWARDING", **fields: Any) -> Call:
    body = sdk.AddActionReq(rule_id=rule_id, channel=channel, channel_detail=http(url, **fields))
    return lambda client: client.create_rule_action(sdk.CreateRuleActionRequest(body=body))


def show_action(action_id: str) -> Call:
    return lambda client: client.show_rule_action(sdk.ShowRuleActionRequest(action_id=action_id))


def list_actions(**query: Any) -> Call:
    return lambda client: client.list_rule_actions(sdk.ListRuleActionsRequest(**query))


def update_action(action_id: str, url: str) -> Call:
    body = sdk.UpdateActionReq(channel="HTTP_FORWARDING", channel_detail=http(url))
    return lambda client: client.update_rule_action(sdk.UpdateRuleActionRequest(action_id=action_id, body=body))


def delete_action(action_id: str) -> Call:
    return lambda client: client.delete_rule_action(sdk.DeleteRuleActionRequest(action_id=action_id))


def create_command(device_id: str = "nb_1", **fields: Any) -> Call:
    wanted = {"paras": {"value": "1"}, "send_strategy": "delay", **fields}
    body = sdk.AsyncDeviceCommandRequest(**wanted)
    request = sdk.CreateAsyncCommandRequest(device_id=device_id, body=body)
    return lambda client: client.create_async_command(request)


def show_command(command_id: str, device_id: str = "nb_1") -> Call:
    request = sdk.ShowAsyncDeviceCommandRequest(device_id=device_id, command_id=command_id)
    return lambda client: client.show_async_device_command(request)


def list_commands(**query: Any) -> Call:
    request = sdk.ListAsyncCommandsRequest(**{"device_id": "nb_1", **query})
    return lambda client: client.list_async_commands(request)


def list_history(**query: Any) -> Call:
    request = sdk.ListAsyncHistoryCommandsRequest(device_id="nb_1", **query)
    return lambda client: client.list_async_history_commands(request)


def count_history(**query: Any) -> Call:
    request = sdk.CountAsyncHistoryCommandsRequest(device_id="nb_1", **query)
    return lambda client: client.count_async_history_commands(request)


@pytest.fixture
async def console(tmp_path: Path) -> AsyncIterator[Console]:
    """A platform with the LwM2M device `nb_1` and the MQTT device `product_meter`."""
    async with running(tmp_path) as rig:
        console = Console(rig)
        assert (await rig.call("PUT", "/_platform/products/nb", {"protocol": "coap"})).status == 200
        body = sdk.AddDevice(product_id="nb", node_id="1", auth_info=sdk.AuthInfo(secret=HEX))
        await console(lambda client: client.add_device(sdk.AddDeviceRequest(body=body)))
        await console.create()
        yield console


async def advance(console: Console, seconds: float) -> None:
    assert (await console.rig.call("POST", "/_platform/clock", {"advance": seconds})).status == 200


async def test_status_is_pushed_as_the_rule_says(console: Console) -> None:
    await console.rig.provision("d1")
    async with receiving() as receiver:
        rule = await console(create_rule(rule_name="status", description="who comes and goes"))
        assert (rule.status_code, rule.active, rule.app_type) == (201, False, "GLOBAL")
        action = await console(create_action(rule.rule_id, receiver.url))
        assert (action.status_code, action.channel, action.rule_id) == (201, "HTTP_FORWARDING", rule.rule_id)
        async with await console.rig.login(connect()):
            pass
        await console.rig.record("detached", device="d1")
        activated = await console(update_rule(rule.rule_id, active=True))
        assert (activated.active, activated.rule_name) == (True, "status")
        async with await console.rig.login(connect()):
            await receiver.until(1)
        await receiver.until(2)
    assert receiver.statuses("d1") == ["ONLINE", "OFFLINE"]
    push = json.dumps(receiver.pushes[0])
    assert '"resource": "device.status"' in push


async def test_rules_and_actions_are_shown_listed_changed_and_deleted(console: Console) -> None:
    rules = [await console(create_rule(rule_name=f"r{number}")) for number in range(3)]
    page = await console(list_rules(limit=2))
    assert ([one.rule_name for one in page.rules], page.count) == (["r2", "r1"], 3)
    rest = await console(list_rules(limit=2, marker=page.marker, active=False, resource="device.status"))
    assert [one.rule_name for one in rest.rules] == ["r0"]
    action = await console(create_action(rules[0].rule_id))
    await console(create_action(rules[1].rule_id))
    listed = await console(list_actions(rule_id=rules[0].rule_id, channel="HTTP_FORWARDING"))
    assert [one.action_id for one in listed.actions] == [action.action_id]
    changed = await console(update_action(action.action_id, f"{URL}/2"))
    assert changed.channel_detail.http_forwarding.url == f"{URL}/2"
    shown = await console(show_action(action.action_id))
    assert shown.channel_detail.http_forwarding.url == f"{URL}/2"
    assert (await console(delete_action(action.action_id))).status_code == 204
    assert (await console(delete_rule(rules[1].rule_id))).status_code == 204
    assert (await console(list_actions())).count == 0
    shown = await console(show_rule(rules[2].rule_id))
    assert (shown.rule_name, shown.subject.resource, shown.subject.event) == ("r2", "device.status", "update")


async def test_command_is_queued_and_expires(console: Console) -> None:
    created = await console(create_command(service_id="valve", command_name="set", expire_time=60))
    assert (created.status_code, created.status, created.expire_time) == (201, "PENDING", 60)
    assert (created.paras, created.send_strategy, created.device_id) == ({"value": "1"}, "delay", "nb_1")
    at_once = await console(create_command(send_strategy="immediately"))
    assert at_once.status == "SENT"
    queued = await console(list_commands(status="PENDING", command_name="set", limit=1))
    assert [one.command_id for one in queued.commands] == [created.command_id]
    assert (queued.page.count, queued.page.marker) == (1, created.command_id)
    await advance(console, 3600)
    shown = await console(show_command(created.command_id))
    assert (shown.status, shown.created_time, shown.paras) == ("EXPIRED", created.created_time, {"value": "1"})
    assert (await console(list_commands())).page.count == 0
    history = await console(list_history(limit=10))
    assert [(one.command_id, one.status) for one in history.commands] == [
        (at_once.command_id, "TIMEOUT"),
        (created.command_id, "EXPIRED"),
    ]
    assert (await console(count_history(status="EXPIRED"))).count == 1


INVALID = "Invalid input data."
REFUSALS: list[tuple[Call, int, str, str]] = [
    (create_rule("device.property", "report"), 400, "IOTDA.000006", f"{INVALID} subject.resource:"),
    (create_rule("device.status", "report"), 400, "IOTDA.000006", f"{INVALID} subject.event:"),
    (create_rule(select="notify_data"), 400, "IOTDA.000006", f"{INVALID} select:"),
    (show_rule(UNKNOWN), 404, "IOTDA.000006", f"{INVALID} rule '{UNKNOWN}' does not exist"),
    (update_rule(UNKNOWN, active=True), 404, "IOTDA.000006", f"{INVALID} rule '{UNKNOWN}' does not exist"),
    (delete_rule(UNKNOWN), 404, "IOTDA.000006", f"{INVALID} rule '{UNKNOWN}' does not exist"),
    (create_action(UNKNOWN), 404, "IOTDA.000006", f"{INVALID} rule '{UNKNOWN}' does not exist"),
    (create_action(UNKNOWN, channel="AMQP_FORWARDING"), 400, "IOTDA.000006", f"{INVALID} channel:"),
    (create_action(UNKNOWN, token="abc"), 400, "IOTDA.000006", f"{INVALID} channel_detail.http_forwarding.token:"),
    (show_action(UNKNOWN), 404, "IOTDA.000006", f"{INVALID} action '{UNKNOWN}' does not exist"),
    (delete_action(UNKNOWN), 404, "IOTDA.000006", f"{INVALID} action '{UNKNOWN}' does not exist"),
    (list_rules(limit=51), 400, "IOTDA.000017", "Invalid input. The specified parameter 'limit' is out of range."),
    (list_actions(marker="end"), 400, "IOTDA.000006", f"{INVALID} marker:"),
    (create_command("nobody"), 404, "IOTDA.014000", "The device does not exist."),
    (create_command(METER), 400, "IOTDA.000006", f"{INVALID} device '{METER}' speaks MQTT"),
    (create_command(expire_time=172_801), 400, "IOTDA.000006", f"{INVALID} expire_time:"),
    (create_command(send_strategy="later"), 400, "IOTDA.000006", f"{INVALID} send_strategy:"),
    (show_command(UNKNOWN), 404, "IOTDA.000006", f"{INVALID} command '{UNKNOWN}' does not exist"),
    (list_commands(start_time="today"), 400, "IOTDA.000009", "Invalid input. Invalid time format."),
    (list_history(status="LOST"), 400, "IOTDA.000006", f"{INVALID} status:"),
]


async def test_refusals_are_told_by_their_codes_and_texts(console: Console) -> None:
    for call, status, code, text in REFUSALS:
        found = await console.refused(call)
        assert found[:2] == (status, code), found
        assert found[2].startswith(text), found


async def test_receivers_elsewhere_and_too_many_commands_are_refused(console: Console) -> None:
    rule = await console(create_rule())
    for url in ("http://192.0.2.7/", "https://127.0.0.1/"):
        status, code, text = await console.refused(create_action(rule.rule_id, url))
        assert (status, code) == (400, "IOTDA.000006")
        assert text.startswith(f"{INVALID} url: expected ")
    for _ in range(20):
        await console(create_command())
    assert (await console.refused(create_command()))[:2] == (400, "IOTDA.000006")

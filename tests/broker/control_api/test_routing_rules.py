"""Rules and actions as the vendor documents them."""

from pathlib import Path
from typing import Any

import pytest

from broker.routing_rules import MAX_ACTIONS, MAX_RULES
from tests.broker.rig import Answer, FakeClock, Rig, running

RULES = "/v5/iot/any-project/routing-rule/rules"
ACTIONS = "/v5/iot/any-project/routing-rule/actions"
SUBJECT = {"resource": "device.status", "event": "update"}
URL = "http://127.0.0.1:9/pushes"


class Rules:
    """Makes rules over the control API."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig

    async def create(self, **fields: Any) -> str:
        answer = await self._rig.call("POST", RULES, {"subject": SUBJECT, **fields})
        assert answer.status == 201, answer
        return str(answer.body["rule_id"])

    async def forward(self, rule_id: str, url: str) -> str:
        answer = await self._rig.call("POST", ACTIONS, action(rule_id, url))
        assert answer.status == 201, answer
        return str(answer.body["action_id"])

    async def redirect(self, action_id: str, url: str) -> None:
        detail = {"channel_detail": {"http_forwarding": {"url": url}}}
        assert (await self._rig.call("PUT", f"{ACTIONS}/{action_id}", detail)).status == 200

    async def activate(self, rule_id: str, *, active: bool = True) -> None:
        assert (await self._rig.call("PUT", f"{RULES}/{rule_id}", {"active": active})).status == 200

    async def active(self, url: str) -> str:
        rule_id = await self.create()
        await self.forward(rule_id, url)
        await self.activate(rule_id)
        return rule_id


def action(rule_id: str, url: str = URL, **http_forwarding: Any) -> dict[str, Any]:
    detail = {"http_forwarding": {"url": url, **http_forwarding}}
    return {"rule_id": rule_id, "channel": "HTTP_FORWARDING", "channel_detail": detail}


def is_refused(answer: Answer, status: int, where: str) -> bool:
    text = f"Invalid input data. {where}"
    return (answer.status, answer.body["error_code"]) == (status, "IOTDA.000006") and answer.body[
        "error_msg"
    ].startswith(text)


async def test_rule_is_made_changed_shown_and_removed(tmp_path: Path) -> None:
    async with running(tmp_path, FakeClock()) as rig:
        made = await rig.call("POST", RULES, {"rule_name": "r", "description": "d", "subject": SUBJECT})
        rule = {
            "rule_id": made.body["rule_id"],
            "rule_name": "r",
            "description": "d",
            "subject": SUBJECT,
            "app_type": "GLOBAL",
            "active": False,
        }
        assert (made.status, made.body) == (201, rule)
        changed = await rig.call("PUT", f"{RULES}/{rule['rule_id']}", {"rule_name": "s", "active": True})
        assert (changed.status, changed.body) == (200, {**rule, "rule_name": "s", "active": True})
        assert (await rig.call("GET", f"{RULES}/{rule['rule_id']}")).body == changed.body
        removed = await rig.call("DELETE", f"{RULES}/{rule['rule_id']}")
        assert (removed.status, removed.body) == (204, None)
        assert is_refused(await rig.call("GET", f"{RULES}/{rule['rule_id']}"), 404, "rule ")


async def test_action_is_made_changed_shown_and_removed(rig: Rig) -> None:
    rule_id = await Rules(rig).create(app_type="APP", app_id="space")
    made = await rig.call("POST", ACTIONS, action(rule_id, sni_enable=False, token=None))
    shown = {"action_id": made.body["action_id"], "app_id": "space", **action(rule_id)}
    assert (made.status, made.body) == (201, shown)
    path = f"{ACTIONS}/{made.body['action_id']}"
    detail = {"http_forwarding": {"url": f"{URL}/2"}}
    changed = await rig.call("PUT", path, {"channel": "HTTP_FORWARDING", "channel_detail": detail})
    assert (changed.status, changed.body) == (200, {**shown, "channel_detail": detail})
    assert (await rig.call("PUT", path, {})).body == changed.body
    assert (await rig.call("GET", path)).body == changed.body
    assert (await rig.call("DELETE", path)).status == 204
    for method in ("GET", "DELETE"):
        assert is_refused(await rig.call(method, path), 404, "action ")


async def test_removed_rule_takes_its_actions_with_it(rig: Rig) -> None:
    rules = Rules(rig)
    kept, gone = await rules.create(), await rules.create()
    await rules.forward(gone, URL)
    left = await rules.forward(kept, URL)
    await rig.call("DELETE", f"{RULES}/{gone}")
    listed = (await rig.call("GET", ACTIONS)).body
    assert [one["action_id"] for one in listed["actions"]] == [left]


async def test_lists_are_filtered_and_paged_the_newest_first(rig: Rig) -> None:
    rules = Rules(rig)
    ids = [await rules.create(rule_name=f"r{number}") for number in range(5)]
    await rules.activate(ids[3])
    page = (await rig.call("GET", f"{RULES}?limit=2")).body
    assert [one["rule_id"] for one in page["rules"]] == [ids[4], ids[3]]
    assert (page["count"], page["marker"]) == (5, ids[3])
    rest = (await rig.call("GET", f"{RULES}?marker={page['marker']}&offset=1")).body
    assert [one["rule_id"] for one in rest["rules"]] == [ids[1], ids[0]]
    for query, found in [
        ("active=true", [ids[3]]),
        ("rule_name=r2", [ids[2]]),
        ("resource=device.status&event=update&active=false&limit=1", [ids[4]]),
        ("resource=product", []),
        ("app_type=APP", []),
    ]:
        listed = (await rig.call("GET", f"{RULES}?{query}")).body
        assert [one["rule_id"] for one in listed["rules"]] == found, query
    assert "marker" not in (await rig.call("GET", f"{RULES}?resource=product")).body


async def test_actions_are_listed_by_rule_and_channel(rig: Rig) -> None:
    rules = Rules(rig)
    one, other = await rules.create(), await rules.create(app_type="APP")
    first, second = await rules.forward(one, URL), await rules.forward(other, URL)
    for query, found in [
        ("", [second, first]),
        (f"rule_id={one}", [first]),
        ("channel=HTTP_FORWARDING&app_type=APP", [second]),
        ("channel=AMQP_FORWARDING", []),
    ]:
        listed = (await rig.call("GET", f"{ACTIONS}?{query}")).body
        assert [each["action_id"] for each in listed["actions"]] == found, query
        assert listed["count"] == len(found)


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({}, "subject: "),
        ({"subject": {"resource": "device.property", "event": "report"}}, "subject.resource: "),
        ({"subject": {"resource": "device.status", "event": "report"}}, "subject.event: "),
        ({"subject": {"resource": "device.status"}}, "subject.event: "),
        ({"subject": SUBJECT, "select": "notify_data.body"}, "select: "),
        ({"subject": SUBJECT, "where": "notify_data.body.status='ONLINE'"}, "where: "),
        ({"subject": SUBJECT, "rule_name": "<r>"}, "rule_name: "),
        ({"subject": SUBJECT, "app_type": "LOCAL"}, "app_type: "),
        ({"subject": SUBJECT, "app_id": "x" * 37}, "app_id: "),
    ],
)
async def test_rule_that_is_not_served_is_refused(rig: Rig, body: dict[str, Any], where: str) -> None:
    assert is_refused(await rig.call("POST", RULES, body), 400, where)
    assert (await rig.call("GET", RULES)).body == {"rules": [], "count": 0}


async def test_action_that_is_not_served_is_refused(rig: Rig) -> None:
    rule_id = await Rules(rig).create()
    good = action(rule_id)
    for body, where in [
        ({}, "rule_id: "),
        ({**good, "channel": "AMQP_FORWARDING"}, "channel: "),
        ({**good, "channel_detail": {}}, "channel_detail.http_forwarding: "),
        ({**good, "channel_detail": {"amqp_forwarding": {}}}, "channel_detail.http_forwarding: "),
        (action(rule_id, "http://192.0.2.7/"), "url: "),
        (action(rule_id, "https://127.0.0.1/"), "url: "),
        (action(rule_id, token="abc"), "channel_detail.http_forwarding.token: "),
        (action(rule_id, signature_enable=True), "channel_detail.http_forwarding.signature_enable: "),
        (action(rule_id, sni_enable=0), "channel_detail.http_forwarding.sni_enable: "),
    ]:
        assert is_refused(await rig.call("POST", ACTIONS, body), 400, where), body
    assert is_refused(await rig.call("POST", ACTIONS, action("unknown")), 404, "rule 'unknown'")
    assert (await rig.call("GET", ACTIONS)).body == {"actions": [], "count": 0}


async def test_exposed_platform_may_push_to_others(tmp_path: Path) -> None:
    headers = {"X-Auth-Token": "open-sesame"}
    async with running(tmp_path, expose=True, token="open-sesame") as rig:
        rule = await rig.call("POST", RULES, {"subject": SUBJECT}, headers)
        made = await rig.call("POST", ACTIONS, action(rule.body["rule_id"], "http://192.0.2.7/"), headers)
        assert made.status == 201


async def test_there_are_not_endlessly_many_rules_and_actions(rig: Rig) -> None:
    rules = Rules(rig)
    rule_id, *_ = [await rules.create() for _ in range(MAX_RULES)]
    assert is_refused(await rig.call("POST", RULES, {"subject": SUBJECT}), 400, f"there are {MAX_RULES} rules")
    for _ in range(MAX_ACTIONS):
        await rules.forward(rule_id, URL)
    refused = await rig.call("POST", ACTIONS, action(rule_id))
    assert is_refused(refused, 400, f"the rule has {MAX_ACTIONS} actions")


@pytest.mark.parametrize(("query", "code"), [("limit=51", "IOTDA.000017"), ("marker=x", "IOTDA.000006")])
async def test_page_that_cannot_be_is_refused(rig: Rig, query: str, code: str) -> None:
    for path in (RULES, ACTIONS):
        answer = await rig.call("GET", f"{path}?{query}")
        assert (answer.status, answer.body["error_code"]) == (400, code)

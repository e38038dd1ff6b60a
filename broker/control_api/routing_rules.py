"""The vendor's routing rules: status changes of devices, pushed over HTTP, and nothing else yet."""

from collections.abc import Mapping
from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema
from starlette.requests import Request
from starlette.responses import Response

from broker.control_api.documented import documented
from broker.control_api.errors import json_response, parse
from broker.control_api.paging import QUERY_ERRORS, Page, read_query
from broker.control_api.services import Services
from broker.control_api.terms import Description, DeviceName, ProductId
from broker.errors import InvalidInput, UnknownAction, UnknownRule
from broker.push.notification import EVENT, RESOURCE
from broker.push.target import MAX_URL
from broker.routing_rules import Action, Rule, RuleTexts

RULES = "/v5/iot/{project_id}/routing-rule/rules"
ACTIONS = "/v5/iot/{project_id}/routing-rule/actions"
CHANNEL = "HTTP_FORWARDING"
LENIENT = ConfigDict(strict=True, hide_input_in_errors=True)

RuleName = DeviceName
AppId = ProductId
AppType = Literal["GLOBAL", "APP"]


class Subject(BaseModel):
    model_config = LENIENT

    resource: Literal["device.status"]
    event: Literal["update"]


class AddRule(BaseModel):
    """`select` and `where` are refused: who sent them would rely on them."""

    model_config = LENIENT

    rule_name: RuleName | None = None
    description: Description | None = None
    subject: Subject
    app_type: AppType | None = None
    app_id: AppId | None = None
    select: Literal[""] | None = None
    where: Literal[""] | None = None


class UpdateRule(BaseModel):
    model_config = LENIENT

    rule_name: RuleName | None = None
    description: Description | None = None
    select: Literal[""] | None = None
    where: Literal[""] | None = None
    active: bool | None = None


WRITTEN = {
    "type": "string",
    "maxLength": MAX_URL,
    "pattern": r"^http://(\[[0-9A-Fa-f:.]+\]|[^\s/?#@:\[\]\\]+)(:[0-9]{1,5})?([/?#]\S*)?$",
}


def _refuse_on(value: bool) -> bool:
    if value:
        raise ValueError("expected false")
    return value


Off = Annotated[bool, AfterValidator(_refuse_on), WithJsonSchema({"type": "boolean", "const": False})]
"""A literal false would take 0 as well."""
TargetUrl = Annotated[str, WithJsonSchema(WRITTEN)]


class HttpForwarding(BaseModel):
    """Certificates and signatures are refused: who sent them would rely on them."""

    model_config = LENIENT

    url: TargetUrl = Field(repr=False)
    cert_id: Literal[""] | None = None
    cn_name: Literal[""] | None = None
    sni_enable: Off | None = None
    signature_enable: Off | None = None
    token: Literal[""] | None = None


class ChannelDetail(BaseModel):
    model_config = LENIENT

    http_forwarding: HttpForwarding


class AddAction(BaseModel):
    model_config = LENIENT

    rule_id: ProductId
    channel: Literal["HTTP_FORWARDING"]
    channel_detail: ChannelDetail


class UpdateAction(BaseModel):
    model_config = LENIENT

    channel: Literal["HTTP_FORWARDING"] | None = None
    channel_detail: ChannelDetail | None = None


class RuleQuery(Page):
    resource: str | None = None
    event: str | None = None
    app_type: str | None = None
    app_id: str | None = None
    rule_name: str | None = None
    active: bool | None = None


class ActionQuery(Page):
    rule_id: str | None = None
    channel: str | None = None
    app_type: str | None = None
    app_id: str | None = None


class RuleAnswer(BaseModel):
    rule_id: str
    rule_name: str | None = None
    description: str | None = None
    subject: Subject
    app_type: AppType
    app_id: str | None = None
    active: bool


class ActionAnswer(BaseModel):
    action_id: str
    rule_id: str
    app_id: str | None = None
    channel: Literal["HTTP_FORWARDING"]
    channel_detail: ChannelDetail


class RuleList(BaseModel):
    rules: list[RuleAnswer]
    count: int
    marker: str | None = None


class ActionList(BaseModel):
    actions: list[ActionAnswer]
    count: int
    marker: str | None = None


def router(services: Services) -> APIRouter:
    api = APIRouter(tags=["IoTDA rules"])
    _serve_rules(api, services)
    _serve_actions(api, services)
    return api


def _serve_rules(api: APIRouter, services: Services) -> None:
    rules = services.rules

    @api.post(RULES, **documented(body=AddRule, answer=RuleAnswer, status=201, errors=(InvalidInput,)))
    async def create_rule(request: Request) -> Response:
        wanted = parse(AddRule, await request.body())
        texts = RuleTexts(wanted.rule_name, wanted.description)
        return json_response(_rule(rules.add_rule(texts, wanted.app_type or "GLOBAL", wanted.app_id)), 201)

    @api.get(RULES, **documented(query=RuleQuery, answer=RuleList, errors=QUERY_ERRORS))
    async def list_rules(request: Request) -> Response:
        query = read_query(RuleQuery, request.query_params)
        shown = {one.rule_id: _rule(one) for one in rules.rules()}
        subject = {"resource": query.resource, "event": query.event}
        wanted = query.model_dump(include={"app_type", "app_id", "rule_name", "active"})
        fitting = {key: one for key, one in shown.items() if _fits({**one, **SUBJECT}, {**wanted, **subject})}
        return json_response(_page("rules", query, fitting))

    @api.get(f"{RULES}/{{rule_id}}", **documented(answer=RuleAnswer, errors=(UnknownRule,)))
    async def show_rule(rule_id: str) -> Response:
        return json_response(_rule(rules.rule(rule_id)))

    @api.put(f"{RULES}/{{rule_id}}", **documented(body=UpdateRule, answer=RuleAnswer, errors=(UnknownRule,)))
    async def update_rule(rule_id: str, request: Request) -> Response:
        wanted = parse(UpdateRule, await request.body())
        texts = RuleTexts(wanted.rule_name, wanted.description)
        return json_response(_rule(rules.change_rule(rule_id, texts, active=wanted.active)))

    @api.delete(f"{RULES}/{{rule_id}}", **documented(status=204, errors=(UnknownRule,)))
    async def delete_rule(rule_id: str) -> None:
        rules.remove_rule(rule_id)


def _serve_actions(api: APIRouter, services: Services) -> None:
    rules = services.rules

    @api.post(ACTIONS, **documented(body=AddAction, answer=ActionAnswer, status=201, errors=(UnknownRule,)))
    async def create_action(request: Request) -> Response:
        wanted = parse(AddAction, await request.body())
        action = rules.add_action(wanted.rule_id, wanted.channel_detail.http_forwarding.url)
        return json_response(_action(action, rules.rule(action.rule_id)), 201)

    @api.get(ACTIONS, **documented(query=ActionQuery, answer=ActionList, errors=QUERY_ERRORS))
    async def list_actions(request: Request) -> Response:
        query = read_query(ActionQuery, request.query_params)
        shown = {one.action_id: (_action(one, rule := rules.rule(one.rule_id)), rule) for one in rules.actions()}
        wanted = query.model_dump(include={"rule_id", "channel", "app_id", "app_type"})
        fitting = {key: one for key, (one, rule) in shown.items() if _fits({**one, "app_type": rule.app_type}, wanted)}
        return json_response(_page("actions", query, fitting))

    @api.get(f"{ACTIONS}/{{action_id}}", **documented(answer=ActionAnswer, errors=(UnknownAction,)))
    async def show_action(action_id: str) -> Response:
        action = rules.action(action_id)
        return json_response(_action(action, rules.rule(action.rule_id)))

    @api.put(f"{ACTIONS}/{{action_id}}", **documented(body=UpdateAction, answer=ActionAnswer, errors=(UnknownAction,)))
    async def update_action(action_id: str, request: Request) -> Response:
        detail = parse(UpdateAction, await request.body()).channel_detail
        action = rules.change_action(action_id, None if detail is None else detail.http_forwarding.url)
        return json_response(_action(action, rules.rule(action.rule_id)))

    @api.delete(f"{ACTIONS}/{{action_id}}", **documented(status=204, errors=(UnknownAction,)))
    async def delete_action(action_id: str) -> None:
        rules.remove_action(action_id)


SUBJECT = {"resource": RESOURCE, "event": EVENT}


def _rule(rule: Rule) -> dict[str, object]:
    return _known(
        rule_id=rule.rule_id,
        rule_name=rule.texts.rule_name,
        description=rule.texts.description,
        subject=SUBJECT,
        app_type=rule.app_type,
        app_id=rule.app_id,
        active=rule.is_active,
    )


def _action(action: Action, rule: Rule) -> dict[str, object]:
    return _known(
        action_id=action.action_id,
        rule_id=action.rule_id,
        app_id=rule.app_id,
        channel=CHANNEL,
        channel_detail={"http_forwarding": {"url": action.target.url}},
    )


def _known(**fields: object) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}


def _fits(shown: Mapping[str, object], wanted: Mapping[str, object]) -> bool:
    return all(value is None or shown.get(name) == value for name, value in wanted.items())


def _page(name: str, page: Page, fitting: Mapping[str, object]) -> dict[str, object]:
    """A page of what fits, by ids, with how much fits in all; its marker is where the next page goes on."""
    ids = page.cut(list(fitting))
    marker = {"marker": ids[-1]} if ids else {}
    return {name: [fitting[one] for one in ids], "count": len(fitting), **marker}

"""The hook over HTTP. What EMQX sends is from its documents: no EMQX was run."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest
from starlette.types import Message, Receive, Scope, Send

from broker.hooks.endpoint import MAX_BODY, HookEndpoint
from tests.broker.hooks.management_server import PASSWORD, ManagementServer, managing
from tests.broker.hooks.stand import Stand
from tests.broker.link import Link
from tests.broker.rig import PRIMARY, SECONDARY, FakeClock, Rig, running, sign
from tests.support.waiting import until

BOTH = pytest.mark.parametrize("hook", ["rabbitmq", "emqx"])
CLIENT = "d1_0_0_2026112119"
LOGIN = {"rabbitmq": "user", "emqx": "auth"}
TOPICS = {"rabbitmq": "topic", "emqx": "acl"}
CANARY = "canary-of-the-hook"


class Broker:
    """A broker as the platform sees it: what it asks, and its management API."""

    def __init__(self, hook: str, rig: Rig, management: ManagementServer) -> None:
        self.hook = hook
        self.rig = rig
        self.management = management

    async def ask(self, what: str, body: bytes, method: str = "POST", query: str = "", **headers: str) -> bool:
        """Ask a question; fails unless the answer is one that the broker takes for an answer."""
        path = f"/_hook/{self.hook}/{what}{query}"
        async with self.rig.http.request(method, path, data=BytesIO(body), headers=headers) as response:
            text = await response.text()
            assert response.status == 200
            if self.hook == "rabbitmq":
                return {"allow": True, "deny": False}[text]
            assert response.content_type == "application/json"
            return {"allow": True, "deny": False}[orjson.loads(text)["result"]]

    async def log_in(self, secret: str = PRIMARY, client_id: str = CLIENT, **more: str) -> bool:
        names = {"rabbitmq": ("client_id", "username"), "emqx": ("clientid", "username")}[self.hook]
        fields = dict(zip(names, (client_id, "d1"), strict=True), password=sign(secret).decode())
        return await self.ask(LOGIN[self.hook], self.encode(fields), **more)

    async def use(self, topic: str, *, publish: bool, client_id: str = CLIENT) -> bool:
        if self.hook == "emqx":
            fields = {"clientid": client_id, "topic": topic, "action": "publish" if publish else "subscribe"}
        else:
            key = topic.replace("/", ".").replace("+", "*")
            permission = "write" if publish else "read"
            fields = {"variable_map.client_id": client_id, "routing_key": key, "permission": permission}
        return await self.ask(TOPICS[self.hook], self.encode(fields))

    def encode(self, fields: dict[str, str]) -> bytes:
        return orjson.dumps(fields) if self.hook == "emqx" else urlencode(fields).encode()


@asynccontextmanager
async def hooked(hook: str, folder: Path, **settings: Any) -> AsyncIterator[Broker]:
    async with managing() as management:
        about = {"engine_api": management.url, "engine_password": PASSWORD, "engine_poll_s": 0.02, **settings}
        async with running(folder, FakeClock(), hook=hook, **about) as rig:
            await rig.provision("d1")
            yield Broker(hook, rig, management)


@BOTH
async def test_device_is_judged_as_at_our_own_port(hook: str, tmp_path: Path) -> None:
    async with hooked(hook, tmp_path) as broker:
        assert await broker.log_in()
        (accepted,) = broker.rig.records("accepted")
        about = {"device": "d1", "slot": "primary", "version": 1, "client_id": CLIENT, "peer": hook, "via": hook}
        assert about.items() <= accepted.items()
        assert await broker.log_in(SECONDARY)
        sessions = await broker.rig.sessions()
        assert (sessions["d1"]["slot"], sessions["d1"]["via"], sessions["d1"]["mqtt"]) == ("secondary", hook, None)
        assert not await broker.log_in("another-secret-1")
        (refused,) = broker.rig.records("refused")
        about = {"device": "d1", "reason": "wrong_password", "code": 4, "client_id": CLIENT, "via": hook}
        assert about.items() <= refused.items()
        assert not await broker.log_in(client_id="no client id")
        assert broker.rig.records("refused")[-1]["reason"] == "client_id_syntax"
        shown = (await broker.rig.call("GET", "/v5/iot/p/devices/d1")).body
        assert shown["status"] == "ONLINE"


@BOTH
async def test_device_that_must_come_encrypted_needs_a_broker_that_takes_no_others(hook: str, tmp_path: Path) -> None:
    change = {"auth_info": {"secure_access": True}}
    for secure in (False, True):
        async with hooked(hook, tmp_path, engine_secure=secure) as broker:
            await broker.rig.call("PUT", "/v5/iot/p/devices/d1", change)
            assert await broker.log_in() is secure


@BOTH
async def test_forced_reset_is_answered_before_the_cut_and_cut_all_the_same(hook: str, tmp_path: Path) -> None:
    async with hooked(hook, tmp_path) as broker:
        assert await broker.log_in()
        broker.management.clients = {"n1": ("d1", CLIENT)}
        broker.management.failing = 503
        answer = await broker.rig.reset(secret_type="PRIMARY", force_disconnect=True)
        assert answer.status == 200
        assert "d1" in await broker.rig.sessions()
        await broker.rig.record("cut_failed", device="d1", via=hook)
        broker.management.failing = None
        await broker.rig.record("cut_confirmed", device="d1", reason="forced_reset")
        await broker.rig.record("detached", device="d1", reason="forced_reset")
        assert broker.management.clients == {}
        assert (await broker.rig.sessions()) == {}
        (reset,) = broker.rig.records("reset")
        assert not reset["cut"]
        kinds = [one["kind"] for one in broker.rig.records()]
        assert kinds.index("cut_requested") < kinds.index("reset") < kinds.index("cut_confirmed")
        assert not await broker.log_in()
        assert await broker.log_in(SECONDARY)


@BOTH
async def test_topics_are_the_devices_own(hook: str, tmp_path: Path) -> None:
    async with hooked(hook, tmp_path) as broker:
        assert await broker.log_in()
        for publish in (True, False):
            assert await broker.use("$oc/devices/d1/sys/events/up", publish=publish)
            assert await broker.use("hall/7", publish=publish)
            assert not await broker.use("$oc/devices/d2/sys/events/up", publish=publish)
        dropped = [(one["device"], one["reason"], one["via"]) for one in broker.rig.records("dropped")]
        assert dropped == [("d1", "foreign_publish", hook), ("d1", "foreign_subscribe", hook)]
        assert (await broker.rig.statistics())["dropped_foreign"] == 2
        assert await broker.use("+/devices/#", publish=False) is (hook == "emqx")


async def test_rabbitmq_asks_about_its_own_things_too(tmp_path: Path) -> None:
    async with hooked("rabbitmq", tmp_path) as broker:
        assert await broker.ask("vhost", broker.encode({"client_id": CLIENT}))
        assert not await broker.ask("vhost", broker.encode({"client_id": "stranger"}))
        exchange = {"client_id": CLIENT, "resource": "exchange", "name": "amq.topic", "permission": "write"}
        assert await broker.ask("resource", broker.encode(exchange))
        assert not await broker.ask("resource", broker.encode({**exchange, "name": "amq.direct"}))
        (dropped,) = broker.rig.records("dropped")
        assert (dropped["reason"], dropped["resource"]) == ("foreign_resource", "exchange amq.direct")


@BOTH
@pytest.mark.parametrize(
    ("what", "method", "body"),
    [
        ("login", "POST", b"{"),
        ("login", "POST", b""),
        ("login", "POST", b"x" * (MAX_BODY + 1)),
        ("login", "GET", b""),
        ("topics", "POST", b"[]"),
        ("elsewhere", "POST", b"{}"),
    ],
)
async def test_what_says_nothing_is_refused_and_answered(
    hook: str, what: str, method: str, body: bytes, tmp_path: Path
) -> None:
    async with hooked(hook, tmp_path) as broker:
        assert not await broker.ask({"login": LOGIN[hook], "topics": TOPICS[hook]}.get(what, what), body, method)
        assert [one["reason"] for one in broker.rig.records("refused")] == ["malformed_call"]


@BOTH
async def test_whole_login_asked_in_another_way_is_refused(hook: str, tmp_path: Path) -> None:
    async with hooked(hook, tmp_path) as broker:
        assert not await broker.log_in(method="GET")
        assert await broker.log_in()


async def test_record_is_written_before_the_answer(stand: Stand) -> None:
    written: list[str] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"username=nobody", "more_body": False}

    async def send(message: Message) -> None:
        written.append(stand.path.read_text())

    async def behind(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError("the hook is ours")

    scope = {"type": "http", "path": "/_hook/rabbitmq/user", "method": "POST", "headers": [], "query_string": b""}
    await HookEndpoint(behind, "rabbitmq", stand.judge, None, stand.premises)(scope, receive, send)
    assert '"reason":"client_id_syntax"' in written[0]


@BOTH
async def test_longest_fields_of_mqtt_are_judged(hook: str, tmp_path: Path) -> None:
    async with hooked(hook, tmp_path) as broker:
        name = {"rabbitmq": "client_id", "emqx": "clientid"}[hook]
        longest = "\x01" * 65_535
        fields = {name: longest, "username": longest, "password": longest}
        assert not await broker.ask(LOGIN[hook], broker.encode(fields))
        assert [one["reason"] for one in broker.rig.records("refused")] == ["client_id_syntax"]


@BOTH
async def test_failure_of_ours_is_a_refusal(
    hook: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def crash(*_: object) -> None:
        raise LookupError

    async with hooked(hook, tmp_path) as broker:
        monkeypatch.setattr("broker.hooks.judge.decide", crash)
        assert not await broker.log_in(CANARY)
        assert [one["reason"] for one in broker.rig.records("refused")] == ["internal_error"]
        assert (await broker.rig.statistics())["internal_errors"] == 1
    assert "LookupError" in capsys.readouterr().err


@BOTH
async def test_caller_shows_the_token(hook: str, tmp_path: Path) -> None:
    async with hooked(hook, tmp_path, hook_token=CANARY) as broker:
        assert not await broker.log_in()
        assert not await broker.log_in(query="?token=wrong")
        assert not await broker.log_in(**{"X-Auth-Token": "wrong"})
        assert [one["reason"] for one in broker.rig.records("refused")] == ["unknown_caller"] * 3
        assert await broker.log_in(query=f"?token={CANARY}")
        assert await broker.log_in(**{"X-Auth-Token": CANARY})
        assert CANARY not in (tmp_path / "platform.jsonl").read_text()


@BOTH
async def test_web_page_of_another_machine_is_no_broker(hook: str, tmp_path: Path) -> None:
    async with hooked(hook, tmp_path) as broker:
        assert not await broker.log_in(Origin="https://example.org")
        assert broker.rig.records("accepted") == []


@BOTH
async def test_device_cannot_be_sent_anything(hook: str, tmp_path: Path) -> None:
    async with hooked(hook, tmp_path) as broker:
        assert await broker.log_in()
        rig, command = broker.rig, {"service_id": "s", "command_name": "c", "paras": {}}
        answer = await rig.call("POST", "/v5/iot/p/devices/d1/commands", command)
        assert (answer.status, answer.body["error_code"]) == (403, "IOTDA.014016")
        assert hook in answer.body["error_msg"]
        answer = await rig.call("POST", "/_platform/devices/d1/messages", {"payload": "x"})
        assert (answer.status, answer.body["error_code"]) == (403, "IOTDA.014016")
        answer = await rig.call("POST", "/v5/iot/p/devices/d1/messages", {"message": "x"})
        assert answer.body["result"]["status"] == "PENDING"
        answer = await rig.call("POST", "/v5/iot/p/devices/d1/messages", {"message": "x", "ttl": 0})
        assert answer.body["result"]["status"] == "FAILED"


@BOTH
async def test_device_moves_between_the_broker_and_our_own_port(hook: str, tmp_path: Path) -> None:
    async with hooked(hook, tmp_path) as broker:
        assert await broker.log_in()
        broker.management.clients = {"n1": ("d1", CLIENT)}
        async with await broker.rig.login() as here:
            await until(lambda: not broker.management.clients, "the broker's connection is cut")
            sessions = await broker.rig.sessions()
            assert sessions["d1"]["via"] is None
            assert await broker.log_in()
            assert await here.rest() == []
        sessions = await broker.rig.sessions()
        assert sessions["d1"]["via"] == hook


@BOTH
async def test_devices_of_roma_that_share_a_login_are_told_apart(hook: str, tmp_path: Path) -> None:
    async with hooked(hook, tmp_path) as broker:
        link = Link(broker.rig)
        product = await link.product()
        shared = product["authentication"]
        first, second = [await link.device(product["id"], node_id=node, user_name=node) for node in ("m-1", "m-2")]
        name = {"rabbitmq": "client_id", "emqx": "clientid"}[hook]
        for number, one in enumerate((first, second)):
            fields = {name: one["client_id"], "username": shared["user_name"], "password": shared["password"]}
            assert await broker.ask(LOGIN[hook], broker.encode(fields))
            broker.management.clients[f"n{number}"] = (shared["user_name"], one["client_id"])
        assert await broker.use("/meters/datas", publish=True, client_id=first["client_id"])
        own = f"$oc/devices/{first['client_id']}/sys/events/up"
        assert not await broker.use(own, publish=True, client_id=first["client_id"])
        answer = await link.call("POST", "devices/force-offline", {"device_ids": [first["device_id"]]})
        assert answer.status < 300
        await broker.rig.record("cut_confirmed", device=first["client_id"], reason="forced_offline")
        assert list(broker.management.clients) == ["n1"]
        assert list(await broker.rig.sessions()) == [second["client_id"]]


async def test_hook_is_there_in_hook_mode_only(rig: Rig) -> None:
    async with rig.http.post("/_hook/rabbitmq/user", data=b"{}", headers={"Content-Type": "application/json"}) as one:
        assert one.status == 404


@BOTH
async def test_no_secret_and_no_password_reaches_the_journal(hook: str, tmp_path: Path) -> None:
    async with hooked(hook, tmp_path) as broker:
        await broker.log_in()
        await broker.log_in("another-secret-1")
        broker.management.failing = 401
        await broker.rig.record("engine_unreachable", via=hook)
        written = (tmp_path / "platform.jsonl").read_text()
    for secret in (PASSWORD, PRIMARY, SECONDARY, sign(PRIMARY).decode(), sign("another-secret-1").decode()):
        assert secret not in written

"""What is asked of the management APIs; EMQX's is from its documents, and no EMQX was run."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from broker.hooks.engine import Address, Connection, EngineError, Visitor
from broker.hooks.management import PAGE, Emqx, Management, RabbitMq
from tests.broker.hooks.management_server import PASSWORD, USER, ManagementServer, managing
from tests.support.ports import unanswering_port, unused_port

CLIENT, LATER = "d1_0_0_2026112119", "d1_0_0_2026112120"
NAME, OTHER = "127.0.0.1:50526 -> 127.0.0.1:1883", "127.0.0.1:50528 -> 127.0.0.1:1883"
VISITOR = Visitor("d1", CLIENT, "d1")
OF_ROMA = Visitor("D000000001Abc123", "D000000001Abc123", "meters")


@dataclass
class Both:
    server: ManagementServer
    rabbitmq: RabbitMq
    emqx: Emqx


@pytest.fixture
async def both() -> AsyncIterator[Both]:
    async with managing() as server:
        management = Management(Address(f"http://127.0.0.1:{server.port}", USER, PASSWORD), 0.5)
        yield Both(server, RabbitMq(management), Emqx(management))
        await management.close()


async def test_rabbitmq_lists_who_speaks_mqtt(both: Both) -> None:
    both.server.clients = {NAME: ("d1", CLIENT), OTHER: ("operator", "")}
    assert await both.rabbitmq.connections() == [Connection(NAME, CLIENT, "d1")]
    assert both.server.requests == ["GET /api/connections?columns=name,user,variable_map"]


async def test_rabbitmq_is_asked_for_a_device_by_its_user_name(both: Both) -> None:
    assert not await both.rabbitmq.is_connected(VISITOR)
    both.server.clients = {NAME: ("d1", CLIENT)}
    assert await both.rabbitmq.is_connected(VISITOR)
    assert await both.rabbitmq.cut(VISITOR, alone=True)
    assert both.server.clients == {}
    assert both.server.requests[-1] == "DELETE /api/connections/username/d1"


async def test_rabbitmq_cuts_one_of_two_connections_by_its_name(both: Both) -> None:
    both.server.clients = {NAME: ("d1", CLIENT), OTHER: ("d1", LATER)}
    assert await both.rabbitmq.cut(VISITOR, alone=False)
    assert list(both.server.clients) == [OTHER]
    assert not await both.rabbitmq.cut(VISITOR, alone=False)


async def test_rabbitmq_spares_who_shares_a_user_name(both: Both) -> None:
    both.server.clients = {NAME: ("meters", OF_ROMA.client_id), OTHER: ("meters", "D000000002Abc123")}
    assert await both.rabbitmq.is_connected(OF_ROMA)
    assert await both.rabbitmq.cut(OF_ROMA, alone=True)
    assert list(both.server.clients) == [OTHER]
    assert not await both.rabbitmq.is_connected(OF_ROMA)


async def test_rabbitmq_is_not_reproached_for_a_connection_that_has_gone(both: Both) -> None:
    await both.rabbitmq.cut_connection(Connection(NAME, CLIENT, "d1"))


async def test_emqx_lists_page_by_page(both: Both) -> None:
    both.server.clients = {str(number): ("u", f"c{number}") for number in range(PAGE + 1)}
    listed = await both.emqx.connections()
    assert [one.client_id for one in listed] == [f"c{number}" for number in range(PAGE + 1)]
    assert len(both.server.requests) == 2


async def test_emqx_is_asked_for_a_client_by_its_id(both: Both) -> None:
    assert not await both.emqx.is_connected(VISITOR)
    assert not await both.emqx.cut(VISITOR, alone=True)
    both.server.clients = {"1": ("d1", CLIENT), "2": ("d1", LATER)}
    assert await both.emqx.is_connected(VISITOR)
    assert await both.emqx.cut(VISITOR, alone=False)
    assert list(both.server.clients) == ["2"]
    await both.emqx.cut_connection(Connection(LATER, LATER, "d1"))
    assert both.server.clients == {}
    assert both.server.requests[-1] == f"DELETE /api/v5/clients/{LATER}"


async def test_emqx_keeps_sessions_without_connections_and_they_are_none(both: Both) -> None:
    both.server.answer = '{"data": [{"clientid": "c", "username": null, "connected": false}], "connected": false}'
    assert await both.emqx.connections() == []
    assert not await both.emqx.is_connected(VISITOR)


@pytest.mark.parametrize("status", [301, 401, 500, 503])
async def test_other_answers_are_failures(both: Both, status: int) -> None:
    both.server.failing = status
    with pytest.raises(EngineError, match=f"GET: answered {status}"):
        await both.rabbitmq.connections()
    with pytest.raises(EngineError, match=f"DELETE: answered {status}"):
        await both.rabbitmq.cut(VISITOR, alone=True)


@pytest.mark.parametrize("answer", ["{", "17", "[17]", '[{"variable_map": {"client_id": "c"}}]', '{"data": 7}', "null"])
async def test_answer_of_another_shape_is_a_failure(both: Both, answer: str) -> None:
    both.server.answer = answer
    with pytest.raises(EngineError):
        await both.rabbitmq.connections()
    with pytest.raises(EngineError):
        await both.emqx.connections()


async def test_failure_tells_neither_address_nor_password() -> None:
    with unanswering_port() as silent:
        for port, said in ((unused_port(), "ClientConnectorError"), (silent, "no answer in time")):
            management = Management(Address(f"http://127.0.0.1:{port}", USER, PASSWORD), 0.2)
            with pytest.raises(EngineError) as failed:
                await RabbitMq(management).connections()
            await management.close()
            assert said in str(failed.value)
            assert failed.value.__cause__ is None
            assert PASSWORD not in repr(failed.value)
            assert str(port) not in str(failed.value)

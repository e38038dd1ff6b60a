"""The management APIs of RabbitMQ and EMQX 5, on aiohttp; nobody imports this module but for hook mode.

RabbitMQ's are proved against 3.10; EMQX's are written from its documents and were never run.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import aiohttp

from broker.hooks.engine import Address, Connection, EngineError, Visitor

OPEN_AT_ONCE = 16
"""Requests; a wave of resets waits here, and does not overrun the broker."""

PAGE = 1000
GONE = 404


class Management:
    """A broker's API: it is logged in to with every request, and nothing of that is ever shown."""

    def __init__(self, address: Address, timeout_s: float) -> None:
        self._base = address.base
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=OPEN_AT_ONCE),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={
                "User-Agent": "keyturn",
                "Authorization": aiohttp.encode_basic_auth(address.user, address.password),
            },
            timeout=aiohttp.ClientTimeout(total=timeout_s),
        )

    async def get(self, path: str) -> Any:
        """Return what is at a path; None where there is nothing. Raises EngineError."""
        return await self._ask("GET", path)

    async def delete(self, path: str) -> bool:
        """Tell whether there was something at a path to be ended. Raises EngineError."""
        return await self._ask("DELETE", path) is not None

    async def close(self) -> None:
        await self._session.close()

    async def _ask(self, method: str, path: str) -> Any:
        try:
            async with self._session.request(method, self._base + path, allow_redirects=False) as response:
                if response.status == GONE:
                    return None
                if not response.ok or response.status >= 300:
                    raise EngineError(f"{method}: answered {response.status}")
                return True if method == "DELETE" else await response.json(content_type=None)
        except TimeoutError:
            raise EngineError(f"{method}: no answer in time") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise EngineError(f"{method}: {type(error).__name__}") from None


class RabbitMq:
    """The list of connections is up to five seconds behind; those of a user name are known at once, without more."""

    def __init__(self, management: Management) -> None:
        self._api = management

    async def connections(self) -> list[Connection]:
        listed = await self._api.get("/api/connections?columns=name,user,variable_map")
        with _expected_shape():
            found = [(one, (one.get("variable_map") or {}).get("client_id")) for one in listed]
            return [Connection(one["name"], client_id, one["user"]) for one, client_id in found if client_id]

    async def is_connected(self, visitor: Visitor) -> bool:
        if _is_known_by_name(visitor):
            return bool(await self._api.get(f"/api/connections/username/{quote(visitor.username, safe='')}"))
        return any(one.client_id == visitor.client_id for one in await self.connections())

    async def cut(self, visitor: Visitor, *, alone: bool) -> bool:
        if alone and _is_known_by_name(visitor):
            return await self._api.delete(f"/api/connections/username/{quote(visitor.username, safe='')}")
        found = [one for one in await self.connections() if one.client_id == visitor.client_id]
        for one in found:
            await self.cut_connection(one)
        return bool(found)

    async def cut_connection(self, connection: Connection) -> None:
        await self._api.delete(f"/api/connections/{quote(connection.name, safe='')}")

    async def close(self) -> None:
        await self._api.close()


class Emqx:
    """A client is known by its client id, and not by its user name."""

    def __init__(self, management: Management) -> None:
        self._api = management

    async def connections(self) -> list[Connection]:
        found: list[Connection] = []
        page = 1
        while True:
            answer = await self._api.get(f"/api/v5/clients?page={page}&limit={PAGE}")
            with _expected_shape():
                clients = answer["data"]
                live = [one for one in clients if one.get("connected", True)]
                found += [Connection(one["clientid"], one["clientid"], one.get("username") or "") for one in live]
            if len(clients) < PAGE:
                return found
            page += 1

    async def is_connected(self, visitor: Visitor) -> bool:
        found = await self._api.get(_client(visitor.client_id))
        with _expected_shape():
            return found is not None and bool(found.get("connected", True))

    async def cut(self, visitor: Visitor, *, alone: bool) -> bool:  # noqa: ARG002 - another client id is another client
        return await self._api.delete(_client(visitor.client_id))

    async def cut_connection(self, connection: Connection) -> None:
        await self._api.delete(_client(connection.client_id))

    async def close(self) -> None:
        await self._api.close()


@contextmanager
def _expected_shape() -> Iterator[None]:
    try:
        yield
    except (AttributeError, KeyError, TypeError):
        raise EngineError("GET: the answer has another shape than documented") from None


def _client(client_id: str) -> str:
    return f"/api/v5/clients/{quote(client_id, safe='')}"


def _is_known_by_name(visitor: Visitor) -> bool:
    """Whether nobody else has this user name: devices of ROMA LINK may share that of their product."""
    return visitor.username == visitor.device_id

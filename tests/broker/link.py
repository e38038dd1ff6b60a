"""ROMA LINK as the platform's tests use it: its calls, and devices that log in with a user name and a password."""

from typing import Any

from tests.broker.rig import Answer, Rig
from wire.mqtt import Connect

BASE = "/v2/default/link/instances/default"
USER_NAME, PASSWORD, OTHER = "meter-of-hall-7", "Open-Sesame-0001", "Open-Sesame-0002"

PRODUCT = {
    "name": "meters",
    "app_id": "hall",
    "manufacturer_id": "acme",
    "manufacturer_name": "Acme",
    "model": "m1",
    "product_type": 0,
    "protocol_type": 0,
}


class Link:
    """The calls of one platform's ROMA LINK."""

    def __init__(self, rig: Rig, base: str = BASE) -> None:
        self.rig = rig
        self.base = base

    async def call(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        return await self.rig.call(method, f"{self.base}/{path}", body, headers)

    async def product(self, **fields: Any) -> dict[str, Any]:
        """Create a product; fails if the platform refuses."""
        answer = await self.call("POST", "products", {**PRODUCT, **fields})
        assert answer.status == 201, answer
        return dict(answer.body)

    async def device(self, product_id: int, **fields: Any) -> dict[str, Any]:
        """Create a device; fails if the platform refuses."""
        answer = await self.create(product_id, **fields)
        assert answer.status == 201, answer
        return dict(answer.body)

    async def create(self, product_id: int, **fields: Any) -> Answer:
        wanted = {
            "product": {"product_id": product_id},
            "device_name": "meter 7",
            "node_id": "m-7",
            "app_id": "hall",
            "user_name": USER_NAME,
            "password": PASSWORD,
        }
        return await self.call("POST", "devices", {**wanted, **fields})

    async def reset(self, device_id: int, **body: Any) -> Answer:
        return await self.call("PUT", f"devices/{device_id}/authentication", body)

    async def shown(self, device_id: int) -> dict[str, Any]:
        return dict((await self.call("GET", f"devices/{device_id}")).body)


def login(device: dict[str, Any], **fields: Any) -> Connect:
    """Make the CONNECT of a device as it was created, or with other fields."""
    known = device["authentication"]
    return plain(device["client_id"], known["user_name"], known["password"], **fields)


def plain(client_id: str, user_name: str | None, password: str | None, **fields: Any) -> Connect:
    secret = None if password is None else password.encode()
    return Connect(**{"client_id": client_id, "username": user_name, "password": secret, "keepalive": 60, **fields})

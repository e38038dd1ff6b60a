"""Writers who change devices of their own through the control API, one change at a time, until nobody answers."""

import json
from itertools import count
from random import Random

import aiohttp

from tests.soak.bookkeeping import GENERATED, Books, Known

DEVICES_EACH = 3
PRODUCT = "kills"
V5 = "/v5/iot/p/devices"
GONE = (aiohttp.ClientError, OSError)


class Writer:
    """Owns a few devices; what it asks for and what is answered goes into the books."""

    secrets = (f"secret-{number:08}" for number in count(1))

    def __init__(self, name: str, books: Books, rng: Random) -> None:
        self.device_ids = [f"{name}-{number}" for number in range(DEVICES_EACH)]
        self._books = books
        self._rng = rng
        for device_id in self.device_ids:
            books.devices[device_id] = Known(device_id)

    async def write(self, http: aiohttp.ClientSession) -> None:
        """Change one thing after the other; returns when the platform is gone."""
        try:
            while True:
                match self._rng.choices(("one", "each", "together"), (80, 10, 10))[0]:
                    case "one":
                        await self._change(http, self._rng.choice(self.device_ids))
                    case "each":
                        await self._reset_all(http)
                    case "together":
                        await self._provision(http)
        except GONE:
            return

    async def _change(self, http: aiohttp.ClientSession, device_id: str) -> None:
        after = self._books.copy(device_id)
        if not after.exists:
            await self._create(http, after)
            return
        match self._rng.choices(("reset", "frozen", "update", "delete"), (70, 15, 10, 5))[0]:
            case "reset":
                await self._reset(http, after)
            case "frozen":
                after.frozen = not after.frozen
                action = "freeze" if after.frozen else "unfreeze"
                await self._ask(http, after, "POST", f"{V5}/{device_id}/{action}")
            case "update":
                text = f"text {self._rng.randrange(1_000_000)}"
                after.texts = (text, text)
                await self._ask(http, after, "PUT", f"{V5}/{device_id}", {"device_name": text, "description": text})
            case "delete":
                after.deleted()
                await self._ask(http, after, "DELETE", f"{V5}/{device_id}")

    async def _create(self, http: aiohttp.ClientSession, after: Known) -> None:
        secret = next(self.secrets)
        after.created(secret)
        about = {"device_id": after.device_id, "product_id": PRODUCT, "node_id": after.device_id}
        await self._ask(http, after, "POST", V5, {**about, "auth_info": {"secret": secret}})

    async def _reset(self, http: aiohttp.ClientSession, after: Known) -> None:
        slot, secret = self._rng.choice(("primary", "secondary")), self._rng.choice((GENERATED, next(self.secrets)))
        after.reset(slot, secret)
        body = {"secret_type": slot.upper(), "force_disconnect": True, **({"secret": secret} if secret else {})}
        path = f"{V5}/{after.device_id}/action?action_id=resetSecret"
        await self._ask(http, after, "POST", path, body, slot)

    async def _reset_all(self, http: aiohttp.ClientSession) -> None:
        """In one call: what a line says is acknowledged, the rest is not."""
        slot, asked = self._rng.choice(("primary", "secondary")), []
        for device_id in self.device_ids:
            if self._books.devices[device_id].exists:
                after, secret = self._books.copy(device_id), next(self.secrets)
                after.reset(slot, secret)
                self._books.ask(after)
                asked.append({"device_id": device_id, "secret": secret})
        if not asked:
            return
        body = {"resets": asked, "secret_type": slot.upper()}
        async with http.post("/_platform/devices/reset-secrets", json=body) as answer:
            assert answer.status == 200, await answer.text()
            async for line in answer.content:
                told = json.loads(line)
                if "device_id" in told:
                    assert "secret" in told, told
                    self._books.acknowledge(told["device_id"])

    async def _provision(self, http: aiohttp.ClientSession) -> None:
        """Add or replace all devices, in one call: all of them or none."""
        afters, lines = [], []
        for device_id in self.device_ids:
            after, primary, secondary = self._books.copy(device_id), next(self.secrets), next(self.secrets)
            after.provisioned(primary, secondary)
            afters.append(after)
            about = {"device_id": device_id, "product_id": PRODUCT, "node_id": device_id}
            lines.append(json.dumps({**about, "primary": primary, "secondary": secondary}))
        self._books.ask_together(afters)
        sent = "\n".join(lines).encode()
        headers = {"Content-Type": "application/x-ndjson"}
        async with http.post("/_platform/devices", data=sent, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
        self._books.acknowledge_together(self.device_ids)

    async def _ask(
        self, http: aiohttp.ClientSession, after: Known, method: str, path: str, body: object = None, slot: str = ""
    ) -> None:
        self._books.ask(after)
        async with http.request(method, path, json=body) as answer:
            told = await answer.json() if answer.status != 204 else None
            assert 200 <= answer.status < 300, told
        self._books.acknowledge(after.device_id, {slot: told} if slot else None)

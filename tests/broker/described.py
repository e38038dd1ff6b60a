"""Holds answers against the API's description: what is not described there is an error of one of the two."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Self

import aiohttp
import orjson
from jsonschema_rs import Draft202012Validator

from broker.server import Platform
from broker.settings import Settings

Json = dict[str, Any]
ANSWERS, BODIES = "answers", "bodies"
JSON, LINES_OF_JSON = "application/json", "application/x-ndjson"


class Description:
    """One description, with a validator for everything in it that was looked at once."""

    def __init__(self, document: Json) -> None:
        self._document = document
        self._paths = [
            (re.compile(re.sub(r"\{[^}]+\}", "[^/]+", path) + r"(\?.*)?"), item)
            for path, item in sorted(document["paths"].items(), key=lambda one: "{" in one[0])
        ]
        components = document["components"]
        self._components = {ANSWERS: closed(components), BODIES: components}
        self._validators: dict[tuple[str, bytes], Draft202012Validator] = {}

    @classmethod
    async def read(cls) -> Self:
        """Read it from a platform that is there for nothing else."""
        async with Platform(Settings(mqtt_port=0, http_port=0)) as platform, aiohttp.ClientSession() as http:
            address = f"http://127.0.0.1:{platform.http_port}/_platform/openapi.json"
            async with http.get(address) as answer:
                return cls(orjson.loads(await answer.read()))

    def objections(self, method: str, target: str, status: int, headers: Mapping[str, str], body: bytes) -> list[str]:
        """Say what of an answer is not described; `headers` by their lower-case names."""
        found = [] if headers.get("x-request-id") else ["no X-Request-Id"]
        answers = self._operation(method, target).get("responses")
        answer = _no_operation(target) if answers is None and status >= 400 else (answers or {}).get(str(status))
        if answer is None:
            return [*found, f"{status} is not described"]
        content = self._resolved(answer).get("content", {})
        media = headers.get("content-type", "").split(";")[0]
        if not content:
            return [*found, "a body where none is described"] if body else found
        if media not in content:
            return [*found, f"{media!r} is not described"]
        if media == JSON:
            found += self._errors(ANSWERS, content[media]["schema"], body)
        if media == LINES_OF_JSON:
            schema = content[media]["schema"]["contentSchema"]
            found += [one for line in body.splitlines() for one in self._errors(ANSWERS, schema, line)]
        return found

    def objections_to_taken(self, method: str, target: str, body: bytes | None) -> list[str]:
        """Say what of a body is not described although it was taken."""
        described = self._operation(method, target).get("requestBody", {}).get("content", {})
        if not body or JSON not in described or len(described) > 1:
            return []
        return self._errors(BODIES, described[JSON]["schema"], body)

    def _errors(self, kind: str, schema: Json, text: bytes) -> list[str]:
        key = kind, orjson.dumps(schema)
        if key not in self._validators:
            self._validators[key] = Draft202012Validator({**schema, "components": self._components[kind]})
        return [f"{one.instance_path}: {one.message}" for one in self._validators[key].iter_errors(orjson.loads(text))]

    def _operation(self, method: str, target: str) -> Json:
        for pattern, item in self._paths:
            if pattern.fullmatch(target) and method.lower() in item:
                operation: Json = item[method.lower()]
                return operation
        return {}

    def _resolved(self, answer: Json) -> Json:
        if "$ref" not in answer:
            return answer
        shared: Json = self._document["components"]["responses"][answer["$ref"].rpartition("/")[2]]
        return shared


def _no_operation(target: str) -> Json:
    error = "RomaError" if target.startswith("/v2/") else "Error"
    return {"content": {JSON: {"schema": {"$ref": f"#/components/schemas/{error}"}}}}


@cache
def _known() -> list[Description]:
    return []


async def description() -> Description:
    """Return the description that every platform has."""
    if not _known():
        _known().append(await Description.read())
    return _known()[0]


def closed(schema: Any) -> Any:
    """Let objects have no other properties than those that are described."""
    match schema:
        case dict():
            inner = {key: closed(value) for key, value in schema.items()}
            is_object = isinstance(schema.get("properties"), dict) and "$ref" not in schema
            return {"additionalProperties": False, **inner} if is_object else inner
        case list():
            return [closed(one) for one in schema]
    return schema

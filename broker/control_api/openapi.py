"""The description of the API, OpenAPI 3.1, put together from what the routes say of themselves."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts
from pydantic import BaseModel, TypeAdapter, ValidationError, create_model
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode
from starlette.responses import Response
from starlette.routing import BaseRoute

from broker import VERSION
from broker.control_api.described_errors import ANSWERS_OF_ALL, HEADERS, answers, common, is_tenants, sample
from broker.control_api.documented import JSON, KEY, LINES_OF_JSON, Documented, documented
from broker.control_api.errors import InvalidBody, MalformedBody, json_response
from broker.errors import BrokerError, InvalidInput

Json = dict[str, Any]
REF = "#/components/schemas/{model}"
ABOUT = (
    "A local platform for tests, shaped like Huawei Cloud IoTDA (/v5) and ROMA Connect LINK (/v2), and its own "
    "administration under /_platform. "
    "What a platform wants of its callers is its own setting: nothing, X-Auth-Token, a signature, or either. "
    "A path or method that is not listed here is answered with 404 or 405 and the same kind of body."
)
SECURITY = {
    "token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"},
    "signature": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "SDK-HMAC-SHA256 or V11-HMAC-SHA256 over the request and X-Sdk-Date, by access and secret key.",
    },
}
REQUEST_ID = {"description": "Never used twice.", "required": True, "schema": {"type": "string", "minLength": 1}}
ERROR_TEXTS = {"error_code": {"type": "string"}, "error_msg": {"type": "string"}}
ERROR = {"type": "object", "properties": ERROR_TEXTS, "required": ["error_code", "error_msg"]}
ROMA_ERROR = {
    "type": "object",
    "properties": {**ERROR_TEXTS, "request_id": {"type": "string", "description": "As in X-Request-Id."}},
    "required": ["error_code", "error_msg", "request_id"],
}
INSTANCE = {"name": "Instance-Id", "in": "header", "required": False, "schema": {"type": "string"}}


def router(routes: Callable[[], Sequence[BaseRoute]]) -> APIRouter:
    """Serve the description of these routes, and of its own; it is made when it is first asked for."""
    api = APIRouter(prefix="/_platform", tags=["platform"])

    @cache
    def body() -> Json:
        return describe(routes())

    @api.get("/openapi.json", **documented(answer=Json))
    async def describe_the_api() -> Response:
        return json_response(body())

    return api


def describe(routes: Sequence[BaseRoute]) -> Json:
    """Describe every route of FastAPI's kind; the same routes give the same description."""
    operations = [_Operation(one) for one in iter_route_contexts(routes) if isinstance(one.original_route, APIRoute)]
    schemas, components = _schemas(one for operation in operations for one in operation.models())
    paths: Json = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method] = operation.described(schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "keyturn", "version": VERSION, "description": ABOUT},
        "security": [{}, *({name: []} for name in SECURITY)],
        "paths": paths,
        "components": {
            "schemas": {"Error": ERROR, "RomaError": ROMA_ERROR, **components},
            "headers": {"RequestId": REQUEST_ID},
            "responses": ANSWERS_OF_ALL,
            "securitySchemes": SECURITY,
        },
    }


class _PlainSchema(GenerateJsonSchema):
    """Fields without titles; what may be left out has no default null."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - the base class's signature
        return False

    def default_schema(self, schema: Any) -> Json:
        made = super().default_schema(schema)
        if made.get("default", ...) is None:
            del made["default"]
        return made


Model = tuple[Any, JsonSchemaMode]
Schemas = dict[Model, Json]


def _schemas(models: Iterable[Model]) -> tuple[Schemas, Json]:
    """Return each model's schema, and the components that they refer to."""
    inputs = [(model, model[1], TypeAdapter(model[0])) for model in dict.fromkeys(models)]
    made, rest = TypeAdapter.json_schemas(inputs, ref_template=REF, schema_generator=_PlainSchema)
    return {key: schema for (key, _), schema in made.items()}, rest.get("$defs", {})


class _Operation:
    """One method of one path."""

    def __init__(self, route: RouteContext) -> None:
        self.path = str(route.path_format)
        self.method = min(route.methods or ()).lower()
        self._name = str(route.name)
        self._tag = str(route.tags[0])
        self._says: Documented = (route.openapi_extra or {}).get(KEY, Documented(status=route.status_code or 200))
        self._names = list(route.param_convertors)
        self._ids = _properties(_model_of(route.dependant.path_params))
        self._query = _query_of(route, self._says)

    def models(self) -> Iterator[Model]:
        if self._says.body is not None:
            yield self._says.body, "validation"
        if self._says.answer is not None:
            yield self._says.answer, "serialization"

    def described(self, schemas: Schemas) -> Json:
        about: Json = {
            "operationId": f"{self._tag.lower()}_{self._name}",
            "summary": self._name.replace("_", " ").capitalize(),
            "tags": [self._tag],
        }
        if parameters := [*self._path_parameters(), *self._query_parameters()]:
            about["parameters"] = parameters
        if self._says.body is not None:
            about["requestBody"] = self._body(self._says.body, schemas[self._says.body, "validation"])
        return {**about, "responses": self._answers(schemas)}

    def _path_parameters(self) -> Iterator[Json]:
        for name in self._names:
            schema = self._ids.get(name, {"type": "string", "minLength": 1})
            yield {"name": name, "in": "path", "required": True, "schema": schema}
        if is_tenants(self.path):
            yield INSTANCE

    def _query_parameters(self) -> Iterator[Json]:
        """A parameter is left out or it is a text: there is no null among them."""
        if self._query is None:
            return
        schema = TypeAdapter(self._query).json_schema(schema_generator=_PlainSchema)
        for name, field in schema.get("properties", {}).items():
            (kind,) = [one for one in field.pop("anyOf", [field]) if one.get("type") != "null"]
            if reference := kind.get("$ref"):
                kind = schema["$defs"][reference.removeprefix("#/$defs/")]
            required = name in schema.get("required", ())
            yield {"name": name, "in": "query", "required": required, "schema": {**field, **kind}}

    def _body(self, model: type[BaseModel], schema: Json) -> Json:
        if self._says.body_is_lines:
            about = "A JSON object a line; empty lines are skipped. All of the lines are taken, or none."
            content = {LINES_OF_JSON: {"schema": _lines(schema)}, JSON: {"schema": schema}}
            return {"description": about, "required": False, "content": content}
        required = not _takes_nothing(model)
        taken = schema if required else {"anyOf": [schema, {"type": "null"}]}
        return {"required": required, "content": {JSON: {"schema": taken}}}

    def _answers(self, schemas: Schemas) -> Json:
        says = self._says
        good: Json = {"description": HTTPStatus(says.status).phrase, "headers": HEADERS}
        if says.answer is not None:
            schema = schemas[says.answer, "serialization"]
            shown = _lines(schema) if says.answer_media == LINES_OF_JSON else schema
            good["content"] = {says.answer_media: {"schema": shown}}
        return {str(says.status): good, **answers(self._refusals(), self.method.upper(), self.path)}

    def _refusals(self) -> Iterator[BrokerError]:
        yield from common(self.path)
        yield from map(sample, self._says.errors)
        if self._query is not None:
            yield InvalidInput()
        if self._says.body is not None:
            yield from (InvalidBody(), MalformedBody())


def _lines(schema: Json) -> Json:
    return {"type": "string", "contentMediaType": LINES_OF_JSON, "contentSchema": schema}


def _takes_nothing(model: type[BaseModel]) -> bool:
    """Whether a request without a body is one."""
    try:
        model.model_validate({})
    except ValidationError:
        return False
    return True


def _query_of(route: RouteContext, says: Documented) -> type[BaseModel] | None:
    """Return the model of the query, or make one of the parameters in the route's signature."""
    if says.query is not None:
        return says.query
    parameters = route.dependant.query_params
    for one in parameters:
        annotation = one.field_info.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            return annotation
    return _model_of(parameters) if parameters else None


def _model_of(parameters: Iterable[Any]) -> type[BaseModel]:
    """Make a model of parameters in a route's signature, as FastAPI knows them."""
    fields: Any = {one.alias: (one.field_info.annotation, one.field_info) for one in parameters}
    return create_model("Parameters", **fields)


def _properties(model: type[BaseModel]) -> Json:
    schema = TypeAdapter(model).json_schema(schema_generator=_PlainSchema)
    return dict(schema.get("properties", {}))

"""The check of answers against the description sees what it is there to see."""

import orjson
import pytest

from tests.broker.described import Description, description

DEVICE = "/v5/iot/p/devices/d1"
HEADERS = {"x-request-id": "r-1", "content-type": "application/json"}
NEW_SECRET = {"device_id": "d1", "secret": "primary-secret-1", "secret_type": "PRIMARY"}
UNKNOWN = {"error_code": "IOTDA.014000", "error_msg": "The device does not exist."}


@pytest.fixture
async def described() -> Description:
    return await description()


def test_answers_as_they_are_described_pass(described: Description) -> None:
    action = f"{DEVICE}/action?action_id=resetSecret"
    assert described.objections("POST", action, 200, HEADERS, orjson.dumps(NEW_SECRET)) == []
    assert described.objections("POST", action, 404, HEADERS, orjson.dumps(UNKNOWN)) == []
    assert described.objections("DELETE", DEVICE, 204, {"x-request-id": "r-1"}, b"") == []
    assert described.objections("GET", "/nowhere", 404, HEADERS, orjson.dumps(UNKNOWN)) == []


@pytest.mark.parametrize(
    ("status", "headers", "body", "objection"),
    [
        (202, HEADERS, NEW_SECRET, "202 is not described"),
        (409, HEADERS, UNKNOWN, "409 is not described"),
        (200, {"content-type": "application/json"}, NEW_SECRET, "no X-Request-Id"),
        (200, {**HEADERS, "content-type": "text/plain"}, NEW_SECRET, "'text/plain' is not described"),
        (200, HEADERS, {**NEW_SECRET, "extra": 1}, "Additional properties are not allowed"),
        (200, HEADERS, {**NEW_SECRET, "secret": 1}, "is not of type"),
        (200, HEADERS, {"device_id": "d1"}, "is a required property"),
        (404, HEADERS, {**UNKNOWN, "error_code": "IOTDA.014039"}, "is not one of"),
        (404, HEADERS, {**UNKNOWN, "request_id": "r-1"}, "Additional properties are not allowed"),
    ],
)
def test_what_is_not_described_is_objected_to(
    described: Description, status: int, headers: dict[str, str], body: object, objection: str
) -> None:
    found = described.objections("POST", f"{DEVICE}/action", status, headers, orjson.dumps(body))
    assert objection in str(found)


def test_body_where_none_is_described_is_objected_to(described: Description) -> None:
    assert described.objections("DELETE", DEVICE, 204, HEADERS, b"null") == ["a body where none is described"]


def test_answer_that_an_undescribed_path_gives_is_an_error_of_the_common_kind(described: Description) -> None:
    assert described.objections("GET", "/nowhere", 200, HEADERS, b"{}") == ["200 is not described"]
    assert "required property" in str(described.objections("GET", "/nowhere", 404, HEADERS, b"{}"))


def test_body_that_was_taken_must_be_described(described: Description) -> None:
    target = f"{DEVICE}/action?action_id=resetSecret"
    assert described.objections_to_taken("POST", target, b'{"force_disconnect": null, "more": 1}') == []
    assert described.objections_to_taken("POST", target, b"null") == []
    assert "is not valid" in str(described.objections_to_taken("POST", target, b'{"force_disconnect": 1}'))

"""What a broker asks, read from its own words: forms of RabbitMQ, JSON of EMQX 5. What cannot be read is None."""

from dataclasses import field
from enum import StrEnum
from urllib.parse import parse_qsl

import orjson

from wire.record import record

MAX_FIELDS = 32


class Use(StrEnum):
    """What a device wants of a topic."""

    PUBLISH = "publish"
    SUBSCRIBE = "subscribe"


@record
class Login:
    """A CONNECT as far as it is told: no keep alive and, by RabbitMQ, no address.

    Who logs in without a client id (over AMQP, say) has an empty one.
    """

    client_id: str
    username: str | None
    password: bytes | None = field(repr=False)
    peer: str | None = None


@record
class TopicUse:
    """`topic` is a topic or a filter; RabbitMQ tells the routing key that it makes of either."""

    client_id: str
    use: Use
    topic: str


@record
class ResourceUse:
    """What a device touches of RabbitMQ's own: a queue or an exchange."""

    client_id: str
    kind: str
    name: str


def login_of_form(body: bytes) -> Login | None:
    fields = _form(body)
    if fields is None or "username" not in fields:
        return None
    password = fields.get("password")
    return Login(fields.get("client_id", ""), fields["username"], None if password is None else password.encode())


def virtual_host_of_form(body: bytes) -> str | None:
    """Return the client id of who wants to use a virtual host."""
    return (_form(body) or {}).get("client_id")


def resource_of_form(body: bytes) -> ResourceUse | None:
    fields = _form(body) or {}
    try:
        return ResourceUse(fields["client_id"], fields["resource"], fields["name"])
    except KeyError:
        return None


def topic_of_form(body: bytes) -> TopicUse | None:
    fields = _form(body) or {}
    uses = {"read": Use.SUBSCRIBE, "write": Use.PUBLISH}
    try:
        return TopicUse(fields["variable_map.client_id"], uses[fields["permission"]], fields["routing_key"])
    except KeyError:
        return None


def login_of_json(body: bytes) -> Login | None:
    fields = _texts(body, "clientid", "username", "password", "peerhost")
    if fields is None or fields["clientid"] is None:
        return None
    password = fields["password"]
    encoded = None if password is None else password.encode()
    return Login(fields["clientid"], fields["username"], encoded, fields["peerhost"])


def topic_of_json(body: bytes) -> TopicUse | None:
    fields = _texts(body, "clientid", "action", "topic")
    if fields is None or fields["clientid"] is None or fields["topic"] is None or fields["action"] not in set(Use):
        return None
    return TopicUse(fields["clientid"], Use(fields["action"]), fields["topic"])


def _form(body: bytes) -> dict[str, str] | None:
    try:
        return dict(parse_qsl(body.decode("ascii"), True, errors="strict", max_num_fields=MAX_FIELDS))
    except ValueError:
        return None


def _texts(body: bytes, *names: str) -> dict[str, str | None] | None:
    """Return these members of an object, each a text or null or absent."""
    try:
        read = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(read, dict):
        return None
    found = {name: read.get(name) for name in names}
    return found if all(value is None or isinstance(value, str) for value in found.values()) else None

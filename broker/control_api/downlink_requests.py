"""The bodies that send something down to a device: a field may be left out or null, unknown fields are ignored."""

from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic.config import JsonDict

from broker.access.topics import user_topic
from broker.control_api.device_requests import LENIENT
from broker.control_api.terms import WHOLE, MessageId, MessageName, PropertyKey, PropertyText, ServiceId
from broker.messages import NewMessage
from wire.mqtt import NO_PROPERTIES, Properties, topic_error

LONGEST_TOPIC = 128
LONGEST_TTL_MIN = 1440


def _fit_topic(topic: str) -> str:
    if topic_error(topic):
        raise ValueError("expected a topic name, without wildcards")
    if "\0" in topic or len(topic.encode()) > LONGEST_TOPIC:
        raise ValueError(f"expected at most {LONGEST_TOPIC} bytes, and none of them 0")
    return topic


TOPIC = WithJsonSchema({"type": "string", "pattern": r"^[^+#\x00]+$", "maxLength": LONGEST_TOPIC})
Topic = Annotated[str, AfterValidator(_fit_topic), TOPIC]
Ttl = Annotated[int, Field(ge=0, le=LONGEST_TTL_MIN, multiple_of=5, description="minutes"), WHOLE]


class UserProperty(BaseModel):
    model_config = LENIENT

    prop_key: PropertyKey
    prop_value: PropertyText


class MessageProperties(BaseModel):
    """What a device of MQTT 5 gets beside the payload."""

    model_config = LENIENT

    correlation_data: PropertyKey | None = Field(default=None, repr=False)
    response_topic: Topic | None = None
    user_properties: Annotated[list[UserProperty], Field(max_length=20)] | None = Field(default=None, repr=False)

    def of_mqtt(self) -> Properties:
        return Properties(
            response_topic=self.response_topic,
            correlation_data=None if self.correlation_data is None else self.correlation_data.encode(),
            user_property=tuple((one.prop_key, one.prop_value) for one in self.user_properties or ()),
        )


OF_A_MESSAGE: JsonDict = {
    "if": {"properties": {"encoding": {"const": "base64"}}, "required": ["encoding"]},
    "then": {
        "properties": {
            "message": {
                "type": "string",
                "pattern": "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$",
            }
        }
    },
    "anyOf": [{"properties": {name: {"type": "null"}}} for name in ("topic", "topic_full_name")],
}


class DeviceMessageRequest(BaseModel):
    """`topic` is what follows `$oc/devices/{device_id}/user/`; `topic_full_name` is whole. One of them, or none."""

    model_config = LENIENT | ConfigDict(json_schema_extra=OF_A_MESSAGE)

    message_id: MessageId | None = None
    name: MessageName | None = None
    message: str | dict[str, Any] | list[Any] = Field(repr=False)
    properties: MessageProperties | None = Field(default=None, repr=False)
    encoding: Literal["none", "base64"] | None = None
    payload_format: Literal["standard", "raw"] | None = None
    topic: Topic | None = None
    topic_full_name: Topic | None = None
    ttl: Ttl | None = None

    @model_validator(mode="after")
    def _has_one_topic(self) -> Self:
        if self.topic is not None and self.topic_full_name is not None:
            raise ValueError("topic, topic_full_name: expected one of them")
        return self

    def message_for(self, device_id: str) -> NewMessage:
        topic = self.topic_full_name if self.topic is None else user_topic(device_id, self.topic)
        request = {
            "name": self.name,
            "message": self.message,
            "encoding": self.encoding or "none",
            "payload_format": self.payload_format or "standard",
            "topic": topic,
            "properties": self.properties and self.properties.model_dump(exclude_none=True),
        }
        return NewMessage(
            content=self.message,
            request={name: value for name, value in request.items() if value is not None},
            message_id=self.message_id,
            name=self.name,
            encoding=self.encoding or "none",
            payload_format=self.payload_format or "standard",
            topic=topic,
            properties=self.properties.of_mqtt() if self.properties else NO_PROPERTIES,
            ttl=timedelta(minutes=LONGEST_TTL_MIN if self.ttl is None else self.ttl),
        )


class DeviceCommandRequest(BaseModel):
    model_config = LENIENT

    service_id: ServiceId | None = None
    command_name: Annotated[str, Field(max_length=128)] | None = None
    paras: dict[str, Any] = Field(repr=False)


class DevicePropertiesRequest(BaseModel):
    model_config = LENIENT

    services: dict[str, Any] | list[Any] = Field(repr=False)

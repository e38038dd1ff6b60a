"""The first and the last word to a client, in its own MQTT version: CONNACK, and the DISCONNECT of MQTT 5.

A reason string says what the client can know anyway or can mend; it never tells a wrong password from an unknown
device, and it is left out when the client asked for none or takes no packet of that size.
"""

from dataclasses import replace

from broker.access.terms import PLAIN, Terms
from broker.auth.decision import Reason
from broker.sessions import Ending
from broker.settings import Settings
from wire.mqtt import ConnAck, Disconnect, Properties, ProtocolError, ReasonCode, packet_size

UNTOLD = 0xFFFF_FFFF
"""More than any limit: whoever tells none has none of its own."""

ACCEPTED = {present: ConnAck(0, present).encode() for present in (False, True)}

CODES_OF_5 = {
    1: ReasonCode.UNSUPPORTED_PROTOCOL_VERSION,
    2: ReasonCode.CLIENT_IDENTIFIER_NOT_VALID,
    3: ReasonCode.SERVER_UNAVAILABLE,
    4: ReasonCode.BAD_USER_NAME_OR_PASSWORD,
    5: ReasonCode.NOT_AUTHORIZED,
}

REFUSAL_TEXTS = {
    Reason.CLIENT_ID_SYNTAX: "expected a client id like {device_id}_0_{sign}_{YYYYMMDDHH}, or one of ROMA LINK",
    Reason.SIGN_NOT_SUPPORTED: "sign 2 is not offered, expected 0 or 1",
    Reason.AUTHENTICATION_METHOD: "no authentication method is offered, expected user name and password",
    Reason.WILL_NOT_SUPPORTED: "a will with QoS 2 or RETAIN is not offered",
    Reason.FROZEN: "the device is frozen",
    Reason.PACKET_SIZE_TOO_SMALL: "the maximum packet size leaves no room for a CONNACK",
    Reason.SECURE_ACCESS_REQUIRED: "the device is allowed on encrypted ports only",
}

FAREWELL_CODES = {
    Ending.FORCED_RESET: ReasonCode.ADMINISTRATIVE_ACTION,
    Ending.FORCED_OFFLINE: ReasonCode.ADMINISTRATIVE_ACTION,
    Ending.FROZEN: ReasonCode.ADMINISTRATIVE_ACTION,
    Ending.DELETED: ReasonCode.ADMINISTRATIVE_ACTION,
    Ending.TAKE_OVER: ReasonCode.SESSION_TAKEN_OVER,
    Ending.KEEPALIVE: ReasonCode.KEEP_ALIVE_TIMEOUT,
    Ending.TOPIC_POLICY: ReasonCode.NOT_AUTHORIZED,
    Ending.SLOW_CONSUMER: ReasonCode.QUOTA_EXCEEDED,
    Ending.STOPPING: ReasonCode.SERVER_SHUTTING_DOWN,
    Ending.INTERNAL_ERROR: ReasonCode.UNSPECIFIED_ERROR,
}
"""A protocol error brings its own code, an engine says its own last word; whoever has gone is told nothing."""

FAREWELL_TEXTS = {
    Ending.FORCED_RESET: "a secret of the device was reset",
    Ending.FORCED_OFFLINE: "the device was forced offline",
    Ending.FROZEN: "the device was frozen",
    Ending.DELETED: "the device was deleted",
    Ending.SLOW_CONSUMER: "too much was left unread",
}


def code_for(terms: Terms, code: int) -> int:
    """Translate a return code of 3.1.1 for this client; a reason code of MQTT 5 stays what it is."""
    return CODES_OF_5.get(code, code) if terms.level == 5 else code


class Greeting:
    """The CONNACK that accepts, with what we offer to clients of MQTT 5; it is the same for nearly all of them."""

    def __init__(self, settings: Settings) -> None:
        self._is_open = settings.is_open
        self._offer = Properties(
            receive_maximum=settings.receive_maximum,
            maximum_qos=1,
            retain_available=0,
            maximum_packet_size=packet_size(settings.max_packet_body),
            topic_alias_maximum=0,
            subscription_identifier_available=0,
            shared_subscription_available=0,
        )
        self._usual = {present: ConnAck(0, present, self._offer).encode(5) for present in (False, True)}
        self.longest = len(self.encode(PLAIN[5], present=False, expiry_s=0))
        """What a client must take, in bytes, to be told what we do not offer (5.0 §3.2.2.3.4 and on)."""

    def encode(self, terms: Terms, present: bool, expiry_s: int | None = None, engine: ConnAck | None = None) -> bytes:
        """Say whether a stored state was present, and how long it will be kept if not as long as was asked for.

        What the `engine` takes less of than we do, it takes of our client too.
        """
        if terms.level != 5:
            return ACCEPTED[present]
        if engine is None and expiry_s is None:
            return self._usual[present]
        offer = self._offer if engine is None else self._offer_with(engine.properties)
        return ConnAck(0, present, replace(offer, session_expiry_interval=expiry_s)).encode(5)

    def pass_on(self, terms: Terms, engine: ConnAck) -> bytes:
        """Greet a guest as the engine does, but for the size of packets that we take."""
        size = min(self._offer.maximum_packet_size or UNTOLD, engine.properties.maximum_packet_size or UNTOLD)
        return replace(engine, properties=replace(engine.properties, maximum_packet_size=size)).encode(terms.level)

    def _offer_with(self, engine: Properties) -> Properties:
        """Return what we offer with an engine of that offer behind us: all of it through an open gate."""
        ours = self._offer
        base = replace(engine, server_keep_alive=None, assigned_client_identifier=None) if self._is_open else ours
        return replace(
            base,
            receive_maximum=min(ours.receive_maximum or UNTOLD, engine.receive_maximum or UNTOLD),
            maximum_packet_size=min(ours.maximum_packet_size or UNTOLD, engine.maximum_packet_size or UNTOLD),
        )


def refusal(terms: Terms, code: int, reason: Reason, settings: Settings) -> bytes:
    """The CONNACK that refuses with a code that `code_for` made; nothing if the client does not take even that."""
    text = REFUSAL_TEXTS.get(reason)
    if reason is Reason.KEEPALIVE_OUT_OF_RANGE:
        text = "expected a keep alive of {} to {} s".format(*settings.keepalive_range_s)
    return _explained(ConnAck(code), terms, text)


def farewell(terms: Terms, ending: Ending, error: ProtocolError | None = None) -> bytes:
    """The DISCONNECT that comes before the close; nothing where there is none to send."""
    code = FAREWELL_CODES.get(ending) if error is None else error.code
    if terms.level != 5 or code is None:
        return b""
    text = FAREWELL_TEXTS.get(ending) if error is None else str(error)
    return _explained(Disconnect(code), terms, text)


def _explained(packet: ConnAck | Disconnect, terms: Terms, text: str | None) -> bytes:
    if text and terms.level == 5 and terms.problem_information:
        longer = replace(packet, properties=Properties(reason_string=text)).encode(5)
        if len(longer) <= terms.maximum_packet_size:
            return longer
    plain = packet.encode(terms.level)
    return plain if len(plain) <= terms.maximum_packet_size else b""

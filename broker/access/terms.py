"""What a client's CONNECT asks of the server, besides being let in."""

from dataclasses import dataclass

from wire.mqtt import NO_PROPERTIES, Connect

UNBOUNDED = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class Terms:
    """How a client wants to be spoken to; `level` is its protocol level, sizes are in bytes.

    Only MQTT 5 can ask for anything: the other fields are what 3.1.1 takes for granted.
    """

    level: int = 4
    receive_maximum: int = 65_535
    maximum_packet_size: int = UNBOUNDED
    problem_information: bool = True


PLAIN = {level: Terms(level) for level in (3, 4, 5)}
"""The terms of nearly everybody, shared: a session has no copy of its own."""

VERSIONS = {3: "3.1", 4: "3.1.1", 5: "5"}


def session_expiry_s(packet: Connect) -> int:
    """How long the client wants its state kept when the session is over; 3.1.1 can only say for ever, or not at all."""
    if packet.level < 5:
        return 0 if packet.clean_session else UNBOUNDED
    return packet.properties.session_expiry_interval or 0


def terms_of(packet: Connect) -> Terms:
    if packet.properties is NO_PROPERTIES:
        return PLAIN[packet.level]
    asked = packet.properties
    return Terms(
        packet.level,
        65_535 if asked.receive_maximum is None else asked.receive_maximum,
        UNBOUNDED if asked.maximum_packet_size is None else asked.maximum_packet_size,
        asked.request_problem_information != 0,
    )

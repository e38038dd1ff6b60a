"""The CONNECT that a session is relayed with: no secret, the device id for a client id, no `$oc` topic. Pure."""

from dataclasses import replace

from broker.access.terms import Terms
from broker.access.topics import is_platforms
from broker.sessions import Session
from broker.settings import Settings
from wire.mqtt import NO_PROPERTIES, Connect, Properties, Will


def window_of(terms: Terms, settings: Settings) -> int:
    """How many messages of ours a client is to have unacknowledged at a time; a broker behind us gets the rest."""
    room = max(1, terms.receive_maximum // 2) if settings.engine.is_broker else terms.receive_maximum
    return min(settings.inflight_window, room)


def takes_will(settings: Settings, will: Will | None) -> bool:
    """Whether a will goes to the engine; one on an `$oc` topic would be the engine's word on what is the platform's."""
    return will is None or (settings.is_open and not is_platforms(will.topic))


def greeting(session: Session, packet: Connect, settings: Settings) -> Connect:
    """A guest's is its own; a device has no keep alive there: its silence is for the gate to judge."""
    username, password = settings.engine.username, settings.engine.login
    will = packet.will if takes_will(settings, packet.will) else None
    if session.slot is None:
        return replace(packet, username=username, password=password, will=will)
    return Connect(
        session.device_id,
        username,
        password,
        keepalive=0,
        clean_session=packet.clean_session or (packet.level < 5 and not session.keep_s),
        will=will,
        level=max(packet.level, 4),
        properties=_wishes(session, packet, settings) if packet.level == 5 else NO_PROPERTIES,
    )


def _wishes(session: Session, packet: Connect, settings: Settings) -> Properties:
    asked = packet.properties
    room = asked.receive_maximum
    wishes = asked if settings.is_open else Properties(maximum_packet_size=asked.maximum_packet_size)
    return replace(
        wishes,
        session_expiry_interval=session.keep_s or None,
        receive_maximum=None if room is None else max(1, room - window_of(session.terms, settings)),
    )

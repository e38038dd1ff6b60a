"""What the platform says of itself: its description, its counters, its sessions."""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from broker import VERSION
from broker.access.terms import VERSIONS
from broker.auth.registry import Slot
from broker.control_api.services import Services
from broker.sessions import Session
from broker.statistics import Figures, Statistics


class Address(BaseModel):
    host: str
    port: int


class Description(BaseModel):
    """`ca` is the certificate of the authority that vouches for the platform, if it is the platform's own (PEM)."""

    name: Literal["keyturn"]
    version: str
    run: str
    mqtt: Address
    mqtts: Address | None
    coap: Address | None
    coaps: Address | None
    ca: str | None
    devices: int
    sessions: int
    journal_records: int
    journal_records_lost: int


@dataclass(slots=True)
class ShownStatistics(Statistics):
    """The counters, and what is looked up when they are asked for."""

    __pydantic_config__ = ConfigDict(json_schema_serialization_defaults_required=True)

    devices: int = 0
    online: int = 0
    stored_states: int = 0
    journal_records_lost: int = 0
    loop_lag_p99_ms: float = 0.0
    rss_kb: int = 0


class ShownSession(BaseModel):
    """`via` names the broker that holds the connection, if it is not us; we are not told its MQTT version."""

    device_id: str
    slot: Slot
    secret_version: int
    current: bool
    connected_at: datetime
    client_id: str
    peer: str
    mqtt: Literal["3.1", "3.1.1", "5"] | None
    via: str | None


class SessionList(BaseModel):
    count: int
    sessions: list[ShownSession]


def description(services: Services) -> dict[str, object]:
    return {
        "name": "keyturn",
        "version": VERSION,
        "run": services.run,
        "mqtt": _address(services, services.mqtt_port),
        **{scheme: _address(services, services.more_ports.get(scheme)) for scheme in ("mqtts", "coap", "coaps")},
        "ca": services.ca,
        "devices": len(services.registry),
        "sessions": len(services.sessions),
        "journal_records": services.journal.written,
        "journal_records_lost": services.journal.lost,
    }


def _address(services: Services, port: int | None) -> dict[str, object] | None:
    """Where devices connect; None for a port that is not served."""
    return None if port is None else {"host": services.host, "port": port}


def statistics(services: Services, figures: Figures) -> dict[str, object]:
    return {
        **{field.name: getattr(figures.statistics, field.name) for field in fields(Statistics)},
        "devices": len(services.registry),
        "online": len(services.sessions),
        "stored_states": figures.stored_states,
        "journal_records_lost": services.journal.lost,
        "loop_lag_p99_ms": figures.loop_lag_p99_ms,
        "rss_kb": figures.rss_kb,
    }


def shown_session(services: Services, session: Session) -> dict[str, object]:
    assert session.slot is not None, "a guest is not among the sessions of devices"
    assert session.version is not None, "as above"
    return {
        "device_id": session.device_id,
        "slot": session.slot,
        "secret_version": session.version,
        "current": services.registry.is_current(session.device_id, session.slot, session.version),
        "connected_at": session.connected_at.isoformat(),
        "client_id": session.client_id,
        "peer": session.peer,
        "mqtt": VERSIONS[session.terms.level] if session.via is None else None,
        "via": session.via,
    }

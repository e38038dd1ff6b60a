"""One SUBSCRIBE, answered by two: the gate for a device's own topics, the broker for the rest. Pure.

A code that is None is the broker's to give.
"""

from dataclasses import replace

from wire.mqtt import ProtocolError, Subscribe, Unsubscribe

Codes = tuple[int | None, ...]


def brokers_share(packet: Subscribe, codes: Codes, highest_qos: int) -> Subscribe | None:
    """Return what the broker is asked for: the packet itself if that is all of it, None if it is nothing."""
    pairs = zip(packet.filters, codes, strict=True)
    filters = tuple((text, min(qos, highest_qos)) for (text, qos), code in pairs if code is None)
    if filters == packet.filters:
        return packet
    options = tuple(one for one, code in zip(packet.options, codes, strict=False) if code is None)
    return replace(packet, filters=filters, options=options) if filters else None


def unwanted_share(packet: Unsubscribe, codes: Codes) -> Unsubscribe | None:
    """Return what the broker is to give up, as above."""
    filters = tuple(text for text, code in zip(packet.filters, codes, strict=True) if code is None)
    if filters == packet.filters:
        return packet
    return replace(packet, filters=filters) if filters else None


def merged(codes: Codes, given: tuple[int, ...]) -> tuple[int, ...]:
    """Put the broker's codes into their places; raises ProtocolError unless there is one for each."""
    if codes.count(None) != len(given):
        raise ProtocolError(f"{len(given)} codes for {codes.count(None)} filters")
    its = iter(given)
    return tuple(next(its) if code is None else code for code in codes)

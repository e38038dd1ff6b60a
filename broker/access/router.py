"""The builtin engine: who subscribed to what among the custom topics, and who gets a message."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Grant:
    """What a subscription brings: messages at up to `qos`; with `no_local` none of the subscriber's own."""

    qos: int
    no_local: bool = False


class Router(Generic[S]):
    """Subscriptions of subscribers `S` (hashable); QoS 0 and 1.

    A topic finds its exact filters in a dictionary and its wildcard filters in a tree of levels. Topics that start
    with `$` never come here, so a leading wildcard needs no exception [MQTT-4.7.2-1].
    """

    def __init__(self) -> None:
        self._exact: dict[str, dict[S, Grant]] = {}
        self._wild: _Level[S] = _Level()
        self._filters: dict[S, set[str]] = {}

    def subscribe(self, subscriber: S, topic_filter: str, grant: Grant) -> None:
        """Add a subscription, or change what the same filter grants [MQTT-3.8.4-3]."""
        self._filters.setdefault(subscriber, set()).add(topic_filter)
        if _is_wild(topic_filter):
            self._wild.at(topic_filter.split("/")).subscribers[subscriber] = grant
        else:
            self._exact.setdefault(topic_filter, {})[subscriber] = grant

    def unsubscribe(self, subscriber: S, topic_filter: str) -> bool:
        """Take a subscription away; False if there was none."""
        filters = self._filters.get(subscriber, set())
        if topic_filter not in filters:
            return False
        filters.remove(topic_filter)
        if not filters:
            del self._filters[subscriber]
        self._remove(subscriber, topic_filter)
        return True

    def forget(self, subscriber: S) -> dict[str, Grant]:
        """Remove every subscription of a subscriber; returns them, by their filters."""
        return {text: self._remove(subscriber, text) for text in self._filters.pop(subscriber, ())}

    def receivers(self, topic: str, sender: S) -> dict[S, int]:
        """Return who gets a sender's message, each once, at the highest QoS of the filters that match."""
        found: dict[S, int] = {}
        for subscribers in self._subscribed_to(topic):
            for subscriber, grant in subscribers.items():
                if grant.no_local and subscriber == sender:
                    continue
                if grant.qos >= found.get(subscriber, 0):
                    found[subscriber] = grant.qos
        return found

    def subscribed_qos(self, subscriber: S, topic: str) -> int | None:
        """Return the highest QoS of a subscriber's filters that match; None if none does."""
        grants = (subscribers.get(subscriber) for subscribers in self._subscribed_to(topic))
        return max((grant.qos for grant in grants if grant is not None), default=None)

    def _subscribed_to(self, topic: str) -> Iterator[dict[S, Grant]]:
        yield self._exact.get(topic, {})
        yield from self._wild.matching(topic.split("/"))

    def _remove(self, subscriber: S, topic_filter: str) -> Grant:
        if _is_wild(topic_filter):
            return self._wild.remove(topic_filter.split("/"), subscriber)
        subscribers = self._exact[topic_filter]
        grant = subscribers.pop(subscriber)
        if not subscribers:
            del self._exact[topic_filter]
        return grant


class _Level(Generic[S]):
    """One level of the wildcard filters: the levels below, and who subscribed to the filter that ends here."""

    __slots__ = ("below", "subscribers")

    def __init__(self) -> None:
        self.below: dict[str, _Level[S]] = {}
        self.subscribers: dict[S, Grant] = {}

    def at(self, levels: list[str]) -> "_Level[S]":
        """Return the level where these end, made on the way if need be."""
        here = self
        for level in levels:
            here = here.below.setdefault(level, _Level())
        return here

    def remove(self, levels: list[str], subscriber: S) -> Grant:
        """Take a subscriber away, and every level that nobody needs any more."""
        path = [self]
        for level in levels:
            path.append(path[-1].below[level])
        grant = path[-1].subscribers.pop(subscriber)
        for above, level, here in zip(reversed(path[:-1]), reversed(levels), reversed(path), strict=False):
            if here.below or here.subscribers:
                break
            del above.below[level]
        return grant

    def matching(self, levels: list[str]) -> Iterator[dict[S, Grant]]:
        """Yield the subscribers of every filter that matches these levels; '#' includes the level above it."""
        here = [self]
        for level in levels:
            yield from (one.below["#"].subscribers for one in here if "#" in one.below)
            here = [one.below[name] for one in here for name in (level, "+") if name in one.below]
        for one in here:
            yield one.subscribers
            if "#" in one.below:
                yield one.below["#"].subscribers


def _is_wild(topic_filter: str) -> bool:
    return "+" in topic_filter or "#" in topic_filter

"""Topic names and topic filters (MQTT 3.1.1 and 5.0 §4.7): what is well formed, and what matches what."""

SHARE = "$share/"


def topic_error(topic: str) -> str | None:
    """Say what is wrong with a topic *name* [MQTT-4.7.3-1, -3.3.2-2], or None."""
    if not topic:
        return "an empty topic name"
    if "+" in topic or "#" in topic:
        return f"a wildcard in the topic name {topic[:80]!r}"
    return None


def filter_error(topic_filter: str) -> str | None:
    """Say what is wrong with a topic *filter* [MQTT-4.7.1-2, -3], or None."""
    if not topic_filter:
        return "an empty topic filter"
    levels = topic_filter.split("/")
    for number, level in enumerate(levels, 1):
        if "#" in level and (level != "#" or number != len(levels)):
            return f"'#' is not alone in the last level of {topic_filter[:80]!r}"
        if "+" in level and level != "+":
            return f"'+' is not alone in its level of {topic_filter[:80]!r}"
    return None


def is_shared(topic_filter: str) -> bool:
    """Tell whether a filter of MQTT 5.0 asks for a shared subscription (5.0 §4.8.2)."""
    return topic_filter.startswith(SHARE)


def share_error(topic_filter: str) -> str | None:
    """Say what is wrong with the share name of a well-formed filter [MQTT-4.8.2-1, -2], or None."""
    if not is_shared(topic_filter):
        return None
    name, _, rest = topic_filter.removeprefix(SHARE).partition("/")
    if not name or not rest or name in ("+", "#"):
        return f"no '$share/name/filter' in {topic_filter[:80]!r}"
    return None


def matches(topic_filter: str, topic: str) -> bool:
    """Tell whether a topic name matches a filter; a leading wildcard never matches '$' [MQTT-4.7.2-1]."""
    wanted, levels = topic_filter.split("/"), topic.split("/")
    if levels[0].startswith("$") and wanted[0] in ("+", "#"):
        return False
    for number, level in enumerate(wanted):
        if level == "#":
            return True
        if number >= len(levels) or level not in ("+", levels[number]):
            return False
    return len(wanted) == len(levels)

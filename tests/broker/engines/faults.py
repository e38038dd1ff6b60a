"""What engines get wrong that the gate cannot mend: each is asserted, so that a test fails on the day it is mended."""

from enum import Enum

from tests.broker.engines.stage import NAMES, Engine


class Fault(Enum):
    LACKS_5 = "clients of MQTT 5 are refused"
    HANGS_UP_AT_5 = "it hangs up at a client of MQTT 5, and so counts as down"
    LOSES_UNACKNOWLEDGED = "a message of QoS 1 that was not acknowledged is not sent again"
    RAISES_QOS = "a message of QoS 0 arrives with the QoS of the subscription"
    MARKS_AS_RETAINED = "a message that waited for a device is marked as retained"
    ENDS_AT_DOLLAR = "a message on a topic that begins with $ ends the session of who says it, with an open gate"
    LEAKS_RETAINED = "a retained message goes to clients that never subscribed to it"
    CUTS_WHO_STOPS_READING = "a client that leaves too much unread is cut, and what it did not read is lost"


KNOWN: dict[str, set[Fault]] = {
    "builtin": {Fault.CUTS_WHO_STOPS_READING},
    "amqtt": {
        Fault.LACKS_5,
        Fault.LOSES_UNACKNOWLEDGED,
        Fault.RAISES_QOS,
        Fault.MARKS_AS_RETAINED,
        Fault.ENDS_AT_DOLLAR,
        Fault.LEAKS_RETAINED,
        Fault.CUTS_WHO_STOPS_READING,
    },
    "mosquitto": set(),
    "mosquitto-unix": set(),
    "rabbitmq": {Fault.HANGS_UP_AT_5},
}
assert KNOWN.keys() == set(NAMES)


def has(engine: Engine, fault: Fault) -> bool:
    return fault in KNOWN[engine.name]

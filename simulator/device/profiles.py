"""Named device behaviours: what a firmware does after a refusal, after a cut, and how it waits.

The `huawei-*` profiles follow what the vendor's device SDKs really do, read in their sources and seen on the
wire: Python 1.2.0 (github.com/huaweicloud/huaweicloud-iot-device-sdk-python@dd0ee5c), Java 1.2.1 (…-java@241b170),
C (…-c@5280e8c). None of them knows a second secret; a fleet's `fallback` adds one, `fallback: profile` does not.
"""

from dataclasses import dataclass

from simulator.device.backoff import Backoff, Shape
from simulator.device.keyring import Fallback


@dataclass(frozen=True, slots=True)
class Profile:
    """One behaviour.

    `reconnects_at_once`: the first try after a lost link does not wait.
    `forgets_failures`: an accepted link resets the back-off.
    `halts_on_first_refusal`: gives up when every secret is refused before it was ever accepted.
    `halts_when_not_allowed`: gives up on a refusal that blames no secret.
    `signs_once`: keeps client id and password from one attempt to the next while the secret is the same.
    `sign`: the client id's sign digit; 1 asks the platform to check the hour.
    `subscribes`: asks for its commands with QoS 1; the platform sends them with QoS 0 to a device that does not.
    """

    name: str
    source: str
    backoff: Backoff
    fallback: Fallback = Fallback.PRIMARY_ONLY
    reconnects_at_once: bool = False
    forgets_failures: bool = True
    halts_on_first_refusal: bool = False
    halts_when_not_allowed: bool = False
    signs_once: bool = False
    sign: int = 0
    subscribes: bool = False


_AWS = "AWS Architecture Blog, Exponential Backoff And Jitter"


def _plain(name: str, shape: Shape, source: str) -> Profile:
    """A firmware that does everything as it should, but for how it waits."""
    return Profile(name, source, Backoff(shape), Fallback.PRIMARY_THEN_SECONDARY, subscribes=True)


_ALL = (
    _plain("full-jitter", Shape.FULL_JITTER, _AWS),
    _plain("decorrelated", Shape.DECORRELATED, _AWS),
    _plain("exponential", Shape.EXPONENTIAL, f"{_AWS}: what it warns of"),
    _plain("fixed", Shape.FIXED, "the loop with a sleep in it that most firmware begins with"),
    _plain("no-backoff", Shape.NONE, "the loop without one"),
    Profile(
        name="huawei-python",
        source="transport/mqtt/mqtt_connection.py",
        backoff=Backoff(Shape.VENDOR, pause_s=1.0),
        reconnects_at_once=True,
        forgets_failures=False,
        sign=1,
    ),
    Profile(
        name="huawei-java",
        source="client/DeviceClient.java, utils/IotUtil.java",
        backoff=Backoff(Shape.VENDOR, cycle=16),
        halts_on_first_refusal=True,
    ),
    Profile(
        name="huawei-c",
        source="src/base/mqtt_base.c, src/agentlite/iota_defaultCallback.c",
        backoff=Backoff(Shape.VENDOR, low=1.6),
        forgets_failures=False,
        signs_once=True,
    ),
)

PROFILES = {profile.name: profile for profile in _ALL}

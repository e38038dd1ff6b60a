"""What every dialect must know."""

from datetime import datetime
from typing import Any, Protocol, TypeVar

from simulator.device.profiles import Profile
from simulator.messages import Command

Body = dict[str, Any]
Uplink = tuple[str, Body]
"""A topic or resource, and what is said there; the driver numbers the body with a `seq`."""

C_co = TypeVar("C_co", covariant=True)


class Dialect(Protocol[C_co]):
    """`shows_secret`: whether an attempt proves a secret, and so whether a reset can matter to it.

    `answers_at_once`: whether who sends a command may wait for the answer; otherwise it is left with the platform until
    the device shows itself.
    """

    @property
    def shows_secret(self) -> bool: ...

    @property
    def answers_at_once(self) -> bool: ...

    def credentials(self, device_id: str, secret: str, profile: Profile, utc: datetime) -> C_co:
        """Make what an attempt begins with."""

    def subscription(self, device_id: str) -> tuple[str, int] | None:
        """Say what a device must ask for to be told anything, and with which QoS."""

    def greeting(self, device_id: str, utc: datetime) -> Uplink | None:
        """Word what an accepted device says first; None where being accepted says it all."""

    def report(self, device_id: str, properties: Body) -> Uplink:
        """Word telemetry."""

    def request(self, device_id: str, topic: str, payload: bytes) -> tuple[str, Command] | None:
        """Understand a command, and under which id it is to be answered; None for what is none."""

    def response(self, device_id: str, request_id: str, command: Command) -> Uplink:
        """Word the answer to a command."""

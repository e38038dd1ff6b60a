"""How a fleet's NB-IoT devices behave."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sleep:
    """Power saving (PSM): `awake_s` after it last spoke or was spoken to, a device hears nothing for `asleep_s`.

    It wakes up earlier to report. Without `keeps_session` it has to shake hands anew whenever it wakes up.
    """

    asleep_s: float
    awake_s: float
    keeps_session: bool = True


@dataclass(frozen=True, slots=True)
class Lwm2mOptions:
    """Times in seconds. A device that sleeps registers in queue mode."""

    lifetime_s: int = 86_400
    connect_timeout_s: float = 30.0
    sleep: Sleep | None = None

    @property
    def binding(self) -> str:
        return "UQ" if self.sleep else "U"

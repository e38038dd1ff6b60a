"""What an attacker does on one connection, drawn from a seed and a number: the same two, the same bytes. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from random import Random

from simulator.credentials import MqttCredentials, iotda_credentials
from simulator.ledger import Identity
from tests.soak.mutation import shown, split, spoil
from tests.soak.packets import LEVELS, from_client, login

NEVER_A_SECRET = "wrong-secret"


class Ending(StrEnum):
    """How an attacker leaves."""

    READS_ON = "reads until the platform closes"
    FINISHES = "finishes in order"
    VANISHES = "closes with input unread"
    RESETS = "resets"
    STAYS = "stays and says nothing"


@dataclass(frozen=True, slots=True)
class Attack:
    """The bytes of one connection, in the pieces in which they are sent; `inputs` counts the spoilt ones."""

    number: int
    part: str
    level: int
    pieces: tuple[bytes, ...]
    inputs: int
    ending: Ending

    def __str__(self) -> str:
        pieces, sent = len(self.pieces), b"".join(self.pieces)
        return f"#{self.number} {self.part}, level {self.level}, {self.ending}, {pieces} pieces: {shown(sent)}"


class Plan:
    """Draws attacks by intruders, devices of the attacker's own, on a platform that also serves victims."""

    def __init__(self, seed: int, intruders: Sequence[Identity], victims: Sequence[str]) -> None:
        self.seed = seed
        self._intruders = intruders
        self._victims = victims

    def attack(self, number: int, utc: datetime) -> Attack:
        """Draw an attack; the time goes into nothing but credentials."""
        rng = Random(f"{self.seed}/{number}")
        level, intruder, victim = rng.choice(LEVELS), rng.choice(self._intruders), rng.choice(self._victims)
        part = rng.choice(("stranger", "pretender", "insider", "insider"))
        if part == "pretender":
            claimed = rng.choice((victim, intruder.device_id, "nobody", f"{victim}_2_0"))
            credentials = iotda_credentials(claimed, NEVER_A_SECRET, utc, sign=rng.randint(0, 2))
        else:
            credentials = iotda_credentials(intruder.device_id, intruder.primary, utc)
        spoilt = self._spoilt(rng, credentials, victim, level)
        opening = b"" if part == "stranger" else login(rng, credentials, level).encode(level)
        pieces = split(rng, opening + b"".join(spoilt))
        return Attack(number, part, level, pieces, len(spoilt), rng.choice(list(Ending)))

    def _spoilt(self, rng: Random, credentials: MqttCredentials, victim: str, level: int) -> list[bytes]:
        """Draw a few spoilt packets, each perhaps behind good ones."""
        packets = [*from_client(rng, credentials.username, victim, level), login(rng, credentials, level)]
        good = [packet.encode(level) for packet in packets]
        harmless = good[:-2]  # all but DISCONNECT and CONNECT
        return [
            b"".join(rng.choices(harmless, k=rng.choice((0, 0, 1, 3)))) + spoil(rng, good)
            for _ in range(rng.randint(1, 6))
        ]

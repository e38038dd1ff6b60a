"""A secret and its place: what every kind of device has at least one of."""

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum


class Slot(StrEnum):
    """Which secret a device was let in by; PRODUCT is the one that it shares with every device of its product."""

    PRIMARY = "primary"
    SECONDARY = "secondary"
    PRODUCT = "product"


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret in force; versions count up within a slot and are never used twice."""

    value: str = field(repr=False)
    version: int

    @property
    def fingerprint(self) -> str:
        """The only form in which a secret may be journalled: the first 8 hex digits of its SHA-256."""
        return hashlib.sha256(self.value.encode()).hexdigest()[:8]

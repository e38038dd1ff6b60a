"""What became of one attempt to push."""

from dataclasses import dataclass
from enum import StrEnum

TOO_MANY_REQUESTS = 429


class Failure(StrEnum):
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    NOT_ALLOWED = "address_not_allowed"
    STATUS = "status"
    QUEUE_FULL = "queue_full"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The receiver's HTTP status, or why there is none; a redirect is a failure like any other."""

    status: int | None = None
    failure: Failure | None = None

    @classmethod
    def of_status(cls, status: int) -> "Outcome":
        return cls(status, None if 200 <= status < 300 else Failure.STATUS)

    @property
    def may_pass(self) -> bool:
        """Whether another attempt may end better."""
        if self.failure is Failure.STATUS:
            return self.status is not None and (self.status >= 500 or self.status == TOO_MANY_REQUESTS)
        return self.failure in (Failure.TIMEOUT, Failure.UNREACHABLE)

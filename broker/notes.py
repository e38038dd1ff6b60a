"""What everything that happens is noted with."""

from dataclasses import dataclass

from broker.clock import Clock
from broker.journal import Journal
from broker.statistics import Statistics


@dataclass(frozen=True, slots=True)
class Notes:
    journal: Journal
    statistics: Statistics
    clock: Clock

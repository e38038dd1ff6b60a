"""What a scenario's author gets to read: every problem with file, line and column, the line itself and a caret."""

from collections.abc import Sequence
from dataclasses import dataclass

from simulator.errors import UsageError

SHOWN = 20
WIDTH = 120


class ScenarioError(UsageError):
    """A scenario that cannot be run; `str()` is all of its problems, ready to print."""

    def __init__(self, problems: Sequence[str]) -> None:
        shown = list(problems[:SHOWN])
        if len(problems) > SHOWN:
            shown.append(f"… and {len(problems) - SHOWN} more")
        super().__init__("\n".join(shown).encode(errors="backslashreplace").decode())


@dataclass(frozen=True, slots=True)
class Place:
    """A position in a scenario file, counted from 0; an override has no position, only its own text as `source`.

    `text_column`: where the value's text begins, behind its quote; None when the line does not show it literally.
    """

    source: str
    line: str = ""
    row: int | None = None
    column: int = 0
    text_column: int | None = None

    @property
    def is_override(self) -> bool:
        """Whether it is on the command line, and not in the file."""
        return self.row is None

    def report(self, message: str, *, path: str = "", column: int = 1) -> str:
        """The problem as lines; `column` counts from 1 inside the value's text."""
        about = f"{path}: {message}" if path else message
        if self.row is None:
            return f"{self.source}: {about}"
        at = self.column if self.text_column is None else self.text_column + column - 1
        return f"{self.source}:{self.row + 1}:{at + 1}: {about}\n{_excerpt(self.line, at)}"


def _excerpt(line: str, at: int) -> str:
    start = max(0, at - WIDTH // 2) if len(line) > WIDTH else 0
    shown = "".join(letter if letter.isprintable() else " " for letter in line[start : start + WIDTH])
    return f"    {shown.rstrip()}\n    {' ' * (at - start)}^"

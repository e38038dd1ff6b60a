"""What a mistyped name was probably meant to be."""

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of an error message: "; did you mean 'start'?", or nothing when no known name is near."""
    near = get_close_matches(word.lower(), list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def hint(word: str, known: Iterable[str], kind: str) -> str:
    """What was probably meant, or else everything that would have been known."""
    names = list(known)
    return did_you_mean(word, names) or f"; the {kind} are {', '.join(names)}"

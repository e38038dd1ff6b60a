"""What whoever runs the platform is told, on standard error.

A disk without room, or a terminal that is gone, costs the text and nothing else: complaints come from guards.
"""

import sys
from contextlib import suppress


def complain(text: str) -> None:
    """Write a line, or a traceback below one."""
    with suppress(OSError):
        sys.stderr.write(f"keyturn: {text.rstrip()}\n")

"""What can go wrong for the caller of the simulator; a device's bad luck is never among it.

KeyturnError
├── UsageError            the request cannot be done as put: exit 2
│   └── ScenarioError     (simulator.scenario.errors) the file, with line and column
└── PlatformUnreachable   nobody answers at the control API, or at a bare broker: exit 3
"""


class KeyturnError(Exception):
    """The root of what the command line shows as one clear message."""


class UsageError(KeyturnError):
    """What, which, and what was expected."""


class PlatformUnreachable(KeyturnError):
    """Nobody answered at all; a refusal is an answer."""

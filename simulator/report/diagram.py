"""The device's states as a Mermaid diagram, drawn from the transition table itself."""

from collections import defaultdict

from simulator.device.lifecycle import TRANSITIONS, State


def mermaid() -> str:
    """Every transition that changes the state; those between the same two states share an arrow."""
    arrows: dict[tuple[State, State], list[str]] = defaultdict(list)
    for source, cells in TRANSITIONS.items():
        for trigger, target in cells.items():
            if source is not target:
                arrows[source, target].append(trigger)
    lines = [f"    {source} --> {target}: {' / '.join(words)}" for (source, target), words in arrows.items()]
    return "\n".join(["stateDiagram-v2", f"    [*] --> {State.IDLE}", *lines]) + "\n"

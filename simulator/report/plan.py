"""What a scenario will do, drawn before it runs."""

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from simulator.scenario.fleets import Fleet
from simulator.scenario.model import Scenario
from simulator.scenario.steps import DeliverSecret, Network, ResetSecret, Step


def print_plan(console: Console, scenario: Scenario) -> None:
    """Print fleets, the timeline as a tree of what waits for what, and the expectations."""
    console.print(Text(scenario.name, style="bold"))
    console.print(f"{scenario.intent}, seed {scenario.seed}, platform {_platform(scenario)}\n", highlight=False)
    for name, fleet in scenario.fleets.items():
        console.print(f"fleet {name}: {_fleet(fleet)}", highlight=False)
    console.print(_timeline(scenario))
    for expectation in scenario.expect:
        console.print(f"expect {expectation}", highlight=False)


def _platform(scenario: Scenario) -> str:
    platform = scenario.platform
    return " ".join(filter(None, (platform.kind, platform.api, platform.mqtt)))


def _fleet(fleet: Fleet) -> str:
    size = f"{fleet.count} devices" if fleet.count else f"devices of {fleet.devices}"
    profiles = ", ".join(f"{share:.0%} {name}" for name, share in fleet.profiles.items())
    secrets = " and ".join(fleet.slots)
    order = f", {fleet.fallback}" if fleet.protocol == "mqtt" else ""
    return f"{size}, {fleet.spoken}, secrets: {secrets}{order}, {profiles}{_sleep(fleet)}"


def _sleep(fleet: Fleet) -> str:
    nap = fleet.sleep
    if nap is None:
        return ""
    lost = "" if nap.keeps_session else ", without keeping its session"
    return f", asleep for {nap.asleep:g} s after {nap.awake:g} s{lost}"


def _timeline(scenario: Scenario) -> Tree:
    """Each step below the last of those that it waits for."""
    tree = Tree("start")
    nodes: dict[str, Tree] = {}
    waits_for = scenario.dependencies()
    left = {step.id: step for step in scenario.timeline}
    while left:
        for name in [name for name in left if all(other in nodes for other in waits_for[name])]:
            others = waits_for[name]
            parent = nodes[others[-1]] if others else tree
            nodes[name] = parent.add(_step(left.pop(name), others))
    return tree


def _step(step: Step, others: tuple[str, ...]) -> Text:
    line = Text.assemble((step.id, "bold"), f"  {step.verb} {_what(step)}")
    if step.over:
        line.append(f" over {step.over:g} s")
    if step.waves:
        line.append(f" in waves of {step.waves.size} every {step.waves.every:g} s")
        if step.waves.abort_if:
            line.append(f", abort if {step.waves.abort_if}")
    if step.until:
        line.append(f", until {step.until}")
    line.append(f", at most {step.timeout:g} s", style="dim")
    if len(others) > 1:
        line.append(f" (after {', '.join(others)})", style="dim")
    return line


def _what(step: Step) -> str:
    fleets = ", ".join(step.fleets)
    match step.action:
        case ResetSecret() as reset:
            return f"{fleets} {reset.slot}{', cutting sessions' if reset.force_disconnect else ''}"
        case DeliverSecret() as delivery:
            return f"{fleets} {delivery.slot} by {delivery.via}"
        case Network() as network:
            return f"{fleets} {network.state}"
        case float() as seconds:
            return f"{seconds:g} s"
        case _:
            return fleets

"""The link engines side by side: what a platform sees of devices must not tell which library they run.

Quiet devices send what the scenario makes them send, and their stories are compared word for word, message numbers
included. Talking devices report by the clock: of their messages only the numbers are compared, for being complete.
"""

from pathlib import Path
from typing import Any, Literal, get_args

import pytest

from simulator.links.link import EngineName
from simulator.report.folder import Record, judge_folder
from simulator.run import Play
from simulator.scenario.model import Scenario

FLEETS = ["quiet", "talking"]
SIGNING_HOUR = len("2025010110")
OF_ONE_RUN = {"t", "peer", "request_id", "seq"}  # commands are numbered in the order in which both fleets get them
PLATFORM_KINDS = {"accepted", "refused", "detached", "reset", "uplink", "command", "answered"}
DEVICE_KINDS = {"opened", "accepted", "refused", "lost", "recovered", "sent", "acked", "received", "issued", "state"}
BY_THE_CLOCK = {"uplink", "sent", "acked"}
Story = list[dict[str, Any]]


def plan(link: EngineName, mqtt: str) -> Scenario:
    devices: dict[str, Any] = {"count": 4, "link": link, "mqtt": mqtt}
    rotate = [
        {"reset_secret": {"slot": "primary", "force_disconnect": True}, "until": "recovered == 100%"},
        {"deliver_secret": {"slot": "primary", "via": "command"}},
        {"wait": "0.5s"},  # the answers' acknowledgements arrive before the next cut
        {"reset_secret": {"slot": "secondary", "force_disconnect": True}, "until": "recovered == 100%"},
    ]
    return Scenario.model_validate(
        {
            "name": "links agree",
            "intent": "routine",
            "seed": 7,
            "loop_lag_limit": "5s",
            "fleets": {"quiet": devices, "talking": devices | {"telemetry": {"every": 0.1, "qos": 1}}},
            "timeline": [
                {"id": "up", "start": FLEETS, "until": "recovered == 100%"},
                *(step for fleet in FLEETS for step in steps_of(fleet, rotate)),
            ],
        }
    )


def steps_of(fleet: str, steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The steps for one fleet, after `up` and beside the other fleet's."""
    return [
        {key: {"fleet": fleet, **value} if isinstance(value, dict) else value for key, value in step.items()}
        | {"id": f"{fleet}-{number}", "after": [f"{fleet}-{number - 1}" if number else "up"]}
        for number, step in enumerate(steps)
    ]


async def stories(folder: Path, link: EngineName, mqtt: str) -> dict[str, Story]:
    """Run the scenario; give what each side journalled of each device, in order, without what no two runs share."""
    folder.mkdir()
    await Play(plan(link, mqtt), folder).run()
    judged = judge_folder(folder)
    assert not judged.report.oracle.crashes
    told: dict[str, Story] = {}
    for side, kinds, records in (
        ("platform", PLATFORM_KINDS, judged.platform_records),
        ("device", DEVICE_KINDS, judged.device_records),
    ):
        for record in records:
            if record["kind"] in kinds:
                tell(told.setdefault(f"{record['device']} by {side}", []), record)
    return {who: untimed(story) if "talking" in who else story for who, story in told.items()}


def tell(story: Story, record: Record) -> None:
    """Add a record to a story; ranges of messages that follow each other are one range."""
    entry = {key: value for key, value in record.items() if key not in OF_ONE_RUN}
    if "client_id" in entry:
        entry["client_id"] = entry["client_id"][:-SIGNING_HOUR]
    if story and "first" in entry and same_but_for_range(story[-1], entry) and story[-1]["last"] + 1 == entry["first"]:
        story[-1]["last"] = entry["last"]
    else:
        story.append(entry)


def same_but_for_range(one: Record, other: Record) -> bool:
    ends = {"first": 0, "last": 0}
    return "first" in one and one | ends == other | ends


def untimed(story: Story) -> Story:
    """The story without messages by the clock, and of each kind of them whether any number is missing."""
    rest = [entry for entry in story if entry["kind"] not in BY_THE_CLOCK]
    for kind in sorted(BY_THE_CLOCK):
        ranges = [entry for entry in story if entry["kind"] == kind]
        numbers = {number for entry in ranges for number in range(entry["first"], entry["last"] + 1)}
        if numbers:
            rest.append({"kind": kind, "many": len(numbers) > 10, "complete": len(numbers) == max(numbers)})
    return rest


@pytest.mark.parametrize("mqtt", ["3.1.1", "5"])
async def test_platform_cannot_tell_the_engines_apart(tmp_path: Path, mqtt: Literal["3.1.1", "5"]) -> None:
    native, *others = [await stories(tmp_path / link, link, mqtt) for link in get_args(EngineName)]
    assert len(native) == 2 * 8
    seen = native["keyturn_quiet-1 by platform"]
    assert {entry["kind"] for entry in seen} == PLATFORM_KINDS, "every kind of news is compared"
    for link, told in zip(get_args(EngineName)[1:], others, strict=True):
        for who, story in native.items():
            assert told[who] == story, f"{who} on {link}"

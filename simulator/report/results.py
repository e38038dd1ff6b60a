"""`results.json`: a judged run as data, for machines and for comparing runs."""

from collections.abc import Iterator
from typing import Any

from simulator.facts import StepFacts
from simulator.verdict import ExitCode, RunReport

END_STATES = ("connected", "recovered", "stranded", "gave_up", "locked_out", "unsettled")
STEP_COUNTS = ("connects", "refused", "unreachable", "old_secret_accepted")
STEP_TIMES = ("outage", "connect_latency")
TIMES = ("p50", "p99", "max")
MESSAGES = ("sent", "lost", "unconfirmed", "duplicated", "unexplained", "dropped")
DOWNLINKS = ("sent", "queued", "lost", "duplicated")


def results(report: RunReport) -> dict[str, Any]:
    """Everything that a verdict rests on; times in seconds, null where nothing was measured."""
    return {
        "scenario": report.header["scenario"],
        "intent": report.header["intent"],
        "seed": report.header["seed"],
        "run": report.header["run"],
        "started": report.header["wall"],
        "duration": round(report.oracle.ended_at - report.header["t"], 3),
        "verdict": report.exit_code.name.lower(),
        "exit_code": int(report.exit_code),
        "interrupted": report.interrupted,
        "unreachable": report.unreachable,
        "devices": len(report.oracle.devices),
        "end": {name: value(report, f"{name} == 0") for name in END_STATES},
        "slots": {slot: value(report, f"slot.{slot} == 0") for slot in ("primary", "secondary")},
        "messages": {stat: value(report, f"messages.{stat} == 0") for stat in MESSAGES},
        "downlinks": {stat: value(report, f"downlinks.{stat} == 0") for stat in DOWNLINKS},
        "exposure": {stat: value(report, f"exposure.{stat} == 0s") for stat in TIMES},
        "lag_p99": report.measures.lag_p99_s(),
        "protocols": {protocol: _protocol(report, protocol) for protocol in report.protocols(report.oracle.fleets)},
        "steps": list(_steps(report)),
        "expectations": [
            {
                "text": str(outcome.expectation),
                "verdict": outcome.verdict,
                "observed": outcome.observed,
                "worst": list(outcome.worst),
            }
            for outcome in report.outcomes
        ],
        "crashes": len(report.oracle.crashes),
        "torn_lines": report.torn_lines,
    }


def value(report: RunReport, text: str, protocol: str | None = None) -> float | None:
    """The number behind an expectation; None when it could not be measured."""
    measured = report.measure(text, protocol)
    return None if measured.value is None else round(measured.value, 6)


def _steps(report: RunReport) -> Iterator[dict[str, Any]]:
    for step in report.steps:
        yield {
            "id": step.step,
            "verb": step.verb,
            "state": step.state,
            "detail": step.detail,
            "duration": _duration(step),
            **(_with_protocols(report, step) if step.fleets and step.state != "skipped" else {}),
        }


def _with_protocols(report: RunReport, step: StepFacts) -> dict[str, Any]:
    """A step's numbers, and those of each protocol where its fleets speak several."""
    spoken = report.protocols(step.fleets)
    apart = {one: _numbers(report, step.step, one) for one in spoken} if len(spoken) > 1 else {}
    return {**_numbers(report, step.step), "protocols": apart}


def _numbers(report: RunReport, step: str, protocol: str | None = None) -> dict[str, Any]:
    counts: dict[str, Any] = {name: value(report, f"{step}: {name} == 0", protocol) for name in STEP_COUNTS}
    times = {
        name: {stat: value(report, f"{step}: {name}.{stat} == 0s", protocol) for stat in TIMES} for name in STEP_TIMES
    }
    return {**counts, **times}


def _protocol(report: RunReport, protocol: str) -> dict[str, Any]:
    """How the devices of one protocol stand at the end; `presents_secret`: whether a reset can touch them at all."""
    devices = [device for device in report.oracle.devices.values() if device.protocol == protocol]
    return {
        "devices": len(devices),
        "presents_secret": any(device.presents for device in devices),
        "end": {name: value(report, f"{name} == 0", protocol) for name in END_STATES},
        "slots": {slot: value(report, f"slot.{slot} == 0", protocol) for slot in ("primary", "secondary")},
        "stale_sessions": value(report, "stale_sessions == 0", protocol),
    }


def _duration(step: StepFacts) -> float | None:
    return None if step.ended is None else round(step.ended - step.started, 3)


def exit_word(code: ExitCode) -> str:
    """The verdict as a person says it."""
    return {
        ExitCode.PASSED: "PASSED",
        ExitCode.FAILED: "FAILED",
        ExitCode.UNREACHABLE: "PLATFORM UNREACHABLE",
        ExitCode.CRASHED: "CRASHED",
        ExitCode.INVALID: "INVALID",
        ExitCode.INTERRUPTED: "INTERRUPTED",
        ExitCode.USAGE: "BAD USAGE",
    }[code]

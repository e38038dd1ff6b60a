"""Whether a fleet fits into one process: the arithmetic, and how it is told."""

import gc
import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from simulator.errors import UsageError
from simulator.limits import check_room, collector_spared, raise_descriptor_limit
from simulator.links import dialler

Machine = Callable[[int, str], None]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    """Pretend a machine with this many descriptors for the process, and this range of source ports."""
    ports = tmp_path / "ip_local_port_range"
    monkeypatch.setattr(dialler, "PORT_RANGE_FILE", str(ports))

    def pretend(descriptors: int, port_range: str) -> None:
        monkeypatch.setattr(resource, "getrlimit", lambda which: (descriptors, descriptors))
        monkeypatch.setattr(resource, "setrlimit", lambda which, limits: None)
        ports.write_text(port_range)

    return pretend


def refusal(devices: int, **where: bool) -> str | None:
    try:
        check_room(devices, **where)
    except UsageError as error:
        return str(error)
    return None


def test_a_thousand_descriptors_are_spared(machine: Machine) -> None:
    machine(20_000, "1024\t65535\n")
    assert refusal(19_000) is None
    assert refusal(19_001) == (
        "19001 devices need 19001 file descriptors and 1000 to spare, but this process may open 20000: "
        "at most 19000 devices (raise 'ulimit -n')"
    )


def test_a_relayed_session_takes_a_second_descriptor_of_the_platform(machine: Machine) -> None:
    machine(20_000, "1024\t65535\n")
    assert refusal(9_500, relayed=True) is None
    assert refusal(9_501, relayed=True) == (
        "9501 devices need 19002 file descriptors and 1000 to spare, but the platform of relayed sessions may open "
        "20000: at most 9500 devices (raise 'ulimit -n')"
    )


def test_a_platform_in_the_same_loop_takes_a_second_descriptor_for_each_device(machine: Machine) -> None:
    machine(20_000, "1024\t65535\n")
    assert refusal(9_500, platform_in_loop=True) is None
    assert refusal(9_501, platform_in_loop=True) == (
        "9501 devices need 19002 file descriptors and 1000 to spare, but this process may open 20000: "
        "at most 9500 devices (raise 'ulimit -n')"
    )


def test_five_hundred_source_ports_are_spared(machine: Machine) -> None:
    machine(1_000_000, "32768\t60999\n")
    assert refusal(27_732) is None
    assert refusal(27_733) == (
        "27733 devices need as many source ports to one address, but 32768-60999 leaves 27732 "
        "(widen net.ipv4.ip_local_port_range)"
    )


@pytest.mark.parametrize("content", ["", "32768", "1 2 3"])
def test_an_unreadable_port_range_counts_as_the_usual_one(machine: Machine, content: str) -> None:
    machine(1_000_000, content)
    assert dialler.source_ports() == (32_768, 60_999)


def test_a_missing_port_range_counts_as_the_usual_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(dialler, "PORT_RANGE_FILE", str(tmp_path / "none"))
    assert dialler.source_ports() == (32_768, 60_999)


def test_the_soft_limit_is_raised_to_the_hard_one() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[0] - 1, before[1]))
    try:
        assert raise_descriptor_limit() == before[1]
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (before[1], before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_machine_that_does_not_let_us_raise_it_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(which: int, limits: tuple[int, int]) -> None:
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "getrlimit", lambda which: (256, 4096))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert raise_descriptor_limit() == 256


def test_collector_is_spared_during_a_run_and_as_before_afterwards() -> None:
    before = gc.get_threshold()
    with collector_spared():
        assert gc.get_threshold() > before
        assert gc.get_freeze_count() > 0
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0

"""The list of devices: its pages, its filters, and what a page looks at."""

from pathlib import Path
from typing import Any

import pytest

from broker.auth.registry import Device, Registry, record_id_from
from broker.control_api.device_answers import Answers, Status
from broker.control_api.device_query import parse_query
from broker.lwm2m.registrations import Registrations
from broker.sessions import Sessions
from tests.broker.control_api.test_guard import is_vendors
from tests.broker.rig import START, FakeClock, Rig, device, running

DEVICES = "/v5/iot/any-project/devices"


async def listed(rig: Rig, query: str = "") -> tuple[list[str], dict[str, Any]]:
    answer = await rig.call("GET", f"{DEVICES}?{query}")
    assert answer.status == 200, answer
    return [one["device_id"] for one in answer.body["devices"]], answer.body["page"]


async def add(rig: Rig, *node_ids: str, **fields: object) -> None:
    for node_id in node_ids:
        answer = await rig.call("POST", DEVICES, {"product_id": "p", "node_id": node_id, **fields})
        assert answer.status == 201, answer


async def test_newest_comes_first_and_ten_make_a_page(rig: Rig) -> None:
    await rig.provision(*(f"n{number}" for number in range(11)))
    ids, page = await listed(rig)
    assert ids == [f"n{number}" for number in range(10, 0, -1)]
    assert page["count"] == 12


async def test_markers_lead_through_every_device_once(rig: Rig) -> None:
    await rig.provision(*(f"n{number}" for number in range(7)))
    seen: list[str] = []
    marker = "f" * 24
    while True:
        ids, page = await listed(rig, f"limit=3&marker={marker}")
        assert page["count"] == 8
        if not ids:
            break
        seen += ids
        marker = page["marker"]
    assert seen == [*(f"n{number}" for number in range(6, -1, -1)), "d1"]


async def test_device_that_comes_meanwhile_does_not_shift_the_next_page(rig: Rig) -> None:
    await rig.provision("n1", "n2", "n3")
    _, page = await listed(rig, "limit=2")
    await rig.provision("n4")
    ids, _ = await listed(rig, f"limit=2&marker={page['marker']}")
    assert ids == ["n1", "d1"]


async def test_offset_counts_from_the_marker(rig: Rig) -> None:
    await rig.provision("n1", "n2", "n3")
    _, page = await listed(rig, "limit=1")
    assert (await listed(rig, f"offset=1&limit=1&marker={page['marker']}"))[0] == ["n1"]
    assert await listed(rig, "offset=500") == ([], {"count": 4})


async def test_list_tells_no_secret_and_no_time(rig: Rig) -> None:
    answer = await rig.call("GET", DEVICES, headers={"Host": "rebound.example.org"})
    (one,) = answer.body["devices"]
    assert one == {
        "device_id": "d1",
        "node_id": "d1",
        "gateway_id": "d1",
        "node_type": "GATEWAY",
        "status": "INACTIVE",
        "tags": [],
    }


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("product_id=p", ["p_b", "p_a"]),
        ("product_id=q", []),
        ("node_id=a", ["p_a"]),
        ("device_name=meter", ["p_b", "p_a"]),
        ("device_name=mete", []),
        ("product_id=p&node_id=d1", []),
        ("status=ONLINE", ["d1"]),
        ("status=FROZEN", ["p_a"]),
        ("status=INACTIVE", ["p_b"]),
        ("status=OFFLINE", []),
        ("gateway_id=d1", []),
        ("start_time=20200101T000000Z", ["p_b", "p_a", "d1"]),
        ("end_time=20200101T000000Z", []),
        ("start_time=00010101T000000Z&end_time=99991231T235959Z", ["p_b", "p_a", "d1"]),
        ("app_id=any&is_cascade_query=true&more=1", ["p_b", "p_a", "d1"]),
    ],
)
async def test_filters_choose_and_count(rig: Rig, query: str, expected: list[str]) -> None:
    await add(rig, "a", "b", device_name="meter")
    await rig.call("POST", f"{DEVICES}/p_a/freeze")
    async with await rig.login():
        ids, page = await listed(rig, query)
    assert ids == expected
    assert page["count"] == len(expected)


@pytest.mark.parametrize(
    ("query", "is_in"),
    [
        ("start_time=20261121T193000Z", True),
        ("end_time=20261121T193000Z", True),
        ("start_time=20261121T193001Z", False),
        ("end_time=20261121T192959Z", False),
    ],
)
async def test_span_of_time_has_both_its_ends(tmp_path: Path, query: str, *, is_in: bool) -> None:
    async with running(tmp_path, FakeClock()) as rig:
        await rig.provision("d1", "d2")
        assert (await listed(rig, query))[1]["count"] == (2 if is_in else 0)


@pytest.mark.parametrize(
    ("code", "query"),
    [
        ("IOTDA.000017", "limit=0"),
        ("IOTDA.000017", "limit=51"),
        ("IOTDA.000017", "limit=ten"),
        ("IOTDA.000006", "offset=501"),
        ("IOTDA.000006", "offset=-1"),
        ("IOTDA.000006", "marker=ff"),
        ("IOTDA.000006", f"marker={'g' * 24}"),
        ("IOTDA.000006", "product_id=p/q"),
        ("IOTDA.000006", "status=BROKEN"),
        ("IOTDA.000009", "start_time=2020-01-01"),
        ("IOTDA.000009", "end_time=never"),
        ("IOTDA.000010", "start_time=20200102T000000Z&end_time=20200101T000000Z"),
    ],
)
async def test_unfit_parameter_is_400(rig: Rig, code: str, query: str) -> None:
    assert is_vendors(await rig.call("GET", f"{DEVICES}?{query}"), 400, code)


class CountingAnswers(Answers):
    """Counts for how many devices it is asked."""

    def __init__(self) -> None:
        super().__init__(Sessions(), Registrations(FakeClock()), FakeClock())
        self.asked = 0

    def status(self, device: Device) -> Status:
        self.asked += 1
        return super().status(device)


@pytest.mark.parametrize(
    ("parameters", "asked"),
    [
        ({}, 10),
        ({"marker": "f" * 24, "limit": "50", "offset": "500"}, 50),
        ({"product_id": "p", "device_name": "none", "status": "OFFLINE"}, 0),
        ({"status": "INACTIVE"}, 1000 + 10),
        ({"start_time": "20200101T000000Z"}, 10),
    ],
    ids=str,
)
def test_page_looks_no_closer_at_devices_than_it_must(parameters: dict[str, str], asked: int) -> None:
    """The loop waits for it: a status is found out for what is shown, and for what all other filters let pass."""
    first = record_id_from(START)
    registry = Registry(device(f"d{number}", product_id="p", record_id=first + number) for number in range(1000))
    answers = CountingAnswers()
    answers.page(*parse_query(parameters).select(registry.newest_first(), answers.status))
    assert answers.asked == asked

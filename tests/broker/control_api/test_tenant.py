"""Whose calls a platform serves that belongs to one project and one instance."""

from pathlib import Path

import pytest

from tests.broker.control_api.test_guard import is_vendors
from tests.broker.rig import running


def reset_in(project: str) -> str:
    return f"/v5/iot/{project}/devices/d1/action?action_id=resetSecret"


@pytest.mark.parametrize("project", ["p1", "default"])
@pytest.mark.parametrize("headers", [{"Instance-Id": "i-1"}, {}], ids=["instance", "none"])
async def test_own_project_and_instance_are_served(tmp_path: Path, project: str, headers: dict[str, str]) -> None:
    async with running(tmp_path, project_id="p1", instance_id="i-1") as rig:
        await rig.provision("d1")
        assert (await rig.call("POST", reset_in(project), {}, headers)).status == 200


@pytest.mark.parametrize(("project", "instance"), [("p2", "i-1"), ("p1", "i-2"), ("default", "i-2"), ("P1", "")])
async def test_call_for_another_is_403_and_changes_nothing(tmp_path: Path, project: str, instance: str) -> None:
    async with running(tmp_path, project_id="p1", instance_id="i-1") as rig:
        await rig.provision("d1")
        answer = await rig.call("POST", reset_in(project), {}, {"Instance-Id": instance})
        assert is_vendors(answer, 403, "IOTDA.000021")
        assert rig.records("reset") == []


async def test_administration_belongs_to_no_instance(tmp_path: Path) -> None:
    async with running(tmp_path, project_id="p1", instance_id="i-1") as rig:
        assert (await rig.call("GET", "/_platform", headers={"Instance-Id": "i-2"})).status == 200


async def test_stranger_does_not_learn_whose_platform_it_is(tmp_path: Path) -> None:
    async with running(tmp_path, project_id="p1", access_key="AK", secret_key="SK") as rig:
        assert is_vendors(await rig.call("POST", reset_in("p2"), {}), 401, "APIGW.0301")

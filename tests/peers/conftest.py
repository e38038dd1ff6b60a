"""The device programs, each with a virtual environment that one test session makes once."""

import os
from pathlib import Path

import pytest

from tests.peers.device_programs import (
    CHECKOUT_VARIABLE,
    PAHO_OF_THE_SDK,
    PROGRAMS,
    DeviceProgram,
    make_environment,
)


@pytest.fixture(scope="session")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> DeviceProgram:
    python = make_environment(tmp_path_factory.mktemp("stand-in") / "venv", PAHO_OF_THE_SDK)
    return DeviceProgram(python, (str(PROGRAMS / "stand_in.py"),))


@pytest.fixture(scope="session")
def vendors_sdk(tmp_path_factory: pytest.TempPathFactory) -> DeviceProgram:
    checkout = os.environ.get(CHECKOUT_VARIABLE)
    if not checkout:
        pytest.skip(f"{CHECKOUT_VARIABLE} names no checkout of huaweicloud/huaweicloud-iot-device-sdk-python")
    pins = Path(checkout, "requirement/requirements.txt")
    python = make_environment(tmp_path_factory.mktemp("sdk") / "venv", "-r", str(pins))
    return DeviceProgram(python, (str(PROGRAMS / "vendor.py"), checkout))


@pytest.fixture(params=["stand_in", "vendors_sdk"])
def program(request: pytest.FixtureRequest) -> DeviceProgram:
    found: DeviceProgram = request.getfixturevalue(request.param)
    return found

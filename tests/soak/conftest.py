"""A soak test is slow on purpose: pytest-timeout ends one that hangs, and no dump of its stack is wanted before."""

import faulthandler

import pytest


@pytest.fixture(autouse=True)
def no_dump_of_the_stack() -> None:
    faulthandler.cancel_dump_traceback_later()

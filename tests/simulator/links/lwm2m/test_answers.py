"""What the platform's answers do to a link."""

import pytest

from simulator.device.events import Accepted, Cause, LinkEvent, LinkLost, Refused, Unreachable
from simulator.links.lwm2m.answers import handshake_outcome, outcome
from simulator.links.lwm2m.client import Matter
from tests.wire.dtls.pairs import KEY, OTHER_KEY, Wire
from wire.coap import Code
from wire.dtls import End

REGISTRATION, UPDATE = Matter.REGISTRATION, Matter.UPDATE


@pytest.mark.parametrize(
    ("matter", "code", "event"),
    [
        (REGISTRATION, Code.CREATED, Accepted(3)),
        (REGISTRATION, Code.CHANGED, Accepted(3)),
        (REGISTRATION, Code.FORBIDDEN, Refused(3, Cause.NOT_ALLOWED, "4.03")),
        (REGISTRATION, Code.UNAUTHORIZED, Refused(3, Cause.NOT_ALLOWED, "4.01")),
        (REGISTRATION, Code.BAD_REQUEST, Refused(3, Cause.CONFIG, "4.00")),
        (REGISTRATION, Code.PRECONDITION_FAILED, Refused(3, Cause.CONFIG, "4.12")),
        (REGISTRATION, Code.NOT_FOUND, Refused(3, Cause.CONFIG, "4.04")),
        (REGISTRATION, Code.SERVICE_UNAVAILABLE, Unreachable(3, "service unavailable (5.03)")),
        (REGISTRATION, Code.TOO_MANY_REQUESTS, Unreachable(3, "too many requests (4.29)")),
        (UPDATE, Code.CHANGED, None),
        (UPDATE, Code.NOT_FOUND, LinkLost(3, "the platform does not know the registration any more (4.04)")),
        (UPDATE, Code.FORBIDDEN, Refused(3, Cause.NOT_ALLOWED, "4.03")),
        (UPDATE, Code.SERVICE_UNAVAILABLE, LinkLost(3, "service unavailable (5.03)")),
    ],
)
def test_answer_means(matter: Matter, code: Code, event: LinkEvent | None) -> None:
    assert outcome(3, matter, code) == event


def test_alert_about_the_key_blames_the_credential_with_its_number() -> None:
    assert handshake_outcome(3, Wire().connect(OTHER_KEY)) == Refused(3, Cause.CREDENTIAL, 20)
    assert handshake_outcome(3, Wire().connect(identity=b"nobody")) == Refused(3, Cause.CREDENTIAL, 115)


def test_handshake_that_fails_without_such_an_alert_blames_nobody() -> None:
    session = Wire().connect(KEY)
    for session.alert in (None, 40):
        session.end = End.FAILED
        assert handshake_outcome(3, session) == Unreachable(3, "the handshake failed: failed")

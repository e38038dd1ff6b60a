"""What is kept of the vendor's messages to one device."""

from datetime import timedelta

from broker.access.queue import Message
from broker.mailbox import KEPT, DeviceMessage, Mailbox, Status
from tests.broker.rig import START

DAY = timedelta(days=1)


def message(message_id: str, ttl: timedelta = DAY) -> DeviceMessage:
    return DeviceMessage(message_id, b"canary", Message("t", b"canary"), START, START + ttl)


def ids(mailbox: Mailbox) -> list[str]:
    return [one.message_id for one in mailbox]


def test_oldest_goes_for_the_newest_whatever_became_of_it() -> None:
    mailbox = Mailbox()
    for number in range(KEPT):
        assert mailbox.add(message(str(number))) is None
    lost = mailbox.add(message("new"))
    assert lost is not None
    assert lost.message_id == "0"
    assert ids(mailbox) == [*map(str, range(1, KEPT)), "new"]
    assert "0" not in mailbox
    assert mailbox.get("0") is None


def test_what_has_waited_for_too_long_times_out_at_its_moment() -> None:
    mailbox, sent = Mailbox(), message("sent", timedelta(minutes=5))
    sent.finish(Status.DELIVERED, START)
    for one in (sent, message("short", timedelta(minutes=5)), message("long")):
        mailbox.add(one)
    assert mailbox.expire(START + timedelta(minutes=4, seconds=59)) == []
    (expired,) = mailbox.expire(START + timedelta(minutes=9))
    assert (expired.message_id, expired.status) == ("short", Status.TIMEOUT)
    assert expired.finished_at == START + timedelta(minutes=5)
    assert [one.message_id for one in mailbox.waiting()] == ["long"]
    assert sent.status is Status.DELIVERED


def test_unacknowledged_message_waits_again_and_only_that_one() -> None:
    mailbox, one, other = Mailbox(), message("one"), message("other")
    for each in (one, other):
        mailbox.add(each)
        each.finish(Status.DELIVERED, START)
    mailbox.take_back([one.message, Message("t", b"canary")])
    assert (one.status, one.finished_at) == (Status.PENDING, None)
    assert other.status is Status.DELIVERED


def test_content_never_shows() -> None:
    assert "canary" not in repr(message("1"))

"""What a link of LwM2M does, in the clear and over DTLS, whatever the platform and the network do.

Leaving the bench checks the rules of `simulator.links.link` each time.
"""

import asyncio
import errno
import functools
import gc
import os
from collections.abc import Callable

import pytest

from simulator.device.events import Accepted, Cause, LinkLost, Refused, Unreachable
from simulator.links.lwm2m.client import Lwm2mClient
from simulator.links.lwm2m.link import Lwm2mLink
from simulator.links.lwm2m.options import Lwm2mOptions, Sleep
from tests.support.link_bench import Opened, messages, outbox_of
from tests.support.lwm2m_platform import EP, KEY, Answers, ScriptedPlatform, lwm2m_bench, obliging
from tests.support.ports import unused_port
from tests.support.waiting import until
from wire.coap import Code, Message

IMPATIENT = Lwm2mOptions(connect_timeout_s=0.2)
OTHER_KEY = bytes(16)


@pytest.fixture(params=[None, KEY], ids=["in the clear", "over DTLS"])
def key(request: pytest.FixtureRequest) -> bytes | None:
    found: bytes | None = request.param
    return found


def refusing(code: Code, *path: str) -> Answers:
    """Answer requests to a path with this code, and oblige otherwise."""
    return lambda request: Message(code=code) if request.opt.uri_path == path else obliging(request)


def silent(_request: Message) -> None:
    """Answer nothing."""


def refusing_silently(request: Message) -> Message | None:
    """Take the registration, and answer nothing else."""
    return obliging(request) if request.opt.uri_path == ("rd",) else None


def is_past(moment: float) -> bool:
    return asyncio.get_running_loop().time() > moment


async def observed(one: Opened, platform: ScriptedPlatform) -> None:
    await one.owner.accepted()
    await platform.answer_to(platform.observe())


# -- before the registration


async def test_registration_says_who_comes_and_for_how_long(key: bytes | None) -> None:
    async with lwm2m_bench(key, options=Lwm2mOptions(lifetime_s=77)) as bench:
        one = bench.open(key)
        await one.owner.accepted()
        one.close()
    request = bench.platform.requests[0]
    assert (request.code, request.opt.uri_path) == (Code.POST, ("rd",))
    assert request.opt.uri_query == (f"ep={EP}", "lt=77", "lwm2m=1.0", "b=U")
    assert request.opt.content_format == 40
    assert b"</19/0>,</19/1>" in request.payload


@pytest.mark.parametrize(
    ("code", "cause"),
    [(Code.FORBIDDEN, Cause.NOT_ALLOWED), (Code.BAD_REQUEST, Cause.CONFIG), (Code.NOT_FOUND, Cause.CONFIG)],
)
async def test_refusal_carries_its_code_and_its_cause(key: bytes | None, code: Code, cause: Cause) -> None:
    async with lwm2m_bench(key, refusing(code, "rd")) as bench:
        assert await bench.open(key, attempt=7).owner.ended() == Refused(7, cause, code.dotted)


async def test_busy_platform_is_unreachable_and_blames_nobody(key: bytes | None) -> None:
    async with lwm2m_bench(key, refusing(Code.SERVICE_UNAVAILABLE, "rd")) as bench:
        assert await bench.open(key).owner.ended() == Unreachable(1, "service unavailable (5.03)")


async def test_wrong_key_is_a_refusal_of_the_credential() -> None:
    async with lwm2m_bench(KEY) as bench:
        assert await bench.open(OTHER_KEY, attempt=7).owner.ended() == Refused(7, Cause.CREDENTIAL, 20)
    assert bench.platform.ended == ["wrong_key"]


async def test_unknown_identity_is_a_refusal_of_the_credential() -> None:
    async with lwm2m_bench(KEY) as bench:
        assert await bench.open(KEY, endpoint="nobody").owner.ended() == Refused(1, Cause.CREDENTIAL, 115)


async def test_no_answer_in_time_is_unreachable(key: bytes | None) -> None:
    async with lwm2m_bench(key, silent, IMPATIENT) as bench:
        assert await bench.open(key).owner.ended() == Unreachable(1, "no answer in time")


async def test_silence_before_the_handshake_is_unreachable_and_no_wrong_key() -> None:
    async with lwm2m_bench(KEY, options=IMPATIENT) as bench:
        bench.platform.is_deaf = True
        assert await bench.open(KEY).owner.ended() == Unreachable(1, "no answer in time")


async def test_closed_port_is_unreachable_at_once(key: bytes | None) -> None:
    async with lwm2m_bench(key, port=unused_port()) as bench:
        assert await bench.open(key).owner.ended() == Unreachable(1, os.strerror(errno.ECONNREFUSED))


async def test_lost_flight_of_the_handshake_is_sent_again() -> None:
    async with lwm2m_bench(KEY) as bench:
        bench.platform.is_deaf = True
        one, loop = bench.open(KEY), asyncio.get_running_loop()
        loop.call_later(0.3, lambda: setattr(bench.platform, "is_deaf", False))
        await one.owner.accepted()
        one.close()


async def test_platform_that_answers_nonsense_harms_nobody(key: bytes | None) -> None:
    async with lwm2m_bench(None, silent, IMPATIENT) as bench:
        one = bench.open(key)
        await until(lambda: bench.platform.peers or key, "the device speaks")
        for address in bench.platform.peers:
            for datagram in (b"", b"\xff" * 40, b"\x40", bytes(64)):
                bench.platform.put(datagram, address)
        assert await one.owner.ended() == Unreachable(1, "no answer in time")


# -- while it is registered


async def test_what_waits_is_reported_once_it_is_observed_one_at_a_time(key: bytes | None) -> None:
    async with lwm2m_bench(key) as bench:
        one = bench.open(key, outbox=outbox_of(*messages(3)))
        await one.owner.accepted()
        assert one.owner.told("sent") == []
        bench.platform.observe()
        await until(lambda: one.owner.told("acknowledged") == [1, 2, 3], "all are acknowledged")
        one.close()
    assert one.owner.told("sent") == [[1], [2], [3]]
    assert bench.platform.reports() == [b'{"seq":1}', b'{"seq":2}', b'{"seq":3}']
    numbers = [response.opt.observe for response in bench.platform.responses]
    assert numbers == sorted(set(numbers)), "an observer drops what is not newer (RFC 7641 §3.4)"


async def test_report_without_acknowledgement_goes_to_the_observer_and_to_nobody_else(key: bytes | None) -> None:
    async with lwm2m_bench(key) as bench:
        one = bench.open(key)
        await one.owner.accepted()
        one.link.publish("19/0/0", b"nobody asked")
        await bench.platform.answer_to(bench.platform.observe())
        one.link.publish("19/0/0", b"here it is")
        await until(lambda: bench.platform.reports(), "the report arrives")
        one.close()
    assert bench.platform.reports() == [b"here it is"]


async def test_what_was_not_acknowledged_waits_for_the_next_attempt(key: bytes | None) -> None:
    async with lwm2m_bench(key) as bench:
        one = bench.open(key)
        await observed(one, bench.platform)
        bench.platform.is_deaf = True
        for message in messages(2):
            one.outbox.add(message)
        one.link.send_due()
        one.link.cut("the network is gone")
        await one.owner.ended()
        bench.platform.is_deaf = False
        other = bench.open(key, attempt=2, outbox=one.outbox)
        await until(lambda: other.owner.events, "the second attempt is accepted")
        bench.platform.observe()
        await until(lambda: not other.outbox, "all are acknowledged")
        other.close()
    assert (one.owner.told("sent"), one.owner.told("acknowledged")) == ([[1]], [])
    assert (other.owner.told("sent"), other.owner.told("acknowledged")) == ([[1], [2]], [1, 2])


async def test_write_is_handed_over_and_answered(key: bytes | None) -> None:
    async with lwm2m_bench(key) as bench:
        one = bench.open(key)
        await one.owner.accepted()
        answer = await bench.platform.answer_to(bench.platform.ask(Code.PUT, "19", "1", "0", payload=b"turn"))
        one.close()
    assert answer.code is Code.CHANGED
    assert one.owner.told("arrived") == [("19/1/0", b"turn")]


@pytest.mark.parametrize(
    ("code", "path", "expected"),
    [
        (Code.GET, "3/0", Code.NOT_FOUND),
        (Code.POST, "19/1/0", Code.METHOD_NOT_ALLOWED),
        (Code.GET, "19/0/0", Code.CONTENT),
    ],
)
async def test_other_requests_get_their_answers(code: Code, path: str, expected: Code) -> None:
    async with lwm2m_bench(None) as bench:
        one = bench.open(None)
        await one.owner.accepted()
        assert (await bench.platform.answer_to(bench.platform.ask(code, *path.split("/")))).code is expected
        one.close()


async def test_update_trigger_brings_an_update() -> None:
    async with lwm2m_bench(None) as bench:
        one = bench.open(None)
        await one.owner.accepted()
        bench.platform.ask(Code.POST, "1", "0", "8")
        await until(lambda: bench.platform.asked(Code.POST, "rd", "a1"), "an update")
        one.close()


async def test_registration_is_refreshed_before_it_ends(key: bytes | None) -> None:
    async with lwm2m_bench(key, options=Lwm2mOptions(lifetime_s=1)) as bench:
        one, loop = bench.open(key), asyncio.get_running_loop()
        await one.owner.accepted()
        since = loop.time()
        await until(lambda: len(bench.platform.asked(Code.POST, "rd", "a1")) == 2, "two updates")
        assert loop.time() - since == pytest.approx(1.0, abs=0.4)
        assert one.owner.terminal is None
        one.close()


async def test_refresh_that_nobody_answers_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, update = list[float](), Lwm2mClient.update
    monkeypatch.setattr(Lwm2mClient, "update", lambda client, now: (asked.append(now), update(client, now)))
    async with lwm2m_bench(None, refusing_silently, Lwm2mOptions(lifetime_s=1)) as bench:
        one, loop = bench.open(None), asyncio.get_running_loop()
        await until(lambda: asked, "a refresh")
        await until(functools.partial(is_past, loop.time() + 0.2), "a moment")
        assert len(asked) == 1, "a timer in the past would ring at every turn"
        one.link.cut("enough")


@pytest.mark.parametrize(
    ("code", "event"),
    [
        (Code.NOT_FOUND, LinkLost(1, "the platform does not know the registration any more (4.04)")),
        (Code.FORBIDDEN, Refused(1, Cause.NOT_ALLOWED, "4.03")),
        (Code.SERVICE_UNAVAILABLE, LinkLost(1, "service unavailable (5.03)")),
    ],
)
async def test_update_that_is_not_taken_ends_the_link(key: bytes | None, code: Code, event: object) -> None:
    async with lwm2m_bench(key, refusing(code, "rd", "a1"), Lwm2mOptions(lifetime_s=1)) as bench:
        one = bench.open(key)
        await until(lambda: one.owner.terminal, "the update is answered")
        bench.openings.clear()  # a refusal after acceptance is what LwM2M has and MQTT has not
    assert one.owner.events == [Accepted(1), event]


async def test_platform_that_rejects_a_report_is_asked_whether_it_knows_the_device() -> None:
    async with lwm2m_bench(None) as bench:
        one = bench.open(None, outbox=outbox_of(*messages(1)))
        await one.owner.accepted()
        token = bench.platform.observe()
        await until(lambda: one.owner.told("sent"), "the report is under way")
        bench.platform.peer.forget(token)
        one.outbox.add(messages(1, first=2)[0])
        await until(lambda: one.owner.told("acknowledged"), "the first report")
        one.link.send_due()
        await until(lambda: bench.platform.asked(Code.POST, "rd", "a1"), "an update")
        bench.platform.observe()
        await until(lambda: one.owner.told("acknowledged") == [1, 2], "the second report, for the new observer")
        one.close()


async def test_session_that_the_platform_closes_is_lost() -> None:
    async with lwm2m_bench(KEY) as bench:
        one = bench.open(KEY)
        await one.owner.accepted()
        assert bench.platform.listener is not None
        for address in bench.platform.peers:
            bench.platform.listener.close(address)
        assert await one.owner.ended() == LinkLost(1, "the session ended: closed")


# -- the end


async def test_close_deregisters(key: bytes | None) -> None:
    async with lwm2m_bench(key) as bench:
        one = bench.open(key)
        await one.owner.accepted()
        one.close()
    assert len(bench.platform.asked(Code.DELETE, "rd", "a1")) == 1
    assert bench.platform.ended == ([] if key is None else ["closed"])


async def test_close_does_not_wait_for_a_platform_that_says_nothing(
    key: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simulator.links.lwm2m.link.LINGER_S", 0.1)
    async with lwm2m_bench(key) as bench:
        one = bench.open(key)
        await one.owner.accepted()
        bench.platform.is_deaf = True
        one.close()


async def test_close_before_the_registration_is_silent(key: bytes | None) -> None:
    async with lwm2m_bench(key, silent) as bench:
        bench.open(key).close()
        one = bench.open(key)
        await until(lambda: bench.platform.requests or bench.platform.listener, "a request")
        one.close()


async def test_cut_says_nothing_to_the_platform(key: bytes | None) -> None:
    async with lwm2m_bench(key) as bench:
        one = bench.open(key)
        await one.owner.accepted()
        one.link.cut("the network is gone")
        assert await one.owner.ended() == LinkLost(1, "the network is gone")
    assert (bench.platform.asked(Code.DELETE, "rd", "a1"), bench.platform.ended) == ([], [])


async def test_cut_of_an_attempt_is_unreachable(key: bytes | None) -> None:
    async with lwm2m_bench(key, silent) as bench:
        one = bench.open(key)
        one.link.cut("the network is gone")
        assert await one.owner.ended() == Unreachable(1, "the network is gone")


async def test_who_has_closed_hears_nothing_more() -> None:
    async with lwm2m_bench(None, refusing_silently) as bench:
        one = bench.open(None)
        await one.owner.accepted()
        one.close()
        answer = await bench.platform.answer_to(bench.platform.ask(Code.PUT, "19", "1", "0", payload=b"late"))
        assert answer.code is Code.CHANGED
    assert one.owner.told("arrived") == []


async def test_places_are_given_back_by_who_is_accepted_and_by_who_is_not(
    key: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simulator.links.lwm2m.engine.MAX_UNDER_WAY", 1)
    async with lwm2m_bench(key, refusing(Code.FORBIDDEN, "rd")) as bench:
        for _ in range(2):
            assert isinstance(await bench.open(key).owner.ended(), Refused)
        bench.platform.answers = obliging
        for _ in range(2):
            one = bench.open(key)
            await one.owner.accepted()
        for opening in bench.openings[2:]:
            opening.close()


async def test_who_waits_for_a_place_is_given_its_time_when_it_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulator.links.lwm2m.engine.MAX_UNDER_WAY", 1)
    async with lwm2m_bench(None, silent, IMPATIENT) as bench:
        first, second = bench.open(None), bench.open(None)
        await first.owner.ended()
        assert second.owner.terminal is None
        await second.owner.ended()
    assert len(bench.platform.peers) == 2, "both have asked"


async def test_link_that_has_ended_does_not_wait_for_the_collector(key: bytes | None) -> None:
    def alive() -> int:
        return sum(isinstance(found, Lwm2mLink) for found in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        async with lwm2m_bench(key) as bench:
            before = alive()
            one = bench.open(key)
            await observed(one, bench.platform)
            one.link.cut("gone")
            await one.owner.ended()
            bench.openings.clear()
            del one
            assert alive() == before
    finally:
        gc.enable()


@pytest.mark.parametrize("act", [lambda one: one.link.publish("t", b"x"), lambda one: one.link.send_due()])
async def test_nothing_is_sent_after_the_end(act: Callable[[Opened], None]) -> None:
    async with lwm2m_bench(None) as bench:
        one = bench.open(None, outbox=outbox_of(*messages(1)))
        await observed(one, bench.platform)
        one.link.cut("gone")
        act(one)
        await one.owner.ended()
        act(one)


# -- power saving

NAPPING = Lwm2mOptions(sleep=Sleep(asleep_s=0.5, awake_s=0.1))
STRAY_ACK = bytes.fromhex("60001234")
FORGETFUL = Lwm2mOptions(sleep=Sleep(asleep_s=0.5, awake_s=0.1, keeps_session=False))


def naps(one: Opened) -> list[object]:
    return one.owner.told("power saving")


async def test_device_that_sleeps_registers_in_queue_mode_hears_nothing_and_updates_when_it_wakes_up(
    key: bytes | None,
) -> None:
    async with lwm2m_bench(key, options=NAPPING) as bench:
        one = bench.open(key)
        await observed(one, bench.platform)
        await until(lambda: naps(one) == [True], "it falls asleep")
        bench.platform.ask(Code.PUT, "19", "1", "0", payload=b"unheard")
        await until(lambda: bench.platform.asked(Code.POST, "rd", "a1"), "an update")
        assert naps(one) == [True, False]
        assert one.owner.told("arrived") == []
        one.close()
    assert bench.platform.requests[0].opt.uri_query[-1] == "b=UQ"


async def test_device_that_has_something_to_report_wakes_up_for_it(key: bytes | None) -> None:
    options = Lwm2mOptions(sleep=Sleep(asleep_s=3600, awake_s=0.1))
    async with lwm2m_bench(key, options=options) as bench:
        one = bench.open(key)
        await observed(one, bench.platform)
        await until(lambda: naps(one) == [True], "it falls asleep")
        one.outbox.add(messages(1)[0])
        one.link.send_due()
        await until(lambda: one.owner.told("acknowledged") == [1], "the report is acknowledged")
        assert naps(one) == [True, False]
        await until(lambda: naps(one) == [True, False, True], "it falls asleep again")
        one.close()


async def test_device_that_keeps_no_session_is_lost_when_it_wakes_up_and_says_nothing(key: bytes | None) -> None:
    async with lwm2m_bench(key, options=FORGETFUL) as bench:
        assert await bench.open(key).owner.ended() == LinkLost(1, "woke up without its session")
    assert bench.platform.asked(Code.DELETE, "rd", "a1") == []
    assert bench.platform.ended == []


async def test_registration_that_is_to_be_refreshed_waits_until_the_device_wakes_up_and_holds_up_nobody() -> None:
    options = Lwm2mOptions(lifetime_s=1, sleep=Sleep(asleep_s=1.2, awake_s=0.1))
    async with lwm2m_bench(None, options=options) as bench:
        one, loop = bench.open(None), asyncio.get_running_loop()
        await until(lambda: naps(one) == [True], "it falls asleep")
        rung = list[float]()
        for delay_s in (0.5, 0.8):
            bench.scheduler.at(loop.time() + delay_s, lambda: rung.append(loop.time()))
        await until(lambda: len(rung) == 2, "other timers ring")
        assert naps(one) == [True], "it is still asleep, and its refresh is due"
        assert bench.platform.asked(Code.POST, "rd", "a1") == []
        await until(lambda: bench.platform.asked(Code.POST, "rd", "a1"), "an update when it wakes up")
        one.close()


async def test_device_does_not_fall_asleep_before_it_has_its_answer() -> None:
    async with lwm2m_bench(None, refusing_silently, NAPPING) as bench:
        one, loop = bench.open(None), asyncio.get_running_loop()
        await one.owner.accepted()
        one.link.send_due()
        bench.platform.ask(Code.POST, "1", "0", "8")  # which makes it ask for something in its turn
        await until(lambda: bench.platform.asked(Code.POST, "rd", "a1"), "an update, which nobody answers")
        since = loop.time()
        await until(lambda: loop.time() > since + 3 * 0.1, "three times what it stays awake")
        assert naps(one) == []
        one.close()


async def test_what_a_device_hears_keeps_it_awake() -> None:
    options = Lwm2mOptions(sleep=Sleep(asleep_s=0.5, awake_s=0.3))
    async with lwm2m_bench(None, options=options) as bench:
        one, loop = bench.open(None), asyncio.get_running_loop()
        await one.owner.accepted()
        since, (address,) = loop.time(), bench.platform.peers
        while loop.time() < since + 0.9:
            bench.platform.put(STRAY_ACK, address)  # it is not answered: what the device says does not count here
            await until(functools.partial(is_past, loop.time() + 0.1), "a moment")
        assert naps(one) == []
        one.close()


async def test_device_that_is_asleep_is_switched_off_without_a_word(key: bytes | None) -> None:
    async with lwm2m_bench(key, options=NAPPING) as bench:
        one = bench.open(key)
        await until(lambda: naps(one) == [True], "it falls asleep")
        one.close()
    assert bench.platform.asked(Code.DELETE, "rd", "a1") == []
    assert bench.platform.ended == []

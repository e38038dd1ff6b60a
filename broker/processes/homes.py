"""One session per device over all processes: which process has a device, and how another gets it.

A process whose CONNECT was judged claims the device; it is granted when no other has a session of it, and nothing of
it: the one that had it was asked for it, and has cut its session and handed over the rest. Whatever else is about that
device waits until then.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import count

from broker.clock import Clock
from broker.processes.books import Books
from broker.processes.everywhere import Everywhere
from broker.processes.letters import EVERYBODY, Came, Claim, Denied, Granted, Release, Released, Said, Went, Withdrawn
from broker.processes.member import Member


@dataclass(slots=True, eq=False)
class _Wish:
    """A claim that is not granted yet, or a call that is for whichever process has the device."""

    device_id: str
    is_free: Callable[[], bool]
    fulfil: Callable[[], None]


@dataclass(slots=True, eq=False)
class _Move:
    """A device between two processes."""

    claim: Claim
    claimant: Member
    home: Member
    estate: bytes | None = None
    missed: list[Said] = field(default_factory=list)
    timer: asyncio.TimerHandle | None = None

    @property
    def is_void(self) -> bool:
        """Whether the claim was denied meanwhile, or is nobody's any more."""
        return self.timer is None or self.claimant.is_gone


class Homes:
    """Grants claims in the order in which they come; `opens_at_once` where no engine can refuse a session."""

    def __init__(
        self, everywhere: Everywhere, books: Books, clock: Clock, timeout_s: float, *, opens_at_once: bool
    ) -> None:
        self._everywhere = everywhere
        self._books = books
        self._clock = clock
        self._timeout_s = timeout_s
        self._opens_at_once = opens_at_once
        self._homes: dict[str, tuple[Member, int]] = {}
        self._wishes: dict[str, deque[_Wish]] = {}
        self._claims: dict[tuple[Member, int], Claim] = {}
        self._moves: dict[int, _Move] = {}
        self._moving: dict[str, int] = {}
        self._numbers = count(1)
        everywhere.settled, everywhere.is_moving = self._go_on, self._moving.__contains__

    # -- what processes say

    def claim(self, member: Member, claim: Claim) -> None:
        self._claims[member, claim.number] = claim
        self._wish(_Wish(claim.device_id, partial(self._may_grant, claim), partial(self._serve, member, claim)))

    def withdrawn(self, member: Member, letter: Withdrawn) -> None:
        """Forget a claim; one that was granted is a session that is over."""
        self._claims.pop((member, letter.number), None)
        self._books.leave(member, letter.number, letter.device_id, self._clock.utc(), for_good=True)

    def came(self, member: Member, letter: Came) -> None:
        """A session is open behind an engine that could have refused it."""
        claim = self._claims.pop((member, letter.claim), None)
        if claim is not None:
            self._books.enter(member, claim)

    def went(self, member: Member, letter: Went) -> None:
        self._books.leave(member, letter.claim, letter.device_id, letter.utc, for_good=letter.for_good)
        if not letter.kept and self._homes.get(letter.device_id) == (member, letter.claim):
            del self._homes[letter.device_id]

    def released(self, member: Member, letter: Released) -> None:
        move = self._moves.pop(letter.number, None)
        if move is None:
            return
        device_id, estate = move.claim.device_id, letter.estate or move.estate
        if move.timer is not None:
            move.timer.cancel()
            del self._moving[device_id]
        if not move.is_void:
            self._grant(move.claimant, move.claim, estate, tuple(move.missed))
        elif (next_move := self._moves.get(self._moving.get(device_id, 0))) is not None:
            next_move.estate = estate
        else:
            member.post(Granted(0, device_id, estate, tuple(move.missed)))
        self._moved(device_id)

    def said(self, letter: Said) -> None:
        """Pass a message on to all, and keep it for devices that are nowhere just now."""
        for member in self._everywhere.members:
            member.post(letter)
        for move in self._moves.values():
            move.missed.append(letter)

    # -- what the hub asks

    def when_settled(self, device_id: str, then: Callable[[Member | None], None]) -> None:
        """Have a call made when the device is in one place: with that, or with None if it is in none."""

        def call() -> None:
            home = self._homes.get(device_id)
            then(None if home is None else home[0])

        self._wish(_Wish(device_id, lambda: True, call))

    def settle_in(self, device_id: str, member: Member) -> None:
        """From now on something is kept of the device there, whatever becomes of its session."""
        self._homes[device_id] = member, 0

    def lost(self, member: Member) -> None:
        """A process is gone, and all that it had."""
        for device_id in [one for one, (home, _) in self._homes.items() if home is member]:
            del self._homes[device_id]
        for key in [one for one in self._claims if one[0] is member]:
            del self._claims[key]
        for number in [one for one, move in self._moves.items() if move.home is member]:
            self.released(member, Released(number, None))

    # -- granting

    def _wish(self, wish: _Wish) -> None:
        waiting = self._wishes.get(wish.device_id)
        if waiting is None and wish.device_id not in self._moving and wish.is_free():
            wish.fulfil()
        else:
            self._wishes.setdefault(wish.device_id, deque()).append(wish)

    def _go_on(self, about: frozenset[str]) -> None:
        """Something about these devices is settled: fulfil what has waited for it."""
        if not self._wishes:
            return
        for device_id in list(self._wishes) if EVERYBODY in about else about:
            waiting = self._wishes.get(device_id)
            while waiting and device_id not in self._moving and waiting[0].is_free():
                waiting.popleft().fulfil()
            if not waiting:
                self._wishes.pop(device_id, None)

    def _may_grant(self, claim: Claim) -> bool:
        return not self._everywhere.is_changing(claim.device_id)

    def _serve(self, member: Member, claim: Claim) -> None:
        """Grant a claim at once, or ask who has the device for it; a claim that was withdrawn is none."""
        if (member, claim.number) not in self._claims:
            return
        home, _ = self._homes.get(claim.device_id, (member, 0))
        if home is member:
            self._grant(member, claim)
            return
        number, move = next(self._numbers), _Move(claim, member, home)
        self._moves[number], self._moving[claim.device_id] = move, number
        move.timer = asyncio.get_running_loop().call_later(self._timeout_s, self._deny, move)
        home.post(Release(number, claim.device_id))

    def _grant(self, member: Member, claim: Claim, estate: bytes | None = None, missed: tuple[Said, ...] = ()) -> None:
        key = member, claim.number
        self._homes[claim.device_id] = key
        member.post(Granted(claim.number, claim.device_id, estate, missed))
        if self._opens_at_once and self._claims.pop(key, None) is not None:
            self._books.enter(member, claim)

    def _deny(self, move: _Move) -> None:
        """Who has the device does not answer: nobody else gets it, and the device may try again."""
        move.timer = None
        self._claims.pop((move.claimant, move.claim.number), None)
        move.claimant.post(
            Denied(move.claim.number, f"access process {move.home.number} does not let go of the device")
        )
        del self._moving[move.claim.device_id]
        self._moved(move.claim.device_id)

    def _moved(self, device_id: str) -> None:
        """What has waited for the device goes on; changes first, because they hold up everything else."""
        self._everywhere.go_on()
        self._go_on(frozenset((device_id,)))

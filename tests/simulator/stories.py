"""Builds journals by hand, the way a run would have written them."""

from typing import Any, Self

Record = dict[str, Any]

OLD, NEW, OTHER, OTHER_NEW = "aaaa0000", "aaaa1111", "bbbb0000", "bbbb1111"


class Story:
    """Records of the devices' side; times are given, never read from a clock."""

    def __init__(self, expect: tuple[str, ...] = (), lag_limit: float = 0.25) -> None:
        self.records: list[Record] = []
        self.at(
            0.0,
            "header",
            wall=1000.0,
            monotonic=0.0,
            run="r",
            scenario="a story",
            intent="routine",
            seed=1,
            loop_lag_limit=lag_limit,
            expect=list(expect),
        )

    def at(self, t: float, kind: str, **fields: object) -> Self:
        self.records.append({"t": t, "kind": kind, **fields})
        return self

    def device(
        self, device: str = "d1", *, fleet: str = "meters", secondary: str | None = OTHER, **fields: Any
    ) -> Self:
        given = {
            "presents": ["primary", "secondary"],
            "primary": OLD,
            "secondary": secondary,
            "platform_primary": OLD,
            "platform_secondary": secondary,
        }
        return self.at(0.0, "device", device=device, fleet=fleet, **(given | fields))

    def step(self, t: float, step: str, verb: str = "reset_secret", fleets: tuple[str, ...] = ("meters",)) -> Self:
        return self.at(t, "step", step=step, verb=verb, state="started", fleets=list(fleets))

    def action(self, t: float, step: str, device: str = "d1", **fields: Any) -> Self:
        return self.at(t, "action", step=step, device=device, verb="reset_secret", **fields)

    def online(
        self,
        t: float,
        *,
        device: str = "d1",
        attempt: int = 1,
        slot: str = "primary",
        secret: str = OLD,
        opened: float | None = None,
    ) -> Self:
        """An attempt that was accepted at `t` and whose connect event was acknowledged 10 ms later."""
        about = {"device": device, "attempt": attempt, "slot": slot, "fingerprint": secret}
        self.at(t - 0.01 if opened is None else opened, "opened", staged=False, **about)
        self.at(t, "accepted", **about)
        return self.at(t + 0.01, "recovered", device=device, attempt=attempt)

    def refused(
        self, t: float, *, device: str = "d1", attempt: int = 1, secret: str = OLD, cause: str = "credential"
    ) -> Self:
        about = {"device": device, "attempt": attempt, "slot": "primary", "fingerprint": secret}
        self.at(t - 0.01, "opened", staged=False, **about)
        return self.at(t, "refused", cause=cause, code=4, **about)

    def lost(self, t: float, device: str = "d1") -> Self:
        return self.at(t, "lost", device=device, attempt=1, reason="closed by the platform")

    def reset(self, t: float, slot: str, secret: str, *, device: str = "d1", step: str = "rotate") -> Self:
        """A reset whose reply comes 5 ms after its request."""
        about = {"step": step, "device": device, "slot": slot, "fingerprint": secret, "forced": True}
        self.at(t, "reset", state="sent", **about)
        return self.at(t + 0.005, "reset", state="answered", **about)

    def lag(self, first: float, samples: list[float]) -> Self:
        """How late the loop was, at ticks 50 ms apart; the record is written after the last."""
        return self.at(first + 0.05 * len(samples), "lag", first=first, every=0.05, samples=samples)

    def end(self, t: float, *, interrupted: bool = False, unreachable: str | None = None) -> Self:
        self.at(t, "settled")
        return self.at(t, "ended", interrupted=interrupted, unreachable=unreachable)


def platform_header(monotonic: float = 0.0, wall: float = 1000.0) -> Record:
    return {"t": monotonic, "kind": "header", "wall": wall, "monotonic": monotonic, "run": "p", "source": "platform"}

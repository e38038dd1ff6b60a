"""Good MQTT gone wrong: seeded ways to spoil packets. Pure."""

from collections.abc import Callable, Sequence
from random import Random

LYING_LENGTHS = (b"\x00", b"\x01", b"\x7f", b"\x80\x01", b"\xff\x7f", b"\xff\xff\x7f", b"\xff\xff\xff\x7f", b"\xff" * 4)
LYING_SIZES = (b"\x00\x00", b"\x00\x01", b"\x7f\xff", b"\xff\xff")
MAX_FLIPS = 8
MAX_NOISE = 64
SHOWN_BYTES = 160


def spoil(rng: Random, good: Sequence[bytes]) -> bytes:
    """Draw from good packets and spoil what was drawn, once to three times."""
    spoilt = rng.choice(good)
    for _ in range(rng.randint(1, 3)):
        spoilt = rng.choice(SPOILERS)(rng, spoilt, good)
    return spoilt


def split(rng: Random, data: bytes) -> tuple[bytes, ...]:
    """Cut bytes at random places: mostly not at all, sometimes into many pieces."""
    pieces = rng.choice((1, 1, 1, 2, 3, 20))
    cuts = sorted(rng.randint(0, len(data)) for _ in range(pieces - 1))
    return tuple(data[start:end] for start, end in zip((0, *cuts), (*cuts, len(data)), strict=True) if end > start)


def shown(data: bytes) -> str:
    """Show the beginning of bytes; the whole of them comes again from its seed."""
    return data[:SHOWN_BYTES].hex() + ("…" if len(data) > SHOWN_BYTES else "")


def _flip(rng: Random, data: bytes, _good: Sequence[bytes]) -> bytes:
    spoilt = bytearray(data)
    for _ in range(rng.randint(1, MAX_FLIPS) if spoilt else 0):
        spoilt[rng.randrange(len(spoilt))] ^= 1 << rng.randrange(8)
    return bytes(spoilt)


def _truncate(rng: Random, data: bytes, _good: Sequence[bytes]) -> bytes:
    return data[: rng.randint(0, len(data))]


def _lie_about_the_length(rng: Random, data: bytes, _good: Sequence[bytes]) -> bytes:
    """Put another remaining length where a short packet has its own."""
    return data[:1] + rng.choice(LYING_LENGTHS) + data[2:]


def _lie_about_a_field(rng: Random, data: bytes, _good: Sequence[bytes]) -> bytes:
    at = rng.randint(0, len(data))
    return data[:at] + rng.choice(LYING_SIZES) + data[at + 2 :]


def _splice(rng: Random, data: bytes, good: Sequence[bytes]) -> bytes:
    other = rng.choice(good)
    return data[: rng.randint(0, len(data))] + other[rng.randint(0, len(other)) :]


def _duplicate(rng: Random, data: bytes, _good: Sequence[bytes]) -> bytes:
    return data * rng.randint(2, 5)


def _insert_noise(rng: Random, data: bytes, _good: Sequence[bytes]) -> bytes:
    at = rng.randint(0, len(data))
    return data[:at] + rng.randbytes(rng.randint(1, MAX_NOISE)) + data[at:]


def _remove(rng: Random, data: bytes, _good: Sequence[bytes]) -> bytes:
    start = rng.randint(0, len(data))
    return data[:start] + data[rng.randint(start, len(data)) :]


SPOILERS: tuple[Callable[[Random, bytes, Sequence[bytes]], bytes], ...] = (
    _flip,
    _truncate,
    _lie_about_the_length,
    _lie_about_a_field,
    _splice,
    _duplicate,
    _insert_noise,
    _remove,
)

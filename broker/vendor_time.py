"""Moments as the vendor's API writes them, in two formats; always UTC."""

from datetime import datetime


def to_the_second(utc: datetime) -> str:
    """`yyyyMMdd'T'HHmmss'Z'`."""
    return f"{utc:%Y%m%dT%H%M%SZ}"


def to_the_millisecond(utc: datetime) -> str:
    """`yyyy-MM-dd'T'HH:mm:ss.SSS'Z'`."""
    return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03}Z"

"""Certificates for tests: an authority and a server of 127.0.0.1, made once, and contexts of both sides."""

import functools
import ssl
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from broker.certificates import made_in, server_context
from simulator.links.link import Endpoint, LinkEngine, LinkOptions
from simulator.links.tls import trusting
from simulator.scheduler import Scheduler

VALID_AT = datetime(2026, 1, 1, tzinfo=UTC)


@functools.cache
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The server's context, and that of a client who trusts it."""
    with tempfile.TemporaryDirectory(prefix="keyturn-test-") as folder:
        ca, certificate, key = made_in(Path(folder), "127.0.0.1", VALID_AT)
        return server_context(certificate, key), trusting(ca.read_text())


class OverTls:
    """An engine factory whose links speak TLS."""

    def __init__(self, factory: type) -> None:
        self._factory = factory

    def __call__(self, scheduler: Scheduler, endpoint: Endpoint, options: LinkOptions) -> LinkEngine[object]:
        engine: LinkEngine[object] = self._factory(scheduler, endpoint, replace(options, tls=contexts()[1]))
        return engine

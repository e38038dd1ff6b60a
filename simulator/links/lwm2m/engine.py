"""Opens the LwM2M links of a fleet."""

import asyncio

from simulator.credentials import EndpointCredentials
from simulator.links.link import Endpoint, LinkOwner
from simulator.links.lwm2m.link import Lwm2mLink
from simulator.links.lwm2m.options import Lwm2mOptions
from simulator.links.lwm2m.shared import Shared
from simulator.links.outbox import Outbox
from simulator.links.turnstile import Turnstile
from simulator.scheduler import Scheduler
from wire.dtls import Client

MAX_UNDER_WAY = 512  # a platform's socket buffer takes a few thousand datagrams, and what is lost costs a second each
MAX_PER_TURN = 32


class Lwm2mEngine:
    """Opens links to one endpoint; credentials with a key shake hands first, others speak in the clear."""

    def __init__(self, scheduler: Scheduler, endpoint: Endpoint, options: Lwm2mOptions) -> None:
        loop = asyncio.get_running_loop()
        self._shared = Shared(
            loop, scheduler, endpoint, options, Turnstile(loop, MAX_UNDER_WAY, MAX_PER_TURN), Client()
        )

    @property
    def open_links(self) -> int:
        return self._shared.open_links

    def open(self, owner: LinkOwner, attempt: int, credentials: EndpointCredentials, outbox: Outbox) -> Lwm2mLink:
        return Lwm2mLink(self._shared, owner, attempt, credentials, outbox)

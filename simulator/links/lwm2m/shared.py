"""What the links of a fleet share."""

import asyncio
from dataclasses import dataclass

from simulator.links.link import Endpoint
from simulator.links.lwm2m.options import Lwm2mOptions
from simulator.links.turnstile import Turnstile
from simulator.scheduler import Scheduler
from wire.dtls import Client


@dataclass(slots=True, eq=False)
class Shared:
    """`open_links` still hold a descriptor or want one."""

    loop: asyncio.AbstractEventLoop
    scheduler: Scheduler
    endpoint: Endpoint
    options: Lwm2mOptions
    turnstile: Turnstile
    dtls: Client
    open_links: int = 0

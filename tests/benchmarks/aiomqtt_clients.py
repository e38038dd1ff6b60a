"""aiomqtt: one task for each client, as its documentation shows."""

import asyncio

import aiomqtt

from simulator.limits import collector_spared, raise_descriptor_limit
from tests.benchmarks.devices import KEEPALIVE_S, Login, logins
from tests.benchmarks.meter import SETTLE_S, Result, connected, mark
from tests.benchmarks.ramp import DEADLINE_S, UNDER_WAY, Progress, own_address
from tests.benchmarks.servers import Server


async def connect(server: Server, devices: int) -> Result:
    raise_descriptor_limit()
    empty = mark(server.pid)
    progress, known = Progress(devices), logins(devices)
    clients = [_client(server, login) for login in known]
    room = asyncio.Semaphore(UNDER_WAY)

    async def play(client: aiomqtt.Client, login: Login) -> None:
        await room.acquire()
        async with client:
            progress.accept()
            await client.publish(login.topic, login.greeting, qos=1)
            progress.recover()
            room.release()
            await asyncio.Event().wait()

    with collector_spared():
        before = mark(server.pid)
        async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as tasks:
            playing = [tasks.create_task(play(*one)) for one in zip(clients, known, strict=True)]
            while not progress.done:
                await asyncio.sleep(0.01)
            after = mark(server.pid)
            await asyncio.sleep(SETTLE_S)
            idle = mark(server.pid)
            for task in playing:
                task.cancel()
    return progress.wall(before) | connected(empty, before, after, idle)


def _client(server: Server, login: Login) -> aiomqtt.Client:
    who = login.credentials
    return aiomqtt.Client(
        "127.0.0.1",
        server.port,
        identifier=who.client_id,
        username=who.username,
        password=who.password,
        keepalive=KEEPALIVE_S,
        timeout=DEADLINE_S,
        bind_address=own_address(),
    )

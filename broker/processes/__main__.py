"""`python -m broker.processes CONTROL LISTENING…`: an access process, started by the hub with these descriptors.

Exit codes: 0 when the hub says so or is gone, 4 after a crash. Signals are the hub's to answer.
"""

import asyncio
import signal
import socket
import sys
import traceback
from collections.abc import Sequence

from broker.complaints import complain
from broker.processes.service import Service
from broker.program import CRASH, OK, end_at_crashes, new_loop, raise_file_limit, spare_the_collector


def main(descriptors: Sequence[str]) -> int:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise_file_limit()
    control, *listening = (socket.socket(fileno=int(one)) for one in descriptors)
    try:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            return runner.run(_serve(control, listening))
    except Exception:  # noqa: BLE001 - the last guard: the exit code says that it was our fault
        complain(f"an access process crashed\n{traceback.format_exc()}")
        return CRASH


async def _serve(control: socket.socket, listening: Sequence[socket.socket]) -> int:
    service = Service(control, listening)
    crashes = end_at_crashes(asyncio.get_running_loop(), service.is_over.set)
    spare_the_collector()
    await service.run()
    return CRASH if crashes else OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

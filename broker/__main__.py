"""`python -m broker`: one platform as a process.

Exit codes: 0 after a clean stop, 2 when it cannot be started as asked, 4 after a crash.
"""

import asyncio
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence

import orjson

from broker import VERSION
from broker.complaints import complain
from broker.engines.address import EngineAddress
from broker.errors import SettingsError, StoreError
from broker.flags import ENGINE_PASSWORD_VARIABLE, HOOK_VARIABLES, SECRET_KEY_VARIABLE, parser
from broker.program import CRASH, OK, USAGE, end_at_crashes, new_loop, raise_file_limit, spare_the_collector
from broker.server import Platform
from broker.settings import Settings

NOTICE = "a platform for tests; it is not a cloud, keep no real secret in it"


def main(arguments: Sequence[str] | None = None, prog: str = "keyturn serve") -> int:
    flags = vars(parser(prog).parse_args(arguments))
    parent_pipe = flags.pop("parent_pipe")
    if flags["access_key"] is not None and flags["secret_key"] is None:
        flags["secret_key"] = os.environ.get(SECRET_KEY_VARIABLE)
    if flags["hook"] is not None:
        flags |= {name: flags.get(name) or os.environ.get(variable) for name, variable in HOOK_VARIABLES.items()}
    try:
        password, ca = os.environ.get(ENGINE_PASSWORD_VARIABLE), flags.pop("engine_ca")
        flags["engine"] = EngineAddress.parse(flags["engine"], password, ca)
        settings = Settings(**{**flags, "sign_window_hours": tuple(flags["sign_window_hours"])})
        raise_file_limit()
        with asyncio.Runner(loop_factory=new_loop) as runner:
            return runner.run(_serve(settings, parent_pipe=parent_pipe))
    except (SettingsError, StoreError) as error:
        complain(str(error))
        return USAGE
    except Exception:  # noqa: BLE001 - the last guard: the exit code says that it was our fault
        complain(f"crashed\n{traceback.format_exc()}")
        return CRASH


async def _serve(settings: Settings, *, parent_pipe: bool) -> int:
    loop = asyncio.get_running_loop()
    platform = Platform(settings)
    stop = platform.stop_asked
    crashes = end_at_crashes(loop, stop.set)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with platform:
        if parent_pipe:
            _watch_parent(loop, stop.set)
        spare_the_collector()
        _announce(platform)
        await stop.wait()
    return CRASH if crashes else OK


def _announce(platform: Platform) -> None:
    host = platform.settings.host
    ready = {
        "ready": True,
        "version": VERSION,
        "pid": os.getpid(),
        "run": platform.run,
        "http": {"host": host, "port": platform.http_port},
        "mqtt": {"host": host, "port": platform.mqtt_port},
        **{name: {"host": host, "port": port} for name, port in platform.more_ports.items()},
        **({"ca": str(platform.ca)} if platform.ca else {}),
    }
    complain(NOTICE)
    sys.stdout.write(orjson.dumps(ready).decode() + "\n")
    sys.stdout.flush()


def _watch_parent(loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> None:
    """Stop when the other end of our standard input is closed: the parent is gone."""
    stdin = sys.stdin.fileno()

    def read() -> None:
        if not os.read(stdin, 4096):
            loop.remove_reader(stdin)
            stop()

    loop.add_reader(stdin, read)


if __name__ == "__main__":
    sys.exit(main(prog="python -m broker"))

"""Hook mode, wired; nobody imports this module without `--hook`."""

from starlette.types import ASGIApp

from broker.auth.decision import Policy
from broker.hooks.endpoint import HookEndpoint
from broker.hooks.engine import Engine, parse_address
from broker.hooks.judge import Judge
from broker.hooks.management import Emqx, Management, RabbitMq
from broker.hooks.presence_poll import PresencePoll
from broker.hooks.remote_sessions import Premises, RemoteSessions
from broker.settings import Settings

ENGINES: dict[str, type[RabbitMq] | type[Emqx]] = {"rabbitmq": RabbitMq, "emqx": Emqx}


class HookService:
    """One broker: its questions, its sessions and what it is told."""

    def __init__(self, settings: Settings, premises: Premises) -> None:
        assert settings.hook is not None
        assert settings.engine_api is not None, "the settings demand it"
        self._settings = settings
        self._premises = premises
        address = parse_address(settings.engine_api, settings.engine_password)
        self._engine: Engine = ENGINES[settings.hook](Management(address, settings.management_timeout_s))
        self._remote = RemoteSessions(settings.hook, self._engine, premises, settings.engine_settle_s)
        self._poll = PresencePoll(self._remote, self._engine, premises, settings.engine_poll_s)

    def start(self) -> None:
        self._poll.start()

    def in_front_of(self, behind: ASGIApp) -> ASGIApp:
        """Serve the hook beside an application."""
        settings = self._settings
        assert settings.hook is not None
        policy = Policy(settings.sign_window_hours, settings.keepalive_range_s)
        judge = Judge(self._remote, self._premises, policy, secure=settings.engine_secure)
        return HookEndpoint(behind, settings.hook, judge, settings.hook_token, self._premises)

    async def stop(self) -> None:
        """Ask and tell nothing any more; the broker keeps its connections."""
        await self._poll.stop()
        await self._remote.stop()
        await self._engine.close()

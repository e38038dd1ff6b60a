"""What another broker is answered: by the decision of our own port, and journalled as there."""

from broker.access.topics import Realm
from broker.auth.decision import BAD_CREDENTIALS, ConnectRequest, Policy, Reason, Refused, decide, device_of
from broker.hooks.calls import Login, ResourceUse, TopicUse, Use
from broker.hooks.remote_sessions import Premises, RemoteSessions
from broker.hooks.rules import may_touch, routing_key_realm, topic_realm
from broker.journal import beginning

FOREIGN = {Use.PUBLISH: "foreign_publish", Use.SUBSCRIBE: "foreign_subscribe"}
HOOK_FAILED = Refused(BAD_CREDENTIALS, Reason.INTERNAL_ERROR)
MALFORMED = Refused(BAD_CREDENTIALS, Reason.MALFORMED_CALL)
UNKNOWN_CALLER = Refused(BAD_CREDENTIALS, Reason.UNKNOWN_CALLER)


class Judge:
    """Answers yes or no. `secure` tells whether the broker takes devices over TLS alone: no call tells how one came."""

    def __init__(self, remote: RemoteSessions, premises: Premises, policy: Policy, *, secure: bool) -> None:
        self._remote = remote
        self._premises = premises
        self._policy = policy
        self._secure = secure
        self._realm = routing_key_realm if remote.via == "rabbitmq" else topic_realm

    def lets_in(self, login: Login) -> bool:
        """Judge a CONNECT; whoever is let in has a session from now on."""
        premises = self._premises
        request = ConnectRequest(login.client_id, login.username, login.password, None, secure=self._secure)
        verdict = decide(premises.registry, request, premises.clock.utc(), self._policy)
        if isinstance(verdict, Refused):
            self.refuse(verdict, login)
            return False
        self._remote.begin(login, verdict)
        return True

    def refuse(self, verdict: Refused, login: Login | None = None) -> None:
        """Journal a refusal; `code` is what our own port would answer, the broker may tell its client another."""
        self._premises.statistics.refused[verdict.reason.value] += 1
        self._premises.journal.write(
            "refused",
            device=verdict.claimed,
            client_id=beginning(login.client_id) if login and login.client_id else None,
            code=verdict.code,
            reason=verdict.reason,
            peer=beginning(login.peer or self._remote.via) if login else self._remote.via,
            via=self._remote.via,
            **({} if verdict.secret_was_right is None else {"secret_was_right": verdict.secret_was_right}),
        )

    def knows(self, client_id: str) -> bool:
        return device_of(self._premises.registry, client_id) is not None

    def allows_topic(self, wanted: TopicUse) -> bool:
        """Judge a PUBLISH or SUBSCRIBE; a device of ROMA LINK has no `$oc` topics."""
        device_id = device_of(self._premises.registry, wanted.client_id)
        found = Realm.FOREIGN if device_id is None else self._realm(device_id, wanted)
        if found is Realm.CUSTOM or (found is Realm.SYSTEM and device_id != wanted.client_id):
            return True
        self._premises.statistics.dropped_foreign += 1
        self._drop(device_id, FOREIGN[wanted.use], topic=beginning(wanted.topic))
        self._expect_the_end(device_id)
        return False

    def allows_resource(self, wanted: ResourceUse) -> bool:
        device_id = device_of(self._premises.registry, wanted.client_id)
        if device_id is not None and may_touch(wanted):
            return True
        self._drop(device_id, "foreign_resource", resource=beginning(f"{wanted.kind} {wanted.name}"))
        return False

    def _drop(self, device_id: str | None, reason: str, **what: str) -> None:
        self._premises.journal.write("dropped", device=device_id, **what, reason=reason, via=self._remote.via)

    def _expect_the_end(self, device_id: str | None) -> None:
        """RabbitMQ closes the connection of a client that it refuses a topic."""
        if self._remote.via == "rabbitmq" and device_id is not None:
            self._remote.expect_the_end(device_id)

"""Whose platform this is: the project and the instance that the vendor's calls must name."""

from dataclasses import dataclass

from starlette.responses import Response

from broker.auth.signature import Headers
from broker.control_api.errors import NOT_SUBSCRIBED, error_response

ANY_PLATFORM = "default"


@dataclass(frozen=True, slots=True)
class Tenant:
    """A project and an instance, None for any.

    The project `default` is always served, and so is a call that names no instance.
    """

    project_id: str | None = None
    instance_id: str | None = None

    def objection(self, path: str, headers: Headers) -> Response | None:
        """Return the answer to a call of the vendor's API that names another's project or instance."""
        match path.split("/"):
            case ["", "v5", "iot", project, *_] if self.project_id not in (None, project) and project != ANY_PLATFORM:
                return error_response(NOT_SUBSCRIBED, "project_id: expected that of this platform.")
            case ["", "v5", "iot", *_] if self._is_elsewhere(headers.get(b"instance-id")):
                return error_response(NOT_SUBSCRIBED, "Instance-Id: expected that of this platform.")
        return None

    def _is_elsewhere(self, named: bytes | None) -> bool:
        return self.instance_id is not None and named not in (None, self.instance_id.encode())

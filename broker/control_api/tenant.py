"""Whose platform this is: the project and the instance that the vendor's calls must name."""

from dataclasses import dataclass

from broker.auth.signature import Headers
from broker.control_api.errors import NoSuchInstance, NotSubscribed

ANY_PLATFORM = "default"


@dataclass(frozen=True, slots=True)
class Tenant:
    """A project and an instance, None for any.

    The project `default` is always served, and so are ROMA LINK's instance `default` and a call that names no instance.
    """

    project_id: str | None = None
    instance_id: str | None = None

    def require_own(self, path: str, headers: Headers) -> None:
        """Look whose a call of the vendor's APIs is; raises NotSubscribed or NoSuchInstance when it names another's."""
        match path.split("/"):
            case ["", "v5", "iot", project, *_] if not self._serves_project(project):
                raise NotSubscribed("project_id: expected that of this platform.")
            case ["", "v5", "iot", *_] if self._is_elsewhere(headers.get(b"instance-id")):
                raise NotSubscribed("Instance-Id: expected that of this platform.")
            case ["", "v2", project, "link", "instances", instance, *_]:
                if not self._serves_project(project) or instance not in (self.instance_id or instance, ANY_PLATFORM):
                    raise NoSuchInstance(project, instance)

    def _serves_project(self, named: str) -> bool:
        return self.project_id in (None, named) or named == ANY_PLATFORM

    def _is_elsewhere(self, named: bytes | None) -> bool:
        return self.instance_id is not None and named not in (None, self.instance_id.encode())

"""What the platform raises.

BrokerError
├── SettingsError     the platform cannot be started like this
├── StoreError        the registry could not be read or written; nothing was changed
├── NotConfirmed      a change is in force, but an access process has not said so in time
└── RequestError      a request that cannot be served; the control API knows the vendor's code of each
    ├── InvalidInput
    ├── UnknownDevice
    ├── UnknownCommand
    ├── UnknownRule
    ├── UnknownAction
    ├── UnknownResource
    ├── ResourceInUse
    ├── DeviceExists
    ├── ProductHasDevices
    ├── AlreadyFrozen
    ├── NotFrozen
    ├── DeviceOffline
    └── CommandTimeout
"""


class BrokerError(Exception):
    """Root of every error of the platform."""


class SettingsError(BrokerError):
    """A setting, or something a setting names (a port, a file), cannot be used."""


class StoreError(BrokerError):
    """The registry's database refused; the requested change did not happen."""


class NotConfirmed(BrokerError):
    """An access process has not answered in time; what was asked for is in force as soon as it does."""


class RequestError(BrokerError):
    """A caller asked for something that cannot be done; the message is fit to be shown to the caller."""


class InvalidInput(RequestError):
    """A value in the request is not acceptable."""


class UnknownDevice(RequestError):
    """No device has this id."""

    def __init__(self, device_id: str) -> None:
        super().__init__(f"device {device_id!r} does not exist")


class UnknownCommand(RequestError):
    """No asynchronous command of the device has this id."""

    def __init__(self, command_id: str) -> None:
        super().__init__(f"command {command_id!r} does not exist")


class UnknownRule(RequestError):
    """No routing rule has this id."""

    def __init__(self, rule_id: str) -> None:
        super().__init__(f"rule {rule_id!r} does not exist")


class UnknownAction(RequestError):
    """No action of a routing rule has this id."""

    def __init__(self, action_id: str) -> None:
        super().__init__(f"action {action_id!r} does not exist")


class UnknownResource(RequestError):
    """No device, or no product, of ROMA LINK has this id."""

    def __init__(self, resource: object) -> None:
        super().__init__(f"Check whether the resource ID {resource} is correct.")


class ResourceInUse(RequestError):
    """A product that has devices is to be deleted."""


class DeviceExists(RequestError):
    """A device of this id, or of this node id in this product, is there already."""


class ProductHasDevices(RequestError):
    """The protocol of a product is that of its devices, and theirs does not change."""


class AlreadyFrozen(RequestError):
    """Freeze of a frozen device."""


class NotFrozen(RequestError):
    """Unfreeze of a device that is not frozen."""


class DeviceOffline(RequestError):
    """A request needs a session, and there is none, or it ended before the device answered."""


class CommandTimeout(RequestError):
    """The device did not answer a request in time."""

    def __init__(self, device_id: str, timeout_s: float, request_id: str) -> None:
        super().__init__(f"device {device_id!r} did not answer within {timeout_s:g} s")
        self.request_id = request_id

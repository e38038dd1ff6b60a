"""The devices and products of ROMA LINK as the vendor's API shows them, with their authentications."""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from broker.auth.roma import Authentication, Product, RomaDevice, RomaRegistry
from broker.control_api.roma_models import (
    AuthenticationAnswer,
    DeviceAnswer,
    DeviceInfo,
    ForceOfflineAnswer,
    ProductAnswer,
    ProductReferenceAnswer,
)
from broker.control_api.roma_query import DIRECT
from broker.sessions import Sessions

COMMON = 0
"""The vendor's device type of what is neither a gateway nor behind one."""


class RomaAnswers:
    """Puts together what the registry and the sessions know."""

    def __init__(self, registry: RomaRegistry, sessions: Sessions, connect_address: str) -> None:
        self._registry = registry
        self._sessions = sessions
        self._connect_address = connect_address

    def online_status(self, device: RomaDevice) -> Literal[0, 1, 2]:
        if device.client_id in self._sessions:
            return 1
        return 2 if self._sessions.presence.was_in(device.client_id) else 0

    def device(self, device: RomaDevice, instance_id: str) -> DeviceAnswer:
        session = self._sessions.get(device.client_id)
        return DeviceAnswer(
            id=device.id,
            device_id=device.id,
            product=self._reference(device.product_id),
            device_name=device.device_name,
            instance_id=instance_id,
            client_id=device.client_id,
            node_id=device.node_id,
            app_id=device.app_id,
            status=1 if device.disabled else 0,
            online_status=self.online_status(device),
            description=device.description,
            authentication=authentication(device.authentication),
            tags=[],
            created_datetime=device.created_ms,
            last_login_datetime=None if session is None else _milliseconds(session.connected_at),
            connect_address=self._connect_address,
            node_type=DIRECT,
            device_type=COMMON,
        )

    def _reference(self, product_id: int) -> ProductReferenceAnswer:
        product = self._registry.product(product_id)
        assert product is not None, "every device's product is there"
        facts = product.facts
        return ProductReferenceAnswer(
            product_id=product.id,
            product_name=facts.name,
            manufacturer_id=facts.manufacturer_id,
            model=facts.model,
            protocol_type=facts.protocol_type,
            product_type=facts.product_type,
        )


def product_answer(product: Product) -> ProductAnswer:
    facts = product.facts
    return ProductAnswer(
        id=product.id,
        app_id=facts.app_id,
        name=facts.name,
        manufacturer_id=facts.manufacturer_id,
        manufacturer_name=facts.manufacturer_name,
        model=facts.model,
        product_type=facts.product_type,
        protocol_type=facts.protocol_type,
        description=facts.description,
        device_type=facts.device_type,
        version=facts.version,
        data_format=facts.data_format,
        created_datetime=product.created_ms,
        authentication=authentication(product.authentication),
    )


def authentication(known: Authentication) -> AuthenticationAnswer:
    return AuthenticationAnswer(user_name=known.user_name, password=known.password.value)


def forced_offline(devices: Iterable[RomaDevice], unknown: Iterable[int]) -> ForceOfflineAnswer:
    return ForceOfflineAnswer(
        success=[DeviceInfo(id=one.id, device_id=one.id, device_name=one.device_name) for one in devices],
        failed=[DeviceInfo(id=one, device_id=one) for one in unknown],
    )


def _milliseconds(utc: datetime) -> int:
    return int(utc.timestamp() * 1000)

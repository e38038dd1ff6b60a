"""The CONNECT that a device sends, and what it binds the platform to. Pure."""

from simulator.credentials import MqttCredentials
from simulator.links.link import LinkOptions
from wire.mqtt import NO_PROPERTIES, Connect, Properties, largest_body

UNBOUNDED = 0xFFFF_FFFF


def connect_packet(credentials: MqttCredentials, options: LinkOptions) -> Connect:
    """Log in with these credentials; 5.0 says how long a session is to be kept, 3.1.1 only whether."""
    return Connect(
        credentials.client_id,
        credentials.username,
        credentials.password.encode(),
        keepalive=options.keepalive_s,
        clean_session=options.clean,
        level=options.level,
        properties=_wishes(options),
    )


def max_body(options: LinkOptions) -> int:
    """The size of the largest body that the platform may send after that CONNECT."""
    return largest_body(_wishes(options).maximum_packet_size or UNBOUNDED)


def _wishes(options: LinkOptions) -> Properties:
    if options.level < 5 or (options.clean and options.maximum_packet_size is None):
        return NO_PROPERTIES
    return Properties(
        session_expiry_interval=None if options.clean else options.session_expiry_s,
        maximum_packet_size=options.maximum_packet_size,
    )

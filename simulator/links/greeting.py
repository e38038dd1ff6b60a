"""The CONNECT that a device sends. Pure."""

from simulator.credentials import MqttCredentials
from simulator.links.link import LinkOptions
from wire.mqtt import NO_PROPERTIES, Connect, Properties


def connect_packet(credentials: MqttCredentials, options: LinkOptions) -> Connect:
    """Log in with these credentials; 5.0 says how long a session is to be kept, 3.1.1 only whether."""
    kept = options.level == 5 and not options.clean
    return Connect(
        credentials.client_id,
        credentials.username,
        credentials.password.encode(),
        keepalive=options.keepalive_s,
        clean_session=options.clean,
        level=options.level,
        properties=Properties(session_expiry_interval=options.session_expiry_s) if kept else NO_PROPERTIES,
    )

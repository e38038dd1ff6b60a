"""DTLS 1.2 with pre-shared keys (RFC 6347, RFC 4279), without any I/O: OpenSSL does it, datagrams go in and out.

No resumption, so that every handshake proves the key that is in force, and no renegotiation.
"""

from wire.dtls.listener import DtlsListener, Ended, Event, Opened, Received
from wire.dtls.openssl import Client, Server
from wire.dtls.session import End, Session

__all__ = ["Client", "DtlsListener", "End", "Ended", "Event", "Opened", "Received", "Server", "Session"]

"""OpenSSL with pre-shared keys, through pyOpenSSL.

pyOpenSSL has no public call for pre-shared keys, but the library below it is built with them, and lets them be set
on a context.
"""

import hmac
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

from OpenSSL import SSL

from wire.dtls.cookies import hello_verify_request, lacks_cookie
from wire.dtls.engine import PSK_ON_CLIENT, PSK_ON_SERVER, Engine, ffi, lib, new_room
from wire.dtls.session import Session

SUITES = b"PSK-AES128-CCM8:PSK-AES128-CBC-SHA256:@SECLEVEL=0"
"""The suites that the vendor documents. OpenSSL counts an 8-byte tag as too weak for any but security level 0."""

MAX_IDENTITY, MAX_KEY, COOKIE = 256, 64, 32
ON_SERVER = "unsigned int (*)(SSL *, const char *, unsigned char *, unsigned int)"
ON_CLIENT = "unsigned int (*)(SSL *, const char *, char *, unsigned int, unsigned char *, unsigned int)"
NO_KEY = 0
OPTIONS = SSL.OP_NO_QUERY_MTU | SSL.OP_NO_TICKET | SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION


class Server:
    """The server's side of all sessions. `key_of` returns the key of an identity as it is now, None for a stranger.

    `cookie_key`, of at most 64 bytes, signs the cookies that a client must return before anything is remembered of it
    (RFC 6347 §4.2.1).
    """

    def __init__(self, key_of: Callable[[bytes], bytes | None], cookie_key: bytes) -> None:
        self.serves: Session | None = None
        self._key_of = key_of
        self._context = _context(SSL.DTLS_SERVER_METHOD)
        self._callback = _install(PSK_ON_SERVER, self._context, ffi.callback(ON_SERVER, self._psk, error=NO_KEY))
        self._cookie_key = cookie_key
        self._context.set_cookie_generate_callback(lambda one: self._cookie_of(one.get_app_data()))
        self._context.set_cookie_verify_callback(
            lambda one, returned: hmac.compare_digest(self._cookie_of(one.get_app_data()), returned)
        )
        self._room = new_room()
        self._listener: Engine | None = None

    def answer_hello(self, datagram: bytes, peer: object) -> tuple[Session | None, list[bytes]]:
        """Take a ClientHello: return the session of a client that has returned its cookie, or else what to answer."""
        if lacks_cookie(datagram):
            return None, [hello_verify_request(datagram, self._cookie_of(peer))]
        listener = self._listener = self._listener or self._new_listener()
        listener.connection.set_app_data(peer)
        listener.put(datagram)
        try:
            listener.connection.DTLSv1_listen()
        except SSL.WantReadError:
            return None, listener.take()
        except SSL.Error:
            self._listener = None
            return None, []
        self._listener = None
        session = Session(listener, self, is_server=True)
        session.start()
        return session, session.take()

    def _cookie_of(self, peer: object) -> bytes:
        return blake2b(repr(peer).encode(), key=self._cookie_key, digest_size=COOKIE).digest()

    def _new_listener(self) -> Engine:
        listener = Engine(self._context, self._room)
        listener.connection.set_accept_state()
        return listener

    def _psk(self, _ssl: object, identity: Any, psk: Any, max_key: int) -> int:
        session = self.serves
        assert session is not None, "only a handshake asks for a key"
        session.identity = ffi.string(identity) if identity != ffi.NULL else b""
        key = self._key_of(session.identity)
        if key is None or len(key) > max_key:
            return NO_KEY
        session.key = key
        ffi.memmove(psk, key, len(key))
        return len(key)


class Client:
    """The client's side of all sessions: one for thousands of devices."""

    def __init__(self) -> None:
        self.serves: Session | None = None
        self._context = _context(SSL.DTLS_CLIENT_METHOD)
        self._callback = _install(PSK_ON_CLIENT, self._context, ffi.callback(ON_CLIENT, self._psk, error=NO_KEY))
        self._room = new_room()

    def connect(self, identity: bytes, key: bytes) -> Session:
        """Start a session; raises ValueError for an identity or a key that DTLS cannot carry."""
        if not 0 < len(identity) <= MAX_IDENTITY or b"\0" in identity:
            raise ValueError(f"identity: expected 1 to {MAX_IDENTITY} bytes, none of them zero, not {len(identity)}")
        if not 0 < len(key) <= MAX_KEY:
            raise ValueError(f"key: expected 1 to {MAX_KEY} bytes, not {len(key)}")
        engine = Engine(self._context, self._room)
        engine.connection.set_connect_state()
        session = Session(engine, self, is_server=False)
        session.identity, session.key = identity, key
        session.start()
        return session

    def _psk(self, _ssl: object, _hint: object, identity: Any, _max_identity: int, psk: Any, _max_key: int) -> int:
        session = self.serves
        assert session is not None, "only a handshake asks for a key"
        assert session.identity is not None
        assert session.key is not None
        ffi.memmove(identity, session.identity + b"\0", len(session.identity) + 1)
        ffi.memmove(psk, session.key, len(session.key))
        return len(session.key)


def _context(method: int) -> SSL.Context:
    context = SSL.Context(method)
    context.set_cipher_list(SUITES)
    context.set_options(OPTIONS)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    return context


def _install(hook: str, context: SSL.Context, callback: object) -> object:
    """Set a callback on a context; who owns the context is to keep the callback alive."""
    getattr(lib, hook)(context._context, callback)  # noqa: SLF001 - there is no public way
    return callback

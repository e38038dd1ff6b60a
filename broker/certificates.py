"""A certificate authority of the platform's own, and the server's certificate that it vouches for.

The authority is made once and kept, so that devices can be given it; the server's certificate is made anew at every
start, for the address that the platform listens on. Both are for tests: nobody else vouches for them.
"""

import datetime
import ipaddress
import os
import ssl
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from broker.errors import SettingsError

CA, CA_KEY, SERVER, SERVER_KEY = "ca.pem", "ca.key", "server.pem", "server.key"
LOOPBACK = ("localhost", "127.0.0.1", "::1")
LIFE = datetime.timedelta(days=3650)
SLACK = datetime.timedelta(days=1)
"""How long before now a certificate is already valid: devices' clocks are wrong in a test of wrong clocks."""


def made_in(folder: Path, host: str, utc: datetime.datetime) -> tuple[Path, Path, Path]:
    """Make what is missing; return the files of the authority, and of the server's certificate and key.

    SettingsError when the folder cannot be written, or holds an authority that cannot be read.
    """
    try:
        names = _names(host)
    except ValueError as error:
        raise SettingsError(f"host {host!r}: no name that a certificate can have: {error}") from error
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        authority, key = _authority(folder, utc)
        server_key = ec.generate_private_key(ec.SECP256R1())
        certificate = _signed(names, server_key, authority, key, utc)
        _write(folder / SERVER_KEY, _private(server_key))
        _write(folder / SERVER, certificate.public_bytes(serialization.Encoding.PEM))
    except OSError as error:
        raise SettingsError(f"{folder}: cannot keep certificates there: {error.strerror}") from error
    except (ValueError, TypeError) as error:
        raise SettingsError(f"{folder}: holds no authority of ours: {error}; expected {CA} and {CA_KEY}") from error
    return folder / CA, folder / SERVER, folder / SERVER_KEY


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Make the context of a server of TLS 1.2 and 1.3. SettingsError for files that it cannot be made of."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.num_tickets = 0  # nobody of ours resumes a session, and tickets are a tenth of what a connect costs us
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        why = error.strerror if error.strerror and not isinstance(error, ssl.SSLError) else "no certificate and its key"
        raise SettingsError(f"{certificate}, {key}: {why}; expected two PEM files that belong together") from error
    return context


def _authority(folder: Path, utc: datetime.datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    if (folder / CA).exists() and (folder / CA_KEY).exists():
        key = serialization.load_pem_private_key((folder / CA_KEY).read_bytes(), password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError("its key is of another kind")
        certificate = x509.load_pem_x509_certificate((folder / CA).read_bytes())
        if certificate.public_key() != key.public_key():
            raise ValueError("its certificate is another key's")
        return certificate, key
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "keyturn test authority")])
    usage = x509.KeyUsage(
        digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    certificate = (
        _builder(name, name, key, utc)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    _write(folder / CA_KEY, _private(key))
    _write(folder / CA, certificate.public_bytes(serialization.Encoding.PEM))
    return certificate, key


def _signed(
    names: Sequence[x509.GeneralName],
    key: ec.EllipticCurvePrivateKey,
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
    utc: datetime.datetime,
) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "keyturn test platform")])
    return (
        _builder(name, authority.subject, key, utc)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, utc: datetime.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(utc - SLACK)
        .not_valid_after(utc + LIFE)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _names(host: str) -> list[x509.GeneralName]:
    return [_name(one) for one in dict.fromkeys((*LOOPBACK, host))]


def _name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, data: bytes) -> None:
    """Write for this user's eyes only."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        os.fchmod(file.fileno(), 0o600)  # one that was there may be open to others
        file.write(data)

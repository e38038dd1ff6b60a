"""The authority of our own: made once, kept, and refused when it is none."""

import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509

from broker.certificates import CA, CA_KEY, made_in, server_context
from broker.errors import SettingsError

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def names(certificate: Path) -> list[str]:
    read = x509.load_pem_x509_certificate(certificate.read_bytes())
    listed = read.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(one.value) for one in listed]


def test_authority_outlives_a_restart_and_the_servers_certificate_does_not(tmp_path: Path) -> None:
    folder = tmp_path / "keyturn.db.tls"
    ca, certificate, _ = made_in(folder, "127.0.0.1", NOW)
    before = ca.read_bytes(), certificate.read_bytes()
    ca, certificate, _ = made_in(folder, "127.0.0.2", NOW)
    assert ca.read_bytes() == before[0]
    assert certificate.read_bytes() != before[1]
    assert names(certificate) == ["localhost", "127.0.0.1", "::1", "127.0.0.2"]


def test_certificate_may_have_a_host_name(tmp_path: Path) -> None:
    assert "platform.example" in names(made_in(tmp_path, "platform.example", NOW)[1])


def test_keys_are_for_this_users_eyes_only(tmp_path: Path) -> None:
    folder = tmp_path / "keyturn.db.tls"
    made_in(folder, "127.0.0.1", NOW)
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700


def test_server_speaks_tls_1_2_at_least(tmp_path: Path) -> None:
    _, certificate, key = made_in(tmp_path, "127.0.0.1", NOW)
    assert server_context(certificate, key).minimum_version is ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("name", [CA, CA_KEY])
def test_authority_that_cannot_be_read_is_told_and_left_as_it_is(tmp_path: Path, name: str) -> None:
    made_in(tmp_path, "127.0.0.1", NOW)
    (tmp_path / name).write_text("not PEM")
    with pytest.raises(SettingsError, match=f"{tmp_path}: holds no authority of ours"):
        made_in(tmp_path, "127.0.0.1", NOW)
    assert (tmp_path / name).read_text() == "not PEM"


def test_folder_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="cannot keep certificates there"):
        made_in(tmp_path / "file", "127.0.0.1", NOW)


def test_given_files_that_do_not_belong_together_are_told(tmp_path: Path) -> None:
    _, certificate, _ = made_in(tmp_path / "one", "127.0.0.1", NOW)
    _, _, key = made_in(tmp_path / "other", "127.0.0.1", NOW)
    with pytest.raises(SettingsError, match="expected two PEM files that belong together"):
        server_context(certificate, key)


def test_given_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        server_context(tmp_path / "no.pem", tmp_path / "no.key")


def test_certificate_of_another_key_is_no_authority(tmp_path: Path) -> None:
    for name in ("one", "other"):
        made_in(tmp_path / name, "127.0.0.1", NOW)
    (tmp_path / "one" / CA).write_bytes((tmp_path / "other" / CA).read_bytes())
    with pytest.raises(SettingsError, match="its certificate is another key's"):
        made_in(tmp_path / "one", "127.0.0.1", NOW)


def test_key_that_was_open_to_others_is_closed_to_them(tmp_path: Path) -> None:
    (tmp_path / "server.key").touch(mode=0o644)
    _, _, key = made_in(tmp_path, "127.0.0.1", NOW)
    assert key.stat().st_mode & 0o777 == 0o600


def test_host_that_no_certificate_can_name_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="host 'plätform': no name that a certificate can have"):
        made_in(tmp_path, "plätform", NOW)


def test_certificates_are_valid_for_clocks_that_are_a_little_late(tmp_path: Path) -> None:
    ca, certificate, _ = made_in(tmp_path, "127.0.0.1", NOW)
    for path in (ca, certificate):
        assert x509.load_pem_x509_certificate(path.read_bytes()).not_valid_before_utc < NOW


def test_authority_vouches_for_servers_and_not_for_other_authorities(tmp_path: Path) -> None:
    ca, certificate, _ = made_in(tmp_path, "127.0.0.1", NOW)
    for path, is_ca, length in ((ca, True, 0), (certificate, False, None)):
        read = x509.load_pem_x509_certificate(path.read_bytes())
        constraints = read.extensions.get_extension_for_class(x509.BasicConstraints).value
        assert (constraints.ca, constraints.path_length) == (is_ca, length)

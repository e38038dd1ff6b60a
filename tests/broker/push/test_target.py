"""Which receivers there may be."""

import pytest

from broker.errors import InvalidInput
from broker.push.target import parse_target


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("http://127.0.0.1:8099/hook?token=abc", "127.0.0.1:8099"),
        ("http://127.8.9.10", "127.8.9.10:80"),
        ("http://localhost:8099/", "localhost:8099"),
        ("http://[::1]:8099", "[::1]:8099"),
    ],
)
def test_receiver_on_this_machine_is_known_by_its_place_alone(url: str, place: str) -> None:
    target = parse_target(url, anywhere=False)
    assert (target.url, target.place) == (url, place)
    assert url not in repr(target)


@pytest.mark.parametrize(
    "host",
    [
        "192.168.1.7",
        "169.254.169.254",
        "example.com",
        "0.0.0.0",
        "2130706433",
        "127.1",
        "127.0.0.1.example.com",
        "[::ffff:8.8.8.8]",
        "[fe80::1]",
    ],
)
def test_others_are_receivers_of_an_exposed_platform_only(host: str) -> None:
    with pytest.raises(InvalidInput, match="expected a loopback address"):
        parse_target(f"http://{host}/hook", anywhere=False)
    assert parse_target(f"http://{host}/hook", anywhere=True).url == f"http://{host}/hook"


@pytest.mark.parametrize("anywhere", [True, False])
@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:8099",
        "https://127.0.0.1/",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "http://",
        "http:///hook",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1:x/",
        "http://[::1/",
        "http://[::1]example.com/",
        "http://127.0.0.1:/",
        "http://user:open-sesame@127.0.0.1/",
        "http://127.0.0.1/a b",
        "http://127.0.0.1/\r\nX: y",
        f"http://127.0.0.1/{'x' * 2048}",
    ],
)
def test_what_is_no_plain_url_is_refused_and_not_repeated(url: str, anywhere: bool) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_target(url, anywhere=anywhere)
    assert str(refused.value).startswith("url: ")
    assert "sesame" not in str(refused.value)

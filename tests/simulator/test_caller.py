"""Who calls: read from the environment, and told in the words of its variables."""

import pytest

from simulator.caller import NOBODY, Caller, CallerVariables
from simulator.errors import UsageError
from simulator.signer import AccessKey

TOKEN, AK, SK = "of-the-token", "AKOFTHETEST", "secret key+/of the test"


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"T": TOKEN, "A": AK, "S": SK, "EMPTY": "", "TWO_LINES": "x\ny", "COMMA": "a,b"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("MISSING", raising=False)


def test_caller_is_what_its_variables_hold() -> None:
    assert CallerVariables().read() is NOBODY
    assert CallerVariables("", "", "").read() is NOBODY
    assert CallerVariables("T").read() == Caller(TOKEN)
    assert CallerVariables(None, "A", "S").read() == Caller(key=AccessKey(AK, SK))
    assert CallerVariables(None, "A", "S", "cn-north-4").read() == Caller(key=AccessKey(AK, SK, "cn-north-4"))


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (CallerVariables("MISSING"), "the environment variable MISSING is empty; expected the API's token"),
        (CallerVariables(None, "EMPTY", "S"), "the environment variable EMPTY is empty; expected the API's access key"),
        (CallerVariables(None, "A", "MISSING"), "the environment variable MISSING is empty; expected the API's secret"),
        (CallerVariables(None, "A"), "belong together"),
        (CallerVariables(None, None, "S"), "belong together"),
        (CallerVariables("T", "A", "S"), "two ways to be let in"),
        (CallerVariables(None, "COMMA", "S"), "COMMA: expected visible ASCII characters"),
        (CallerVariables(None, "TWO_LINES", "S"), "TWO_LINES: expected visible ASCII characters"),
        (CallerVariables(None, "A", "TWO_LINES"), "TWO_LINES: expected printable characters"),
    ],
)
def test_what_cannot_be_a_caller_is_refused_by_the_name_of_its_variable(
    variables: CallerVariables, message: str
) -> None:
    with pytest.raises(UsageError, match=message) as raised:
        variables.read()
    assert not any(secret in str(raised.value) for secret in (TOKEN, AK, SK, "a,b", "x\ny"))


def test_caller_never_shows_how_he_is_let_in() -> None:
    shown = f"{Caller(TOKEN)!r} {Caller(key=AccessKey(AK, SK))!r}"
    assert not any(secret in shown for secret in (TOKEN, AK, SK))

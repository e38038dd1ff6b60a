"""The runner's signatures beside those of the vendor's signer, for any request that the runner could make."""

from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.signer import AccessKey, Signer

pytestmark = pytest.mark.peer

credentials = pytest.importorskip("huaweicloudsdkcore.auth.credentials", reason="pip install '.[peers]'")
vendor = pytest.importorskip("huaweicloudsdkcore.signer.signer")
sdk_request = pytest.importorskip("huaweicloudsdkcore.sdk_request")

HOST, REGION = "127.0.0.1:8080", "cn-north-4"
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
VISIBLE = st.text(st.characters(codec="ascii", min_codepoint=0x20, max_codepoint=0x7E), max_size=12)
TIMES = st.datetimes(datetime.fromisoformat("2000-01-01"), datetime.fromisoformat("2100-01-01"), timezones=st.just(UTC))


@given(
    key=st.tuples(st.from_regex(r"[A-Z0-9]{1,20}", fullmatch=True), VISIBLE.filter(bool)),
    derived=st.booleans(),
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE"]),
    path=st.lists(TEXT, max_size=5),
    query=st.lists(st.tuples(TEXT.filter(bool), TEXT), max_size=3, unique_by=lambda pair: pair[0]),
    headers=st.dictionaries(st.sampled_from(["Instance-Id", "X-Note"]), VISIBLE),
    body=st.binary(max_size=100),
    now=TIMES,
)
def test_signature_is_the_vendors_for_any_request(
    key: tuple[str, str],
    derived: bool,
    method: str,
    path: list[str],
    query: list[tuple[str, str]],
    headers: dict[str, str],
    body: bytes,
    now: datetime,
) -> None:
    encoded = "/" + "/".join(quote(part, safe="") for part in path)
    given_ones = {"Host": HOST, "Content-Type": "application/json", **headers}
    request = sdk_request.SdkRequest(
        *(method, "http", HOST, encoded, None, list(query)),
        {**given_ones, "X-Sdk-Date": f"{now:%Y%m%dT%H%M%SZ}"},
        body,
    )
    who = credentials.BasicCredentials(*key, "p1")
    if derived:
        vendor.DerivationAKSKSigner(who).sign(request, "iotdm", REGION)
    else:
        vendor.Signer(who).sign(request)
    signer = Signer(AccessKey(*key, REGION if derived else ""))
    ours = signer.sign(method, request.uri, given_ones, body, now)
    assert ours["Authorization"] == request.header_params["Authorization"]

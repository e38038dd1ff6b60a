"""Devices read from a file: what is taken, and what is said of a row that is not."""

from pathlib import Path

import pytest

from simulator.errors import UsageError
from simulator.identities import read_identities, write_identities
from simulator.ledger import Identity

A = Identity("device-a", "primary-a", "secondary-a")
B = Identity("device_b", "primary_b")

GOOD_CSV = "device_id,primary,secondary\ndevice-a,primary-a,secondary-a\ndevice_b,primary_b,\n"
A_JSON = '{"device_id": "device-a", "primary": "primary-a", "secondary": "secondary-a"}'
B_JSON = '{"device_id": "device_b", "primary": "primary_b"}'


def read(folder: Path, text: str | bytes, name: str = "fleet.csv") -> list[Identity]:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_identities(path)


def problem(folder: Path, text: str | bytes, name: str = "fleet.csv") -> str:
    """What is said of a bad file, without its folder."""
    with pytest.raises(UsageError) as caught:
        read(folder, text, name)
    return str(caught.value).removeprefix(f"{folder}/")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(GOOD_CSV, id="plain"),
        pytest.param("\ufeff" + GOOD_CSV, id="byte order mark"),
        pytest.param(GOOD_CSV.replace("\n", "\r\n"), id="carriage returns"),
        pytest.param(GOOD_CSV.removesuffix("\n"), id="no last line end"),
        pytest.param(GOOD_CSV.replace("\n", "\n\n"), id="empty lines"),
        pytest.param(GOOD_CSV.replace("device_b,primary_b,", '"device_b","primary_b"'), id="quotes, short row"),
        pytest.param(
            "site,secondary,primary,device_id\nx,secondary-a,primary-a,device-a\n\u00e9,,primary_b,device_b\n",
            id="other columns, other order",
        ),
    ],
)
def test_a_csv_file_is_read(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text) == [A, B]


def test_a_csv_file_needs_no_secondary_column(tmp_path: Path) -> None:
    assert read(tmp_path, "device_id,primary\ndevice_b,primary_b\n") == [B]


@pytest.mark.parametrize("suffix", ["json", "ndjson", "jsonl"])
@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"[{A_JSON},\n {B_JSON}]", id="list"),
        pytest.param(f"{A_JSON}\n{B_JSON}\n", id="lines"),
        pytest.param(f"\ufeff{A_JSON}\r\n{B_JSON}", id="lines, byte order mark and carriage returns"),
        pytest.param(f"[{A_JSON},{B_JSON[:-1]}, " + '"secondary": null, "site": "\u2028"}]', id="null, other keys"),
        pytest.param(
            f"{A_JSON}\n{B_JSON[:-1]}, " + '"secondary": "", "site": "\u2028"}', id="lines, empty, other keys"
        ),
    ],
)
def test_a_json_file_is_read(tmp_path: Path, suffix: str, text: str) -> None:
    assert read(tmp_path, text, f"fleet.{suffix}") == [A, B]


BAD_ID = "expected 1 to 128 of letters, digits, '_' and '-'"
BAD_SECRET = "expected 8 to 32 of A-Z a-z 0-9 _ -"


@pytest.mark.parametrize(
    ("row", "says"),
    [
        pytest.param(",primary-2,", f"bad device_id, {BAD_ID}", id="no id"),
        pytest.param("a b,primary-2,", f"bad device_id, {BAD_ID}", id="space"),
        pytest.param("ger\u00e4t,primary-2,", f"bad device_id, {BAD_ID}", id="foreign letter"),
        pytest.param("\u0661,primary-2,", f"bad device_id, {BAD_ID}", id="foreign digit"),
        pytest.param('"d2\n",primary-2,', f"bad device_id, {BAD_ID}", id="line end in the id"),
        pytest.param("d2", f"bad primary secret, {BAD_SECRET}", id="no primary"),
        pytest.param("d2,,", f"bad primary secret, {BAD_SECRET}", id="empty primary"),
        pytest.param("d2,1234567,", f"bad primary secret, {BAD_SECRET}", id="short primary"),
        pytest.param(f"d2,{33 * 'x'},", f"bad primary secret, {BAD_SECRET}", id="long primary"),
        pytest.param('d2,"primary-2\n",', f"bad primary secret, {BAD_SECRET}", id="line end in the primary"),
        pytest.param("d2, primary-2,", f"bad primary secret, {BAD_SECRET}", id="space before the primary"),
        pytest.param("d2,prim\u00e4r-2,", f"bad primary secret, {BAD_SECRET}", id="foreign letter in the primary"),
        pytest.param("d2,primary-2,short", f"bad secondary secret, {BAD_SECRET}", id="short secondary"),
        pytest.param('d2,primary-2,"second-2\n"', f"bad secondary secret, {BAD_SECRET}", id="line end, secondary"),
    ],
)
def test_a_bad_row_is_named_with_what_was_expected(tmp_path: Path, row: str, says: str) -> None:
    said = problem(tmp_path, f"device_id,primary,secondary\nd1,primary-1,\n{row}\n")
    assert said == f"fleet.csv: device 2: {says}"


@pytest.mark.parametrize("secret", ["12345678", 32 * "x", "A-Z_a-z_0-9"])
def test_the_longest_and_the_shortest_secret_are_taken(tmp_path: Path, secret: str) -> None:
    assert read(tmp_path, f"device_id,primary\n{128 * 'd'},{secret}\n") == [Identity(128 * "d", secret)]


@pytest.mark.parametrize(
    "rows",
    ["d1,canary with spaces\n", "canary secret,d1\n", "canary-1234,d1\n", '"d1,canary\nd2,canary\n', "d1,d1,canary\n"],
)
def test_a_message_never_quotes_the_file(tmp_path: Path, rows: str) -> None:
    assert "canary" not in problem(tmp_path, f"device_id,primary,secondary\n{rows}")


@pytest.mark.parametrize(
    ("header", "lacks"),
    [
        ("device_id,secret", "primary"),
        ("id,primary", "device_id"),
        ("a;b", "device_id or primary"),
        ("Device_ID,Primary", "device_id or primary"),
    ],
)
def test_a_missing_column_is_named(tmp_path: Path, header: str, lacks: str) -> None:
    said = problem(tmp_path, f"{header}\nd1,primary-1\n")
    assert said == f"fleet.csv:1: no column {lacks}; expected device_id,primary,secondary"


@pytest.mark.parametrize(
    ("text", "name"),
    [("device_id,primary\n", "fleet.csv"), ("[]", "fleet.json"), ("", "fleet.ndjson")],
)
def test_a_file_without_a_device_is_refused(tmp_path: Path, text: str, name: str) -> None:
    assert problem(tmp_path, text, name) == f"{name}: no device in it; expected at least one"


def test_an_empty_csv_file_lacks_its_columns(tmp_path: Path) -> None:
    assert problem(tmp_path, "") == "fleet.csv:1: no column device_id or primary; expected device_id,primary,secondary"


def test_a_device_that_stands_there_twice_is_named(tmp_path: Path) -> None:
    rows = "d1,primary-1\nd2,primary-2\nd1,primary-3\n"
    assert problem(tmp_path, f"device_id,primary\n{rows}") == "fleet.csv: devices 1 and 3 have the same device_id"


def test_a_bad_line_of_json_is_named(tmp_path: Path) -> None:
    assert problem(tmp_path, f"{A_JSON}\n{B_JSON[:-1]}\n", "f.ndjson").startswith("f.ndjson:2: not JSON: ")
    assert problem(tmp_path, f"{A_JSON}\n\n{B_JSON[:-1]}\n", "f.ndjson").startswith("f.ndjson:3: not JSON: ")
    assert problem(tmp_path, f"[{A_JSON}", "f.json").startswith("f.json: not JSON: ")


@pytest.mark.parametrize("text", ['["device-a"]', '"device-a"', f"{A_JSON}\n7", "[null]"])
def test_json_that_holds_no_objects_is_refused(tmp_path: Path, text: str) -> None:
    expected = "fleet.json: expected a list of objects with device_id, primary, secondary"
    assert problem(tmp_path, text, "fleet.json") == expected


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ('{"primary": "primary-1"}', f": bad device_id, {BAD_ID}"),
        ('{"device_id": ["d1"], "primary": "primary-1"}', f": bad device_id, {BAD_ID}"),
        ('{"device_id": "d1", "primary": 12345678}', f": bad primary secret, {BAD_SECRET}"),
        ('{"device_id": "d1", "primary": "primary-1\\n"}', f": bad primary secret, {BAD_SECRET}"),
        ('{"device_id": "d1", "primary": "primary-1", "secondary": 0}', f": bad secondary secret, {BAD_SECRET}"),
        (
            '{"device_id": "d1", "primary": "primary-1", "secondary": false}',
            f": bad secondary secret, {BAD_SECRET}",
        ),
    ],
)
def test_a_value_of_the_wrong_type_is_refused(tmp_path: Path, row: str, says: str) -> None:
    assert problem(tmp_path, f"[{row}]", "fleet.json") == f"fleet.json: device 1{says}"


def test_a_quote_that_is_never_closed_is_refused_with_its_line(tmp_path: Path) -> None:
    rows = "".join(f"device-{number},primary-{number}\n" for number in range(10_000))
    said = problem(tmp_path, f'device_id,primary\nd1,"primary-1\n{rows}')
    assert said.startswith("fleet.csv:")
    assert "not CSV: field larger than field limit" in said


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        read_identities(tmp_path / "none.csv")
    assert str(caught.value).startswith(f"{tmp_path}/none.csv: cannot be read as text: [Errno 2]")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    assert problem(tmp_path, b"device_id,primary\n\xff\xfe").startswith(
        "fleet.csv: cannot be read as text: 'utf-8' codec can't decode byte 0xff"
    )


C = Identity("p_c", "primary-c", None, product_id="p", node_id="c", protocol="coap", secure_access=True)


def test_what_else_is_known_of_a_device_is_read_too(tmp_path: Path) -> None:
    head = "device_id,primary,product_id,node_id,protocol,secure_access\n"
    assert read(tmp_path, f"{head}p_c,primary-c,p,c,coap,true\ndevice_b,primary_b,,,,\n") == [C, B]
    row = '{"device_id": "p_c", "primary": "primary-c", "product_id": "p", "node_id": "c", "protocol": "coap", '
    assert read(tmp_path, row + '"secure_access": true}', "fleet.ndjson") == [C]
    wrong = problem(tmp_path, row.replace('"c"', "5") + '"secure_access": false}', "fleet.ndjson")
    assert wrong == "fleet.ndjson: device 1: bad node_id, expected text"
    wrong = problem(tmp_path, row + '"secure_access": "yes"}', "fleet.ndjson")
    assert wrong == "fleet.ndjson: device 1: bad secure_access, expected true or false"


@pytest.mark.parametrize("name", ["out.ndjson", "out.jsonl", "out.JSON"])
def test_written_devices_are_read_back_and_nobody_else_may_read_them(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    write_identities(path, [A, B, C], overwrite=False)
    assert read_identities(path) == [A, B, C]
    assert path.stat().st_mode & 0o777 == 0o600


def test_devices_are_written_over_another_file_only_on_demand_and_to_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "out.ndjson"
    path.write_text("precious")
    path.chmod(0o644)
    with pytest.raises(UsageError, match="there is such a file already"):
        write_identities(path, [A], overwrite=False)
    assert path.read_text() == "precious"
    write_identities(path, [A], overwrite=True)
    assert read_identities(path) == [A]
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_devices_are_not_written_where_they_could_not_be_read_or_kept(tmp_path: Path) -> None:
    for path, reason in (
        (tmp_path / "out.csv", r"out\.csv: expected a name"),
        (tmp_path / "no" / "out.json", "No such"),
    ):
        with pytest.raises(UsageError, match=reason):
            write_identities(path, [A], overwrite=True)
    assert list(tmp_path.iterdir()) == []

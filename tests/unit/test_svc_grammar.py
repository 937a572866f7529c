"""Commands and answers of Spectrum Virtualize and InStorage: written by the client, read by the simulator's shell, and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockdrivers.errors import (
    AlreadyExists,
    Ambiguous,
    BlockDriversError,
    Busy,
    ConfigurationError,
    InvalidRequest,
    NotFound,
    ProtocolError,
    VendorError,
)
from blockdrivers.transport.command import Secret
from blockdrivers.transport.http import Response
from blockdrivers.transport.ssh import Result
from vendors.svc import codes, grammar, rest, variants
from vendors.svc.cli import CommandLine
from vendors.svc.client import SvcClient
from vendors.svc.grammar import Ask, Call, Section
from vendors.svc.options import IbmOptions
from vendors.svc.simulator import build, shell
from vendors.svc.simulator.shell import Bytes, Command, Detail, Given, Table

PRINTABLE = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1)
NAMES = st.from_regex(r"[a-z_][a-zA-Z0-9_. -]{0,20}[a-z0-9]", fullmatch=True)
CELLS = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="!"), max_size=12)


class Line:
    """Keeps what is sent, and answers what it was told to."""

    def __init__(self, *results):
        self.results = list(results)
        self.sent = []

    def run(self, command, *, operation, mutating):
        self.sent.append((command, operation, mutating))
        return self.results.pop(0)

    def close(self): ...


def client(*results):
    line = Line(*results)
    return SvcClient(CommandLine(line, variants.IBM)), line


@given(target=PRINTABLE.map("v{}".format), value=PRINTABLE)
def test_every_argument_arrives_as_it_is_and_breaks_nothing(target, value):
    found, line = client(Result("", "", 0))
    found.change("chvdisk", target, name=value, force=True, autodelete=False)
    ((command, operation, mutating),) = line.sent
    assert shell.commands(command.line) == [["svctask", "chvdisk", "-name", value, "-force", target]]
    assert (operation, mutating) == ("chvdisk", True)


@pytest.mark.parametrize("bad", ["a\nb", "a\x00b", "a\x7f"])
def test_control_characters_are_refused(bad):
    found, line = client()
    with pytest.raises(InvalidRequest):
        found.change("rmvdisk", bad)
    assert line.sent == []


@pytest.mark.parametrize("name", ["", "0", "12", "-force", "--", "$(id)", ";", "'"])
def test_what_cannot_be_a_name_is_not_sent(name):
    """Digits are an id to the array, which another object may have by now; a dash begins a parameter."""
    found, line = client()
    with pytest.raises(NotFound):
        found.change("rmvdisk", name)
    with pytest.raises(NotFound):
        found.read(Ask("lsvdisk", name))
    assert line.sent == []


def test_a_secret_is_not_shown():
    found, line = client(Result("", "", 0))
    found.change("chhost", "h", chapsecret=Secret("ve!ry 'secret'"))
    command = line.sent[0][0]
    assert "secret'" not in command.shown
    assert shell.commands(command.line)[0][3] == "ve!ry 'secret'"


@pytest.mark.parametrize(
    "result",
    [
        Result("==1\ntype!id!name!iscsi_auth_method!iscsi_chap_secret\nhost!0!h!chap!the-secret", "", 1),
        Result("host!0!h!chap!the-secret\n==0\n", "", 0),
        Result("the-secret", "", 0),
        Result("id!0\n\n==0\nthe-secret\n==3\n", "", 0),
    ],
)
def test_an_answer_with_secrets_is_never_shown(result):
    private, errors = Ask("lsiscsiauth", private=True), []
    for calls in ([Ask("lshost", "h", detail=True), private], [private]):
        found, _ = client(*[result] * 3)
        found._wire._joins = True
        try:
            found.read(*calls)
        except BlockDriversError as error:
            errors.append(error)
    assert errors
    assert [error for error in errors if "the-secret" in f"{error}{error!r}{error.vendor_text}"] == []


def test_a_secret_that_the_array_quotes_is_not_shown_over_rest():
    call = Call("chhost", "h", {"chapsecret": Secret("the-secret")}, changes=True)
    refused = rest._error("CMMVC5701E", Response(400, {}, b"CMMVC5701E the-secret is too short"), call)
    assert (refused.vendor_text, isinstance(refused, InvalidRequest)) == ("*** is too short", True)
    with pytest.raises(ProtocolError) as raised:
        rest._content(Ask("lsiscsiauth", private=True), Response(200, {}, b'[{"iscsi_chap_secret":"the-secret"'))
    assert "the-secret" not in str(raised.value)
    with pytest.raises(ProtocolError, match=r"not JSON.*abc"):
        rest._content(Ask("lshost"), Response(200, {}, b"abc"))


@given(
    header=st.lists(st.from_regex(r"[a-zA-Z][a-zA-Z_0-9]{0,8}", fullmatch=True), min_size=1, max_size=6, unique=True),
    data=st.data(),
)
def test_what_the_shell_prints_as_a_table_is_read_back(header, data):
    cells = st.lists(CELLS, min_size=len(header), max_size=len(header))
    table = data.draw(st.lists(cells, min_size=1, max_size=5))
    rows = [list(zip(header, row, strict=True)) for row in table]
    printed = shell.printed(Table(rows), Given({"delim": "!"}))
    found = grammar.rows(printed)
    # A row whose cells are all empty, of one field, is an empty line.
    kept = [row for row in table if len(row) > 1 or row[0]]
    assert [[section.get(name) for name in header] for section in found] == kept


@given(pairs=st.lists(st.tuples(st.from_regex(r"[a-zA-Z][a-zA-Z_0-9]{0,8}", fullmatch=True), CELLS), min_size=1, max_size=8))
def test_what_the_shell_prints_as_a_detailed_view_is_read_back(pairs):
    printed = shell.printed(Detail([pairs, pairs[:1]]), Given({"delim": "!"}))
    first, second = grammar.sections(printed)
    assert {name: first.get(name) for name, _ in pairs} == {name: next(v for n, v in pairs if n == name) for name, _ in pairs}
    assert second.get(pairs[0][0]) == pairs[0][1]


def test_a_secret_with_the_delimiter_stays_whole():
    (row,) = grammar.rows("type!id!iscsi_chap_secret\nhost!3!a!b!c\n")
    assert row.get("iscsi_chap_secret") == "a!b!c"


@pytest.mark.parametrize("text", ['{"data": 1}', "<html>\nx", "id!na me\n1!2", "id!name\n1\n"])
def test_what_is_no_table_is_an_error_and_not_an_empty_list(text):
    with pytest.raises(ProtocolError):
        grammar.rows(text)


def test_repeated_fields_are_entries():
    (host,) = grammar.sections("id!3\nWWPN!A\nstate!active\niscsi_name!iqn.x\nstate!offline\n")
    assert [(entry.get("WWPN"), entry.get("iscsi_name"), entry.get("state")) for entry in host.entries("WWPN", "iscsi_name")] == [
        ("A", "", "active"),
        ("", "iqn.x", "offline"),
    ]


def joined(*parts):
    return "".join(f"{text}=={status}\n" for text, status in parts)


def test_each_command_on_a_line_has_its_own_answer():
    out = joined(("id!1\nname!v\n", 0), ("", 1), ("", 0))
    found, line = client(Result(out, "noise\nCMMVC5754E gone\n", 0))
    first, second, third = found.read(Ask("lsvdisk", "v", detail=True), Ask("lsvdisk", "w", detail=True), Ask("lsfcmap"))
    assert (first[0].get("name"), second, third) == ("v", None, [])
    assert len(line.sent) == 1


def test_a_refusal_on_a_line_belongs_to_the_command_that_failed():
    probe = joined(("code_level!8.5.1.0\n", 0), ("", 0))
    out = joined(("", 1), ("id!1\nname!v\n", 0))
    found, _ = client(Result(probe, "", 0), Result(out, "CMMVC6035E there\n", 0))
    with pytest.raises(AlreadyExists) as refused:
        found.change_and_read(Call("mkvdisk", changes=True), Ask("lsvdisk", "v", detail=True))
    assert (refused.value.vendor_code, refused.value.vendor_text, refused.value.request) == ("CMMVC6035E", "there", "mkvdisk")


def test_a_shell_without_semicolons_gets_a_line_each():
    refused = Result("", "rbash: syntax error near unexpected token ';'\n", 2)
    found, line = client(refused, Result("id!1\nname!v\n", "", 0), Result("", "", 0), Result("", "CMMVC5754E no\n", 1))
    assert found.joins
    first, second, third = found.read(Ask("lsvdisk", "v", detail=True), Ask("lsfcmap"), Ask("lsvdiskhostmap", "w"))
    assert (first[0].get("id"), second, third) == ("1", [], None)
    assert not found.joins
    assert [operation for _, operation, _ in line.sent] == [
        "lsvdisk+lsfcmap+lsvdiskhostmap",
        "lsvdisk",
        "lsfcmap",
        "lsvdiskhostmap",
    ]


def test_the_first_line_of_several_changes_nothing():
    refused = Result("", "rbash: syntax error\n", 2)
    ok = Result("code_level!8.5.1.0\n", "", 0)
    found, line = client(refused, ok, Result("", "", 0), Result("Virtual Disk, id [4], successfully created\n", "", 0), ok)
    made, _ = found.change_and_read(Call("mkvdisk", changes=True), Ask("lssystem", detail=True))
    assert made == "4"
    assert [mutating for _, _, mutating in line.sent] == [False, False, False, True, False]


@pytest.mark.parametrize(
    ("result", "error"),
    [
        (Result("", "Segmentation fault\n", 139), Ambiguous),
        (Result('{"data": x', "", 0), Ambiguous),
        (Result("", "CMMVC9083E busy\n", 1), Busy),
        (Result("", "CMMVC1234E ?\n", 1), VendorError),
    ],
)
def test_changes_that_end_badly(result, error):
    with pytest.raises(error):
        client(result)[0].change("rmvdisk", "v")


@pytest.mark.parametrize(
    ("result", "error"),
    [
        (Result("", "Segmentation fault\n", 139), Busy),
        (Result("{garbage!!", "", 0), ProtocolError),
        (Result("", "", 0), Busy),
        (Result("", "CMMVC5753E\n", 1), None),
    ],
)
def test_inquiries_that_end_badly(result, error):
    found, _ = client(result)
    if error is None:
        assert found.read(Ask("lsvdisk", "v", detail=True)) == [None]
        return
    with pytest.raises(error):
        found.read(Ask("lsvdisk", "v", detail=True))


def test_a_warning_is_no_refusal():
    assert client(Result("", "CMMVC6372W near the limit\n", 1))[0].change("mkvdisk") is None
    assert client(Result("Virtual Disk, id [3], successfully created\n", "CMMVC6372W x\n", 0))[0].change("mkvdisk") == "3"


@pytest.mark.parametrize("number", ["5753", "5754", "5804", "5842"])
def test_absent_is_absent_by_whatever_number(number):
    assert isinstance(codes.error(f"CMMVC{number}E", "localised: 没有", request="x"), NotFound)


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("8.5.0.12 (build 157.1)", (8, 5, 0, 12)),
        ("7.8.1.11", (7, 8, 1, 11)),
        ("10.2.0.0 (build)", (10, 2, 0, 0)),
        ("8.4", (8, 4)),
    ],
)
def test_code_levels(text, level):
    assert variants.level(Section([("code_level", text)])) == level


def test_a_code_level_that_cannot_be_read():
    with pytest.raises(ProtocolError, match="code level"):
        variants.level(Section([("code_level", "unknown")]))


@pytest.mark.parametrize(
    ("text", "grows", "ips", "fc_portsets"),
    [("8.4.1.9", False, "lsportip", False), ("8.4.2.0", True, "lsip", False), ("8.5.0.0", True, "lsip", True)],
)
def test_what_a_level_of_ibm_can_do(text, grows, ips, fc_portsets):
    found = variants.features(variants.IBM, Section([("code_level", text)]), None)
    assert (found.grows_in_map, found.ip_table, found.fc_portsets) == (grows, ips, fc_portsets)


def test_options():
    login = {"username": "u", "password": "p"}
    assert IbmOptions(addresses=["192.0.2.1:22"], **login).interface == "ssh"
    over_rest = IbmOptions(addresses=["https://192.0.2.1:7443/rest/v1/"], interface="rest", **login)
    assert over_rest.over_rest
    for wrong in ({"addresses": ["https://192.0.2.1/"]}, {"addresses": ["192.0.2.1"], "interface": "rest"}):
        with pytest.raises((ValueError, ConfigurationError)):
            IbmOptions(**login, **wrong)


def test_capacities_and_padding():
    assert Bytes(10 * 2**30).shown(exact=False) == "10.00GB"
    assert Bytes(10 * 2**30).shown(exact=True) == str(10 * 2**30)
    rows = [[("id", "0"), ("name", "a")], [("id", "10"), ("name", "bb")]]
    assert shell.printed(Table(rows), Given()) == "id name\n0  a\n10 bb\n"
    assert shell.printed(Table(rows), Given({"delim": ":", "nohdr": None})) == "0:a\n10:bb\n"
    assert shell.printed(Table(rows), Given({"delim": "!", "filtervalue": "id=1"})) == ""
    assert shell.printed(Table(rows), Given({"delim": "!", "filtervalue": "name=b*", "nohdr": None})) == "10!bb\n"


@given(line=PRINTABLE)
def test_no_line_breaks_the_simulated_shell(line):
    from conformance.simulation.family import Command as Sent

    door = build("FlashSystem 9100").doors()[0].handler
    output = door.handle(Sent(line, "u"))
    assert output.status or output.stdout or not line.strip()
    assert door.operation(Sent(line, "u"))


@pytest.mark.parametrize("line", [";", " ; lsnode", "lsnode ;; lsnode"])
def test_a_semicolon_ends_a_command_that_there_is(line):
    with pytest.raises(ValueError, match="syntax error"):
        shell.commands(line)
    assert shell.commands("lsnode ; lsnode;") == [["lsnode"], ["lsnode"]]


def test_parameters_are_sorted():
    command = Command(lambda _: None, frozenset({"name", "size"}), frozenset({"force"}))
    found = shell.parse(command, ["-name", "a b", "-force", "target"])
    assert (found.text("name"), "force" in found, found.object) == ("a b", True, "target")

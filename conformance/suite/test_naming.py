"""Ids: any printable text names one object, whatever the array's rules for names are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from blockdrivers.errors import InvalidRequest, NotFound
from blockdrivers.model import GiB
from blockdrivers.naming import MAX_ID_LENGTH
from conformance.outcome import Level
from conformance.suite import expect, ids
from conformance.suite.declare import check
from conformance.suite.rig import Rig

_SCRIPTS = {
    "Chinese": "卷-生产环境-数据库",
    "Japanese and Korean": "ボリューム 볼륨",
    "right to left": "حجم נפח",
    "emoji": "disk \U0001f4be\U0001f469\u200d\U0001f680",
    "combining": "e\u0301 n\u0303",
    "composed": "\u00e9 \u00f1",
    "spaces": "two  spaces and one at the end ",
    "upper case": "ALL.UPPER_CASE",
}

_METACHARACTERS = {
    "shell": ";|&$(reboot)`id`>{a,b}*?!~#",
    "quotes": "'single' \"double\" `back` \\",
    "path": "../../etc/passwd",
    "URL": "a/b?c=d&e=f#g%2F%00+h",
    "query": "filter=NAME::x&range=[0-1]",
    "XML": '<lun name="a">&amp;]]>',
    "JSON": '{"id": ["x"]}\\u0041',
    "SQL": "x'; DROP TABLE lun; --",
    "label": "blockdrivers;copying;id=other",
    "format": "%s %d {0} {x}",
}


def _lives(rig: Rig, identifier: str) -> None:
    """Take a volume of that id through a short life."""
    rig.track(identifier)
    made = rig.backend.create_volume(identifier, GiB, rig.pool)
    expect.as_asked(made, what=f"the volume {identifier!r}", volume_id=identifier, size=GiB)
    expect.same_object(rig.backend.create_volume(identifier, GiB, rig.pool), made, what=f"{identifier!r} created again")
    expect.same_object(rig.another_backend().get_volume(identifier), made, what=f"{identifier!r} read by another process")
    if rig.capabilities.list_objects and rig.capabilities.description_bytes:
        listed = [volume.volume_id for volume in rig.backend.list_volumes() if volume.name == made.name]
        assert listed in ([identifier], [None]), f"{identifier!r} is listed as {listed}"
    rig.backend.extend_volume(identifier, 2 * GiB)
    rig.backend.delete_volume(identifier)
    with expect.refused(NotFound, what=f"reading the deleted {identifier!r}"):
        rig.backend.get_volume(identifier)


@check(
    "naming.unicode",
    Level.MANDATORY,
    "Ids in any script",
    title_zh="支持任意文字的标识",
    requirement="A volume lives under an id of any script, emoji and spaces included, and is found under exactly that id.",
)
@pytest.mark.parametrize("text", list(_SCRIPTS.values()), ids=list(_SCRIPTS))
def test_unicode(rig: Rig, text: str) -> None:
    _lives(rig, rig.id(text))


@check(
    "naming.metacharacters",
    Level.MANDATORY,
    "Ids with metacharacters do no harm",
    title_zh="含元字符的标识安全可用",
    requirement="Shell, path, URL, query, XML, JSON and SQL metacharacters in an id are only ever part of the id.",
)
@pytest.mark.parametrize("text", list(_METACHARACTERS.values()), ids=list(_METACHARACTERS))
def test_metacharacters(rig: Rig, text: str) -> None:
    rig.volume("bystander")
    with rig.unchanged(rig.id("bystander")):
        _lives(rig, rig.id(text))


@check(
    "naming.length",
    Level.MANDATORY,
    "The shortest and the longest id",
    title_zh="最短与最长标识",
    requirement="Ids of one character and of 128 characters of any script name a volume.",
)
def test_length(rig: Rig) -> None:
    for filler in ("a", "Z", "卷", "\U0001f4be"):
        _lives(rig, rig.id("")[:20].ljust(MAX_ID_LENGTH, filler))
    _lives(rig, _free_single_character(rig))


def _free_single_character(rig: Rig) -> str:
    for identifier in ids.single_character_ids():
        try:
            rig.backend.get_volume(identifier)
        except NotFound:
            return identifier
    raise AssertionError("Every id of one character that the suite may use is taken on this array.")


@check(
    "naming.distinct.case",
    Level.MANDATORY,
    "Ids that differ in case only are different",
    title_zh="仅大小写不同的标识互不相同",
    requirement="Volumes whose ids differ in upper and lower case only are two volumes; deleting one keeps the other.",
)
def test_case(rig: Rig) -> None:
    _stay_apart(rig, [rig.id("case-a"), rig.id("case-A"), rig.id("CASE-A")])


@check(
    "naming.distinct.tail",
    Level.MANDATORY,
    "Ids that differ at the end only are different",
    title_zh="仅末尾不同的长标识互不相同",
    requirement="Long ids that differ after the 31st character only, or in normalisation or trailing space, are different volumes.",
)
def test_tail(rig: Rig) -> None:
    stem = rig.id("x" * 60)
    _stay_apart(rig, [rig.track(f"{stem}{end}") for end in ("1", "2", "", "\u00e9", "e\u0301", " ")])


def _stay_apart(rig: Rig, identifiers: list[str]) -> None:
    made = [rig.backend.create_volume(identifier, (1 + number) * GiB, rig.pool) for number, identifier in enumerate(identifiers)]
    assert len({volume.id for volume in made}) == len(made), f"{identifiers} share volumes: {[volume.id for volume in made]}"
    for identifier, volume in zip(identifiers, made, strict=True):
        expect.same_object(rig.backend.get_volume(identifier), volume, what=f"{identifier!r} read")
    rig.backend.delete_volume(identifiers[0])
    for identifier, volume in list(zip(identifiers, made, strict=True))[1:]:
        expect.same_object(rig.backend.get_volume(identifier), volume, what=f"{identifier!r} after another's deletion")


@check(
    "naming.uuid",
    Level.ESSENTIAL,
    "UUIDs as ids",
    title_zh="UUID标识",
    requirement="A volume service's UUIDs name volumes and snapshots, and lists give the same UUIDs back.",
)
def test_uuid(rig: Rig) -> None:
    wanted = [rig.track(ids.uuid_id(number)) for number in range(3)]
    for identifier in wanted:
        expect.as_asked(rig.backend.create_volume(identifier, GiB, rig.pool), volume_id=identifier)
    snapshot = rig.backend.create_snapshot(rig.track(ids.uuid_id(9)), wanted[0])
    assert snapshot.snapshot_id == ids.uuid_id(9), f"the snapshot is called {snapshot.snapshot_id!r}"
    if rig.capabilities.list_objects:
        expect.only({found for found in rig.volumes() if found in wanted}, set(wanted), what="UUIDs listed")


@check(
    "naming.refused",
    Level.MANDATORY,
    "Control characters, empty and overlong ids are refused",
    title_zh="控制字符、空标识与超长标识被拒绝",
    requirement="An id that is empty, longer than 128 characters, no text, or holds control characters is InvalidRequest everywhere.",
)
@pytest.mark.parametrize(
    "wrong",
    ["", "x" * (MAX_ID_LENGTH + 1), "a\nb", "a\x00b", "a\tb", "\x7f", "a\x85b", "\ud800", None, 7, b"bytes"],
    ids=["empty", "129", "newline", "NUL", "tab", "DEL", "NEL", "surrogate", "None", "number", "bytes"],
)
def test_refused(rig: Rig, wrong: Any) -> None:
    backend = rig.backend
    rig.volume()
    calls: dict[str, Any] = {
        "create_volume": lambda: backend.create_volume(wrong, GiB, rig.pool),
        "get_volume": lambda: backend.get_volume(wrong),
        "delete_volume": lambda: backend.delete_volume(wrong),
        "extend_volume": lambda: backend.extend_volume(wrong, 2 * GiB),
        "create_snapshot": lambda: backend.create_snapshot(wrong, rig.id("v")),
        "delete_snapshot": lambda: backend.delete_snapshot(wrong, of_volume=rig.id("v")),
        "clone_volume": lambda: backend.clone_volume(wrong, rig.id("v")),
        "export": lambda: backend.export(rig.id("v"), replace(rig.host, name=wrong), rig.protocol),
    }
    with rig.unchanged(rig.id("v")):
        for name, call in calls.items():
            with expect.refused(InvalidRequest, what=f"{name} with the id {wrong!r}"):
                call()


@check(
    "naming.snapshots",
    Level.MANDATORY,
    "Snapshots take the same ids as volumes",
    title_zh="快照标识与卷标识规则一致且互不冲突",
    requirement="A snapshot lives under any id, also under that of its own volume, and neither is taken for the other.",
)
def test_snapshots(rig: Rig) -> None:
    for text in ("快照 \U0001f4be", "';--&|", "s" * 90):
        identifier = rig.id(text)
        volume = rig.backend.create_volume(identifier, GiB, rig.pool)
        taken = rig.backend.create_snapshot(identifier, identifier)
        if rig.capabilities.find_snapshots:
            assert rig.backend.get_snapshot(identifier).id == taken.id, f"the snapshot {identifier!r} is another one"
        rig.backend.delete_snapshot(identifier, of_volume=identifier)
        expect.same_object(rig.backend.get_volume(identifier), volume, what=f"the volume {identifier!r}")


@check(
    "naming.hosts",
    Level.MANDATORY,
    "Hosts may have any name",
    title_zh="主机名可为任意文字",
    requirement="A host of any name is exported to, listed under that name, and taken away again.",
)
@pytest.mark.parametrize(
    "name", ["node-1.example.org", "主机 一", "N" * 100, "a;b|c&d'e\"f"], ids=["fqdn", "Chinese", "long", "shell"]
)
def test_hosts(rig: Rig, name: str) -> None:
    host = rig.track_host(replace(rig.host, name=rig.run.prefix + name))
    rig.volume()
    assert rig.export(host=host).host == host.name, f"the export names another host than {host.name!r}"
    rig.backend.unexport(rig.id("v"), host, rig.protocol)
    rig.shown_to([], what="after the unexport")
    rig.backend.remove_host(host)

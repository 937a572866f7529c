"""Exports: the right volume, at the right LUN id, for the right host, and nothing else."""

from __future__ import annotations

import re
from dataclasses import replace

from blockdrivers.errors import InUse, InvalidRequest
from blockdrivers.model import Export, GiB, Host, Protocol
from conformance.outcome import Level
from conformance.suite import expect
from conformance.suite.declare import check
from conformance.suite.rig import Rig

_WWPN = re.compile(r"[0-9a-f]{16}")
_NFS_FILE = re.compile(r"([^:/]+|\[[0-9a-fA-F:]+\]):/.*[^/]")


def _has_paths(export: Export, protocol: Protocol) -> None:
    """Prove that the export tells a host how to get there."""
    if protocol is Protocol.ISCSI:
        assert export.targets, f"the export has no iSCSI targets: {export}"
        for target in export.targets:
            address, _, port = target.portal.rpartition(":")
            assert address, f"{target.portal!r} is no ip:port"
            assert port.isdecimal(), f"{target.portal!r} is no ip:port"
            assert target.iqn.startswith(("iqn.", "eui.", "naa.")), f"{target.iqn!r} is no iSCSI name"
        assert len(set(export.targets)) == len(export.targets), f"targets repeat: {export.targets}"
    elif protocol is Protocol.NFS:
        assert _NFS_FILE.fullmatch(export.location or ""), f"{export.location!r} is no server:/path/file"
        assert export.format in {"raw", "qcow2"}, f"how the bytes are in the file is not told: {export.format!r}"
    elif protocol is Protocol.RBD:
        assert "/" in (export.location or ""), f"{export.location!r} is no pool/image"
    else:
        assert export.wwpns, f"the export has no target WWPNs: {export}"
        for wwpn in (*export.wwpns, *export.paths, *(target for targets in export.paths.values() for target in targets)):
            assert _WWPN.fullmatch(wwpn), f"{wwpn!r} is no WWPN of 16 lower-case hex digits"


@check(
    "export.create",
    Level.ESSENTIAL,
    "A volume is exported to a host",
    title_zh="将卷导出给主机",
    requirement="An export names the volume, the host, at least one valid path or its file, and a LUN's id and own WWN.",
)
def test_create(rig: Rig) -> None:
    volume = rig.volume()
    rig.volume("other")
    export = rig.export()
    found = (export.volume, export.host, export.protocol, export.wwn)
    expected = (volume.name, rig.host.name, rig.protocol, volume.wwn)
    assert found == expected, f"volume, host, protocol and WWN are {found}, not {expected}"
    if rig.protocol in {Protocol.ISCSI, Protocol.FC}:
        assert export.lun is not None, f"the export has no LUN id: {export}"
        assert 0 <= export.lun <= rig.capabilities.max_lun, f"LUN id {export.lun}, at most {rig.capabilities.max_lun}"
    _has_paths(export, rig.protocol)


@check(
    "export.paths",
    Level.MANDATORY,
    "An export names only ports of this array",
    title_zh="导出路径均为本阵列端口",
    requirement="Every target port of an export is one of the array's ports that are up.",
    needs=("san", "tells_ports"),
)
def test_paths(rig: Rig) -> None:
    rig.volume()
    export = rig.export()
    ports = {port.address: port for port in rig.backend.ports() if port.protocol is rig.protocol}
    named = [target.portal for target in export.targets] if rig.protocol is Protocol.ISCSI else list(export.wwpns)
    for address in named:
        assert address in ports, f"{address} is not one of the array's ports {sorted(ports)}"
        assert ports[address].up, f"{address} is down"
    for initiator in export.paths:
        known = [wwpn.replace(":", "").lower() for wwpn in rig.host.wwpns]
        assert initiator in known, f"{initiator} is not one of the host's WWPNs {known}"


@check(
    "export.repeat",
    Level.ESSENTIAL,
    "Exporting again returns the same export",
    title_zh="重复导出返回相同结果",
    requirement="A repeated export to the same host is the same: LUN id, WWN and paths, or file; also from another process.",
)
def test_repeat(rig: Rig) -> None:
    rig.volume("w")
    rig.volume()
    rig.export("w")
    first = rig.export()
    with rig.unchanged(rig.id("v"), rig.id("w")):
        again = rig.export()
        assert again == first, f"exported again: {again}, first: {first}"
        other = rig.another_backend().export(rig.id("v"), rig.host, rig.protocol)
        assert other == first, f"exported again by another process: {other}, first: {first}"


@check(
    "export.luns",
    Level.ESSENTIAL,
    "Each volume of a host has a LUN id of its own",
    title_zh="同一主机的各卷LUN号互不相同",
    requirement="Several volumes of a host have different LUN ids that stay theirs while others come and go.",
    needs=("san",),
)
def test_luns(rig: Rig) -> None:
    tags = [f"v{number}" for number in range(5)]
    exports = {}
    for tag in tags:
        rig.volume(tag)
        exports[tag] = rig.export(tag)
    _distinct(rig, tags)
    rig.backend.unexport(rig.id("v1"), rig.host, rig.protocol)
    rig.backend.unexport(rig.id("v3"), rig.host, rig.protocol)
    rig.volume("late")
    rig.export("late")
    for tag in ("v0", "v2", "v4"):
        assert rig.export(tag).lun == exports[tag].lun, f"{tag} was at LUN {exports[tag].lun} and is at {rig.export(tag).lun}"
    _distinct(rig, ["v0", "v2", "v4", "late"])


def _distinct(rig: Rig, tags: list[str]) -> None:
    """Prove that answers and lists agree on LUN ids, and that no two volumes share one."""
    luns = {}
    for tag in tags:
        luns[tag] = rig.export(tag).lun
        if rig.capabilities.list_exports:
            (listed,) = rig.backend.list_exports(rig.id(tag))
            assert listed.lun == luns[tag], f"{tag} is exported at LUN {luns[tag]} and listed at {listed.lun}"
    assert len(set(luns.values())) == len(tags), f"volumes share LUN ids: {luns}"


@check(
    "export.list",
    Level.ESSENTIAL,
    "A volume's exports are listed",
    title_zh="导出列表准确",
    requirement="The list holds exactly the hosts that the volume is exported to, under the caller's names, with LUN ids or files.",
    needs=("two_hosts", "multi_attach", "list_exports"),
)
def test_list(rig: Rig) -> None:
    volume = rig.volume()
    rig.volume("other")
    assert not rig.backend.list_exports(rig.id("v")), "a new volume is exported already"
    for hosts in ([rig.host], [rig.host, rig.other_host]):
        made = rig.export("v", hosts[-1])
        listed = rig.backend.list_exports(rig.id("v"))
        names = sorted(export.host for export in listed)
        assert names == sorted(host.name for host in hosts), f"exported to {[host.name for host in hosts]}, listed {names}"
        assert {export.wwn for export in listed} == {volume.wwn}, f"the WWN is {volume.wwn}, listed {listed}"
        places = {export.host: expect.place(export) for export in listed}
        assert places[made.host] == expect.place(made), f"{made.host} was given {expect.place(made)}, listed {places[made.host]}"
        assert not rig.backend.list_exports(rig.id("other")), "a volume that nobody exported is listed as exported"


@check(
    "export.hosts",
    Level.MANDATORY,
    "One volume on several hosts",
    title_zh="一个卷导出给多个主机",
    requirement="Taking a volume away from one host keeps it on the other, with the same LUN id.",
    needs=("two_hosts", "multi_attach"),
)
def test_hosts(rig: Rig) -> None:
    rig.volume()
    rig.export("v", rig.host)
    kept = rig.export("v", rig.other_host)
    rig.backend.unexport(rig.id("v"), rig.host, rig.protocol)
    rig.shown_to([rig.other_host], what="after the unexport from one of two hosts")
    assert rig.export("v", rig.other_host) == kept, f"the other host's export was {kept}"


@check(
    "export.right_host",
    Level.ESSENTIAL,
    "Only the right host sees a volume",
    title_zh="只有指定主机可见该卷",
    requirement="Volumes of two hosts do not show on the other host; exporting and unexporting one leaves the other alone.",
    needs=("san", "two_hosts"),
)
def test_right_host(rig: Rig) -> None:
    for tag, host in (("v", rig.host), ("w", rig.other_host)):
        rig.volume(tag)
        rig.export(tag, host)
    for tag, host in (("v", rig.host), ("w", rig.other_host)):
        rig.shown_to([host], tag, what=f"exported to {host.name}")
    with rig.unchanged(rig.id("w")):
        rig.backend.unexport(rig.id("v"), rig.host, rig.protocol)


@check(
    "export.initiator.elsewhere",
    Level.ESSENTIAL,
    "An initiator is not taken from another host",
    title_zh="不得抢占已属于其他主机的启动器",
    requirement="An export to a host whose initiator belongs to another host object is InUse; the owner keeps all it had.",
    needs=("san", "host_objects"),
)
def test_initiator_elsewhere(rig: Rig) -> None:
    rig.volume()
    rig.volume("w")
    rig.export()
    thief = rig.track_host(replace(rig.host, name=rig.run.prefix + "thief"))
    with rig.unchanged(rig.id("v"), rig.id("w")), expect.refused(InUse, what="an initiator that belongs to another host"):
        rig.export("w", thief)
    assert not rig.backend.list_exports(rig.id("w")), "the refused volume is exported all the same"


@check(
    "unexport",
    Level.ESSENTIAL,
    "An export is taken away",
    title_zh="取消导出",
    requirement="After an unexport the volume is on no host's list, has no dependants, and can be deleted.",
)
def test_unexport(rig: Rig) -> None:
    rig.volume()
    rig.volume("w")
    rig.export()
    rig.export("w")
    with rig.unchanged(rig.id("w")):
        rig.backend.unexport(rig.id("v"), rig.host, rig.protocol)
    rig.shown_to([], what="after the unexport")
    dependants = rig.backend.get_volume(rig.id("v")).dependants
    assert not dependants, f"after the unexport the volume still has dependants: {dependants}"
    rig.backend.delete_volume(rig.id("v"))


@check(
    "unexport.repeat",
    Level.ESSENTIAL,
    "Unexporting what is not exported succeeds",
    title_zh="重复取消导出视为成功",
    requirement="An unexport of a volume that is not exported, or absent, or from an unknown host, changes nothing.",
    needs=("two_hosts",),
)
def test_unexport_repeat(rig: Rig) -> None:
    rig.volume()
    rig.volume("w")
    rig.export()
    rig.export("w")
    rig.backend.unexport(rig.id("w"), rig.host, rig.protocol)
    with rig.unchanged(rig.id("v"), rig.id("w")):
        rig.backend.unexport(rig.id("w"), rig.host, rig.protocol)
        rig.another_backend().unexport(rig.id("w"), rig.host, rig.protocol)
        rig.backend.unexport(rig.id("v"), rig.other_host, rig.protocol)
        if rig.capabilities.host_objects:
            rig.backend.unexport(rig.id("v"), rig.run.prefix + "nobody", rig.protocol)
        rig.backend.unexport(rig.id("absent"), rig.host, rig.protocol)


@check(
    "unexport.initiators",
    Level.ESSENTIAL,
    "Initiators are named where hosts are not known",
    title_zh="阵列无主机对象时须指明启动器",
    requirement="An unexport from a mere name is refused and changes nothing; from the host with its initiators it is done.",
    needs=("san", "initiators_only"),
)
def test_initiators(rig: Rig) -> None:
    rig.volume()
    export = rig.export()
    with rig.unchanged(rig.id("v")), expect.refused(InvalidRequest, what="an unexport from a name", naming=rig.host.name):
        rig.backend.unexport(rig.id("v"), rig.host.name, rig.protocol)
    assert rig.export() == export, f"the export was {export} and is {rig.export()}"
    for _ in range(2):
        rig.backend.unexport(rig.id("v"), rig.host, rig.protocol)
        rig.backend.remove_host(rig.host)
    rig.backend.delete_volume(rig.id("v"))


@check(
    "host.remove",
    Level.MANDATORY,
    "A host is removed, but not while it has volumes",
    title_zh="移除主机对象",
    requirement="Removing a host with exports is InUse and changes nothing; one without is removed, and again without an error.",
    needs=("host_objects",),
)
def test_remove_host(rig: Rig) -> None:
    rig.volume()
    rig.export()
    with rig.unchanged(rig.id("v")), expect.refused(InUse, what="removing a host with an export"):
        rig.backend.remove_host(rig.host)
    rig.backend.unexport(rig.id("v"), rig.host, rig.protocol)
    for _ in range(2):
        rig.backend.remove_host(rig.host)
    rig.another_backend().remove_host(rig.run.prefix + "nobody")
    again = rig.export()
    assert again.host == rig.host.name, f"after its removal the host was made again as {again.host!r}"


@check(
    "host.forgotten",
    Level.MANDATORY,
    "A host that another process removed is made again",
    title_zh="主机对象被其他进程移除后可自动重建",
    requirement="A process that remembers a host object which another one has removed exports to that host all the same.",
    needs=("two_hosts", "host_objects"),
)
def test_forgotten_host(rig: Rig) -> None:
    rig.volume()
    remembering, other = rig.another_backend(), rig.another_backend()
    remembering.export(rig.id("v"), rig.host, rig.protocol)
    other.unexport(rig.id("v"), rig.host, rig.protocol)
    other.remove_host(rig.host)
    rig.volume("w")
    other.export(rig.id("w"), rig.other_host, rig.protocol)
    export = remembering.export(rig.id("v"), rig.host, rig.protocol)
    listed = other.list_exports(rig.id("v"))
    names = [found.host for found in listed]
    assert names == [rig.host.name], f"exported to {rig.host.name}, listed on {names}"
    assert expect.place(listed[0]) == expect.place(export), (
        f"exported at {expect.place(export)}, listed at {expect.place(listed[0])}"
    )


@check(
    "export.bad_host",
    Level.ESSENTIAL,
    "A host without valid initiators is refused",
    title_zh="启动器缺失或非法的主机被拒绝",
    requirement="An export to a host without an initiator (or address) for the protocol, or a malformed one, is InvalidRequest.",
)
def test_bad_host(rig: Rig) -> None:
    rig.volume()
    nothing = Host(rig.run.prefix + "bad")
    iqns = ("", "not-an-iqn", "iqn.2001-01.com.x:a b", "iqn.2001-01.com.x:" + "a" * 240)
    wwpns = ("", "123", "zz" * 8, "50:01:43:80:12:34:56")
    addresses = ("", "nowhere", "192.0.2.256", "192.0.2.1; reboot")
    bad = {
        Protocol.ISCSI: [nothing, *(replace(nothing, iqn=iqn) for iqn in iqns)],
        Protocol.FC: [nothing, *(replace(nothing, wwpns=(wwpn,)) for wwpn in wwpns)],
        # Where access is the administrator's business, a host needs no address; but none may be wrong.
        Protocol.NFS: [nothing] * rig.capabilities.export_rules + [replace(nothing, addresses=(one,)) for one in addresses],
        Protocol.RBD: [],
    }[rig.protocol]
    for host in bad:
        with rig.unchanged(rig.id("v")), expect.refused(InvalidRequest, what=f"an export to {host}"):
            rig.export("v", rig.track_host(host))


@check(
    "export.snapshot",
    Level.STANDARD,
    "A snapshot is exported",
    title_zh="导出快照",
    requirement="A snapshot is exported under a LUN id and WWN of its own, again alike, and taken away; its volume is not touched.",
    needs=("export_snapshots", "san"),
)
def test_snapshot(rig: Rig) -> None:
    volume = rig.volume()
    rig.snapshot("s")
    of_volume = rig.export()
    first = rig.backend.export(rig.id("s"), rig.host, rig.protocol, snapshot=True)
    _has_paths(first, rig.protocol)
    assert first.lun != of_volume.lun, f"volume and snapshot share the LUN id {first.lun}"
    assert not rig.capabilities.tells_wwn or first.wwn != volume.wwn, f"volume and snapshot share the WWN {first.wwn}"
    again = rig.backend.export(rig.id("s"), rig.host, rig.protocol, snapshot=True)
    assert again == first, f"exported again: {again}, first: {first}"
    names = [export.host for export in rig.backend.list_exports(rig.id("s"), snapshot=True)]
    assert names == [rig.host.name], f"the snapshot is listed on {names}"
    for _ in range(2):
        rig.backend.unexport(rig.id("s"), rig.host, rig.protocol, snapshot=True)
    assert not rig.backend.list_exports(rig.id("s"), snapshot=True), "the snapshot is still exported"
    assert rig.export() == of_volume, f"the volume's export was {of_volume} and is {rig.export()}"


@check(
    "export.many",
    Level.STANDARD,
    "A host carries many volumes",
    title_zh="单主机多卷导出",
    requirement="Forty volumes of one host have forty LUN ids within the declared range.",
    needs=("san",),
)
def test_many(rig: Rig) -> None:
    luns = {}
    for number in range(40):
        rig.volume(f"v{number}", GiB)
        luns[number] = rig.export(f"v{number}").lun
    assert len(set(luns.values())) == len(luns), f"LUN ids repeat: {luns}"
    assert all(lun is not None and 0 <= lun <= rig.capabilities.max_lun for lun in luns.values()), f"LUN ids out of range: {luns}"

"""The array itself: facts, pools and their book-keeping, ports, initiators, licences."""

from __future__ import annotations

import re
from collections.abc import Callable

from blockdrivers.errors import InvalidRequest, NotSupported
from blockdrivers.model import GiB, Health, Protocol
from conformance.outcome import Level
from conformance.suite import expect
from conformance.suite.declare import check
from conformance.suite.rig import Rig

_WWPN = re.compile(r"[0-9a-f]{16}")
_PORTAL = re.compile(r"(\d{1,3}(\.\d{1,3}){3}|\[[0-9a-fA-F:]+\]):\d{1,5}")
_SERVER = re.compile(r"[0-9A-Za-z.:-]+")
_CHARGE_SLACK = GiB // 2
"""Metadata and extents: what an array may charge beside a volume's size."""


@check(
    "system.facts",
    Level.ESSENTIAL,
    "The array says who it is",
    title_zh="阵列自述型号、序列号与固件",
    requirement="Vendor, model, serial number, firmware and health are told, and told alike twice.",
)
def test_facts(rig: Rig) -> None:
    facts = rig.backend.system()
    for field in ("vendor", "model", "serial", "firmware"):
        assert getattr(facts, field).strip(), f"the array's {field} is empty: {facts}"
    assert isinstance(facts.health, Health), f"health is {facts.health!r}"
    again = rig.backend.system()
    assert (again.serial, again.model) == (facts.serial, facts.model), f"told {facts} and then {again}"


@check(
    "system.capabilities",
    Level.ESSENTIAL,
    "Capabilities are declared and consistent",
    title_zh="能力声明完整且一致",
    requirement="The protocol under test is declared, limits are in order, and thin or thick provisioning is there.",
)
def test_capabilities(rig: Rig) -> None:
    declared = rig.capabilities
    assert rig.protocol in declared.protocols, f"{rig.protocol} is not among {sorted(declared.protocols)}"
    assert declared.thin or declared.thick, "neither thin nor thick volumes are declared"
    assert 0 < declared.min_size <= declared.max_size, f"sizes from {declared.min_size} to {declared.max_size}"
    assert declared.size_step > 0, f"the size step is {declared.size_step}"
    assert declared.min_size % declared.size_step == 0, f"{declared.min_size} is no multiple of {declared.size_step}"
    if declared.qos is not None:
        for together in declared.qos.combinations:
            assert together <= declared.qos.keys, f"{sorted(together)} has limits that are not declared"


@check(
    "system.pools",
    Level.ESSENTIAL,
    "Pools are listed with their capacity",
    title_zh="存储池及其容量可查询",
    requirement="Every pool has an id and a name of its own and at most as much free as it has in all.",
)
def test_pools(rig: Rig) -> None:
    pools = rig.backend.pools()
    names = [pool.name for pool in pools]
    assert rig.pool in names, f"the pool {rig.pool!r} is not among {names}"
    assert len(set(names)) == len(names), f"pool names repeat: {names}"
    assert len({pool.id for pool in pools}) == len(pools), f"pool ids repeat: {pools}"
    for pool in pools:
        assert 0 <= pool.free_bytes <= pool.total_bytes, f"free and total do not fit: {pool}"
        assert pool.provisioned_bytes is None or pool.provisioned_bytes >= 0, f"provisioned is negative: {pool}"


@check(
    "system.capacity.provisioned",
    Level.MANDATORY,
    "A pool accounts for what it has promised",
    title_zh="存储池已分配容量随卷增减",
    requirement="Creating, extending and deleting a volume moves the pool's provisioned bytes by its size.",
    needs=("provisioned",),
)
def test_provisioned(rig: Rig) -> None:
    before = rig.run.pool(rig.pool).provisioned_bytes or 0
    rig.volume("v", 3 * GiB)
    _moved(rig, before, 3 * GiB, "a volume of 3 GiB was created")
    rig.backend.extend_volume(rig.id("v"), 5 * GiB)
    _moved(rig, before, 5 * GiB, "it was extended to 5 GiB")
    rig.backend.delete_volume(rig.id("v"))
    _moved(rig, before, 0, "it was deleted")


def _moved(rig: Rig, before: int, expected: int, what: str) -> None:
    now = rig.run.pool(rig.pool).provisioned_bytes or 0
    assert abs(now - before - expected) <= _CHARGE_SLACK, f"{what}: provisioned bytes moved by {now - before}"


@check(
    "system.capacity.thick",
    Level.STANDARD,
    "A thick volume takes its space at once",
    title_zh="厚卷创建即占用空间",
    requirement="Creating a thick volume lowers the pool's free bytes by its size, and deleting it gives them back.",
    needs=("thick",),
)
def test_thick_capacity(rig: Rig) -> None:
    before = rig.run.pool(rig.pool).free_bytes
    rig.volume("v", 4 * GiB, thin=False)
    taken = before - rig.run.pool(rig.pool).free_bytes
    assert abs(taken - 4 * GiB) <= _CHARGE_SLACK, f"a thick volume of 4 GiB lowered the free bytes by {taken}"
    rig.backend.delete_volume(rig.id("v"))
    kept = before - rig.run.pool(rig.pool).free_bytes
    assert abs(kept) <= _CHARGE_SLACK, f"after its deletion {kept} bytes were still taken"


@check(
    "system.ports",
    Level.ESSENTIAL,
    "Target ports are listed",
    title_zh="目标端口可查询",
    requirement="The protocol under test has at least one port that is up, with a valid address.",
    needs=("tells_ports",),
)
def test_ports(rig: Rig) -> None:
    ports = [port for port in rig.backend.ports() if port.protocol is rig.protocol]
    assert any(port.up for port in ports), f"no {rig.protocol} port is up: {ports}"
    for port in ports:
        if rig.protocol is Protocol.FC:
            assert _WWPN.fullmatch(port.address), f"{port.address!r} is no WWPN of 16 lower-case hex digits"
        elif rig.protocol is not Protocol.ISCSI:
            assert _SERVER.fullmatch(port.address), f"{port.address!r} is no address of a server"
        else:
            assert _PORTAL.fullmatch(port.address), f"{port.address!r} is no ip:port"
            assert port.iqn, f"the iSCSI port {port.address} has no IQN"


@check(
    "system.initiators",
    Level.MANDATORY,
    "The array tells which host an initiator belongs to",
    title_zh="可查询启动器归属的主机",
    requirement="After an export the host's initiators are listed, bound to one host object, and after its removal they are not.",
    needs=("san", "host_objects"),
)
def test_initiators(rig: Rig) -> None:
    rig.volume()
    rig.export()
    wanted = {rig.host.iqn} if rig.protocol is Protocol.ISCSI else {wwpn.replace(":", "").lower() for wwpn in rig.host.wwpns}
    bound = {found.address: found.host for found in rig.backend.initiators() if found.address in wanted and found.host}
    assert set(bound) == wanted, f"of {sorted(map(str, wanted))} only {bound} are bound to a host"
    assert len(set(bound.values())) == 1, f"one host's initiators belong to several host objects: {bound}"
    rig.backend.unexport(rig.id("v"), rig.host, rig.protocol)
    rig.backend.remove_host(rig.host)
    left = [found for found in rig.backend.initiators() if found.address in wanted and found.host]
    assert not left, f"after the host's removal its initiators still belong to it: {left}"


@check(
    "system.licences",
    Level.STANDARD,
    "Licences are told as data",
    title_zh="许可证状态可查询",
    requirement="Each licence is a feature's name and whether it can be used.",
)
def test_licences(rig: Rig) -> None:
    for feature, usable in rig.backend.licences().items():
        assert isinstance(feature, str), f"a licence is called {feature!r}"
        assert feature, "a licence has an empty name"
        assert isinstance(usable, bool), f"the licence {feature!r} is {usable!r}, neither true nor false"


@check(
    "system.pool.unknown",
    Level.ESSENTIAL,
    "An unknown pool is refused",
    title_zh="未知存储池被拒绝",
    requirement="A volume in a pool that is not there is refused with an error that names the pool; nothing is made.",
)
def test_unknown_pool(rig: Rig) -> None:
    with rig.unchanged(), expect.refused(InvalidRequest, what="a volume in an unknown pool", naming="no-such-pool"):
        rig.volume("v", pool="no-such-pool")


@check(
    "system.untold",
    Level.MANDATORY,
    "What the array cannot tell is refused",
    title_zh="阵列无法提供的查询被明确拒绝",
    requirement="A listing or look-up that is declared as missing is NotSupported at once, never an empty or invented answer.",
    needs=("untold",),
)
def test_untold(rig: Rig) -> None:
    rig.volume()
    rig.snapshot("s")
    declared, backend = rig.capabilities, rig.backend
    calls: dict[str, Callable[[], object]] = {}
    if not declared.list_objects:
        calls |= {"list_volumes": backend.list_volumes, "list_snapshots": backend.list_snapshots, "sweep": backend.sweep}
    if not declared.find_snapshots:
        calls["get_snapshot"] = lambda: backend.get_snapshot(rig.id("s"))
    if not declared.list_exports:
        calls["list_exports"] = lambda: backend.list_exports(rig.id("v"))
    for name, call in calls.items():
        with expect.refused(NotSupported, what=name):
            call()


@check(
    "system.protocol.undeclared",
    Level.MANDATORY,
    "A protocol that the array does not serve is refused",
    title_zh="未声明的协议被拒绝",
    requirement="An export over a protocol that is not declared is NotSupported, and nothing is changed.",
)
def test_undeclared_protocol(rig: Rig) -> None:
    rig.volume()
    missing = [protocol for protocol in Protocol if protocol not in rig.capabilities.protocols]
    assert missing, "the array declares every protocol that there is; that is not believable"
    for protocol in missing:
        with rig.unchanged(rig.id("v")), expect.refused(NotSupported, what=f"an export over {protocol}", naming=protocol.value):
            rig.backend.export(rig.id("v"), rig.host, protocol)

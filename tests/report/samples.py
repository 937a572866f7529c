"""Certificates to test with: an array that does nearly everything, with checks of every level and every outcome."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from blockdrivers import matrix
from blockdrivers.model import Health, Protocol, SystemFacts
from conformance import grading
from conformance.certificate import Certificate, HostFacts, issue
from conformance.outcome import Check, Level, Outcome, Result

LIST = matrix.load()
HOST = HostFacts("Debian GNU/Linux 12", "6.1.0-31-arm64", "aarch64", "3.12.4", "0.1.0", "huawei-oceanstor", "0.1.0")
ARRAY = SystemFacts(
    vendor="Huawei",
    model="OceanStor 5500 V5",
    serial="2102350BSJ10H5000001",
    name="array-1",
    firmware="V500R007C60SPC300",
    wwn="21000022a1b2c3d4",
    health=Health.NORMAL,
    details={"patch": "SPH305", "location": "Room 4 <rack 7>"},
)

_TITLES = [
    ("volume.create", Level.ESSENTIAL, "A volume is created", "创建卷"),
    ("volume.create.repeat", Level.ESSENTIAL, "Creating again returns the same volume", "重复创建返回同一个卷"),
    ("volume.delete.absent", Level.ESSENTIAL, "Deleting what is absent succeeds", "删除不存在的卷视为成功"),
    ("export.iscsi.first", Level.ESSENTIAL, "A first export makes the host", "首次映射时创建主机"),
    ("export.other_host", Level.ESSENTIAL, "Only the right host sees a volume", "仅目标主机可见"),
    ("volume.extend", Level.MANDATORY, "A volume grows on line", "在线扩容"),
    ("snapshot.create", Level.MANDATORY, "A snapshot holds its moment", "快照保存时间点"),
    ("snapshot.dependants", Level.MANDATORY, "A volume with snapshots is not deleted", "有快照的卷不可删除"),
    ("clone.independent", Level.MANDATORY, "A clone shares no bytes with its source", "克隆与源卷相互独立"),
    ("clone.crash", Level.MANDATORY, "A clone that was cut off is completed by a repeat", "中断的克隆可由重试完成"),
    ("qos.set", Level.STANDARD, "Limits are put on a volume", "设置 QoS"),
    ("revert.bytes", Level.STANDARD, "A revert brings every byte back", "回滚恢复全部数据"),
    ("group.snapshot", Level.STANDARD, "A group's snapshots share one moment", "一致性组快照"),
    ("naming.unicode", Level.STANDARD, "Any Unicode id can be used", "任意 Unicode 标识"),
]

CHECKS = tuple(
    Check(identifier, level, title, f"{title}, whatever was asked before; Backend promise 2.", zh)
    for identifier, level, title, zh in _TITLES
)

MIXED = {
    "clone.crash": (
        Result.FAILED,
        "After a cut at request 5 the repeat raised AlreadyExists\nexpected a complete volume, found state 'copying'",
    ),
    "revert.bytes": (Result.NOT_RUN, "No data plane: the iSCSI initiator tools are missing on this machine."),
    "group.snapshot": (Result.NOT_APPLICABLE, "The array does not declare group_snapshots."),
    "naming.unicode": (Result.FAILED, "卷名 <script>alert('x')</script> & \"quotes\" came back changed"),
}


def outcomes(special: dict[str, tuple[Result, str]] | None = None) -> tuple[Outcome, ...]:
    chosen = special or {}
    return tuple(Outcome(check, *_ended(chosen.get(check.id), index)) for index, check in enumerate(CHECKS))


def _ended(special: tuple[Result, str] | None, index: int) -> tuple[Result, float, str]:
    result, detail = special or (Result.PASSED, "")
    return result, round(0.041 * (index + 1) ** 2, 3), detail


def certificate(
    ended: Sequence[Outcome] | None = None,
    *,
    protocol: Protocol = Protocol.FC,
    simulated: bool = True,
    selection: str | None = None,
    model: str = "OceanStor 5500 V5",
) -> Certificate:
    chosen = tuple(outcomes() if ended is None else ended)
    return issue(
        model=model,
        array=ARRAY,
        protocol=protocol,
        simulated=simulated,
        host=HOST,
        started=datetime(2026, 5, 31, 12, 0, 0, tzinfo=UTC),
        ended=datetime(2026, 5, 31, 12, 3, 41, tzinfo=UTC),
        selection=selection,
        outcomes=chosen,
        evidence=grading.evidence(model, protocol, LIST, vendor="Huawei"),
    )

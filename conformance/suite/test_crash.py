"""Crash points: every operation cut off after each of its requests by the death of its process."""

from __future__ import annotations

import pytest

from blockdrivers.errors import BlockDriversError
from conformance.outcome import Level
from conformance.suite.declare import check
from conformance.suite.disturbed import cut_off, judge, undisturbed
from conformance.suite.operations import Operation, operations, possible
from conformance.suite.rig import Rig, told


def _declare(prefix: str) -> list[Operation]:
    return [operation for operation in operations() if operation.name.startswith(prefix)]


def _survives(rig: Rig, operation: Operation) -> None:
    """Cut an operation off after its k-th request, for every k; prove that a new process's repeat makes it whole."""
    if not possible(rig, [operation]):
        return
    expected = undisturbed(rig, operation, rig.nursery.run)
    for at in range(1, expected.requests + 1):
        what = f"{operation}, cut off after request {at} of {expected.requests}"
        operation.prepare(rig)
        held = operation.always(rig)
        if not cut_off(rig, operation, at):
            # A poll less than undisturbed: there is nothing left to cut.
            assert at > 1, f"{operation} ended without a request that the array could have cut off"
            rig.clean()
            break
        assert operation.always(rig) == held, f"{what}: {operation.always(rig)} was {held} before"
        try:
            result = rig.nursery.run(operation.call(rig))
        except BlockDriversError as error:
            raise AssertionError(f"{what}: the repeat failed: {told(error)}") from error
        judge(rig, result, expected, what)
        rig.clean()


_REQUIREMENT = "Killed after any of its requests and repeated by a new process, it ends as if undisturbed; nothing is left over."


@check(
    "crash.create",
    Level.MANDATORY,
    "Create survives crashes",
    title_zh="创建卷可承受任意时刻崩溃",
    requirement=_REQUIREMENT,
    needs=("fault_control",),
)
@pytest.mark.parametrize("operation", _declare("create_volume"), ids=str)
def test_create(rig: Rig, operation: Operation) -> None:
    _survives(rig, operation)


@check(
    "crash.extend",
    Level.MANDATORY,
    "Extend survives crashes",
    title_zh="扩容可承受任意时刻崩溃",
    requirement=_REQUIREMENT,
    needs=("fault_control",),
)
@pytest.mark.parametrize("operation", _declare("extend_volume"), ids=str)
def test_extend(rig: Rig, operation: Operation) -> None:
    _survives(rig, operation)


@check(
    "crash.delete",
    Level.MANDATORY,
    "Delete survives crashes",
    title_zh="删除卷可承受任意时刻崩溃",
    requirement=_REQUIREMENT,
    needs=("fault_control",),
)
@pytest.mark.parametrize("operation", _declare("delete_volume"), ids=str)
def test_delete(rig: Rig, operation: Operation) -> None:
    _survives(rig, operation)


@check(
    "crash.snapshot",
    Level.MANDATORY,
    "Snapshots survive crashes",
    title_zh="快照操作可承受任意时刻崩溃",
    requirement=_REQUIREMENT,
    needs=("fault_control",),
)
@pytest.mark.parametrize("operation", [*_declare("create_snapshot"), *_declare("delete_snapshot")], ids=str)
def test_snapshot(rig: Rig, operation: Operation) -> None:
    _survives(rig, operation)


@check(
    "crash.clone",
    Level.MANDATORY,
    "Clones survive crashes",
    title_zh="克隆可承受任意时刻崩溃",
    requirement=_REQUIREMENT,
    needs=("fault_control",),
)
@pytest.mark.parametrize("operation", [*_declare("clone_volume"), *_declare("create_volume_from_snapshot")], ids=str)
def test_clone(rig: Rig, operation: Operation) -> None:
    _survives(rig, operation)


@check(
    "crash.group",
    Level.STANDARD,
    "Group snapshots survive crashes",
    title_zh="一致性组快照可承受任意时刻崩溃",
    requirement=_REQUIREMENT,
    needs=("group_snapshots", "fault_control"),
)
@pytest.mark.parametrize("operation", _declare("create_group_snapshot"), ids=str)
def test_group(rig: Rig, operation: Operation) -> None:
    _survives(rig, operation)


@check(
    "crash.revert",
    Level.MANDATORY,
    "Revert survives crashes",
    title_zh="回滚可承受任意时刻崩溃",
    requirement=_REQUIREMENT,
    needs=("revert", "fault_control"),
)
@pytest.mark.parametrize("operation", _declare("revert_volume"), ids=str)
def test_revert(rig: Rig, operation: Operation) -> None:
    _survives(rig, operation)


@check(
    "crash.export",
    Level.MANDATORY,
    "Export survives crashes",
    title_zh="导出可承受任意时刻崩溃",
    requirement=_REQUIREMENT,
    needs=("fault_control",),
)
@pytest.mark.parametrize("operation", _declare("export"), ids=str)
def test_export(rig: Rig, operation: Operation) -> None:
    _survives(rig, operation)


@check(
    "crash.unexport",
    Level.MANDATORY,
    "Unexport survives crashes",
    title_zh="取消导出可承受任意时刻崩溃",
    requirement=_REQUIREMENT,
    needs=("fault_control",),
)
@pytest.mark.parametrize("operation", [*_declare("unexport"), *_declare("remove_host")], ids=str)
def test_unexport(rig: Rig, operation: Operation) -> None:
    _survives(rig, operation)


@check(
    "crash.qos",
    Level.STANDARD,
    "QoS survives crashes",
    title_zh="QoS操作可承受任意时刻崩溃",
    requirement=_REQUIREMENT,
    needs=("qos", "fault_control"),
)
@pytest.mark.parametrize("operation", _declare("set_qos"), ids=str)
def test_qos(rig: Rig, operation: Operation) -> None:
    _survives(rig, operation)


@check(
    "crash.retype",
    Level.STANDARD,
    "Retype survives crashes",
    title_zh="迁移可承受任意时刻崩溃",
    requirement=_REQUIREMENT,
    needs=("migrate", "two_pools", "fault_control"),
)
@pytest.mark.parametrize("operation", _declare("retype_volume"), ids=str)
def test_retype(rig: Rig, operation: Operation) -> None:
    _survives(rig, operation)


@check(
    "crash.manage",
    Level.STANDARD,
    "Manage and unmanage survive crashes",
    title_zh="纳管与移出可承受任意时刻崩溃",
    requirement=_REQUIREMENT,
    needs=("manage", "fault_control"),
)
@pytest.mark.parametrize("operation", [*_declare("manage_volume"), *_declare("unmanage_volume")], ids=str)
def test_manage(rig: Rig, operation: Operation) -> None:
    _survives(rig, operation)

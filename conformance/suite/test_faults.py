"""Faults on the way: each operation under each of them ends well, at the latest when it is asked again."""

from __future__ import annotations

import pytest

from blockdrivers.errors import BlockDriversError, NotSupported, OutOfSpace
from blockdrivers.model import GiB
from conformance.outcome import Level
from conformance.suite import expect
from conformance.suite.control import EVERY
from conformance.suite.declare import check
from conformance.suite.disturbed import disturbed, judge, undisturbed
from conformance.suite.operations import Operation, operations, possible
from conformance.suite.rig import Rig

_PATIENCE = 10.0
_every_operation = pytest.mark.parametrize("operation", operations(), ids=str)
_ENDS_WELL = "it succeeds, or raises a typed error and a repeat makes it whole; nothing is made twice and nothing is left over."
_SUCCEEDS = "it succeeds by itself, as if undisturbed; nothing is made twice and nothing is left over."


def _endures(
    rig: Rig, operation: Operation, kind: str, *, everywhere: bool = False, succeeds: bool = False, count: int = 1
) -> None:
    """Disturb an operation at its first and last request, or at every one, and judge how it ends."""
    if not possible(rig, [operation]):
        return
    expected = rig.run.once(f"undisturbed {operation}", lambda: undisturbed(rig, operation, lambda call: call.on(rig.backend)))
    positions = range(1, expected.requests + 1) if everywhere else sorted({1, expected.requests})
    for at in positions:
        what = f"{operation} with {kind} at request {at} of {expected.requests}"
        operation.prepare(rig)
        held = operation.always(rig)
        result = disturbed(rig, operation, kind, at, count=count, strict=succeeds, timeout=_PATIENCE)
        judge(rig, result, expected, what)
        assert operation.always(rig) == held, f"{what}: {operation.always(rig)} was {held} before"
        rig.clean()


@check(
    "fault.refuse",
    Level.MANDATORY,
    "Connections refused",
    title_zh="连接被拒绝时操作可恢复",
    requirement="With connections refused for a moment " + _SUCCEEDS,
    needs=("fault_control",),
)
@_every_operation
def test_refuse(rig: Rig, operation: Operation) -> None:
    _endures(rig, operation, "refuse", succeeds=True, count=2)


@check(
    "fault.drop_before",
    Level.MANDATORY,
    "Connections cut before the request is done",
    title_zh="请求执行前断连可恢复",
    requirement="With the connection cut before the array acts " + _SUCCEEDS,
    needs=("fault_control",),
)
@_every_operation
def test_drop_before(rig: Rig, operation: Operation) -> None:
    _endures(rig, operation, "drop_before", succeeds=True)


@check(
    "fault.drop_after",
    Level.MANDATORY,
    "Connections cut after the request is done",
    title_zh="请求执行后断连可恢复",
    requirement="With the connection cut after the array has acted, at any request " + _SUCCEEDS,
    needs=("fault_control",),
)
@_every_operation
def test_drop_after(rig: Rig, operation: Operation) -> None:
    _endures(rig, operation, "drop_after", everywhere=True, succeeds=True)


@check(
    "fault.http_500",
    Level.MANDATORY,
    "Internal errors of the array",
    title_zh="阵列内部错误可恢复",
    requirement="With an internal error of the array's management " + _ENDS_WELL,
    needs=("fault_control",),
)
@_every_operation
def test_http_500(rig: Rig, operation: Operation) -> None:
    _endures(rig, operation, "http_500")


@check(
    "fault.http_503",
    Level.MANDATORY,
    "The management is not available",
    title_zh="管理服务暂不可用可恢复",
    requirement="With the array's management not available for a moment " + _ENDS_WELL,
    needs=("fault_control",),
)
@_every_operation
def test_http_503(rig: Rig, operation: Operation) -> None:
    _endures(rig, operation, "http_503")


@check(
    "fault.busy",
    Level.MANDATORY,
    "The array is busy",
    title_zh="阵列忙时操作可恢复",
    requirement="With the array saying that it is busy " + _SUCCEEDS,
    needs=("fault_control",),
)
@_every_operation
def test_busy(rig: Rig, operation: Operation) -> None:
    _endures(rig, operation, "busy", succeeds=True)


@check(
    "fault.session_expired",
    Level.MANDATORY,
    "The session expires",
    title_zh="会话过期后自动重新登录",
    requirement="With the management session expired at any request " + _SUCCEEDS,
    needs=("fault_control",),
)
@_every_operation
def test_session_expired(rig: Rig, operation: Operation) -> None:
    _endures(rig, operation, "session_expired", everywhere=True, succeeds=True)


@check(
    "fault.garbage",
    Level.MANDATORY,
    "Garbage for an answer",
    title_zh="返回乱码时操作可恢复",
    requirement="With garbage for an answer " + _ENDS_WELL,
    needs=("fault_control",),
)
@_every_operation
def test_garbage(rig: Rig, operation: Operation) -> None:
    _endures(rig, operation, "garbage")


@check(
    "fault.slow",
    Level.MANDATORY,
    "A slow answer",
    title_zh="响应缓慢时操作可完成",
    requirement="With an answer that takes its time " + _SUCCEEDS,
    needs=("fault_control",),
)
@_every_operation
def test_slow(rig: Rig, operation: Operation) -> None:
    _endures(rig, operation, "slow", succeeds=True)


@check(
    "fault.failover",
    Level.MANDATORY,
    "The controller fails over",
    title_zh="控制器故障切换后操作继续",
    requirement="With the controller gone in the middle of an operation, the other one takes over: " + _SUCCEEDS,
    needs=("fault_control", "two_controllers"),
)
@_every_operation
def test_failover(rig: Rig, operation: Operation) -> None:
    _endures(rig, operation, "failover", succeeds=True)


@check(
    "fault.pool_full",
    Level.ESSENTIAL,
    "A full pool",
    title_zh="存储池空间不足",
    requirement="Create, clone and extend in a full pool are refused, with OutOfSpace where the array tells; nothing is made, grown or left over, and later they work.",
    needs=("fault_control",),
)
@pytest.mark.parametrize("operation", operations(), ids=str)
def test_pool_full(rig: Rig, operation: Operation) -> None:
    grows = ("create_volume", "clone_volume", "extend_volume", "retype_volume")
    if not operation.name.startswith(grows) or not possible(rig, [operation]):
        return
    expected = OutOfSpace if rig.capabilities.tells_reasons else BlockDriversError
    operation.prepare(rig)
    with rig.unchanged(*(sorted(rig.volumes()) if rig.capabilities.list_objects else ())):
        with rig.control.faulty("pool_full", count=EVERY), expect.refused(expected, what=f"{operation} in a full pool"):
            operation.call(rig).on(rig.backend)
        swept = rig.swept()
        assert not swept, f"{operation} in a full pool left {swept}"
    operation.call(rig).on(rig.backend)


@check(
    "fault.licence",
    Level.STANDARD,
    "A missing licence",
    title_zh="许可证缺失",
    requirement="Without any licence an operation succeeds or is NotSupported (LicenceMissing); nothing is left over, and later it works.",
    needs=("fault_control", "licences"),
)
def test_licence(rig: Rig) -> None:
    features = [feature for feature, usable in rig.backend.licences().items() if usable]
    assert features, "the simulator has no licence that could be taken away"
    refused = []
    for operation in possible(rig, operations()):
        operation.prepare(rig)
        _license(rig, features, usable=False)
        try:
            operation.call(rig).on(rig.backend)
        except NotSupported as error:
            refused.append(operation.name)
            assert str(error), f"{operation}: the error says nothing"
        except BlockDriversError as error:
            raise AssertionError(f"{operation} without licences raised {type(error).__name__}: {error}") from error
        finally:
            _license(rig, features, usable=True)
        operation.call(rig).on(rig.backend)
        swept = rig.swept()
        assert not swept, f"{operation} without a licence left {swept}"
        rig.clean()
    assert refused, f"without the licences {features} every operation still worked; that is not believable"


def _license(rig: Rig, features: list[str], *, usable: bool) -> None:
    for feature in features:
        rig.control.licence(feature, usable)


@check(
    "fault.list",
    Level.MANDATORY,
    "A list is complete or an error",
    title_zh="列表查询中断时不返回残缺结果",
    requirement="A list with a fault at any of its requests is complete or a typed error, never silently short.",
    needs=("fault_control", "list_objects"),
)
@pytest.mark.parametrize("kind", ["drop_after", "http_500", "http_503", "garbage", "busy", "session_expired"])
def test_list(rig: Rig, kind: str) -> None:
    wanted = {rig.volume(f"v{number}", GiB).volume_id or "" for number in range(4)}
    before = rig.control.requests()
    rig.backend.list_volumes()
    for at in range(1, rig.control.requests() - before + 1):
        with rig.control.faulty(kind, at=at):
            try:
                listed = {volume.volume_id for volume in rig.backend.list_volumes(timeout=_PATIENCE)}
            except BlockDriversError:
                continue
        assert wanted <= listed, f"with {kind} at request {at} the list lacks {sorted(wanted - listed)}"

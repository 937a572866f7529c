"""QoS: exactly the limits asked for, and no policy without its volume."""

from __future__ import annotations

import pytest

from blockdrivers.errors import InvalidRequest, NotSupported
from blockdrivers.model import QOS_KEYS, GiB, Qos
from conformance.outcome import Level
from conformance.suite import expect
from conformance.suite.declare import check
from conformance.suite.limits import largest_combination, limits
from conformance.suite.rig import Rig


@check(
    "qos.set",
    Level.STANDARD,
    "Limits are set, changed and taken away",
    title_zh="设置、修改与移除QoS",
    requirement="A volume has exactly the limits that were asked for last, in every declared combination; none when taken away.",
    needs=("qos",),
)
def test_set(rig: Rig) -> None:
    rig.volume()
    _has(rig, Qos(), "a new volume")
    support = rig.capabilities.qos
    assert support is not None, "this check has to declare that it needs qos"
    for together in support.combinations:
        for factor in (1, 3):
            wanted = limits(rig.capabilities, factor, together)
            rig.backend.set_qos(rig.id("v"), wanted)
            _has(rig, wanted, f"after setting {wanted.as_dict()}")
    rig.backend.set_qos(rig.id("v"), None)
    _has(rig, Qos(), "after taking the limits away")
    expect.as_asked(rig.backend.get_volume(rig.id("v")), what="afterwards the volume", qos_id=None)


def _has(rig: Rig, wanted: Qos, what: str) -> None:
    found = rig.backend.get_qos(rig.id("v"))
    assert found == wanted, f"{what}: the limits are {found.as_dict()}, not {wanted.as_dict()}"


@check(
    "qos.repeat",
    Level.STANDARD,
    "Setting the same limits again changes nothing",
    title_zh="重复设置相同QoS无变化",
    requirement="Repeating a change of limits, and taking them away twice, leaves exactly that; another volume's are untouched.",
    needs=("qos",),
)
def test_repeat(rig: Rig) -> None:
    rig.volume()
    rig.volume("w")
    wanted, others = limits(rig.capabilities, 1), limits(rig.capabilities, 5)
    rig.backend.set_qos(rig.id("w"), others)
    for backend in (rig.backend, rig.backend, rig.another_backend()):
        backend.set_qos(rig.id("v"), wanted)
        _has(rig, wanted, "set again")
    for backend in (rig.backend, rig.backend, rig.another_backend()):
        backend.set_qos(rig.id("v"), None)
        _has(rig, Qos(), "taken away again")
    assert rig.backend.get_qos(rig.id("w")) == others, f"the other volume's limits are {rig.backend.get_qos(rig.id('w'))}"


@check(
    "qos.create",
    Level.STANDARD,
    "A volume is made with limits",
    title_zh="创建卷时设置QoS",
    requirement="A volume made with limits has them; made again with the same it is returned, with others it is AlreadyExists.",
    needs=("qos",),
)
def test_create(rig: Rig) -> None:
    wanted, others = limits(rig.capabilities, 2), limits(rig.capabilities, 4)
    made = rig.volume("v", GiB, qos=wanted)
    _has(rig, wanted, "made with limits")
    expect.same_object(rig.volume("v", GiB, qos=wanted), made, what="made again")
    with rig.unchanged(rig.id("v")):
        expect.differs(lambda: rig.volume("v", GiB, qos=others), "qos", what="made again with other limits")
    _has(rig, wanted, "after the refused call")


@check(
    "qos.refused",
    Level.STANDARD,
    "Limits that the array cannot set are refused",
    title_zh="不支持的QoS组合或数值被拒绝",
    requirement="Undeclared limits and combinations, zero, negative and fractional values are refused; the limits stay as they are.",
    needs=("qos",),
)
@pytest.mark.parametrize("value", [0, -1, True, 1.5], ids=repr)
def test_refused(rig: Rig, value: int) -> None:
    support = rig.capabilities.qos
    assert support is not None, "this check has to declare that it needs qos"
    rig.volume()
    before = limits(rig.capabilities, 1)
    rig.backend.set_qos(rig.id("v"), before)
    wrong = [Qos(**{key: value}) for key in sorted(support.keys)]
    wrong += [Qos(**{key: 1000}) for key in QOS_KEYS if key not in support.keys]
    everything = Qos(**dict.fromkeys(support.keys, 1024 * 1024 * 1000))
    if not any(support.keys <= together for together in support.combinations):
        wrong.append(everything)
    for qos in wrong:
        with expect.refused(InvalidRequest, NotSupported, what=f"the limits {qos.as_dict()}"):
            rig.backend.set_qos(rig.id("v"), qos)
        with expect.refused(InvalidRequest, NotSupported, what=f"a volume with the limits {qos.as_dict()}"):
            rig.volume("w", qos=qos)
    _has(rig, before, "after refused limits")
    assert rig.id("w") not in rig.present(), "a volume with refused limits was made all the same"


@check(
    "qos.delete",
    Level.STANDARD,
    "Deleting a volume takes its policy along",
    title_zh="删除卷时一并移除其QoS策略",
    requirement="After the delete of a volume with limits no policy is left, and a new volume of that id has none.",
    needs=("qos",),
)
def test_delete(rig: Rig) -> None:
    for number in range(3):
        rig.volume(f"v{number}", qos=largest_combination(rig.capabilities))
    for number in range(3):
        rig.backend.delete_volume(rig.id(f"v{number}"))
    left = [found for found in rig.backend.sweep() if found.kind == "qos"]
    assert not left, f"after the deletes these policies are left: {left}"
    rig.volume("v")
    _has(rig, Qos(), "a new volume")

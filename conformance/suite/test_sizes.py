"""Sizes: exact bytes, and everything outside the limits refused before the array changes."""

from __future__ import annotations

from typing import Any

import pytest

from blockdrivers.errors import InvalidRequest
from blockdrivers.model import GiB, TiB
from conformance.outcome import Level
from conformance.suite import expect
from conformance.suite.declare import check
from conformance.suite.rig import Rig

_WRONG: dict[str, Any] = {
    "zero": 0,
    "negative": -GiB,
    "one byte": 1,
    "true": True,
    "a byte less than 1 GiB": GiB - 1,
    "a sector less than 1 GiB": GiB - 512,
    "above 64 TiB": 64 * TiB + GiB,
    "beyond 64 bits": 2**70,
    "a float": float(GiB),
    "a text": "1",
    "nothing": None,
}


@check(
    "size.refused",
    Level.ESSENTIAL,
    "Wrong sizes are refused",
    title_zh="非法容量被拒绝",
    requirement="Zero, negative, too small, too large and non-integer sizes are InvalidRequest, and nothing is made.",
)
@pytest.mark.parametrize("wrong", list(_WRONG.values()), ids=list(_WRONG))
def test_refused(rig: Rig, wrong: Any) -> None:
    with rig.unchanged(), expect.refused(InvalidRequest, what=f"a volume of {wrong!r} bytes", naming=str(wrong)):
        rig.volume("v", wrong)


@check(
    "size.step",
    Level.ESSENTIAL,
    "Sizes between the array's steps are refused, not rounded",
    title_zh="非步长整数倍的容量被拒绝而非取整",
    requirement="A size that is no multiple of the declared step is InvalidRequest for create and extend alike.",
)
def test_step(rig: Rig) -> None:
    step = rig.capabilities.size_step
    wrong = 2 * GiB + (step // 2 if step > 1 else 0)
    if step == 1:
        expect.as_asked(rig.volume("odd", 2 * GiB + 1), size=2 * GiB + 1)
        return
    with rig.unchanged(), expect.refused(InvalidRequest, what=f"a volume of {wrong} bytes", naming=str(wrong)):
        rig.volume("v", wrong)
    rig.volume("v", GiB)
    with rig.unchanged(rig.id("v")), expect.refused(InvalidRequest, what=f"an extend to {wrong} bytes", naming=str(wrong)):
        rig.backend.extend_volume(rig.id("v"), wrong)


@check(
    "size.exact",
    Level.ESSENTIAL,
    "A volume has exactly the bytes asked for",
    title_zh="卷容量与请求完全一致",
    requirement="Sizes are neither rounded up nor down, also when they are no power of two.",
)
@pytest.mark.parametrize("gib", [1, 3, 7, 13, 129], ids=lambda gib: f"{gib} GiB")
def test_exact(rig: Rig, gib: int) -> None:
    size = gib * GiB // rig.capabilities.size_step * rig.capabilities.size_step
    expect.as_asked(rig.volume("v", size), what="created", size=size)
    expect.as_asked(rig.backend.get_volume(rig.id("v")), what="read", size=size)


@check(
    "size.limits",
    Level.STANDARD,
    "The smallest and the largest volume can be made",
    title_zh="可创建最小与最大容量的卷",
    requirement="Volumes of exactly the declared minimum and maximum are made, and one step more or less is refused.",
    needs=("thin",),
)
def test_limits(rig: Rig) -> None:
    declared = rig.capabilities
    for tag, size in (("min", declared.min_size), ("max", declared.max_size)):
        expect.as_asked(rig.volume(tag, size, thin=True), what=f"the {tag} size", size=size)
    for size in (declared.min_size - declared.size_step, declared.max_size + declared.size_step):
        with rig.unchanged(), expect.refused(InvalidRequest, what=f"a volume of {size} bytes", naming=str(size)):
            rig.volume("beyond", size)


@check(
    "size.extend.refused",
    Level.MANDATORY,
    "An extend beyond the limits is refused",
    title_zh="超出上限的扩容被拒绝",
    requirement="An extend to a size above the maximum or of a wrong kind is InvalidRequest; the volume stays as it is.",
)
def test_extend_refused(rig: Rig) -> None:
    rig.volume()
    wrong: list[Any] = [rig.capabilities.max_size + rig.capabilities.size_step, 0, -1, True, 2.0 * GiB]
    for size in wrong:
        with rig.unchanged(rig.id("v")), expect.refused(InvalidRequest, what=f"an extend to {size!r}", naming=str(size)):
            rig.backend.extend_volume(rig.id("v"), size)

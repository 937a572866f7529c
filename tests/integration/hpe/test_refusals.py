"""What the array refuses, and as what the caller is told of it."""

from __future__ import annotations

import pytest

from blockdrivers.errors import Ambiguous, Busy, InvalidRequest, LicenceMissing, LimitReached, NotFound, OutOfSpace, VendorError
from blockdrivers.model import GiB, Qos
from tests.integration.hpe.lab import OTHER, POOL
from vendors.hpe import codes


@pytest.mark.parametrize(
    ("feature", "operation"),
    [
        ("Virtual Copy", lambda array: array.create_snapshot("s", "v")),
        ("Virtual Copy", lambda array: array.create_group_snapshot({"v": "s"})),
        ("Virtual Copy", lambda array: array.clone_volume("c", "v")),
        ("Priority Optimization", lambda array: array.set_qos("v", Qos(total_iops=100))),
        ("Dynamic Optimization", lambda array: array.retype_volume("v", pool=OTHER)),
    ],
)
def test_a_missing_licence_is_named_and_nothing_is_left(lab, feature, operation):
    started = lab()
    array = started.open()
    array.create_volume("v", GiB, POOL)
    before = started.array.family.state()
    started.array.family.set_licence(feature, False)
    with pytest.raises(LicenceMissing) as missing:
        operation(array)
    assert feature in str(missing.value)
    assert started.array.family.state() == before
    assert feature not in array.licences()


def test_a_full_pool_is_named_and_nothing_is_left(lab):
    array = lab(pools=2, pool_bytes=10 * GiB).open()
    with pytest.raises(OutOfSpace):
        array.create_volume("v", 20 * GiB, POOL, thin=False)
    assert array.list_volumes(foreign=True) == []


def test_a_limit_of_the_array_is_named_at_once(lab):
    array = lab(max_volumes=2).open()
    array.create_volume("v", GiB, POOL)
    array.create_snapshot("s", "v")
    with pytest.raises(LimitReached):
        array.create_volume("w", GiB, POOL)
    with pytest.raises(LimitReached):
        array.create_group_snapshot({"v": "t"})
    assert array.sweep() == []


@pytest.mark.parametrize(
    ("code", "status", "text", "changes", "kind"),
    [
        (1, 500, "internal error", True, Ambiguous),
        (7, 408, "timeout", True, Ambiguous),
        (7, 408, "timeout", False, Busy),
        (29, 400, "volume is busy", True, Busy),
        (29, 409, "volume is retained", True, VendorError),
        (270, 503, "system is too busy, the limit of load is reached", True, Busy),
        (999, 503, "virtual volume limit reached", True, LimitReached),
        (999, 503, "not now", True, Busy),
        (999, 404, "no such thing", True, NotFound),
        (12, 400, "system is not licensed for Virtual Copy", True, LicenceMissing),
    ],
)
def test_a_refusal_is_known_by_code_status_and_words(code, status, text, changes, kind):
    refused = codes.error(code, text, status=status, request="PUT volumes/v", changes=changes)
    assert (type(refused), refused.vendor_code, refused.vendor_text) == (kind, str(code), text)


def test_an_unknown_pool_is_named(lab):
    with pytest.raises(InvalidRequest, match=r"pool_z.*pool_a"):
        lab().open().create_volume("v", GiB, "pool_z")

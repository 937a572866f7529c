"""What the shell is asked and what it answers: strangers, keys, ids, lost answers."""

from __future__ import annotations

import json

import pytest

from blockdrivers.backend import Backend
from blockdrivers.errors import (
    Ambiguous,
    Busy,
    DeadlineExceeded,
    InvalidRequest,
    LimitReached,
    NotFound,
    OutOfSpace,
    ProtocolError,
    VendorError,
)
from blockdrivers.model import GiB
from conformance.simulation.family import Output
from conformance.simulation.opening import reaching
from tests.integration.toyou.lab import POOL
from tests.waiting import out_of_time
from vendors.toyou import codes
from vendors.toyou.driver import open_driver
from vendors.toyou.options import Acs5000Options


@pytest.mark.parametrize(
    ("output", "error", "said"),
    [
        (Output(json.dumps({"key": 0, "msg": "", "arr": {"vendor": "SOMEBODY"}})), ProtocolError, "SOMEBODY"),
        (Output(stderr="sh: cinder: command not found\n", status=127), ProtocolError, "no command cinder"),
        (Output(stderr="permission denied\n", status=1), ProtocolError, "permission denied"),
        (Output("Welcome!\n"), ProtocolError, "Welcome!"),
        (Output("[]"), ProtocolError, "not what an ACS5000 says"),
        (Output('{"key": 0, "msg": ""}'), ProtocolError, "not what an ACS5000 says"),
        (Output('{"key": "x", "msg": "", "arr": {}}'), ProtocolError, "not what an ACS5000 says"),
        (Output('{"key": "1", "msg": "broken", "arr": null}'), VendorError, "broken"),
        (Output('{"key": 0, "msg": "", "arr": []}'), ProtocolError, "object was expected"),
        (Output('{"key": 0, "msg": "", "arr": {"vendor": "TOYOU"}}'), ProtocolError, "system_id"),
    ],
)
def test_what_is_no_acs5000(started, output, error, said):
    started.answering("get_system", lambda _: output)
    with pytest.raises(error, match=said):
        started.open().system()


def test_a_shell_that_cannot_start_a_program_is_busy(started, backend):
    started.answering("get_system", lambda _: Output(stderr="sh: fork: Resource temporarily unavailable\n", status=254))
    out_of_time(lambda seconds: backend.system(timeout=seconds), lambda said: "cannot start another command" in said)


def test_a_key_may_be_text(started, backend):
    started.answering("create_volume", lambda output: Output(output.stdout.replace('"key": 0', '"key": "0"')))
    assert backend.create_volume("v", GiB, POOL).size == GiB


@pytest.mark.parametrize(("key", "error"), [(102, OutOfSpace), (307, LimitReached), (308, LimitReached), (999, VendorError)])
def test_refusals_keep_the_array_s_key(started, backend, key, error):
    started.array.faults.add({"kind": "answer", "code": str(key), "operation": "create_volume"})
    with pytest.raises(error) as refused:
        backend.create_volume("v", GiB, POOL)
    assert (refused.value.vendor_code, refused.value.request) == (str(key), "create_volume")


def test_every_documented_key_has_a_class_of_its_own():
    assert all(type(codes.error(key, "", "x")) is not VendorError for key in codes._CLASSES)


def test_an_id_never_becomes_an_option(started, backend):
    for identifier in ("-1", "--force", "$(reboot)", "a b", '"'):
        backend.create_volume(identifier, GiB, POOL)
        backend.delete_volume(identifier)
    backend.create_volume("v", GiB, POOL)
    for name in ("--type", "-1", ".."):
        with pytest.raises(InvalidRequest, match="not at its beginning"):
            backend.unmanage_volume("v", name)
    for name in ("$(touch /tmp/x); 'a' \"b\"", "--volume", "-1"):
        with pytest.raises(NotFound):
            backend.manage_volume("w", name)


def test_a_lost_answer_is_read_back(started):
    driver = open_driver(Acs5000Options(**reaching(started.array.ready) | started.array.ready["options"]), "lab")
    with Backend(driver, "lab") as backend:
        backend.pools()
        started.array.faults.add({"kind": "garbage", "commit": True, "operation": "create_volume"})
        assert backend.create_volume("v", GiB, POOL).size == GiB
        started.array.faults.add({"kind": "http_500", "operation": "delete_volume"})
        backend.delete_volume("v")
        assert started.volumes() == {}
        started.array.faults.add({"kind": "http_500", "operation": "extend_volume", "count": 0})
        backend.create_volume("w", GiB, POOL)
        with pytest.raises((Ambiguous, Busy, DeadlineExceeded)):
            backend.extend_volume("w", 2 * GiB, timeout=0.5)

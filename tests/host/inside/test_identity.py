"""An array that answers wrongly, or lets this machine in by mistake, gets no device handed out."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from blockdrivers import Backend, Protocol
from blockdrivers.errors import AttachError, BlockDriversError, NotFound
from blockdrivers.host import machine as attaching
from blockdrivers.host import scsi
from blockdrivers.model import Chap
from conformance.suite import machine

SECONDS = 60.0


class Lying:
    """A driver whose exports name another volume's identity."""

    def __init__(self, driver, wwn):
        self._driver, self._wwn = driver, wwn

    def __getattr__(self, name):
        return getattr(self._driver, name)

    def export(self, *arguments):
        return replace(self._driver.export(*arguments), wwn=self._wwn)


@pytest.mark.parametrize("multipath", [True, False])
def test_another_identity_is_never_handed_out(backend, host, volume, multipath):
    name, other = volume("mine"), volume("other")
    wrong = Backend(Lying(backend.driver, backend.get_volume(other).wwn), "lying")
    before = machine.remains()
    with pytest.raises(AttachError, match=r"answers as|identity"):
        wrong.attach(name, Protocol.ISCSI, host, multipath=multipath, timeout=SECONDS)
    assert machine.remains() == before
    assert not backend.list_exports(name)


def test_a_volume_without_an_identity_is_not_attached(backend, host, volume):
    name = volume("nameless")
    nameless = Backend(Lying(backend.driver, None), "nameless")
    with pytest.raises(AttachError, match="does not tell the identity"):
        nameless.attach(name, Protocol.ISCSI, host, timeout=SECONDS)
    assert not backend.list_exports(name)


def test_chap_with_the_right_secret(backend, host, volume):
    name, with_chap = volume("chap"), replace(host, chap=Chap("user", "right-secret-12"))
    made = backend.attach(name, Protocol.ISCSI, with_chap)
    assert made.wwn == backend.get_volume(name).wwn
    backend.detach(name, Protocol.ISCSI, with_chap)


def test_chap_with_a_wrong_secret_is_an_error_in_time_that_does_not_tell_it(backend, host, volume):
    name, with_chap = volume("chap"), replace(host, chap=Chap("user", "right-secret-12"))
    export = backend.export(name, with_chap, Protocol.ISCSI)
    before, started = machine.remains(), time.monotonic()
    lun = attaching.attachable(replace(export, chap=Chap("user", "wrong-secret-12")), multipath=True)
    with pytest.raises(BlockDriversError) as refused:
        lun.attach(name)
    assert "wrong-secret-12" not in str(refused.value)
    assert lun.undo()
    assert machine.remains() == before
    assert time.monotonic() - started < 2 * SECONDS


def test_what_a_disk_answers_is_asked_of_it_and_not_remembered(backend, host, volume):
    name = volume("asked")
    made = backend.attach(name, Protocol.ISCSI, host, multipath=False)
    disk = made.paths[0].device
    assert made.wwn in scsi.identities(disk)
    backend.unexport(name, host, Protocol.ISCSI)
    assert next(found for found in scsi.disks() if found.device == disk).wwn == made.wwn
    with pytest.raises((scsi.NoLun, scsi.NoAnswer)):
        scsi.identities(disk)
    # Exported again, it is found and taken away with what the array has forgotten.
    backend.export(name, host, Protocol.ISCSI)


def test_detaching_an_absent_volume_is_nothing_to_do(backend, host):
    backend.detach("never-made", Protocol.ISCSI, host)
    with pytest.raises(NotFound):
        backend.attach("never-made", Protocol.ISCSI, host)

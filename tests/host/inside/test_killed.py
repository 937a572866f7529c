"""Attaching and detaching, killed before each of their steps on this machine in turn, converge when they are called again."""

from __future__ import annotations

import os
import signal
import traceback

import pytest

from blockdrivers import Protocol, open_backend
from blockdrivers.host import brick, programs, scsi
from conformance.suite import machine
from conformance.suite.disks import expect_stamp, stamp
from conformance.suite.machine import Device

STEPS = ((programs, "run"), (scsi, "write"), (brick, "call"))
"""All that changes this machine goes through these."""
MOST = 60


class Killer:
    """Lets so many steps be taken, and kills this process before the next."""

    def __init__(self, steps):
        self.left = steps
        for module, name in STEPS:
            setattr(module, name, self.counted(getattr(module, name)))

    def counted(self, step):
        def take(*arguments, **keywords):
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            self.left -= 1
            return step(*arguments, **keywords)

        return take


def is_killed(config, steps, operation, arguments):
    """Call an operation in a process of its own that takes so many steps; tell whether it needed more."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            with open_backend(config) as backend:
                Killer(steps)
                getattr(backend, operation)(*arguments)
            status = 0
        except BaseException:  # noqa: BLE001 - it must not go on into the other tests
            traceback.print_exc()
        finally:
            os._exit(status)
    _, ended = os.waitpid(pid, 0)
    if os.WIFSIGNALED(ended):
        return True
    assert os.waitstatus_to_exitcode(ended) == 0
    return False


def kills(config, operation, arguments):
    """Kill an operation before its first step, its second and so on, until it gets through; yield after every kill."""
    for steps in range(MOST):
        if not is_killed(config, steps, operation, arguments):
            assert steps, f"{operation} changed nothing of this machine"
            print(f"{operation} takes {steps} steps")
            return
        yield steps
    pytest.fail(f"{operation} takes more than {MOST} steps")


@pytest.fixture
def stamped(backend, host, volume):
    def make(protocol):
        brick.start()
        name = volume("killed")
        with Device(backend.attach(name, protocol, host).path) as disk:
            stamp(disk, "whole")
        return name

    return make


@pytest.mark.parametrize("protocol", [Protocol.ISCSI, Protocol.FC])
def test_attaching(told, backend, host, stamped, protocol):
    name = stamped(protocol)
    backend.detach(name, protocol, host)
    before = machine.remains()
    for steps in kills(told["config"], "attach", (name, protocol, host)):
        with Device(backend.attach(name, protocol, host).path) as disk:
            expect_stamp(disk, "whole", what=f"the volume after a kill before step {steps}")
        backend.detach(name, protocol, host)
        assert machine.remains() == before


@pytest.mark.parametrize("protocol", [Protocol.ISCSI, Protocol.FC])
def test_detaching(told, backend, host, stamped, protocol):
    name = stamped(protocol)
    before = None
    for steps in kills(told["config"], "detach", (name, protocol, host)):
        if steps % 2:
            # Every other time what was left is to be attached again as it is, instead of taken away.
            with Device(backend.attach(name, protocol, host).path) as disk:
                expect_stamp(disk, "whole", what=f"the volume after a kill before step {steps}")
        backend.detach(name, protocol, host)
        before = before or machine.remains()
        assert machine.remains() == before
        backend.attach(name, protocol, host)

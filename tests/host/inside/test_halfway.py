"""What a detach that was cut off leaves behind is no obstacle to the next attach."""

from __future__ import annotations

import pytest

from blockdrivers import Protocol
from blockdrivers.host import multipath


@pytest.mark.parametrize("protocol", [Protocol.ISCSI, Protocol.FC])
def test_disks_that_have_lost_their_map_get_one_again(backend, host, volume, protocol):
    name = volume("halfway")
    made = backend.attach(name, protocol, host)
    (held,) = multipath.holding([path.device.removeprefix("/dev/") for path in made.paths])
    multipath.remove(held)
    assert not multipath.maps()
    again = backend.attach(name, protocol, host)
    assert again.map
    assert {path.device for path in again.paths} == {path.device for path in made.paths}

"""Volumes that Remote Copy keeps on another array."""

from __future__ import annotations

import pytest

from blockdrivers.errors import InUse
from blockdrivers.model import Dependant, GiB, ReplicationState
from tests.integration.hpe.lab import POOL, volume_name


def test_a_copy_on_another_array_is_told_and_protected(lab):
    started = lab()
    array, admin = started.open(), started.admin
    array.create_volume("v", GiB, POOL)
    assert array.replications("v") == ()
    name = volume_name("v")
    admin.post("remotecopygroups", body={"name": "far", "targets": [{"targetName": "paris", "mode": 1}]})
    admit = {"action": 1, "volumeName": name, "targets": [{"targetName": "paris", "secVolumeName": "copy"}]}
    admin.put("remotecopygroups", "far", body=admit)
    (stopped,) = array.replications("v")
    assert (stopped.group, stopped.target, stopped.volume, stopped.synchronous) == ("far", "paris", "copy", True)
    assert (stopped.state, stopped.reversed) == (ReplicationState.STOPPED, False)
    admin.put("remotecopygroups", "far", body={"action": 3})
    assert [copy.state for copy in array.replications("v")] == [ReplicationState.SYNCHRONISED]
    admin.post("remotecopygroups", "far", body={"action": 7})
    assert [copy.reversed for copy in array.replications("v")] == [True]
    assert array.get_volume("v").dependants == {Dependant.REPLICATION}
    with pytest.raises(InUse, match="replication"):
        array.delete_volume("v", force=True)

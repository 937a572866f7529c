"""Maps, portals and what is left of a host."""

from __future__ import annotations

import pytest

from blockdrivers.errors import InUse, InvalidRequest, ProtocolError
from blockdrivers.model import GiB, Protocol
from tests.integration.toyou.lab import FC_HOST, ISCSI_HOST, POOL


def test_an_answer_without_portals_is_completed(started, backend):
    backend.create_volume("v", GiB, POOL)
    whole = backend.export("v", ISCSI_HOST, Protocol.ISCSI)
    started.saying("create_lun_map", {"lun": 1})
    assert backend.export("v", ISCSI_HOST, Protocol.ISCSI) == whole


@pytest.mark.parametrize(
    "content",
    [{}, {"lun": []}, {"lun": [1, 2], "iscsi_name": [], "portal": []}, {"lun": [1], "iscsi_name": ["iqn.a"], "portal": []}],
)
def test_a_map_that_makes_no_sense(started, backend, content):
    backend.create_volume("v", GiB, POOL)
    started.saying("create_lun_map", content)
    with pytest.raises(ProtocolError):
        backend.export("v", ISCSI_HOST, Protocol.ISCSI)


def test_only_the_portals_that_are_wanted(started):
    address = started.array.ready["iscsi"][1]["portal"].partition(":")[0]
    backend = started.open(iscsi_portals=[address])
    backend.create_volume("v", GiB, POOL)
    assert [target.portal for target in backend.export("v", ISCSI_HOST, Protocol.ISCSI).targets] == [f"{address}:3260"]
    with pytest.raises(InvalidRequest, match=r"192\.0\.2\.1"):
        started.open(iscsi_portals=["192.0.2.1"]).export("v", ISCSI_HOST, Protocol.ISCSI)


def test_without_an_fc_port_nothing_is_mapped(started, backend):
    backend.create_volume("v", GiB, POOL)
    started.saying("ls_fc", [{"ctrl_idx": 0, "wwpn": "210008ca45d30001", "link": "Down"}, {"ctrl_idx": 1, "link": "Up"}])
    with pytest.raises(InvalidRequest, match="No FC port"):
        backend.export("v", FC_HOST, Protocol.FC)
    assert started.state("mappings") == []


def test_what_is_left_of_a_host_s_initiators_is_taken_away(started, backend):
    backend.create_volume("v", GiB, POOL)
    export = backend.export("v", FC_HOST, Protocol.FC)
    assert set(export.paths) == {"21000024ff000001", "21000024ff000002"}
    started.tell("delete_lun_map --volume bdvl-v --protocol FC --host 21000024ff000001")
    for _ in range(2):
        backend.unexport("v", FC_HOST, Protocol.FC)
    assert started.state("mappings") == []


def test_force_takes_a_volume_from_everybody(started, backend):
    backend.create_volume("v", GiB, POOL)
    backend.export("v", ISCSI_HOST, Protocol.ISCSI)
    backend.export("v", FC_HOST, Protocol.FC)
    with pytest.raises(InUse, match=r"'v' was not deleted.*exported or has snapshots"):
        backend.delete_volume("v")
    backend.delete_volume("v", force=True)
    assert (started.volumes(), started.state("mappings")) == ({}, [])

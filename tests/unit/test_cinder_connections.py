"""What os-brick is told of an export; the part of the Cinder driver that needs no Cinder."""

from __future__ import annotations

import pytest

from blockdrivers.errors import InvalidRequest
from blockdrivers.integrations.cinder import connections
from blockdrivers.model import Chap, Export, IscsiTarget, Protocol

CONNECTOR = {"host": "cmp01", "ip": "192.0.2.7", "initiator": "iqn.1994-05.org.example:cmp01", "wwpns": ["21000024ff000001"]}


def test_a_connector_becomes_a_host_with_every_initiator():
    host = connections.host_of(CONNECTOR, Chap("user", "secret-secret"))
    assert (host.name, host.iqn, host.wwpns) == ("cmp01", CONNECTOR["initiator"], ("21000024ff000001",))
    assert (host.addresses, host.nqn, host.chap) == (("192.0.2.7",), None, Chap("user", "secret-secret"))
    assert connections.host_of({"host": "cmp02"}).addresses == ()


def test_an_iscsi_connection_names_every_path_and_one():
    targets = (IscsiTarget("192.0.2.1:3260", "iqn.a"), IscsiTarget("192.0.2.2:3260", "iqn.b"))
    data = connections.iscsi(Export("v", "h", Protocol.ISCSI, 7, targets=targets))["data"]
    assert (data["target_portal"], data["target_iqn"], data["target_lun"]) == ("192.0.2.1:3260", "iqn.a", 7)
    assert list(zip(data["target_portals"], data["target_iqns"], data["target_luns"], strict=True)) == [
        ("192.0.2.1:3260", "iqn.a", 7),
        ("192.0.2.2:3260", "iqn.b", 7),
    ]
    assert not any(key.startswith("auth") for key in data)


def test_chap_rides_along():
    export = Export("v", "h", Protocol.ISCSI, 1, targets=(IscsiTarget("p", "i"),), chap=Chap("u", "secret-secret"))
    data = connections.iscsi(export)["data"]
    assert (data["auth_method"], data["auth_username"], data["auth_password"]) == ("CHAP", "u", "secret-secret")


def test_an_fc_connection_maps_initiators_to_the_ports_that_they_reach():
    export = Export("v", "h", Protocol.FC, 3, wwpns=("a", "b"), paths={"i1": ("a",), "i2": ("a", "b")})
    connection = connections.fc(export)
    assert connection["driver_volume_type"] == "fibre_channel"
    assert connection["data"]["target_wwn"] == ["a", "b"]
    assert connection["data"]["initiator_target_map"] == {"i1": ["a"], "i2": ["a", "b"]}
    assert connection["data"]["target_lun"] == 3


def test_an_nfs_connection_parts_share_and_file():
    connection = connections.nfs(Export("v", "h", Protocol.NFS, location="192.0.2.9:/vol/cinder/bdvu-x"), "/mnt/base", "vers=4.1")
    assert connection["data"] == {"export": "192.0.2.9:/vol/cinder", "name": "bdvu-x", "format": "raw", "options": "-o vers=4.1"}
    assert connection["mount_point_base"] == "/mnt/base"


@pytest.mark.parametrize("location", [None, "nonsense", "server:/"])
def test_an_nfs_location_of_another_form_is_refused(location):
    with pytest.raises(InvalidRequest, match="SERVER:/PATH/FILE"):
        connections.nfs(Export("v", "h", Protocol.NFS, location=location), None, None)

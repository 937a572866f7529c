"""Hosts, their initiators and CHAP, and the ports of each level."""

from __future__ import annotations

from dataclasses import replace

import pytest

from blockdrivers.errors import InvalidRequest
from blockdrivers.model import Chap, GiB, Host, Protocol
from tests.integration.svc.lab import FC, IQN, ISCSI, MODELS, POOL


@pytest.mark.parametrize("model", MODELS)
def test_ports_of_each_level(lab, model):
    started = lab(model)
    array = started.open()
    ports = array.ports()
    portals = {(port.address, port.iqn) for port in ports if port.protocol is Protocol.ISCSI}
    assert portals == {(portal["portal"], portal["iqn"]) for portal in started.array.ready["iscsi"]}
    assert {port.address for port in ports if port.protocol is Protocol.FC} == set(started.array.ready["fc"])
    assert all(port.up for port in ports)
    chosen = started.open(portals=["127.0.0.12"])
    chosen.create_volume("v", GiB, POOL)
    assert [target.portal for target in chosen.export("v", ISCSI, Protocol.ISCSI).targets] == ["127.0.0.12:3260"]
    with pytest.raises(InvalidRequest, match=r"127\.0\.0\.99"):
        started.open(portals=["127.0.0.99"]).export("v", replace(ISCSI, name="other", iqn=f"{IQN}.other"), Protocol.ISCSI)
    assert [host["name"] for host in started.state("hosts")] == ["bdhl-cmp01"]


def test_another_portset_has_no_portals(lab):
    array = lab().open(portset="storage2")
    array.create_volume("v", GiB, POOL)
    with pytest.raises(InvalidRequest, match="portset"):
        array.export("v", ISCSI, Protocol.ISCSI)
    assert array.list_exports("v") == []


@pytest.mark.parametrize("model", MODELS)
def test_one_host_with_both_kinds_of_initiators(lab, model):
    started = lab(model)
    array = started.open()
    array.create_volume("v", GiB, POOL)
    both = Host("cmp01", iqn=IQN, wwpns=FC.wwpns)
    first = array.export("v", both, Protocol.ISCSI)
    second = array.export("v", both, Protocol.FC)
    assert (first.lun, first.wwn) == (second.lun, second.wwn)
    assert set(second.paths) == set(FC.wwpns)
    assert [host["name"] for host in started.state("hosts")] == ["bdhl-cmp01"]
    assert sorted(export.protocol for export in started.open().list_exports("v")) == ["fc", "iscsi"]


@pytest.mark.parametrize("model", MODELS)
def test_chap_is_set_kept_and_taken_away(lab, model):
    started = lab(model)
    secret, other = Chap(IQN, "first-secret-1"), Chap(IQN, "other-secret!2")
    array = started.open()
    array.create_volume("v", GiB, POOL)

    def demanded():
        return [port["chap_user"] for port in started.state("initiators") if port["kind"] == "iscsi"]

    array.export("v", replace(ISCSI, chap=secret), Protocol.ISCSI)
    assert demanded() == [IQN]
    again = started.open()
    again.pools()
    asked = started.operations(lambda: again.export("v", replace(ISCSI, chap=secret), Protocol.ISCSI))
    assert "chhost" not in asked
    assert "chhost" in started.operations(lambda: again.export("v", replace(ISCSI, chap=other), Protocol.ISCSI))
    assert "chhost" in started.operations(lambda: started.open().export("v", ISCSI, Protocol.ISCSI))
    assert demanded() == [None]
    with pytest.raises(InvalidRequest, match="user name"):
        array.export("v", replace(ISCSI, chap=Chap("somebody", "first-secret-1")), Protocol.ISCSI)


@pytest.mark.parametrize("model", MODELS)
def test_unseen_initiators_leave_nothing(lab, model):
    started = lab(model, fabric=[])
    array = started.open()
    array.create_volume("v", GiB, POOL)
    with pytest.raises(InvalidRequest, match="linked"):
        array.export("v", FC, Protocol.FC)
    assert started.state("hosts") == []
    assert started.state("mappings") == []

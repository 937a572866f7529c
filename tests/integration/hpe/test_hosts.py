"""Hosts, their initiators and CHAP, and the ports that they are shown."""

from __future__ import annotations

from dataclasses import replace

import pytest

from blockdrivers.errors import InUse, InvalidRequest, NotFound
from blockdrivers.model import Chap, GiB, Host, Protocol
from tests.integration.hpe.lab import FC, ISCSI, POOL, host_name
from vendors.hpe import ports


@pytest.mark.parametrize("protocol", [Protocol.ISCSI, Protocol.FC])
def test_an_initiator_of_another_host_is_refused_and_nothing_is_left(lab, protocol):
    started = lab()
    array = started.open()
    host = ISCSI if protocol is Protocol.ISCSI else FC
    array.create_volume("v", GiB, POOL)
    array.export("v", host, protocol)
    with pytest.raises(InUse, match=host_name(host.name)):
        array.export("v", replace(host, name="impostor"), protocol)
    other = Host("other", iqn="iqn.1994-05.org.example:other", wwpns=("21000024ff000003",))
    array.export("v", other, protocol)
    with pytest.raises(InUse, match=host_name(host.name)):
        array.export("v", replace(host, name="other"), protocol)
    assert {item["name"] for item in started.state("hosts")} == {host_name(host.name), host_name("other")}


def test_fc_initiators_that_the_array_does_not_see(lab):
    started = lab(fabric=["21000024ff000001"])
    array = started.open()
    array.create_volume("v", GiB, POOL)
    export = array.export("v", FC, Protocol.FC)
    assert len(export.paths["21000024ff000001"]) == 4
    assert export.paths["21000024ff000002"] == ()
    with pytest.raises(InvalidRequest, match="sees none"):
        array.export("v", Host("dark", wwpns=("21000024ff0000ee",)), Protocol.FC)
    assert [item["name"] for item in started.state("hosts")] == [host_name("cmp02")]


def test_a_host_of_both_protocols_is_one_host(lab):
    array = lab().open()
    array.create_volume("v", GiB, POOL)
    both = replace(FC, iqn=ISCSI.iqn)
    iscsi, fc = (array.export("v", both, protocol) for protocol in (Protocol.ISCSI, Protocol.FC))
    assert iscsi.lun == fc.lun
    assert {export.protocol for export in array.list_exports("v")} == {Protocol.ISCSI, Protocol.FC}
    assert {facts.host for facts in array.initiators() if facts.host} == {host_name("cmp02")}


def test_an_absent_volume_leaves_no_host(lab):
    started = lab()
    with pytest.raises(NotFound):
        started.open().export("absent", ISCSI, Protocol.ISCSI)
    assert started.state("hosts") == []


def test_chap_is_set_changed_and_taken_away(lab):
    started = lab()
    array = started.open()
    array.create_volume("v", GiB, POOL)
    for chap in (Chap("u1", "first-secret-12"), Chap("u2", "second-secret-1"), None):
        array.export("v", replace(ISCSI, chap=chap), Protocol.ISCSI)
        shown = next(item for item in started.state("initiators") if item["id"] == ISCSI.iqn)
        assert shown["chap_user"] == (chap.username if chap else None)


def test_tagged_ports_are_reached_at_their_vlans(lab):
    array = lab(tagged=True).open()
    array.create_volume("v", GiB, POOL)
    portals = [target.portal for target in array.export("v", ISCSI, Protocol.ISCSI).targets]
    assert portals == ["127.0.0.11:3260", "127.0.0.12:3260"]


def test_only_the_configured_portals_are_handed_out(lab):
    started = lab()
    array = started.open(iscsi_portals=["127.0.0.12"])
    array.create_volume("v", GiB, POOL)
    assert [target.portal for target in array.export("v", ISCSI, Protocol.ISCSI).targets] == ["127.0.0.12:3260"]
    with pytest.raises(InvalidRequest, match=r"127\.9\.9\.9"):
        started.open(iscsi_portals=["127.9.9.9"]).export("v", ISCSI, Protocol.ISCSI)


def test_a_port_that_is_down_is_told_and_not_handed_out(lab):
    array = lab().open()
    down = [port for port in array.ports() if not port.up]
    array.create_volume("v", GiB, POOL)
    assert [port.protocol for port in down] == [Protocol.FC]
    assert down[0].address not in array.export("v", FC, Protocol.FC).wwpns


def test_portals_that_come_back_are_handed_out_again(lab, monkeypatch):
    started = lab()
    array = started.open()
    array.create_volume("v", GiB, POOL)
    whole = array.export("v", ISCSI, Protocol.ISCSI).targets
    started.array.family.set_link("127.0.0.12", up=False)
    assert array.export("v", ISCSI, Protocol.ISCSI).targets == whole
    monkeypatch.setattr(ports, "_KEPT_SECONDS", 0.0)
    assert [target.portal for target in array.export("v", ISCSI, Protocol.ISCSI).targets] == ["127.0.0.11:3260"]
    started.array.family.set_link("127.0.0.12", up=True)
    assert array.export("v", ISCSI, Protocol.ISCSI).targets == whole


@pytest.mark.parametrize(
    ("host", "later", "protocol"),
    [
        (ISCSI, ISCSI, Protocol.ISCSI),
        (ISCSI, replace(ISCSI, chap=Chap("u1", "first-secret-12")), Protocol.ISCSI),
        (FC, FC, Protocol.FC),
        (FC, replace(FC, wwpns=(*FC.wwpns, "21000024ff000003")), Protocol.FC),
    ],
)
def test_a_host_that_is_removed_while_it_is_exported_to_is_made_again(lab, host, later, protocol):
    started = lab()
    array = started.open()
    array.create_volume("v", GiB, POOL)
    array.export("v", host, protocol)
    array.unexport("v", host, protocol)
    hosts = array.driver._hosts
    read = hosts.read

    def late(name):
        hosts.read = read
        found = read(name)
        started.admin.delete("hosts", name)
        return found

    hosts.read = late
    assert array.export("v", later, protocol).lun == 1
    assert [export.host for export in array.list_exports("v")] == [host.name]

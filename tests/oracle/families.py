"""The cinder package's own drivers, by the models that they drive: one entry makes a family take part in the oracle run.

An entry says what a cinder.conf needs in order to reach a simulated array, and which checks that driver is known to fail and why. A check
that is listed and passes fails the test, as one that is not listed and fails.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from blockdrivers.model import Protocol
from tests.oracle.addresses import own_address

Ready = Mapping[str, Any]


@dataclass(frozen=True)
class Racy:
    """Why a driver fails a check now and then.

    Attributes:
        reason: in words.
        says: a regular expression that each of its failures holds.
    """

    reason: str
    says: str


@dataclass(frozen=True)
class Family:
    """One Cinder driver.

    Attributes:
        model: a simulated model that it drives.
        classes: the driver's class for each protocol.
        section: from what the simulator tells, the protocol and a private folder to the options of the backend's section; an option
            that begins with ``DEFAULT.`` is for that section.
        limits: check -> why that driver, not the simulator, fails it; ``check:protocol`` for one protocol only.
        racy: check -> why that driver fails it now and then, and what the failure then says; another one is none of these.
        unproven: check -> why it cannot be run on that driver.
        simulator: options for the simulated array.
        extra_specs: of the volume type.
        keeps_hosts: why hosts stay on the array after their last export, where they do; each is made known to it beforehand.
        often: whether it is tried without ``--full``, too.
        from_lun_0: that driver begins at LUN 0, which the data plane cannot show: another volume lies there beforehand.
        node: the machine that the driver runs on, for one that asks.
        pools: how many the driver can be told of.
    """

    model: str
    classes: Mapping[Protocol, str]
    section: Callable[[Ready, Protocol, Path], Mapping[str, object]]
    limits: Mapping[str, str] = field(default_factory=dict)
    racy: Mapping[str, Racy] = field(default_factory=dict)
    unproven: Mapping[str, str] = field(default_factory=dict)
    simulator: Mapping[str, object] = field(default_factory=dict)
    extra_specs: Mapping[str, str] = field(default_factory=dict)
    keeps_hosts: str = ""
    often: bool = True
    from_lun_0: bool = False
    node: Mapping[str, object] | None = None
    pools: int = 2

    def known_limits(self, protocol: Protocol) -> dict[str, str]:
        """Return check -> reason over one protocol."""
        return {
            name: reason
            for key, reason in self.limits.items()
            for name, _, only in [key.partition(":")]
            if only in {"", protocol.value}
        }


HUAWEI_XML = """<?xml version="1.0"?>
<config><Storage><Product>{product}</Product><Protocol>{protocol}</Protocol><RestURL>{url}</RestURL>
<UserName>{username}</UserName><UserPassword>{password}</UserPassword></Storage>
<LUN><LUNType>Thin</LUNType><StoragePool>{pools}</StoragePool>
<LUNReadyWaitInterval>1</LUNReadyWaitInterval><LUNcopyWaitInterval>1</LUNcopyWaitInterval></LUN>
<iSCSI><DefaultTargetIP>{portal}</DefaultTargetIP></iSCSI></config>"""


def _huawei(ready: Ready, protocol: Protocol, folder: Path) -> Mapping[str, object]:
    file = folder / "huawei.xml"
    file.write_text(
        HUAWEI_XML.format(
            product="Dorado" if "V6" in ready["model"] else "V3",
            protocol={Protocol.ISCSI: "iSCSI", Protocol.FC: "FC"}[protocol],
            pools=";".join(ready["pools"]),
            portal=ready["iscsi"][0]["portal"].partition(":")[0],
            **{key: ready["management"][key] for key in ("url", "username", "password")},
        )
    )
    return {"cinder_huawei_conf_file": file}


_HUAWEI_UNPROVEN = {
    "secret.logs": "its password stands in an XML file, which the suite does not know",
    "secret.errors": "its password stands in an XML file, which the suite does not know",
}
_HUAWEI_CLASSES = {
    Protocol.ISCSI: "cinder.volume.drivers.huawei.huawei_driver.HuaweiISCSIDriver",
    Protocol.FC: "cinder.volume.drivers.huawei.huawei_driver.HuaweiFCDriver",
}


def _netapp(ready: Ready, protocol: Protocol, folder: Path) -> Mapping[str, object]:
    management = ready["management"]
    return {
        "netapp_storage_family": "ontap_cluster",
        "netapp_storage_protocol": protocol.value,
        "netapp_server_hostname": management["host"],
        "netapp_server_port": management["port"],
        "netapp_transport_type": "https",
        "netapp_ssl_cert_path": management["ca_file"],
        "netapp_login": management["username"],
        "netapp_password": management["password"],
        "netapp_vserver": ready["vserver"],
        "netapp_use_legacy_client": False,
        "netapp_allow_zapi_fallback": False,
        "netapp_pool_name_search_pattern": f"({'|'.join(ready['pools'])})",
    }


def _over_ssh(ready: Ready, folder: Path) -> dict[str, object]:
    """Return the options of Cinder's drivers over SSH, with the array's host key known beforehand."""
    management = ready["management"]
    known = folder / "known_hosts"
    known.write_text(f"[{management['host']}]:{management['port']} {management['host_key']}\n")
    return {
        "DEFAULT.ssh_hosts_key_file": known,
        "DEFAULT.strict_ssh_host_key_policy": True,
        "san_ip": management["host"],
        "san_ssh_port": management["port"],
        "san_login": management["username"],
        "san_password": management["password"],
    }


def _storwize(ready: Ready, protocol: Protocol, folder: Path) -> Mapping[str, object]:
    return _over_ssh(ready, folder) | {"storwize_svc_volpool_name": ",".join(ready["pools"])}


def _instorage(ready: Ready, protocol: Protocol, folder: Path) -> Mapping[str, object]:
    return _over_ssh(ready, folder) | {"instorage_mcs_volpool_name": ",".join(ready["pools"])}


def _toyou(ready: Ready, protocol: Protocol, folder: Path) -> Mapping[str, object]:
    return _over_ssh(ready, folder) | {
        "acs5000_volpool_name": ",".join(ready["pools"]),
        "acs5000_copy_interval": 3,
        "acs5000_multiattach": True,
    }


def _hbsd(ready: Ready, protocol: Protocol, folder: Path) -> Mapping[str, object]:
    management = ready["management"]
    return {
        "hitachi_storage_id": ready["storage_id"],
        "san_ip": management["host"],
        "san_api_port": management["port"],
        "san_login": management["username"],
        "san_password": management["password"],
        "driver_ssl_cert_verify": True,
        "driver_ssl_cert_path": management["ca_file"],
        "hitachi_pools": ",".join(ready["pools"]),
        "hitachi_target_ports": ",".join(ready["ports"][protocol.value]),
        "hitachi_group_create": True,
        "hitachi_group_delete": True,
        "hitachi_extend_snapshot_volumes": True,
        "hitachi_copy_check_interval": 1,
        "hitachi_async_copy_check_interval": 1,
    }


def _macrosan(ready: Ready, protocol: Protocol, folder: Path) -> Mapping[str, object]:
    management = ready["management"]
    return {
        # Both service processors have one address: that driver knows one port of the service only.
        "san_ip": f"{management['host']},{management['host']}",
        "san_login": management["username"],
        "san_password": management["password"],
        "macrosan_pool": ready["pools"][0],
        "san_thin_provision": protocol is Protocol.ISCSI,
        "macrosan_client_default": ";".join(ready["ports"]["iscsi"]),
    }


def _storeserv(ready: Ready, protocol: Protocol, folder: Path) -> Mapping[str, object]:
    management = ready["management"]
    return {
        "hpe3par_api_url": management["url"],
        "hpe3par_username": management["username"],
        "hpe3par_password": management["password"],
        "hpe3par_cpg": ",".join(ready["pools"]),
        "san_ip": management["host"],
        "san_login": management["username"],
        "san_password": management["password"],
        "hpe3par_iscsi_ips": ",".join(ready["ports"]["iscsi"]),
    }


_HPE_LEAVES = "it copies from a temporary snapshot, and leaves that until its time is up or the source is deleted"
_HPE_LIMITS = {
    "clone.volume": _HPE_LEAVES,
    "clone.leftovers": _HPE_LEAVES,
    "fault.pool_full": f"a volume that it makes from a snapshot is a snapshot, and takes no room; {_HPE_LEAVES}",
    "revert.exported": "it asks for a revert that the array does off line only, with the volume exported to nobody",
}
_HPE_RACY = {
    "concurrency.volumes": Racy(
        "of two first exports to one host at once one may fail, as both make the host, or one after the other's end has removed it",
        says="host (already exists|does not exist)",
    )
}
_NETAPP = "cinder.volume.drivers.netapp.common.NetAppDriver"
_TOYOU = "cinder.volume.drivers.toyou.acs5000"
_IBM = "cinder.volume.drivers.ibm.storwize_svc"
_INSPUR = "cinder.volume.drivers.inspur.instorage"
_HPE = "cinder.volume.drivers.hpe"
_HBSD_AGAIN = "attaching a volume to the same host once more, it returns the first path only"
_HBSD_LARGER = "it pairs a clone that is larger than its source, which the array refuses"
_HBSD_LIMITS = dict.fromkeys(
    (
        "clone.exported",
        "export.hosts",
        "export.repeat",
        "export.snapshot",
        "dependants.snapshot_exports",
        "revert.exported",
        "snapshot.exported",
        "unexport.initiators",
        "volume.extend.exported",
    ),
    _HBSD_AGAIN,
) | dict.fromkeys(("clone.larger", "data.clone", "data.sequences", "fault.pool_full"), _HBSD_LARGER)
_ONE_POOL = dict.fromkeys(("clone.pool", "volume.create.differs.pool"), "it can be told of one pool only")
_NO_SNAPSHOT_EXPORTS = "it has the calls that attach snapshots, and implements none of them"
_MACROSAN = "cinder.volume.drivers.macrosan.driver"
_HITACHI = "cinder.volume.drivers.hitachi"

FAMILIES = (
    Family("OceanStor 5500 V5", _HUAWEI_CLASSES, _huawei, unproven=_HUAWEI_UNPROVEN),
    Family("Dorado 18500 V6", _HUAWEI_CLASSES, _huawei, unproven=_HUAWEI_UNPROVEN, often=False),
    Family("FAS2750", {Protocol.ISCSI: _NETAPP, Protocol.FC: _NETAPP}, _netapp, keeps_hosts="it never removes an igroup"),
    Family(
        "ACS5000",
        {Protocol.ISCSI: f"{_TOYOU}.acs5000_iscsi.Acs5000ISCSIDriver", Protocol.FC: f"{_TOYOU}.acs5000_fc.Acs5000FCDriver"},
        _toyou,
        # That driver does not wait for the end of a revert: what comes next finds the volume busy unless the array is quick.
        simulator={"copy_seconds": 0.01},
    ),
    Family(
        "3PAR StoreServ 8440",
        {Protocol.ISCSI: f"{_HPE}.hpe_3par_iscsi.HPE3PARISCSIDriver", Protocol.FC: f"{_HPE}.hpe_3par_fc.HPE3PARFCDriver"},
        _storeserv,
        limits=_HPE_LIMITS,
        racy=_HPE_RACY,
        # That driver does not wait for the end of a copy: until then its source neither grows nor is copied again.
        simulator={"copy_seconds": 0.01},
    ),
    Family(
        "FlashSystem 9100",
        {
            Protocol.ISCSI: f"{_IBM}.storwize_svc_iscsi.StorwizeSVCISCSIDriver",
            Protocol.FC: f"{_IBM}.storwize_svc_fc.StorwizeSVCFCDriver",
        },
        _storwize,
        # That driver does not wait for the end of a revert, and refuses another one until then.
        simulator={"copy_seconds": 0.01},
        from_lun_0=True,
    ),
    Family(
        "AS5500 G5",
        {
            Protocol.ISCSI: f"{_INSPUR}.instorage_iscsi.InStorageMCSISCSIDriver",
            Protocol.FC: f"{_INSPUR}.instorage_fc.InStorageMCSFCDriver",
        },
        _instorage,
        limits=dict.fromkeys(("concurrency.volumes", "snapshot.extended"), "it extends no volume that has snapshots"),
        from_lun_0=True,
    ),
    Family(
        "VSP G370",
        {Protocol.ISCSI: f"{_HITACHI}.hbsd_iscsi.HBSDISCSIDriver", Protocol.FC: f"{_HITACHI}.hbsd_fc.HBSDFCDriver"},
        _hbsd,
        limits=_HBSD_LIMITS,
        node={
            "host": "node",
            "address": "127.0.0.9",
            "iqn": "iqn.1994-05.org.example:node",
            "wwpns": ["21000024ff0000f1", "21000024ff0000f2"],
        },
    ),
    *(
        Family(
            "MS7020G2",
            {protocol: f"{_MACROSAN}.{kind}"},
            _macrosan,
            limits=dict.fromkeys(("export.snapshot", "dependants.snapshot_exports"), _NO_SNAPSHOT_EXPORTS),
            simulator={"host": own_address(), "port": 12138, "tls": False, "targets_made": False},
            unproven=_ONE_POOL,
            pools=1,
        )
        for protocol, kind in ((Protocol.ISCSI, "MacroSANISCSIDriver"), (Protocol.FC, "MacroSANFCDriver"))
    ),
)

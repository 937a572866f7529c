"""A simulated array with its bytes, and Cinder on it through this library."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from blockdrivers import open_backend
from blockdrivers.host import userspace
from blockdrivers.host.nbd import NbdClient
from blockdrivers.model import Chap, IscsiTarget, Protocol, TiB
from blockdrivers.naming import Kind, array_name
from blockdrivers.plugins import find_model
from conformance.simulation.opening import BACKEND, open_array, write_config
from conformance.simulation.server import SimulatedArray
from tests.cinder.lab.api import Api
from tests.cinder.lab.configuration import Configuration
from tests.cinder.lab.images import Images
from tests.cinder.lab.services import Services

MODEL = "OceanStor 5500 V5"
OTHERS = {
    "reticent": ("ACS5000", Protocol.ISCSI),
    "reticent-fc": ("ACS5000", Protocol.FC),
    "in-volume": ("MS5580G2", Protocol.ISCSI),
    "files": ("FAS8200", Protocol.NFS),
}
"""Back end -> the array of another kind that it is on, and its protocol: two that list nothing and know no hosts, of which the second
finds snapshots within their volume, and one of files."""
_DRIVERS = "blockdrivers.integrations.cinder.driver"
POOL_BYTES = 40 * TiB
BY_DEFAULT = "either"
"""The type of volumes that ask for none: of either back end whose bytes Cinder's own host can reach without CHAP.

An array knows CHAP credentials by initiator, not by volume: a host either shows them for all of its volumes or for none.
"""
CHAP = Chap("cinder-user", "lab-secret-012")


def connector(name: str) -> dict[str, Any]:
    """Return what a compute host says of itself."""
    number = sum(name.encode()) % 256
    return {
        "host": name,
        "ip": "127.0.0.1",
        "initiator": f"iqn.1994-05.org.example:{name}",
        "wwpns": ["21000024ff000001", "21000024ff000002"],
        "multipath": True,
        "platform": "x86_64",
        "os_type": "linux",
        "mountpoint": f"/dev/vd{chr(ord('b') + number % 20)}",
    }


class Cloud:
    """What tests ask: the API, the array's own state, and the bytes of volumes."""

    def __init__(self, python: Path, folder: Path) -> None:
        self._stack = ExitStack()
        try:
            self.array = self._array(MODEL, pools=2, pool_bytes=POOL_BYTES)
            ours = _section(folder, MODEL, self.array)
            self.images = self._stack.enter_context(Images())
            self.backend = self._stack.enter_context(open_backend(ours["blockdrivers_config"]))
            (folder / "cinder").mkdir()
            backends: dict[str, dict[str, Any]] = {
                "iscsi": {"volume_driver": f"{_DRIVERS}.ISCSIDriver", **ours},
                "other": {"volume_driver": f"{_DRIVERS}.ISCSIDriver", "blockdrivers_pools": "pool_b", **ours},
                "chap": {
                    "volume_driver": f"{_DRIVERS}.ISCSIDriver",
                    "use_chap_auth": True,
                    "chap_username": CHAP.username,
                    "chap_password": CHAP.secret,
                    "blockdrivers_pools": "pool_b",
                    **ours,
                },
                "fc": {"volume_driver": f"{_DRIVERS}.FCDriver", **ours},
            }
            self.others = {model: self._array(model) for model in dict.fromkeys(model for model, _ in OTHERS.values())}
            for name, (model, protocol) in OTHERS.items():
                driver = f"{_DRIVERS}.{protocol.upper()}Driver"
                backends[name] = {"volume_driver": driver, **_section(folder, model, self.others[model], protocol)}
            defaults = {"default_volume_type": BY_DEFAULT}
            told = Configuration(
                python=python, folder=folder / "cinder", backends=backends, images=self.images.url, defaults=defaults
            )
            self.services = self._stack.enter_context(Services(told))
            self.api = Api(self.services.root)
            for name in backends:
                self.kind(name, volume_backend_name=name)
            self.kind(BY_DEFAULT, volume_backend_name="<or> iscsi <or> other")
            self.kind("thick", volume_backend_name="iscsi", **{"blockdrivers:provisioning": "thick"})
        except BaseException:
            self._stack.close()
            raise

    def _array(self, model: str, **options: Any) -> SimulatedArray:
        return self._stack.enter_context(open_array(find_model(model), model, copy_seconds=0.1, **options))

    def close(self) -> None:
        """End everything."""
        self._stack.close()

    def kind(self, name: str, qos: str | None = None, **extra_specs: str) -> str:
        """Make a volume type and return its id."""
        made = self.api.post("/types", {"volume_type": {"name": name, "extra_specs": extra_specs}})["volume_type"]
        if qos:
            self.api.get(f"/qos-specs/{qos}/associate?vol_type_id={made['id']}")
        return str(made["id"])

    def drop_kind(self, name: str) -> None:
        """Delete a volume type."""
        self.api.delete(f"/types/{self.kind_id(name)}")

    def kind_id(self, name: str) -> str:
        """Return the id of a volume type."""
        return next(str(kind["id"]) for kind in self.api.get("/types")["volume_types"] if kind["name"] == name)

    def volume(self, size: int = 1, kind: str = "iscsi", *, state: str = "available", **more: Any) -> str:
        """Ask for a volume and return its id once it is in that state."""
        made = self.api.post("/volumes", {"volume": {"size": size, "volume_type": kind, **more}})["volume"]
        self.api.wait("volume", made["id"], state)
        return str(made["id"])

    def snapshot(self, volume: str, **more: Any) -> str:
        """Ask for a snapshot and return its id once it is available."""
        made = self.api.post("/snapshots", {"snapshot": {"volume_id": volume, **more}})["snapshot"]
        self.api.wait("snapshot", made["id"])
        return str(made["id"])

    # The array

    def on_array(self, identifier: str, kind: Kind = Kind.VOLUME) -> dict[str, Any] | None:
        """Return the array's own record of a volume or snapshot, by its Cinder id; None where it has none."""
        name = array_name(kind, identifier, 31)
        listed = self.array.family.state()["snapshots" if kind is Kind.SNAPSHOT else "volumes"]
        return next((item for item in listed if item["name"] == name), None)

    def exported_to(self, volume: str) -> set[str]:
        """Return the hosts that the array lets use a volume."""
        return {export.host for export in self.backend.list_exports(volume)}

    def limits(self, volume: str) -> dict[str, int]:
        """Return the limits that the array puts on a volume."""
        return self.backend.get_qos(volume).as_dict()

    # Bytes

    @contextmanager
    def attached(self, volume: str, host: str = "cmp01") -> Iterator[NbdClient]:
        """Attach a volume to a compute host as Nova would, and yield its bytes over iSCSI."""
        who = connector(host)
        body = {"attachment": {"volume_uuid": volume, "connector": who}}
        made = self.api.post("/attachments", body, micro="3.54")["attachment"]
        try:
            self.api.post(f"/attachments/{made['id']}/action", {"os-complete": {}}, micro="3.44")
            with lun(made["connection_info"], who["initiator"]) as client:
                yield client
        finally:
            self.api.delete(f"/attachments/{made['id']}", micro="3.27")

    def write(self, volume: str, data: bytes, offset: int = 0) -> None:
        """Write bytes as a compute host would."""
        with self.attached(volume) as client:
            client.write(offset, data)

    def read(self, volume: str, length: int, offset: int = 0) -> bytes:
        """Read bytes as a compute host would."""
        with self.attached(volume) as client:
            return client.read(offset, length)


def _section(folder: Path, model: str, array: SimulatedArray, protocol: Protocol | None = None) -> dict[str, Any]:
    """Return what a back end's section of cinder.conf says of an array."""
    own = Path(mkdtemp(dir=folder))
    config = write_config(own, find_model(model), array.ready, timeouts={"default": 20, "unreachable": 2}, protocol=protocol)
    return {"blockdrivers_config": config, "blockdrivers_backend": BACKEND}


@contextmanager
def lun(info: dict[str, Any], initiator: str) -> Iterator[NbdClient]:
    """Use a connection over iSCSI as it is described."""
    user = info.get("auth_username")
    chap = Chap(user, info["auth_password"]) if user else None
    target = IscsiTarget(info["target_portals"][0], info["target_iqns"][0])
    with userspace.open_lun(target, info["target_luns"][0], initiator, chap) as client:
        yield client

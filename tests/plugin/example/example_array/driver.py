"""The contract in terms of an SQLite file: every method is one transaction, so nothing is ever half done.

Several processes may drive one array: the transaction is the lock, and what a killed process began is not there.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from blockdrivers import deadline
from blockdrivers.driver import Capabilities, ChapRules, Driver, QosSupport
from blockdrivers.errors import (
    AlreadyExists,
    Busy,
    InUse,
    InvalidRequest,
    LimitReached,
    NotFound,
    OutOfSpace,
    ProtocolError,
    StaleReference,
    Unreachable,
)
from blockdrivers.model import (
    Dependant,
    Export,
    GiB,
    Health,
    InitiatorFacts,
    IscsiTarget,
    Pool,
    Port,
    Protocol,
    Qos,
    Snapshot,
    SystemFacts,
    Volume,
    VolumeRef,
)

_IQN = "iqn.2001-01.org.example:array"
_WWPNS = ("50000000000000a1", "50000000000000b1")
_TOTALS = frozenset({"total_iops", "total_bytes_sec"})
_NEW = '{"next_wwn": 1, "volumes": {}, "snapshots": {}, "hosts": {}, "exports": [], "qos": {}}'


class Options(BaseModel):
    """What a backend is configured with."""

    model_config = ConfigDict(extra="forbid")
    path: Path
    pools: dict[str, int] = {"pool_a": 10_000 * GiB, "pool_b": 10_000 * GiB}


def open_driver(options: Options, name: str) -> FileDriver:
    return FileDriver(options, name)


class FileDriver(Driver):
    """Volumes are entries of a document; ids are reused, WWNs are not, as on real arrays."""

    def __init__(self, options: Options, name: str) -> None:
        self._options = options
        self._name = name

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            protocols=frozenset({Protocol.ISCSI, Protocol.FC}),
            description_bytes=255,
            thick=True,
            revert=True,
            qos=QosSupport(_TOTALS, (_TOTALS,)),
            manage=True,
            migrate=True,
            group_snapshots=True,
            export_snapshots=True,
            chap=ChapRules(),
        )

    def close(self) -> None:
        """Nothing is held open."""

    @contextmanager
    def _array(self) -> Iterator[dict]:
        """Lend the whole array; what the block changes is kept if it ends well."""
        path, wait = self._options.path, deadline.remaining(60)
        try:
            with closing(sqlite3.connect(path, timeout=wait, isolation_level=None)) as file:
                file.execute("BEGIN IMMEDIATE")
                file.execute("CREATE TABLE IF NOT EXISTS array (state TEXT)")
                (state,) = file.execute("SELECT state FROM array").fetchone() or (None,)
                array = json.loads(state or _NEW)
                yield array
                if (changed := json.dumps(array)) != state:
                    file.execute("DELETE FROM array")
                    file.execute("INSERT INTO array VALUES (?)", (changed,))
                file.execute("COMMIT")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                raise Busy(f"{path} is being changed by another process.") from error
            raise Unreachable(f"{path} cannot be used: {error}.") from error
        except sqlite3.DatabaseError as error:
            raise ProtocolError(f"{path} is no array: {error}.") from error

    # The array

    def system(self):
        return SystemFacts("Example", "Example File Array", "0001", self._name, "1.0", health=Health.NORMAL)

    def licences(self):
        return {}

    def pools(self):
        with self._array() as array:
            return [self._pool(array, name) for name in self._options.pools]

    def ports(self):
        return [
            Port("0", Protocol.ISCSI, "127.0.0.1:3260", iqn=_IQN),
            *(Port(str(number), Protocol.FC, wwpn) for number, wwpn in enumerate(_WWPNS, 1)),
        ]

    def initiators(self):
        with self._array() as array:
            return [
                InitiatorFacts(address, Protocol.ISCSI if address.startswith("iqn") else Protocol.FC, True, name)
                for name, addresses in array["hosts"].items()
                for address in addresses
            ]

    def _pool(self, array, name):
        mine = [item for item in array["volumes"].values() if item["pool"] == name]
        used = sum(item["size"] for item in mine if not item["thin"])
        total = self._options.pools[name]
        return Pool(name, name, total, total - used, sum(item["size"] for item in mine), Health.NORMAL)

    # Volumes

    def create_volume(self, spec):
        with self._array() as array:
            return self._volume(array, self._add(array, spec, spec.description))

    def get_volume(self, name):
        with self._array() as array:
            return self._volume(array, self._id(array, name))

    def list_volumes(self):
        with self._array() as array:
            return [self._volume(array, volume_id) for volume_id in array["volumes"]]

    def extend_volume(self, volume, size):
        with self._array() as array:
            item = array["volumes"][self._id(array, volume.name)]
            if size < item["size"]:
                raise InvalidRequest(f"{volume.name} has {item['size']} bytes and cannot shrink to {size}.")
            self._room(array, item["pool"], size - item["size"], item["thin"])
            item["size"] = size

    def delete_volume(self, volume):
        with self._array() as array:
            volume_id = self._id(array, volume.name)
            if self._volume(array, volume_id).dependants:
                raise InUse(f"{volume.name} has dependants.")
            del array["volumes"][volume_id]
            array["qos"].pop(volume_id, None)

    def clone_volume(self, source, spec, temporary):
        with self._array() as array:
            known = array["volumes"] if isinstance(source, VolumeRef) else array["snapshots"]
            if not any(item["name"] == source.name for item in known.values()):
                raise NotFound(f"There is no {source.name}.")
            return self._volume(array, self._add(array, spec, spec.description))

    def abandon_clone(self, volume, temporary):
        """Clones are made whole."""

    def _add(self, array, spec, description):
        if any(item["name"] == spec.name for item in array["volumes"].values()):
            raise AlreadyExists(f"{spec.name} exists.")
        self._room(array, spec.pool, spec.size, spec.thin)
        volume_id = _free({*array["volumes"], *array["snapshots"]})
        wwn = self._wwn(array)
        entry = {
            "name": spec.name,
            "size": spec.size,
            "pool": spec.pool,
            "thin": spec.thin,
            "wwn": wwn,
            "description": description,
        }
        array["volumes"][volume_id] = entry
        return volume_id

    def _room(self, array, pool, size, thin):
        if pool not in self._options.pools:
            raise InvalidRequest(f"There is no pool {pool!r}; there is {', '.join(self._options.pools)}.")
        if not thin and size > self._pool(array, pool).free_bytes:
            raise OutOfSpace(f"Pool {pool} cannot hold {size} bytes.")

    def _wwn(self, array):
        array["next_wwn"] += 1
        return f"6{array['next_wwn']:031x}"

    def _id(self, array, name, kind="volumes"):
        found = next((key for key, item in array[kind].items() if item["name"] == name), None)
        if found is None:
            raise NotFound(f"There is no {name}.")
        return found

    def _volume(self, array, volume_id):
        item = array["volumes"][volume_id]
        dependants = {Dependant.SNAPSHOT} if any(s["volume"] == volume_id for s in array["snapshots"].values()) else set()
        if any(entry["object"] == volume_id for entry in array["exports"]):
            dependants.add(Dependant.EXPORT)
        return Volume(
            volume_id,
            item["name"],
            item["size"],
            item["pool"],
            item["wwn"],
            item["thin"],
            description=item["description"],
            dependants=frozenset(dependants),
            qos_id=volume_id if volume_id in array["qos"] else None,
        )

    # Snapshots

    def create_snapshot(self, spec):
        with self._array() as array:
            return self._take(array, spec)

    def get_snapshot(self, name):
        with self._array() as array:
            return self._snapshot(array, self._id(array, name, "snapshots"))

    def list_snapshots(self, source=None):
        with self._array() as array:
            found = [self._snapshot(array, snapshot_id) for snapshot_id in array["snapshots"]]
        return [item for item in found if source is None or item.source_name == source.name]

    def delete_snapshot(self, snapshot):
        with self._array() as array:
            snapshot_id = self._id(array, snapshot.name, "snapshots")
            if self._snapshot(array, snapshot_id).exported:
                raise InUse(f"{snapshot.name} is exported.")
            del array["snapshots"][snapshot_id]

    def create_group_snapshot(self, specs):
        with self._array() as array:
            for spec in specs:
                self._id(array, spec.source.name)
            there = [spec.name for spec in specs if any(item["name"] == spec.name for item in array["snapshots"].values())]
            if len(there) == len(specs):
                raise AlreadyExists("Every member exists.")
            if there:
                raise AlreadyExists("Some exist.", differences=dict.fromkeys(there, ("with the group", "before")))
            return [self._take(array, spec) for spec in specs]

    def revert_volume(self, volume, snapshot):
        with self._array() as array:
            self._id(array, volume.name)

    def _take(self, array, spec):
        volume_id = self._id(array, spec.source.name)
        if spec.source.id not in {None, volume_id}:
            raise StaleReference(f"{spec.source.name} has another id now.")
        if any(item["name"] == spec.name for item in array["snapshots"].values()):
            raise AlreadyExists(f"{spec.name} exists.")
        snapshot_id = _free({*array["volumes"], *array["snapshots"]})
        size = array["volumes"][volume_id]["size"]
        entry = {"name": spec.name, "volume": volume_id, "size": size, "wwn": self._wwn(array), "description": spec.description}
        array["snapshots"][snapshot_id] = entry
        return self._snapshot(array, snapshot_id)

    def _snapshot(self, array, snapshot_id):
        item = array["snapshots"][snapshot_id]
        return Snapshot(
            snapshot_id,
            item["name"],
            item["size"],
            item["volume"],
            array["volumes"][item["volume"]]["name"],
            item["wwn"],
            exported=any(entry["object"] == snapshot_id for entry in array["exports"]),
            description=item["description"],
        )

    # Exports

    def export(self, source, host, host_name, protocol):
        with self._array() as array:
            object_id = self._object(array, source)
            addresses = [host.iqn] if protocol is Protocol.ISCSI else list(host.wwpns)
            for name, known in array["hosts"].items():
                if name != host_name and set(known) & set(addresses):
                    raise InUse(f"An initiator of {host.name} belongs to {name}.")
            known = array["hosts"].setdefault(host_name, [])
            known += [address for address in addresses if address not in known]
            mine = [entry for entry in array["exports"] if entry["host"] == host_name]
            found = next((entry for entry in mine if entry["object"] == object_id), None)
            if found is None:
                taken = {entry["lun"] for entry in mine}
                lun = next((number for number in range(1, 256) if number not in taken), None)
                if lun is None:
                    raise LimitReached(f"{host.name} has no LUN id left.")
                found = {"object": object_id, "host": host_name, "lun": lun, "protocol": protocol}
                array["exports"].append(found)
            return self._export(array, found)

    def unexport(self, source, host_name, protocol):
        with self._array() as array:
            object_id = self._object(array, source)
            kept = [entry for entry in array["exports"] if (entry["object"], entry["host"]) != (object_id, host_name)]
            if len(kept) == len(array["exports"]):
                raise NotFound(f"{source.name} is not exported to {host_name}.")
            array["exports"] = kept

    def list_exports(self, source):
        with self._array() as array:
            object_id = self._object(array, source)
            return [self._export(array, entry) for entry in array["exports"] if entry["object"] == object_id]

    def remove_host(self, host_name):
        with self._array() as array:
            if host_name not in array["hosts"]:
                raise NotFound(f"There is no host {host_name}.")
            if any(entry["host"] == host_name for entry in array["exports"]):
                raise InUse(f"{host_name} has exports.")
            del array["hosts"][host_name]

    def _object(self, array, source):
        return self._id(array, source.name, "volumes" if isinstance(source, VolumeRef) else "snapshots")

    def _export(self, array, entry):
        item = array["volumes"].get(entry["object"]) or array["snapshots"][entry["object"]]
        made = Export(item["name"], entry["host"], Protocol(entry["protocol"]), entry["lun"], item["wwn"])
        if made.protocol is Protocol.ISCSI:
            return replace(made, targets=(IscsiTarget("127.0.0.1:3260", _IQN),))
        wwpns = [address for address in array["hosts"][entry["host"]] if not address.startswith("iqn")]
        return replace(made, wwpns=_WWPNS, paths=dict.fromkeys(wwpns, _WWPNS))

    # Optional parts

    def set_qos(self, volume, qos, name):
        with self._array() as array:
            volume_id = self._id(array, volume.name)
            if qos == Qos():
                array["qos"].pop(volume_id, None)
            else:
                array["qos"][volume_id] = qos.as_dict()

    def get_qos(self, volume):
        with self._array() as array:
            return Qos(**array["qos"].get(self._id(array, volume.name), {}))

    def rename_volume(self, volume, name, description):
        with self._array() as array:
            if any(item["name"] == name for item in array["volumes"].values()):
                raise AlreadyExists(f"{name} exists.")
            volume_id = self._id(array, volume.name)
            array["volumes"][volume_id] |= {"name": name, "description": description}
            return self._volume(array, volume_id)

    def rename_snapshot(self, snapshot, name, description):
        with self._array() as array:
            snapshot_id = self._id(array, snapshot.name, "snapshots")
            array["snapshots"][snapshot_id] |= {"name": name, "description": description}
            return self._snapshot(array, snapshot_id)

    def migrate_volume(self, volume, spec, temporary):
        with self._array() as array:
            volume_id = self._id(array, volume.name)
            item = array["volumes"][volume_id]
            already = 0 if item["thin"] or item["pool"] != spec.pool else item["size"]
            self._room(array, spec.pool, item["size"] - already, spec.thin)
            item |= {"pool": spec.pool, "thin": spec.thin}
            return self._volume(array, volume_id)


def _free(taken):
    return str(next(number for number in range(len(taken) + 1) if str(number) not in taken))

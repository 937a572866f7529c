"""FlexVols as shares of files. Source: protocol sheet, section 3.10.

Files are made, grown, cloned and removed through the interface alone: nothing is mounted where this runs.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import quote

from blockdrivers.errors import AlreadyExists, BlockDriversError, Busy, InvalidRequest, NotFound, VendorError
from blockdrivers.files.store import Entry, FileStore, volume_of
from vendors.netapp import codes, names, objects
from vendors.netapp.client import OntapClient, Record
from vendors.netapp.options import OntapOptions
from vendors.netapp.pools import Pools

CLONES: Final = "storage/file/clone"
_COPIES: Final = "storage/file/copy"
_FIELDS: Final = "name,type,size,bytes_used,fill_enabled,inode_number,inode_generation,target,qos_policy.name,unix_permissions"
_RELEASED: Final = 0o1000
"""In the permissions of a file that is out of its own QoS policy, since it was taken away; the bit means nothing on a file."""
_UNFINISHED: Final = 1
"""Bytes in a file that has been made and not been given its size."""
_WAIT_SECONDS: Final = "15"
"""How long a request may wait for its own job to end, which saves asking for it."""
_BOUNDARY: Final = "blockdrivers"
_RULE: Final = {"protocols": ["nfs"], "ro_rule": ["sys"], "rw_rule": ["sys"], "superuser": ["sys"]}


@dataclass(frozen=True, slots=True)
class Share:
    """A FlexVol that is mounted in the SVM's name space."""

    uuid: str
    name: str
    path: str
    policy: str
    """Id of its export policy."""
    node: str | None


class OntapShares(FileStore):
    """The FlexVols of one SVM with a junction path."""

    reserves_in_use = True

    def __init__(self, client: OntapClient, options: OntapOptions, pools: Pools) -> None:
        self._client = client
        self._options = options
        self._pools = pools
        self._guard = threading.Lock()
        self._shares: Mapping[str, Share] = {}
        self._lifs: Sequence[tuple[str, str | None]] = ()

    # Shares

    def pools(self) -> Sequence[str]:
        """Return the names of the FlexVols; asked once, and again when one was not found."""
        return list(self._known())

    def known(self, pool: str) -> str:
        """Return the name of a FlexVol that is there."""
        if pool not in self._known() and pool not in self._read():
            there = ", ".join(sorted(self._shares)) or "none"
            raise InvalidRequest(f"The SVM {self._client.svm!r} has no pool {pool!r} with a junction path; it has {there}.")
        return pool

    def location(self, pool: str, name: str) -> str:
        """Return the file as hosts mount it: through a LIF of the FlexVol's own node where there is one that is up."""
        share = self._share(pool)
        if self._options.nfs_lif is not None:
            return f"{_host(self._options.nfs_lif)}:{share.path}/{name}"
        lifs = self._lifs or self.lifs()
        address = next((ip for ip, node in lifs if node == share.node), lifs[0][0] if lifs else None)
        if address is None:
            raise InvalidRequest(f"The SVM {self._client.svm!r} has no NFS LIF that is up; check its LIFs.")
        return f"{_host(address)}:{share.path}/{name}"

    def lifs(self) -> Sequence[tuple[str, str | None]]:
        """Return address and node of the NFS LIFs that are up."""
        found = self._client.own(
            "network/ip/interfaces", services="data_nfs", fields="ip.address,enabled,state,location.node.name"
        )
        self._lifs = [
            (objects.text(lif, "ip.address"), objects.value(lif, "location.node.name")) for lif in found if objects.is_up(lif)
        ]
        return self._lifs

    def promised(self) -> Mapping[str, int]:
        """Return FlexVol -> bytes promised to its files, but for snapshots, which share their volume's."""
        sums: Counter[str] = Counter()
        for pool in self.pools():
            for record in self._client.listing(self._files(pool), type="file", fields="name,size"):
                if names.parse(objects.text(record, "name")).source is None:
                    sums[pool] += objects.number(record, "size", 0)
        return sums

    # Files

    def entries(self, pool: str, patterns: Sequence[str]) -> Sequence[Entry]:
        """GET files of the FlexVol's root."""
        wanted = "|".join(dict.fromkeys(pattern.replace("..", "*") for pattern in patterns))
        share = self._share(pool)
        with self._gone(pool):
            found = list(self._client.listing(self._files(pool), name=wanted, fields=_FIELDS))
        return [_entry(share, record) for record in found if objects.value(record, "type") in {"file", "symlink"}]

    def draft(self, pool: str, draft: str, size: int, *, thin: bool) -> None:
        """POST a file of one byte."""
        head = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"\r\n\r\n'
        content = f"{head}\0\r\n--{_BOUNDARY}--\r\n".encode()
        with self._explaining(pool, size):
            self._client.upload(self._file(pool, draft), f"multipart/form-data; boundary={_BOUNDARY}", content, overwrite="true")

    def publish(self, draft: Entry, name: str, size: int, *, thin: bool) -> Entry:
        """PATCH size, permissions, reservation and path."""
        body: dict[str, object] = {"path": name, "unix_permissions": self._options.file_mode}
        if size != draft.size:
            body["size"] = size
        if thin != draft.thin:
            body |= _reservation(thin=thin)
        with self._explaining(draft.pool, size):
            try:
                self._patch(draft.pool, draft.name, body)
            except (VendorError, InvalidRequest) as refused:
                raise self._taken(draft.pool, name, refused) from refused
        return replace(draft, name=name, size=size, thin=thin, unfinished=False)

    def resize(self, entry: Entry, size: int) -> None:
        """PATCH the size."""
        with self._explaining(entry.pool, size - entry.size):
            self._patch(entry.pool, entry.name, {"size": size})

    def provision(self, entry: Entry, *, thin: bool) -> None:
        """PATCH the reservation."""
        with self._explaining(entry.pool, entry.size):
            self._patch(entry.pool, entry.name, _reservation(thin=thin))

    def clone(self, pool: str, source: str, target: str, *, overwrite: bool = False) -> None:
        """POST storage/file/clone; the answer waits for the job where it ends soon."""
        share = self._share(pool)
        body = {
            "volume": {"uuid": share.uuid, "name": share.name},
            "source_path": source,
            "destination_path": target,
            "overwrite_destination": overwrite,
        }
        with self._explaining(pool, 0):
            try:
                self._client.change("POST", CLONES, body, return_timeout=_WAIT_SECONDS)
            except (VendorError, InvalidRequest) as refused:
                # The code for a taken name is not documented.
                raise self._taken(pool, target, refused) from refused

    def copy(self, pool: str, source: str, to: str, target: str) -> None:
        """POST storage/file/copy and wait for its job."""
        with suppress(NotFound):
            self.delete(to, target)
        here, there = self._share(pool), self._share(to)
        pair = {
            "source": {"path": f"{here.name}/{source}", "volume": {"uuid": here.uuid}},
            "destination": {"path": f"{there.name}/{target}", "volume": {"uuid": there.uuid}},
        }
        with self._explaining(to, 0):
            self._client.change("POST", _COPIES, {"files_to_copy": [pair]}, return_timeout=_WAIT_SECONDS)

    def rename(self, pool: str, name: str, to: str) -> None:
        """PATCH the path."""
        try:
            self._patch(pool, name, {"path": to})
        except (VendorError, InvalidRequest) as refused:
            raise self._taken(pool, to, refused) from refused

    def replace(self, pool: str, name: str, to: str) -> None:
        """PATCH the path: the array does it in one step."""
        try:
            self.rename(pool, name, to)
        except InvalidRequest as refused:
            if refused.vendor_code != codes.RENAME_FAILED:
                raise
            raise Busy(f"File {name!r} could not be named {to!r}, which was taken a moment ago.") from refused

    def take_away(self, entry: Entry, to: str) -> None:
        """PATCH the path, which takes the file out of its QoS policy (sheet, trap 9), and say so where that is its own."""
        if entry.qos_id != entry.name:
            self.rename(entry.pool, entry.name, to)
            return
        self._patch(entry.pool, entry.name, {"path": to, "unix_permissions": f"1{self._options.file_mode[-3:]}"})

    def keep_limits(self, pool: str, volume: str, taken: Entry) -> None:
        """PATCH the QoS policy, unless that has gone, as before a deletion."""
        if taken.qos_id is None:
            return
        mode = {"unix_permissions": self._options.file_mode}
        try:
            self._patch(pool, volume, {"qos_policy": {"name": taken.qos_id}, **mode})
        except (NotFound, InvalidRequest):
            self._patch(pool, volume, mode)

    def delete(self, pool: str, name: str) -> None:
        """DELETE the file."""
        with self._gone(pool):
            self._client.change("DELETE", self._file(pool, name), None, return_timeout=_WAIT_SECONDS)

    def link(self, pool: str, name: str, target: str) -> None:
        """POST a symbolic link."""
        with self._explaining(pool, 0):
            self._client.change("POST", self._file(pool, name), {"target": target})

    def assign(self, pool: str, name: str, policy: str) -> None:
        """PATCH the QoS policy; the empty name takes the file out of any."""
        self._patch(pool, name, {"qos_policy": {"name": policy}})

    # Who may mount

    def admit(self, pool: str, addresses: Sequence[str]) -> None:
        """POST a rule for each address to the FlexVol's export policy, which refuses one that is there."""
        if self._options.export_rules:
            for address in sorted(set(addresses)):
                try:
                    self._client.change("POST", self._policy(pool), {"clients": [{"match": address}], **_RULE})
                except AlreadyExists:
                    continue

    def dismiss(self, pool: str, addresses: Sequence[str]) -> None:
        """DELETE the rules that name these addresses alone."""
        if self._options.export_rules:
            for index, address in self._rules(pool):
                if address in addresses:
                    self._client.change("DELETE", f"{self._policy(pool)}/{index}")

    def _rules(self, pool: str) -> Iterator[tuple[int, str]]:
        for rule in list(self._client.listing(self._policy(pool), fields="index,clients")):
            clients = objects.value(rule, "clients", [])
            if len(clients) == 1:
                yield objects.number(rule, "index"), objects.text(clients[0], "match")

    # Parts

    def _policy(self, pool: str) -> str:
        return f"protocols/nfs/export-policies/{self._share(pool).policy}/rules"

    def _files(self, pool: str) -> str:
        return f"storage/volumes/{self._share(pool).uuid}/files"

    def _file(self, pool: str, name: str) -> str:
        # A dot has to stay escaped in the request line; see HttpTransport.
        return f"{self._files(pool)}/{quote(name, safe='').replace('.', '%252E')}"

    def _patch(self, pool: str, name: str, body: Mapping[str, Any]) -> None:
        self._client.change("PATCH", self._file(pool, name), body)

    def _share(self, pool: str) -> Share:
        return self._known()[self.known(pool)]

    def _known(self) -> Mapping[str, Share]:
        return self._shares or self._read()

    def _read(self) -> Mapping[str, Share]:
        nodes = {
            objects.text(item, "name"): objects.value(item, "home_node.name")
            for item in self._client.permitted("storage/aggregates", fields="name,home_node.name")
        }
        fields = "name,uuid,nas.path,nas.export_policy.id,aggregates.name"
        found = [_share(record, nodes) for record in self._pools.records(fields) if objects.value(record, "nas.path")]
        with self._guard:
            self._shares = {share.name: share for share in found}
            return self._shares

    @contextmanager
    def _gone(self, pool: str) -> Iterator[None]:
        """Ask for the FlexVols again next time where one has gone."""
        try:
            yield
        except NotFound as gone:
            if gone.vendor_code in codes.NO_FLEXVOL:
                with self._guard:
                    self._shares = {}
            raise

    @contextmanager
    def _explaining(self, pool: str, needed: int) -> Iterator[None]:
        with self._gone(pool), self._pools.explaining(pool, needed):
            yield

    def _taken(self, pool: str, name: str, refused: BlockDriversError) -> BlockDriversError:
        """Return `AlreadyExists` where a refusal is explained by a name that is taken, and the refusal itself otherwise."""
        if any(entry.name == name for entry in self.entries(pool, [name])):
            return AlreadyExists(f"FlexVol {pool!r} has a file {name!r}.", vendor_code=refused.vendor_code)
        return refused


def _share(record: Record, nodes: Mapping[str, str | None]) -> Share:
    aggregates = [str(objects.value(item, "name", "")) for item in objects.value(record, "aggregates", [])]
    return Share(
        uuid=objects.text(record, "uuid"),
        name=objects.text(record, "name"),
        path=objects.text(record, "nas.path").rstrip("/"),
        policy=str(objects.value(record, "nas.export_policy.id", "")),
        node=next((nodes[name] for name in aggregates if name in nodes), None),
    )


def _reservation(*, thin: bool) -> dict[str, object]:
    return {"fill_enabled": not thin, "overwrite_enabled": not thin}


def _entry(share: Share, record: Record) -> Entry:
    link = objects.value(record, "type") == "symlink"
    generation = objects.value(record, "inode_generation", 0)
    found = Entry(
        name=objects.text(record, "name"),
        pool=share.name,
        id=f"{share.uuid[:8]}.{objects.value(record, 'inode_number', 0)}.{generation}",
        size=objects.number(record, "size", 0),
        thin=not objects.flag(record, "fill_enabled"),
        target=str(objects.value(record, "target", "")) if link else None,
        qos_id=str(objects.value(record, "qos_policy.name") or "") or None,
        allocated_bytes=objects.number(record, "bytes_used", 0),
        unfinished=not link and objects.number(record, "size", 0) == _UNFINISHED,
    )
    released = int(str(objects.value(record, "unix_permissions", 0)), 8) & _RELEASED
    return replace(found, qos_id=volume_of(found)) if released and found.qos_id is None else found


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address

"""Volumes as LUNs. Source: protocol sheet huawei-oceanstor, section 3.3."""

from __future__ import annotations

from collections.abc import Iterator

from blockdrivers.deadline import note, wait_until
from blockdrivers.driver import VolumeSpec
from blockdrivers.errors import InUse, NotFound, StaleReference, VendorError
from blockdrivers.model import Volume
from vendors.huawei import objects
from vendors.huawei.client import Object, OceanStorClient
from vendors.huawei.facts import Facts
from vendors.huawei.objects import SECTOR, Running, Type
from vendors.huawei.qos import Policies
from vendors.huawei.refusals import explaining_space


class Luns:
    """The LUNs of one array."""

    def __init__(self, client: OceanStorClient, facts: Facts, policies: Policies) -> None:
        self._client = client
        self._facts = facts
        self._policies = policies

    def create(self, spec: VolumeSpec, size: int, description: str) -> Volume:
        """POST lun of `size` bytes, and wait until it is on line; `StaleReference` where the pool's remembered id is another one's."""
        body: dict[str, object] = {
            "TYPE": str(int(Type.LUN)),
            "NAME": spec.name,
            "PARENTTYPE": str(int(Type.POOL)),
            "PARENTID": self._facts.pool_id(spec.pool),
            "DESCRIPTION": description,
            "CAPACITY": size // SECTOR,
        }
        if self._facts.generation.thick:
            body["ALLOCTYPE"] = 1 if spec.thin else 0
        try:
            with explaining_space(self._facts, spec.pool, size):
                made = self._client.post("lun", body)
        except NotFound as gone:
            self._facts.forget_pools()
            raise StaleReference(f"The array's pool {spec.pool!r} has another id now.") from gone
        if made.get("PARENTNAME") != spec.pool:
            self._client.delete(f"lun/{objects.text(made, 'ID')}")
            self._facts.forget_pools()
            raise StaleReference(f"The remembered id of pool {spec.pool!r} names {made.get('PARENTNAME')!r} now.")
        note(f"LUN {spec.name} exists and is not usable yet")
        if objects.running(made) != Running.ONLINE:
            lun_id = objects.text(made, "ID")
            made = wait_until(lambda: self._online(lun_id), what=f"LUN {spec.name} to be online")
        return objects.volume(made)

    def get(self, name: str) -> Volume:
        """GET lun by name; `NotFound`."""
        found = self._client.find("lun", "NAME", name)
        if found is None:
            raise NotFound(f"The array has no LUN {name!r}.")
        return objects.volume(found)

    def every(self) -> Iterator[Volume]:
        """GET lun, page by page."""
        return map(objects.volume, self._client.listing("lun"))

    def extend(self, volume: Volume, size: int) -> None:
        """PUT lun/expand; the capacity sent is the new total, of `size` bytes."""
        with explaining_space(self._facts, volume.pool, size - volume.size):
            self._client.put("lun/expand", {"TYPE": int(Type.LUN), "ID": volume.id, "CAPACITY": size // SECTOR})

    def delete(self, volume: Volume) -> None:
        """DELETE lun; its QoS policy goes first (sheet, trap 14).

        The code for "in use" is not documented: a refusal is `InUse` where something depends on the LUN, read then.
        """
        if volume.qos_id:
            self._policies.remove(volume)
        params = {"isDelayDelete": "false"} if self._facts.generation.delays_delete else {}
        try:
            self._client.delete(f"lun/{volume.id}", {"TYPE": str(int(Type.LUN)), "ID": volume.id}, **params)
        except VendorError as refused:
            if blocking := self.get(volume.name).dependants:
                raise refused.explained_as(
                    InUse, f"LUN {volume.name!r} has dependants ({', '.join(sorted(blocking))})."
                ) from refused
            raise

    def rename(self, volume: Volume, name: str, description: str) -> Volume:
        """PUT lun."""
        renamed = self._client.put(f"lun/{volume.id}", {"ID": volume.id, "NAME": name, "DESCRIPTION": description})
        return objects.volume(renamed) if renamed else self.get(name)

    def _online(self, lun_id: str) -> Object | None:
        item: Object = self._client.read(f"lun/{lun_id}")
        return item if objects.running(item) == Running.ONLINE else None

"""Volumes of the array by name, and the pools that they are in. Source: protocol sheet, sections 3.3 and 3.4."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Final

from blockdrivers.driver import VolumeSpec
from blockdrivers.errors import InvalidRequest, NotFound
from blockdrivers.model import GiB, Pool, Volume
from vendors.toyou import objects
from vendors.toyou.client import RAID_VOLUME, Acs5000Client, Object, as_object

_ORDINARY: Final = "0"
_BACKUP: Final = "10"


class Volumes:
    """What is addressed by name."""

    def __init__(self, client: Acs5000Client, pools: Sequence[str]) -> None:
        self._client = client
        self._pools = tuple(pools)
        self._guard = threading.Lock()
        self._thin: frozenset[str] | None = None

    @property
    def thin_pools(self) -> frozenset[str]:
        """The configured pools whose volumes are thin; asked once."""
        if self._thin is None:
            self.pools()
        return self._thin or frozenset()

    def pools(self) -> list[Pool]:
        """Return the configured pools as they are now; one that the array does not have is left out."""
        found = [item for name in self._pools if (item := self._client.object("get_pool", "--pool", name))]
        with self._guard:
            self._thin = frozenset(objects.text(item, "name") for item in found if objects.is_thin(item))
        return [objects.pool(item) for item in found]

    def create(self, spec: VolumeSpec, *, backup: bool = False) -> Volume:
        """Make an empty volume, or with `backup` a clone's target, and return it as it was asked for."""
        if spec.pool not in self._pools:
            raise InvalidRequest(f"The pool {spec.pool!r} is none of the configured ones: {', '.join(self._pools)}.")
        try:
            self._client.change(
                "create_volume",
                *("--size", str(spec.size // GiB), "--volume", spec.name, "--pool", spec.pool),
                *("--type", _BACKUP if backup else _ORDINARY),
            )
        except InvalidRequest as refused:
            refused.message = f"{refused.message} It was {spec.pool!r}."
            raise
        return Volume(spec.name, spec.name, spec.size, spec.pool, None, spec.thin)

    def find(self, *names: str) -> Mapping[str, Object]:
        """Return what there is of several volumes, by name; the array leaves out the others, and keeps no order."""
        # What begins with a dash is an option to the array.
        wanted = [name for name in names if not name.startswith("-")]
        if not wanted:
            return {}
        arguments = [part for name in wanted for part in ("--volume", name)]
        answer = self._client.read("get_volume", *arguments)
        items = [as_object(item, "get_volume") for item in (answer if isinstance(answer, list) else [])]
        return {name: item for item in items if (name := objects.text(item, "name")) in wanted}

    def get(self, name: str) -> Volume:
        """Return a volume, or raise `NotFound`."""
        found = self.find(name).get(name)
        if found is None:
            raise NotFound(f"The array has no volume {name!r}.")
        return self.seen(found)

    def seen(self, item: Object) -> Volume:
        """Return a volume that the array has shown."""
        return objects.volume(item, thin=objects.text(item, "poolname") in self.thin_pools)

    def rename(self, name: str, new_name: str, *, ordinary: bool = False) -> None:
        """Give a volume another name, and with `ordinary` make it an ordinary one in the same step."""
        kind = ("--type", RAID_VOLUME) if ordinary else ()
        self._client.change("set_volume", "--volume", name, *kind, "--new_name", new_name)

    def delete(self, name: str) -> None:
        """Delete a volume; an absent one counts as deleted."""
        self._client.change("delete_volume", "--volume", name)

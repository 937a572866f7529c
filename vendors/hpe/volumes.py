"""CPGs and volumes: found, made, moved. Source: protocol sheet, sections 3.3 to 3.5."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from blockdrivers.driver import VolumeSpec
from blockdrivers.errors import ConfigurationError, InvalidRequest, NotFound
from blockdrivers.model import GiB, MiB, Pool, Volume
from vendors.hpe import codes, generations, objects
from vendors.hpe.client import Object, WsapiClient
from vendors.hpe.generations import Generation
from vendors.hpe.options import WsapiOptions

_LEAST_COMPRESSED = 16 * GiB
_TUNE = 6
_USER_CPG = 1
_TO_THIN, _TO_FULL, _TO_DEDUP, _TO_REDUCED = range(1, 5)


class Volumes:
    """The volumes of an array, as its build and the options have them."""

    def __init__(self, client: WsapiClient, options: WsapiOptions) -> None:
        self._client = client
        self._options = options
        self._guard = threading.Lock()
        self._generation: Generation | None = None

    @property
    def generation(self) -> Generation:
        """The array's generation; asked once, it does not change while the array runs."""
        with self._guard:
            known = self._generation
        if known is None:
            known = generations.detect(self._client.version())
            self._refuse_impossible(known)
            with self._guard:
                self._generation = known
        return known

    def base(self, name: str) -> Object:
        """Return a base volume, or raise `NotFound`; a snapshot of that name is none."""
        found = self._client.read("volumes", name)
        if objects.is_snapshot(found):
            raise NotFound(f"The array's {name!r} is a snapshot, not a volume.")
        return found

    def snapshot(self, name: str) -> Object:
        """Return a snapshot, or raise `NotFound`; a base volume of that name is none."""
        found = self._client.read("volumes", name)
        if not objects.is_snapshot(found):
            raise NotFound(f"The array's {name!r} is a volume, not a snapshot.")
        return found

    def named(self, *names: str) -> dict[str, Object]:
        """Return which of these volumes and snapshots one query finds, by name; none where the array does not take the query."""
        query = " OR ".join(f"name EQ {name}" for name in names)
        try:
            found = self._client.members("volumes", query=query)
        except InvalidRequest:
            return {}
        return {name: item for item in found if (name := objects.text(item, "name")) in names}

    def create(self, spec: VolumeSpec, comment: str) -> None:
        """Make an empty volume."""
        body: dict[str, object] = {"name": spec.name, "cpg": spec.pool, "sizeMiB": spec.size // MiB, "comment": comment}
        if self.generation.snap_cpg:
            body["snapCPG"] = spec.pool
        with self.explaining_pool(spec.pool):
            self._client.post("volumes", body=body | self._provisioning(spec))

    def allow_snapshots(self, name: str) -> bool:
        """Give a volume a CPG for its snapshots, its own; False where it has one, or needs none.

        A volume that was made by others and taken over may have none.
        """
        if not self.generation.snap_cpg:
            return False
        found = self._client.read("volumes", name)
        if objects.is_snapshot(found) or found.get("snapCPG"):
            return False
        self._client.put("volumes", name, body={"snapCPG": objects.text(found, "userCPG")})
        return True

    def tune(self, volume: Volume, spec: VolumeSpec) -> Object:
        """Return the request that moves a volume to the pool and provisioning of `spec`."""
        return {"action": _TUNE, "tuneOperation": _USER_CPG, "userCPG": spec.pool, **self._conversion(volume, spec)}

    def pools(self) -> list[Pool]:
        """Return every CPG with what its volumes were promised."""
        cpgs = self._client.members("cpgs")
        promised: dict[str, int] = {}
        for item in self._client.members("volumes"):
            cpg = str(item.get("userCPG", ""))
            promised[cpg] = promised.get(cpg, 0) + objects.number(item, "sizeMiB") * MiB
        return [self._pool(item, promised.get(objects.text(item, "name"), 0)) for item in cpgs]

    @contextmanager
    def explaining_pool(self, name: str) -> Iterator[None]:
        """Say which pools there are where one was not found."""
        try:
            yield
        except NotFound as gone:
            if gone.vendor_code != str(codes.NO_CPG):
                raise
            known = ", ".join(sorted(objects.text(item, "name") for item in self._client.members("cpgs")))
            raise gone.explained_as(
                InvalidRequest,
                f"The array has no pool {name!r}; it has {known or 'none'}.",
            ) from gone

    def _refuse_impossible(self, found: Generation) -> None:
        if self._options.compression and not (found.compression or found.reduce):
            raise ConfigurationError("This array's software knows no compression; leave the option compression out.")
        if self._options.dedup and not (found.dedup or found.reduce):
            raise ConfigurationError("This array's software knows no deduplication; leave the option dedup out.")

    def _pool(self, item: Object, promised: int) -> Pool:
        used, limit = objects.allocated(item), objects.limit(item)
        if limit is not None:
            return objects.pool(item, total=limit, free=max(0, limit - used), provisioned=promised)
        report, _ = self._client.posted("spacereporter", body={"cpg": objects.text(item, "name")}, changes=False)
        free = objects.number(report, "usableFreeMiB") * MiB
        return objects.pool(item, total=used + free, free=free, provisioned=promised)

    def _provisioning(self, spec: VolumeSpec) -> dict[str, bool]:
        if not spec.thin:
            return {}
        if self.generation.reduce:
            return {"reduce" if self._options.dedup or self._options.compression else "tpvv": True}
        compressed = self._options.compression and spec.size >= _LEAST_COMPRESSED
        return {"tdvv" if self._options.dedup else "tpvv": True} | ({"compression": True} if compressed else {})

    def _conversion(self, volume: Volume, spec: VolumeSpec) -> dict[str, object]:
        if volume.thin == spec.thin:
            return {}
        if not spec.thin:
            return {"conversionOperation": _TO_FULL}
        wanted = self._provisioning(spec)
        operation = _TO_REDUCED if "reduce" in wanted else _TO_DEDUP if "tdvv" in wanted else _TO_THIN
        compression = {"compression": wanted.get("compression", False)} if self.generation.compression else {}
        return {"conversionOperation": operation, **compression}

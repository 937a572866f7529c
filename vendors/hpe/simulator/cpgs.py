"""Pools, which are called common provisioning groups. Source: protocol sheet, section 3.3."""

from __future__ import annotations

from conformance.simulation.engine import Array, Pool, lowest_free
from vendors.hpe.simulator import codes, wire
from vendors.hpe.simulator.profiles import Profile
from vendors.hpe.simulator.wire import MIB, Answer, Attributes, Call, Handler, Refusal

_UNLIMITED_MIB = 8 * 1024 * 1024
"""Size of a CPG that is made without a limit."""


class Cpgs:
    """The CPGs of an array.

    Args:
        array: where they are.
        profile: the model.
        limited: whether the CPGs that the array begins with have a growth limit; others take what the disks give.
    """

    def __init__(self, array: Array, profile: Profile, *, limited: bool) -> None:
        self._array = array
        self._profile = profile
        self._limited = {pool.id: limited for pool in array.pools.values()}

    def routes(self) -> dict[tuple[str, str], Handler]:
        """Return the handlers."""
        return {
            ("GET", "cpgs"): lambda call: wire.listed(
                wire.select([self._rendered(pool) for pool in self._array.pools.values()], call.query)
            ),
            ("GET", "cpgs/{}"): lambda call: self._rendered(self.find(call.names[0])),
            ("POST", "cpgs"): self._create,
            ("DELETE", "cpgs/{}"): self._delete,
            ("POST", "spacereporter"): self._report,
        }

    def find(self, name: str) -> Pool:
        """Return the CPG of that name, or refuse."""
        found = next((pool for pool in self._array.pools.values() if pool.name == name), None)
        if found is None:
            raise Refusal(codes.NO_CPG)
        return found

    def state(self) -> list[Attributes]:
        """Return the CPGs for the state dump."""
        return [
            {"id": pool.id, "name": pool.name, "total": pool.total, "free": self._array.free(pool.id)}
            for pool in self._array.pools.values()
        ]

    def _rendered(self, pool: Pool) -> Attributes:
        # A full pool shows what takes its space as user data, whoever took it.
        used = (pool.total - self._array.free(pool.id)) // MIB
        volumes = [volume for volume in self._array.volumes.values() if volume.pool_id == pool.id]
        thin = sum(volume.thin for volume in volumes)
        growth: Attributes = {
            "incrementMiB": 32768,
            "LDLayout": {"RAIDType": 4, "HA": 3, "setSize": 8, "chunkletPosPref": 1, "diskPatterns": [{"diskType": 3}]},
        }
        if self._limited[pool.id]:
            growth["limitMiB"] = pool.total // MIB
        return {
            "id": int(pool.id),
            "uuid": f"00000000-0000-4000-9000-{int(pool.id):012d}",
            "name": pool.name,
            "numFPVVs": len(volumes) - thin,
            "numTPVVs": thin,
            "numTDVVs": 0,
            "UsrUsage": _usage(used),
            "SAUsage": _usage(0),
            "SDUsage": _usage(0),
            "SAGrowth": {"incrementMiB": 8192, "LDLayout": {"HA": 3, "diskPatterns": [{"diskType": 3}]}},
            "SDGrowth": growth,
            "state": 1,
            "failedStates": [],
            "degradedStates": [],
            "additionalStates": [],
        }

    def _create(self, call: Call) -> Answer:
        name = wire.name(call.body, "name")
        if any(pool.name == name for pool in self._array.pools.values()):
            raise Refusal(codes.CPG_EXISTS)
        limit = wire.number(call.body, "growthLimitMiB", 0)
        pool = Pool(lowest_free(self._array.pools), name, (limit or _UNLIMITED_MIB) * MIB)
        self._array.pools[pool.id] = pool
        self._limited[pool.id] = limit > 0
        return wire.created(f"/api/v1/cpgs/{name}")

    def _delete(self, call: Call) -> None:
        pool = self.find(call.names[0])
        if any(volume.pool_id == pool.id for volume in self._array.volumes.values()):
            raise Refusal(codes.IN_USE)
        del self._array.pools[pool.id], self._limited[pool.id]

    def _report(self, call: Call) -> Attributes:
        free = self._array.free(self.find(wire.text(call.body, "cpg")).id) // MIB
        return {"rawFreeMiB": free * 4 // 3, "usableFreeMiB": free}


def _usage(mebibytes: int) -> Attributes:
    raw = mebibytes * 4 // 3
    return {"totalMiB": mebibytes, "rawTotalMiB": raw, "usedMiB": mebibytes, "rawUsedMiB": raw}

"""The array as a whole: facts, licences, capacity. Source: protocol sheet, sections 3.1 and 3.2."""

from __future__ import annotations

from collections.abc import Callable

from conformance.simulation.engine import Array
from vendors.hpe.simulator import codes
from vendors.hpe.simulator.profiles import Profile
from vendors.hpe.simulator.wire import MIB, Attributes, Handler, Refusal

_FEATURES = (
    "Thin Provisioning (102400G)",
    "Priority Optimization",
    "System Reporter",
    "Remote Copy",
    "Compression",
    "Virtual Copy",
    "Dynamic Optimization",
    "Thin Deduplication",
)


class System:
    """Facts about one array."""

    def __init__(self, array: Array, profile: Profile, number: int, sessions: Callable[[], int]) -> None:
        self._array = array
        self._profile = profile
        self._number = number
        self._sessions = sessions
        self.licences = dict.fromkeys(_FEATURES, True)

    @property
    def serial(self) -> str:
        """Serial number."""
        return f"CZ{self._number:08d}"

    def routes(self) -> dict[tuple[str, str], Handler]:
        """Return the handlers."""
        return {
            ("GET", "system"): lambda _: self._system(),
            ("GET", "capacity"): lambda _: self._capacity(),
            ("GET", "wsapiconfiguration"): lambda _: self._configuration(),
        }

    def version(self) -> Attributes:
        """Return what the interface says of itself."""
        major, minor = self._profile.interface
        return {"major": major, "minor": minor, "revision": 0, "build": self._profile.build}

    def need(self, feature: str) -> None:
        """Refuse what a missing licence forbids."""
        if not any(usable and feature in name for name, usable in self.licences.items()):
            raise Refusal(codes.UNLICENSED, text=f"system is not licensed for {feature}")

    def _system(self) -> Attributes:
        total, free = self._totals()
        nodes = list(range(self._profile.nodes))
        return {
            "id": self._number,
            "name": f"simulated-{self._number % 10000:04d}",
            "systemVersion": self._profile.version,
            "IPv4Addr": "192.0.2.10",
            "model": self._profile.title,
            "serialNumber": self.serial,
            "totalNodes": len(nodes),
            "masterNode": 0,
            "onlineNodes": nodes,
            "clusterNodes": nodes,
            "chunkletSizeMiB": 1024,
            "totalCapacityMiB": total,
            "allocatedCapacityMiB": total - free,
            "freeCapacityMiB": free,
            "failedCapacityMiB": 0,
            "location": "",
            "owner": "",
            "contact": "",
            "comment": "",
            "timeZone": "UTC",
            "licenseInfo": {
                "issueTime8601": "2023-11-14T22:13:20+00:00",
                "diagnosticID": "1234",
                "licenseState": [2],
                "licenses": [{"name": name} for name, usable in self.licences.items() if usable],
            },
        }

    def _capacity(self) -> Attributes:
        total, free = self._totals()
        used = total - free
        whole: Attributes = {
            "totalMiB": total,
            "allocated": {
                "totalAllocatedMiB": used,
                "volumes": {"totalVolumesMiB": used, "nonCPGsMiB": 0, "CPGsMiB": used},
                "system": {"totalSystemMiB": 0},
            },
            "freeMiB": free,
            "freeInitializedMiB": free,
            "freeUninitializedMiB": 0,
            "unavailableCapacityMiB": 0,
            "failedCapacityMiB": 0,
        }
        nothing = whole | {key: 0 for key, value in whole.items() if isinstance(value, int)}
        return {"allCapacity": whole, "FCCapacity": nothing, "NLCapacity": nothing, "SSDCapacity": whole}

    def _totals(self) -> tuple[int, int]:
        total = sum(pool.total for pool in self._array.pools.values()) // MIB
        return total, sum(self._array.free(pool_id) for pool_id in self._array.pools) // MIB

    def _configuration(self) -> Attributes:
        major, minor = self._profile.interface
        return {
            "httpState": "Disabled",
            "httpPort": 8008,
            "httpsState": "Enabled",
            "httpsPort": 8080,
            "version": f"{major}.{minor}.0",
            "sessionsInUse": self._sessions(),
            "systemResourceUsage": self._profile.sessions,
        }

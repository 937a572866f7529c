"""System facts, licences, controllers, and counts that clients ask for. Source: protocol sheet, sections 3.1 and 5."""

from __future__ import annotations

import time
from typing import Any

from conformance.simulation.engine import Array
from vendors.huawei.simulator import codes
from vendors.huawei.simulator.profiles import Profile
from vendors.huawei.simulator.wire import SECTOR, Attributes, Refusal

_FEATURES = (
    "SmartTier",
    "SmartThin",
    "SmartQoS",
    "SmartPartition",
    "SmartCache",
    "SmartMigration",
    "HyperSnap",
    "HyperCopy",
    "HyperClone",
    "HyperMetro",
    "HyperReplication",
)
_UNLICENSED = frozenset({"HyperMetro", "HyperReplication"})


class System:
    """The array as a whole."""

    def __init__(self, array: Array, profile: Profile, serial: str, model: str) -> None:
        self._array = array
        self._profile = profile
        self._serial = serial
        self._model = model
        self.licences = {feature: feature not in _UNLICENSED for feature in _FEATURES}

    def routes(self) -> dict[tuple[str, str], Any]:
        """Return the handlers."""
        return {
            ("GET", "system"): self._system,
            ("GET", "license/feature"): lambda _, __: [{name: int(usable)} for name, usable in self.licences.items()],
            ("GET", "controller"): lambda _, __: [self._controller(letter) for letter in "AB"],
            ("GET", "storageengine"): lambda _, __: [{"ID": "0", "NAME": "CTE0", "TYPE": 276, "NODELIST": '["0A","0B"]'}],
            ("GET", "system_utc_time"): lambda _, __: {"CMO_SYS_UTC_TIME": str(int(time.time()))},
            ("GET", "splitmirror/count"): lambda _, __: {"COUNT": "0"},
            ("GET", "hypermetropair/count"): lambda _, __: {"COUNT": "0"},
            ("GET", "hypermetro_consistentgroup/count"): lambda _, __: {"COUNT": "0"},
            ("GET", "hypermetropair"): lambda _, __: [],
            ("GET", "splitmirror"): lambda _, __: [],
            ("GET", "splitmirrortargetlun/targetlun"): lambda _, __: [],
            ("GET", "replicationpair"): lambda _, __: [],
            ("GET", "remote_device"): lambda _, __: [],
        }

    def need(self, feature: str, code: int = codes.NO_LICENCE) -> None:
        """Refuse what a missing licence forbids."""
        if not self.licences.get(feature, False):
            raise Refusal(code)

    def _system(self, _: Attributes, __: str) -> Attributes:
        total = sum(pool.total for pool in self._array.pools.values()) // SECTOR
        free = sum(self._array.free(pool_id) for pool_id in self._array.pools) // SECTOR
        facts: Attributes = {
            "ID": self._serial,
            "NAME": f"simulated-{self._serial[-4:]}",
            "TYPE": 201,
            "PRODUCTMODE": self._profile.mode,
            "PRODUCTVERSION": self._profile.version,
            "wwn": f"2100{self._serial[-12:]}",
            "LOCATION": "",
            "SECTORSIZE": str(SECTOR),
            "HEALTHSTATUS": "1",
            "RUNNINGSTATUS": "1",
            "TOTALCAPACITY": str(total),
            "USEDCAPACITY": str(total - free),
            "STORAGEPOOLCAPACITY": str(total),
            "STORAGEPOOLFREECAPACITY": str(free),
            "userFreeCapacity": str(free),
            "CACHEWRITEQUOTA": "333",
        }
        if self._profile.v6:
            facts |= {"pointRelease": "6.1.6", "productModeString": self._profile.title, "patchVersion": "SPH21"}
        return facts

    def _controller(self, letter: str) -> Attributes:
        return {
            "ID": f"0{letter}",
            "NAME": f"0{letter}",
            "TYPE": 207,
            "LOCATION": f"CTE0.{letter}",
            "ISMASTER": "true" if letter == "A" else "false",
            "HEALTHSTATUS": "1",
            "RUNNINGSTATUS": "27",
            "SOFTVER": self._profile.version,
        }

"""What concerns a second array, and the file of renamed LUNs. Source: protocol sheet, section 3.5.

There is no second array here: the relations are kept, and stand in the way of what they forbid.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from conformance.simulation.engine import Volume
from vendors.macrosan.simulator import wire
from vendors.macrosan.simulator.luns import Luns
from vendors.macrosan.simulator.snapshots import Snapshots
from vendors.macrosan.simulator.wire import Arguments, Refusal, Routes


class Remote:
    """Dual-active LUNs, replication and the rename file."""

    def __init__(self, luns: Luns, snapshots: Snapshots) -> None:
        self._luns = luns
        self._snapshots = snapshots
        self._dual: dict[str, str] = {}
        self._replicated: dict[str, str] = {}
        self._renamed: dict[str, str] = {}

    def routes(self) -> Routes:
        """Return the handlers."""
        return {
            ("POST", "dalun", ""): self._make_dual,
            ("DELETE", "dalun", ""): self._end_dual,
            ("GET", "dalun", "existence"): lambda given: self._luns.find(given).id in self._dual,
            ("PUT", "dalun", "suspend"): lambda given: self._set_dual(given, "suspended"),
            ("PUT", "dalun", "resume"): lambda given: self._set_dual(given, "active"),
            **{("PUT", "replication", step): self._replicate for step in ("enable", "startscan", "stopscan", "pause", "disable")},
            ("GET", "replication", "enabled"): lambda given: self._luns.find(given).id in self._replicated,
            ("POST", "rename_file", ""): self._keep_name,
            ("GET", "rename_file", ""): lambda given: self._renamed.get(wire.text(given, "name")),
        }

    def holds(self, volume: Volume) -> bool:
        """Tell whether a LUN has a twin."""
        return volume.id in self._dual or volume.id in self._replicated

    def state(self) -> list[Mapping[str, Any]]:
        """Return the relations."""
        return [{"dual": sorted(self._dual.values()), "replicated": sorted(self._replicated.values())}]

    def _with_resource(self, given: Arguments) -> Volume:
        volume = self._luns.find(given)
        if not self._snapshots.has_resource(volume):
            raise Refusal(wire.CONFLICT, "LUN has no snapshot resource")
        return volume

    def _make_dual(self, given: Arguments) -> bool:
        self._dual[self._with_resource(given).id] = "active"
        return True

    def _end_dual(self, given: Arguments) -> bool:
        if self._dual.pop(self._luns.find(given).id, None) is None:
            raise Refusal(wire.NOT_FOUND, "DALUN does not exist")
        return True

    def _set_dual(self, given: Arguments, state: str) -> bool:
        volume = self._luns.find(given)
        if volume.id not in self._dual:
            raise Refusal(wire.NOT_FOUND, "DALUN does not exist")
        self._dual[volume.id] = state
        return True

    def _replicate(self, given: Arguments) -> bool:
        volume = self._with_resource(given)
        if given["attr"] == "disable":
            self._replicated.pop(volume.id, None)
        else:
            self._replicated[volume.id] = str(given["attr"])
        return True

    def _keep_name(self, given: Arguments) -> bool:
        self._renamed[wire.text(given, "original_name")] = wire.text(given, "cur_name")
        return True

"""The state engine with LUNs that begin at 0, as this family's do; the data plane's target keeps LUN 0 for itself."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Final

from conformance.simulation.dataplane import Access, DataPlane, NoDataPlane
from conformance.simulation.engine import Array, OutOfLuns

LUNS: Final = range(2048)


class Engine(Array):
    """One array's pools, volumes, hosts and who sees what."""

    def __init__(self, serial: int, pools: Mapping[str, int], data_plane: DataPlane, clock: Callable[[], float]) -> None:
        super().__init__(serial, pools, data_plane, clock, LUNS)
        self._first_lun = 0 if isinstance(data_plane, NoDataPlane) else 1

    def lowest_lun(self, taken: Collection[int]) -> int:
        """Return the LUN that the array chooses: the lowest free one, beyond 0 where bytes are served."""
        lun = next((lun for lun in LUNS[self._first_lun :] if lun not in taken), None)
        if lun is None:
            raise OutOfLuns
        return lun

    def serve(self) -> None:
        """Tell the data plane who may reach what; what a client has mapped at LUN 0 keeps its bytes out of reach."""
        self.data_plane.serve(
            [
                Access(host_id, self.wwn_of(volume_id), lun, *self._initiators_of(host_id))
                for host_id, seen in self.visible.items()
                for volume_id, lun in seen.items()
                if lun or self._first_lun == 0
            ]
        )

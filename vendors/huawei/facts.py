"""What is asked of an array once and remembered: its generation, the ids of its pools, its iSCSI portals."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final

from blockdrivers.errors import InvalidRequest
from blockdrivers.model import Pool, Port
from vendors.huawei import generations, objects
from vendors.huawei.client import OceanStorClient
from vendors.huawei.generations import Generation

_USABLE_LICENCES: Final = frozenset({"1", "2"})


class Facts:
    """The facts of one array; shared by threads."""

    def __init__(self, client: OceanStorClient) -> None:
        self._client = client
        self._guard = threading.Lock()
        self._generation: Generation | None = None
        self._pool_ids: dict[str, str] = {}
        self._iscsi_ports: tuple[Port, ...] = ()

    @property
    def generation(self) -> Generation:
        """The array's generation; asked once, it does not change while the array runs."""
        if self._generation is None:
            self._generation = generations.detect(self._client.read("system/"))
        return self._generation

    def licences(self) -> Mapping[str, bool]:
        """GET license/feature (sheet, 3.1): feature -> usable; read each time."""
        features: list[Mapping[str, Any]] = self._client.read("license/feature") or []
        return {name: str(state) in _USABLE_LICENCES for feature in features for name, state in feature.items()}

    # Pools

    def read_pools(self) -> Sequence[Pool]:
        """GET storagepool (sheet, 3.2)."""
        found = [objects.pool(item) for item in self._client.listing("storagepool") if objects.holds_luns(item)]
        with self._guard:
            self._pool_ids = {pool.name: pool.id for pool in found}
        return found

    def pool_id(self, name: str) -> str:
        """Return a pool's id, as it was last seen or as it is; `InvalidRequest` where there is no such pool."""
        with self._guard:
            known = self._pool_ids.get(name)
        if known is not None:
            return known
        pools = {pool.name: pool.id for pool in self.read_pools()}
        if name not in pools:
            raise InvalidRequest(f"The array has no pool {name!r} for LUNs; it has {', '.join(sorted(pools)) or 'none'}.")
        return pools[name]

    def forget_pools(self) -> None:
        """Have the pools read again when they are needed next."""
        with self._guard:
            self._pool_ids = {}

    # Ports

    def iscsi_ports(self) -> Sequence[Port]:
        """Return the iSCSI portals as they were last seen, or as they are where there were none."""
        return self._iscsi_ports or self.read_iscsi_ports()

    def read_iscsi_ports(self) -> Sequence[Port]:
        """GET iscsi_tgt_port (sheet, 3.6, targets)."""
        self._iscsi_ports = tuple(map(objects.iscsi_port, self._client.listing("iscsi_tgt_port")))
        return self._iscsi_ports

    def read_fc_ports(self) -> Sequence[Port]:
        """GET fc_port (sheet, 3.6, targets)."""
        return [*map(objects.fc_port, self._client.listing("fc_port"))]

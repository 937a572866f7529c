"""What does not change while an array runs: model, pools' ids, target ports, and what WWNs begin with."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence

from blockdrivers.errors import InvalidRequest
from blockdrivers.model import Pool, Port, Protocol
from vendors.hitachi import models, objects
from vendors.hitachi.client import Object, VspClient
from vendors.hitachi.models import Model
from vendors.hitachi.options import VspOptions

_LDEV_DIGITS = 4
"""How many hexadecimal digits of an LDEV's NAA identifier, the last ones, are its id (sheet, section 3.4)."""


class Facts:
    """Asked once, and dropped when an answer contradicts them; shared by threads."""

    def __init__(self, client: VspClient, options: VspOptions) -> None:
        self._client = client
        self._options = options
        self._guard = threading.Lock()
        self._looking = threading.Lock()
        self._model: Model | None = None
        self._pools: dict[int, str] = {}
        self._ports: tuple[Port, ...] = ()
        self._prefix: str | None = None
        self._looked_for_prefix = False

    @property
    def model(self) -> Model:
        """What the model can do."""
        if self._model is None:
            self._model = models.find(objects.system_facts(self._client.read("")).model)
        return self._model

    # Pools

    def read_pools(self) -> Sequence[Pool]:
        """Return every DP pool, as it is now (sheet, section 3.2)."""
        found = [objects.pool(item) for item in self._client.items("pools", poolType="DP")]
        with self._guard:
            self._pools = {int(pool.id): pool.name for pool in found}
        return found

    def pool_names(self, ldevs: Iterable[Object] = ()) -> Mapping[int, str]:
        """Return id -> name; asked again where one of these LDEVs is in a pool that is not known."""
        with self._guard:
            known = self._pools
        if not known or any(int(ldev.get("poolId", -1)) not in {-1, *known} for ldev in ldevs):
            self.read_pools()
        return self._pools

    def pool_id(self, name: str) -> int:
        """Return a pool's id, or raise `InvalidRequest` that names those that are there."""
        for names in (self._pools, None):
            known = names if names is not None else {int(pool.id): pool.name for pool in self.read_pools()}
            for pool_id, known_name in known.items():
                if known_name == name:
                    return pool_id
        raise InvalidRequest(f"The array has no pool {name!r}; it has {', '.join(sorted(self._pools.values())) or 'none'}.")

    def forget_pools(self) -> None:
        """Ask again the next time."""
        with self._guard:
            self._pools = {}

    # Ports

    def ports(self) -> Sequence[Port]:
        """Return the target ports that are used."""
        return self._ports or self.read_ports()

    def ports_of(self, protocol: Protocol) -> Sequence[Port]:
        """Return the target ports of one protocol, by id."""
        return sorted((port for port in self.ports() if port.protocol is protocol), key=lambda port: port.id)

    def read_ports(self) -> Sequence[Port]:
        """Read the target ports; an iSCSI port's address and its own IQN take a request each (sheet, sections 3.8 and 3.9)."""
        listed = [item for item in self._client.items("ports") if objects.is_target(item, self._options.ports)]
        self._ports = tuple(self._iscsi_port(item) if item["portType"] == "ISCSI" else objects.port(item) for item in listed)
        return self._ports

    def _iscsi_port(self, item: Object) -> Port:
        port_id = objects.port_id(item)
        factory = self._client.read(f"host-groups/{port_id},0")
        return objects.port(self._client.read(f"ports/{port_id}"), str(factory.get("iscsiName") or "") or None)

    # WWNs

    def wwn(self, ldev: Object) -> str | None:
        """Return an LDEV's WWN.

        The array shows it only of LDEVs that have had an LU path. All of them begin alike and end in the LDEV's id, so one that
        shows its own tells every other's; before any has, it is not known.
        """
        if shown := str(ldev.get("naaId") or "").lower():
            self._prefix = shown[:-_LDEV_DIGITS]
            return shown
        return self.wwn_of(objects.number(ldev, "ldevId"))

    def wwn_of(self, ldev_id: int) -> str | None:
        """Return the WWN of an LDEV by its id; see `wwn`."""
        if self._prefix is None and not self._looked_for_prefix:
            with self._looking:
                self._look_for_prefix()
        return None if self._prefix is None else f"{self._prefix}{ldev_id:04x}"

    def _look_for_prefix(self) -> None:
        if self._looked_for_prefix:
            return
        for ldev in self._client.items("ldevs", ldevOption="luMapped", headLdevId=0, count=1):
            if shown := str(ldev.get("naaId") or "").lower():
                self._prefix = shown[:-_LDEV_DIGITS]
        self._looked_for_prefix = True

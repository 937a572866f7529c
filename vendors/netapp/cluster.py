"""What is the same whatever volumes are: the nodes and licences of the cluster. Source: protocol sheet, section 3.1."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from blockdrivers.model import SystemFacts
from vendors.netapp import objects
from vendors.netapp.client import OntapClient
from vendors.netapp.objects import NODE_FIELDS

_USABLE = frozenset({"compliant"})
_EVERY_LICENCE = "compliant|noncompliant|unlicensed|unknown"


class Cluster:
    """The cluster that an SVM is of."""

    def __init__(self, client: OntapClient) -> None:
        self._client = client
        self._guard = threading.Lock()
        self._all_flash: bool | None = None

    @property
    def is_all_flash(self) -> bool:
        """Whether every node is, which lower limits of QoS need; asked once, and no for an account of the SVM."""
        with self._guard:
            if self._all_flash is None:
                nodes = self._client.permitted("cluster/nodes", fields="is_all_flash_optimized")
                self._all_flash = bool(nodes) and all(objects.flag(node, "is_all_flash_optimized") for node in nodes)
            return self._all_flash

    def system(self) -> SystemFacts:
        """Return facts and health of the nodes."""
        return objects.system_facts(list(self._client.listing("cluster/nodes", fields=NODE_FIELDS)))

    def licences(self) -> Mapping[str, bool]:
        """Return licence -> usable; none for an account of the SVM."""
        found = self._client.permitted("cluster/licensing/licenses", state=_EVERY_LICENCE, fields="name,state")
        return {objects.text(record, "name"): objects.value(record, "state") in _USABLE for record in found}

"""A data plane whose bytes hosts reach over FC as well."""

from __future__ import annotations

import contextlib
import logging
import re
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence

from conformance.simulation.dataplane import Access, Identity
from conformance.simulation.fc.fabric import Fabric, FabricError
from conformance.simulation.fc.lio import Lun
from conformance.simulation.iscsi.plane import IscsiPlane

_log = logging.getLogger(__name__)

_WWPN = re.compile(r"[0-9a-f]{16}\Z")


class FcPlane:
    """An iSCSI plane with FC ports beside its portals; both show the same files. It closes the iSCSI plane with itself.

    Args:
        iscsi: keeps the bytes.
        fabric: the ports; the first is controller ``A``'s, the second ``B``'s, and so on in turn.
    """

    def __init__(self, iscsi: IscsiPlane, fabric: Fabric) -> None:
        self._iscsi = iscsi
        self._fabric = fabric
        self._guard = threading.RLock()
        self._identity = Identity("", "", {})
        self._accesses: tuple[Access, ...] = ()
        self._cut: set[str] = set()
        self._down: frozenset[str] = frozenset()
        self._follow()

    def close(self) -> None:
        """Take every LUN away and close the iSCSI plane."""
        try:
            self._fabric.show([])
        except FabricError as trouble:
            _log.warning("LUNs may be left behind: %s", trouble)
        self._iscsi.close()

    # Bytes: see DataPlane

    def create(self, wwn: str, size: int) -> None:
        """Begin an empty volume."""
        self._iscsi.create(wwn, size)

    def delete(self, wwn: str) -> None:
        """Forget the bytes of a volume or snapshot; whoever still sees it loses it."""
        with self._guard:
            self._accesses = tuple(access for access in self._accesses if access.wwn != wwn)
            self._show()
            self._iscsi.delete(wwn)

    def resize(self, wwn: str, size: int) -> None:
        """Grow on line."""
        with self._changing(wwn):
            self._iscsi.resize(wwn, size)

    def copy(self, source: str, target: str) -> None:
        """Let the target's first bytes be the source's."""
        with self._changing(source, target):
            self._iscsi.copy(source, target)

    def snapshot(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Keep the bytes of several volumes at one moment."""
        with self._changing(*(volume for volume, _ in pairs)):
            self._iscsi.snapshot(pairs)

    def exchange(self, first: str, second: str) -> None:
        """Exchange the bytes of two volumes."""
        with self._changing(first, second):
            self._iscsi.exchange(first, second)

    # Access

    def identify(self, identity: Identity) -> None:
        """Say what hosts see of the array; what was served under another identity is served no more."""
        with self._guard:
            if identity != self._identity:
                self._fabric.show([])
            self._identity = identity
            self._iscsi.identify(identity)

    def serve(self, accesses: Sequence[Access]) -> None:
        """Let exactly these accesses be possible."""
        with self._guard:
            self._accesses = tuple(accesses)
            self._iscsi.serve(accesses)
            self._show()

    # Paths

    def paths(self) -> Mapping[str, bool]:
        """Return whether each portal, as ``IP:port``, and each FC port, by its WWPN, is up."""
        return {**self._iscsi.paths(), **self._ports()}

    def set_path(self, portal: str, *, up: bool) -> None:
        """Cut or heal one portal or FC port; raise `ValueError` for one that is not there.

        Setting a port tells the FC target everything again: it may have been off.
        """
        if portal not in self.paths():
            raise ValueError(f"there is no path {portal!r}; there is {', '.join(self.paths())}")
        if portal not in self._fabric.ports:
            self._iscsi.set_path(portal, up=up)
            return
        with self._guard:
            (self._cut.discard if up else self._cut.add)(portal)
            self._follow()
            self._show(again=True)

    def heal(self) -> None:
        """Heal every path that was cut by `set_path`."""
        self._iscsi.heal()
        with self._guard:
            self._cut.clear()
            self._follow()

    def set_down(self, controllers: Collection[str]) -> None:
        """Cut the paths of exactly these controllers."""
        self._iscsi.set_down(controllers)
        with self._guard:
            if self._down != frozenset(controllers):
                self._down = frozenset(controllers)
                self._follow()

    def _ports(self) -> dict[str, bool]:
        ports = enumerate(self._fabric.ports)
        return {port: port not in self._cut and "AB"[number % 2] not in self._down for number, port in ports}

    def _follow(self) -> None:
        for port, up in self._ports().items():
            self._fabric.set_port(port, up=up)

    # LUNs

    @contextlib.contextmanager
    def _changing(self, *wwns: str) -> Iterator[None]:
        """Hold the hosts' requests to these while files are read, changed or replaced, and show what came of it."""
        with self._guard, self._fabric.frozen(wwns):
            yield
            self._show()

    def _show(self, *, again: bool = False) -> None:
        luns = (self._lun(access, name) for access in self._accesses for name in access.initiators if _WWPN.match(name))
        self._fabric.show([lun for lun in luns if lun is not None], again=again)

    def _lun(self, access: Access, initiator: str) -> Lun | None:
        path = self._iscsi.files.path(access.wwn)
        if not path.exists():
            return None
        file = self._fabric.file(path)
        if file is None:
            _log.warning("%s is too long a file for the folder that the FC target shares; FC hosts do not see it", access.wwn)
            return None
        found, seen = path.stat(), self._identity
        return Lun(initiator, access.lun, access.wwn, file, found.st_ino, found.st_size, seen.vendor, seen.product)

"""The driver contract for NFS shares of any server; how volumes, snapshots and exports are named: `blockdrivers.files`.

Source: protocol sheet nfs-files. Nothing but NFS is spoken, so facts of the server are what a mount tells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from blockdrivers.driver import Capabilities, NameRules
from blockdrivers.files import FilesDriver
from blockdrivers.model import Health, Pool, Port, Protocol, SystemFacts
from vendors.nfs.mounts import Mounts
from vendors.nfs.options import NfsOptions
from vendors.nfs.store import SharedFiles

_NAMES = NameRules(volume=64, snapshot=64, host=64)
"""A file name has room for two of them, and 255 bytes."""


def open_driver(options: NfsOptions, name: str) -> NfsDriver:
    """Return a driver; nothing is mounted before the first operation."""
    return NfsDriver(options, name)


class NfsDriver(FilesDriver):
    """Some shares, of one server or several."""

    def __init__(self, options: NfsOptions, name: str) -> None:
        self._name = name
        self._options = options
        self._mounts = Mounts(options)
        self._files = SharedFiles(options, self._mounts)
        super().__init__(self._files)

    @property
    def capabilities(self) -> Capabilities:
        """What files can do on any server."""
        return Capabilities(
            protocols=frozenset({Protocol.NFS}),
            names=_NAMES,
            thick=self._files.format == "raw",
            # A virtual machine holds its qcow2 file's tables: they must not change under it.
            online_extend=self._files.format == "raw",
            revert=True,
            manage=True,
            migrate=True,
            migrate_in_use=False,
            copies_in_use=self._options.server_clones,
            file_format=self._files.format,
            notes=(
                "Whoever may mount a share reaches every file of it: exports say who uses a volume, the server who may mount.",
                "A revert that is cut off leaves the volume's bytes mixed until it is repeated.",
            ),
        )

    def close(self) -> None:
        """Shares stay mounted: others may use them."""

    def system(self) -> SystemFacts:
        """Return the servers' names; NFS tells no more."""
        for pool in self._mounts.pools:
            self._files.space(pool)
        return SystemFacts("NFS", "NFS server", ", ".join(self._servers()), self._name, "unknown", health=Health.NORMAL)

    def licences(self) -> Mapping[str, bool]:
        """NFS tells none."""
        return {}

    def pools(self) -> Sequence[Pool]:
        """Ask each share for its room, and add up what its volumes were promised."""
        return [self._pool(pool) for pool in self._mounts.pools]

    def ports(self) -> Sequence[Port]:
        """Return the servers, as hosts are told to mount from them."""
        return [Port(server, Protocol.NFS, server.strip("[]")) for server in self._servers()]

    def _pool(self, pool: str) -> Pool:
        space = self._files.space(pool)
        entries = self._files.entries(pool, ["*"])
        promised = sum(entry.size for entry in entries if entry.target is None and "{" not in entry.name)
        return Pool(pool, pool, space.total, min(space.free, space.total), promised, Health.NORMAL)

    def _servers(self) -> list[str]:
        exports = [self._mounts.share(pool).export for pool in self._mounts.pools]
        return sorted({export.partition(":/")[0] for export in exports})

"""An array whose volumes are files of an NFS export, as small as a driver can be; its files are seen here as a folder."""

from __future__ import annotations

import json
import os
from pathlib import Path

from blockdrivers.driver import Capabilities, Driver
from blockdrivers.errors import AlreadyExists, NotFound, NotSupported
from blockdrivers.model import Dependant, Export, Pool, Protocol, SystemFacts, Volume

POOL = Pool("0", "files", 2**40, 2**40, None)


class NfsArray(Driver):
    """Args: the folder behind the export, and what clients mount."""

    def __init__(self, folder: Path, export: str) -> None:
        self._folder, self._export = folder, export

    capabilities = Capabilities(frozenset({Protocol.NFS}))

    def close(self):
        """Nothing is open."""

    def system(self):
        return SystemFacts("test", "files", "0", "files", "0")

    def licences(self):
        return {}

    def pools(self):
        return [POOL]

    def ports(self):
        return []

    def initiators(self):
        return []

    def create_volume(self, spec):
        try:
            with (self._folder / spec.name).open("xb") as file:
                file.truncate(spec.size)
        except FileExistsError:
            raise AlreadyExists(f"there is a file {spec.name}") from None
        self._note(spec.name, [], spec.description)
        return self.get_volume(spec.name)

    def get_volume(self, name):
        try:
            size = (self._folder / name).stat().st_size
        except FileNotFoundError:
            raise NotFound(f"there is no file {name}") from None
        hosts, description = json.loads(self._notes(name).read_text())
        used = frozenset({Dependant.EXPORT}) if hosts else frozenset()
        return Volume(name, name, size, POOL.name, None, True, description=description, dependants=used)

    def list_volumes(self):
        return [self.get_volume(file.name) for file in self._folder.iterdir() if not file.name.startswith(".")]

    def extend_volume(self, volume, size):
        os.truncate(self._folder / volume.name, size)

    def delete_volume(self, volume):
        (self._folder / volume.name).unlink()
        self._notes(volume.name).unlink()

    def export(self, source, host, host_name, protocol):
        volume = self.get_volume(source.name)
        self._note(volume.name, [host_name], volume.description)
        return self._exported(volume, host_name)

    def unexport(self, source, host_name, protocol):
        volume = self.get_volume(source.name)
        if Dependant.EXPORT not in volume.dependants:
            raise NotFound("not exported")
        self._note(volume.name, [], volume.description)

    def list_exports(self, source):
        volume = self.get_volume(source.name)
        hosts, _ = json.loads(self._notes(volume.name).read_text())
        return [self._exported(volume, host) for host in hosts]

    def _exported(self, volume, host):
        return Export(volume.name, host, Protocol.NFS, location=f"{self._export}/{volume.name}")

    def _notes(self, name):
        return self._folder / f".{name}"

    def _note(self, name, hosts, description):
        self._notes(name).write_text(json.dumps([hosts, description]))

    def _none(self, *_):
        raise NotSupported("not with files")

    clone_volume = abandon_clone = create_snapshot = get_snapshot = list_snapshots = delete_snapshot = _none

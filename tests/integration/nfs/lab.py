"""Shares of a server, for their tests. Needs root, for mounts.

A tmpfs stands for the mounted share here, as large as a test wants and mounted under the export's name; hosts reach its files through
a real NFS server. A share that is really mounted over NFS takes another kernel: `tests/host/inside/test_nfs_shares.py`.
"""

from __future__ import annotations

import subprocess
from contextlib import ExitStack
from pathlib import Path

from blockdrivers.backend import Backend
from blockdrivers.model import Host
from blockdrivers.operations import Timeouts
from conformance.simulation.nfs import ganesha
from vendors.nfs.driver import open_driver
from vendors.nfs.options import NfsOptions

HOST = Host("cmp01", addresses=("192.0.2.1",))


class Shares:
    """Two mounted shares, ``a`` and ``b``."""

    def __init__(self, stack: ExitStack, folder: Path, size: str) -> None:
        self.folder, self.size, self._stack = folder, size, stack
        self.address = ganesha.free_address()
        stack.callback(self.unmount, "a")
        stack.callback(self.unmount, "b")
        for name in "ab":
            (folder / name).mkdir()
            self.mount(name)

    def mount(self, name: str, source: str | None = None) -> None:
        export = source or f"{self.address}:/{name}"
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self.size}", export, str(self.folder / name)], check=True)

    def unmount(self, name: str) -> None:
        subprocess.run(["umount", "--lazy", str(self.folder / name)], check=False, stderr=subprocess.DEVNULL)

    def serve(self) -> None:
        server = ganesha.NfsServer(self.folder, ["a", "b"], self.address)
        self._stack.callback(server.close)

    def options(self, **more) -> dict:
        shares = [{"export": f"{self.address}:/{name}", "name": name, "folder": str(self.folder / name)} for name in "ab"]
        return {"shares": shares} | more

    def open(self, **more) -> Backend:
        options = NfsOptions.model_validate(self.options(**more))
        return self._stack.enter_context(Backend(open_driver(options, "files"), "files", timeouts=Timeouts(10, 20, 0.5)))

    def names(self, share: str = "a") -> list[str]:
        return sorted(entry.name for entry in (self.folder / share).iterdir())

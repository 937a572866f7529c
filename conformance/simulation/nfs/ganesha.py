"""A real NFS server, nfs-ganesha, in front of a simulated array's files: each folder below one is an export of its name.

It serves NFSv4 at port 2049 of an address of the loopback network that nobody else has, so that several arrays stand side by side.
Needs root, and Debian's nfs-ganesha and nfs-ganesha-vfs.
"""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from blockdrivers.host import programs

_PROGRAM = "ganesha.nfsd"
_PORT = 2049
_START_SECONDS = 30.0
_STOP_SECONDS = 10.0
_POLL_SECONDS = 0.02
_TRIES = 20


class NfsServerError(Exception):
    """The server does not start."""


def missing() -> str | None:
    """Return what this machine lacks for an NFS server, as a sentence; None where it has everything."""
    if os.geteuid() != 0:
        return "An NFS server takes root."
    return programs.lacking(_PROGRAM)


class NfsServer:
    """A running server; close it after use.

    Args:
        folder: where the files are.
        exports: folders of it, each an export ``/NAME``; made where they are not there.
        address: to listen at; see `free_address`.
    """

    def __init__(self, folder: Path, exports: Sequence[str], address: str) -> None:
        if reason := missing():
            raise NfsServerError(reason)
        self._state = tempfile.TemporaryDirectory(prefix="blockdrivers-nfs-")
        self.folder, self.address = folder, address
        for name in exports:
            (folder / name).mkdir(parents=True, exist_ok=True)
        self._log = Path(self._state.name) / "log"
        config = Path(self._state.name) / "ganesha.conf"
        config.write_text(self._configuration(exports), encoding="utf-8")
        command = [*programs.TIED, _PROGRAM, "-F", "-L", str(self._log), "-f", str(config), "-p", f"{self._state.name}/pid"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        try:
            self._await()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the server; the files stay."""
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._state.cleanup()

    def _configuration(self, exports: Sequence[str]) -> str:
        blocks = [
            f"""
EXPORT {{
    # Files are changed behind its back: it is to look each time.
    Attr_Expiration_Time = 0;
    Export_Id = {number}; Path = "{self.folder / name}"; Pseudo = "/{name}";
    Protocols = 4; Transports = TCP; SecType = sys; Squash = No_Root_Squash; Access_Type = RW;
    FSAL {{ Name = VFS; }}
}}"""
            for number, name in enumerate(exports, 1)
        ]
        return f"""
NFS_CORE_PARAM {{
    NFS_Protocols = 4; Bind_addr = {self.address}; NFS_Port = {_PORT};
    Enable_NLM = false; Enable_RQUOTA = false; Enable_UDP = false;
}}
NFSV4 {{ Minor_Versions = 0, 1, 2; Graceless = true; Lease_Lifetime = 60; RecoveryRoot = "{self._state.name}"; }}
NFS_KRB5 {{ Active_krb5 = false; }}
LOG {{ Default_Log_Level = EVENT; }}
{"".join(blocks)}
"""

    def _await(self) -> None:
        ending = time.monotonic() + _START_SECONDS
        while True:
            try:
                socket.create_connection((self.address, _PORT), _START_SECONDS).close()
            except OSError:
                if self._process.poll() is not None or time.monotonic() > ending:
                    said = self._log.read_text(encoding="utf-8", errors="replace")[-2000:] if self._log.exists() else ""
                    raise NfsServerError(f"nfs-ganesha does not listen: {said}") from None
                time.sleep(_POLL_SECONDS)
            else:
                return


def free_address() -> str:
    """Return an address of the loopback network at which nothing serves NFS."""
    for _ in range(_TRIES):
        address = f"127.{secrets.randbelow(254) + 1}.{secrets.randbelow(255)}.{secrets.randbelow(200) + 20}"
        with socket.socket() as probe:
            try:
                probe.bind((address, _PORT))
            except OSError:
                continue
        return address
    raise NfsServerError(f"No address of the loopback network was free in {_TRIES} tries.")

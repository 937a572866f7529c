"""A real NFS server, nfs-ganesha, in front of a simulated array's files: each folder below one is an export of its name.

It serves NFSv4 at port 2049 of an address of the loopback network that nobody else has, so that several arrays stand side by side.
Whom it lets in is told anew at any time, to clients that have files open too: it reads its exports again on SIGHUP, and says when it has.
Needs root, and Debian's nfs-ganesha and nfs-ganesha-vfs.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from blockdrivers.host import programs
from conformance.simulation.nfs.admission import EVERYBODY, Admission

_PROGRAM = "ganesha.nfsd"
_PORT = 2049
_START_SECONDS = 30.0
_STOP_SECONDS = 10.0
_POLL_SECONDS = 0.002
_TRIES = 20
_BEGINS_TO_READ = b"initiating export list reload"
_HAS_READ = b"Reread exports complete"
_WRONG = b":CONFIG :CRIT :"
_ALL_NETWORKS = "0.0.0.0/0"
_ALL_CLIENTS = "*"


class NfsServerError(Exception):
    """The server does not start, or does not take what it is told."""


def missing() -> str | None:
    """Return what this machine lacks for an NFS server, as a sentence; None where it has everything."""
    if os.geteuid() != 0:
        return "An NFS server takes root."
    return programs.lacking(_PROGRAM)


class NfsServer:
    """A running server; close it after use.

    Args:
        folder: where the files are.
        exports: folders of it, each an export ``/NAME``; made where they are not there. Everybody is let in; see `admit`.
        address: to listen at; see `free_address`.
    """

    def __init__(self, folder: Path, exports: Sequence[str], address: str) -> None:
        if reason := missing():
            raise NfsServerError(reason)
        self._state = tempfile.TemporaryDirectory(prefix="blockdrivers-nfs-")
        self.folder, self.address = folder, address
        for name in exports:
            (folder / name).mkdir(parents=True, exist_ok=True)
        self._lists: dict[str, tuple[Admission, ...]] = dict.fromkeys(exports, EVERYBODY)
        self._guard = threading.Lock()
        self._log = Path(self._state.name) / "log"
        self._config = Path(self._state.name) / "ganesha.conf"
        self._config.write_text(self._configuration(self._lists), encoding="utf-8")
        command = [*programs.TIED, _PROGRAM, "-F", "-L", str(self._log), "-f", str(self._config), "-p", f"{self._state.name}/pid"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        try:
            self._await(self._listens, "listen")
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

    def admit(self, lists: Mapping[str, Sequence[Admission]]) -> None:
        """Let exactly these clients in to these exports from now on; it is so when this returns, for open files too.

        Raises:
            NfsServerError: where the server does not take it; it may let nobody in then, until it is told something else.
        """
        with self._guard:
            wanted = {name: tuple(lists.get(name, admitted)) for name, admitted in self._lists.items()}
            draft = self._config.with_suffix(".new")
            draft.write_text(self._configuration(wanted), encoding="utf-8")
            draft.replace(self._config)
            begins = self._log.stat().st_size
            self._process.send_signal(signal.SIGHUP)
            self._await(lambda: _HAS_READ in self._logged(begins), "read its exports again")
            # What it says of an earlier error may come as late as this.
            if _WRONG in self._logged(begins).partition(_HAS_READ)[0].rpartition(_BEGINS_TO_READ)[2]:
                raise NfsServerError(f"nfs-ganesha takes no such exports: {self._said(begins)}")
            self._lists = wanted

    def _configuration(self, lists: Mapping[str, Sequence[Admission]]) -> str:
        return f"""
NFS_CORE_PARAM {{
    NFS_Protocols = 4; Bind_addr = {self.address}; NFS_Port = {_PORT};
    Enable_NLM = false; Enable_RQUOTA = false; Enable_UDP = false;
}}
NFSV4 {{ Minor_Versions = 0, 1, 2; Graceless = true; Lease_Lifetime = 60; RecoveryRoot = "{self._state.name}"; }}
NFS_KRB5 {{ Active_krb5 = false; }}
LOG {{ Default_Log_Level = EVENT; }}
{"".join(self._block(number, name, admitted) for number, (name, admitted) in enumerate(lists.items(), 1))}
"""

    def _block(self, number: int, name: str, admitted: Sequence[Admission]) -> str:
        return f"""
EXPORT {{
    # Files are changed behind its back: it is to look each time.
    Attr_Expiration_Time = 0;
    Export_Id = {number}; Path = "{self.folder / name}"; Pseudo = "/{name}";
    Protocols = 4; Transports = TCP; SecType = sys; Access_Type = None;
    FSAL {{ Name = VFS; }}
{"".join(_line(admission) for admission in admitted if admission.networks)}}}"""

    def _listens(self) -> bool:
        try:
            socket.create_connection((self.address, _PORT), _START_SECONDS).close()
        except OSError:
            return False
        return True

    def _await(self, is_so: Callable[[], bool], what: str) -> None:
        ending = time.monotonic() + _START_SECONDS
        while not is_so():
            if self._process.poll() is not None or time.monotonic() > ending:
                raise NfsServerError(f"nfs-ganesha does not {what}: {self._said()}")
            time.sleep(_POLL_SECONDS)

    def _logged(self, begins: int = 0) -> bytes:
        with self._log.open("rb") as file:
            file.seek(begins)
            return file.read()

    def _said(self, begins: int = 0) -> str:
        return self._logged(begins).decode(errors="replace")[-2000:] if self._log.exists() else ""


def _line(admission: Admission) -> str:
    """Return a line of an export's list; the program knows no network of every address."""
    clients = ", ".join(_ALL_CLIENTS if network == _ALL_NETWORKS else network for network in admission.networks)
    return (
        f"    CLIENT {{ Clients = {clients}; Protocols = 4; Access_Type = {admission.access}; Squash = {admission.squash}; "
        f"Anonymous_Uid = {admission.anonymous}; Anonymous_Gid = {admission.anonymous}; }}\n"
    )


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

"""What the guest attaches volumes from: simulated arrays and an NFS server, on this machine's side of the network."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests.host.lab import network
from tests.host.lab.processes import LabError, end, first_line, spawn

NFS_EXPORT = "/export"

_START_SECONDS = 60.0
_STOP_SECONDS = 20.0
_POLL_SECONDS = 0.05
_NFS_PORT = 2049


@contextmanager
def simulated_array(model: str, *options: str, portals: Sequence[str] = network.PORTALS) -> Iterator[Mapping[str, Any]]:
    """Run `blockdrivers simulate` for as long as the context lasts; yield what it tells clients.

    Args:
        model: of the array.
        options: more of the command's.
        portals: addresses of this side of the network.
    """
    command = [sys.executable, "-m", "blockdrivers.cli.main", "simulate", model, "--json", "--die-with-parent"]
    command += ["--host", network.HOST, "--portals", ",".join(portals), *options]
    process = spawn(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    try:
        yield json.loads(first_line(process, _START_SECONDS))
        process.terminate()
        if status := process.wait(_STOP_SECONDS):
            raise LabError(f"The simulated array ended with status {status}.")
    finally:
        end(process)


@contextmanager
def nfs_server(
    folder: Path, clients: Sequence[str] = (network.GUEST,), others: Mapping[str, tuple[Path, str]] = MappingProxyType({})
) -> Iterator[str]:
    """Export a folder over NFSv4 for as long as the context lasts; yield what a client mounts.

    Args:
        folder: of this machine.
        clients: addresses that may read and write; nobody else sees the export.
        others: more folders to export: name -> the folder, and how its users are squashed.
    """
    with tempfile.TemporaryDirectory(prefix="blockdrivers-nfs-") as state:
        config, log = Path(state) / "ganesha.conf", Path(state) / "log"
        config.write_text(_ganesha({NFS_EXPORT: (folder, "No_Root_Squash"), **others}, clients, Path(state)), encoding="utf-8")
        command = ["ganesha.nfsd", "-F", "-L", str(log), "-f", str(config), "-p", str(Path(state) / "pid")]
        process = spawn(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _await_listening(process, log)
            yield f"{network.HOST}:{NFS_EXPORT}"
        finally:
            end(process)


def _ganesha(exports: Mapping[str, tuple[Path, str]], clients: Sequence[str], state: Path) -> str:
    blocks = [
        f"""
EXPORT {{
    # Files are changed behind its back: it is to look each time.
    Attr_Expiration_Time = 0;
    Export_Id = {number}; Path = "{folder}"; Pseudo = "{name}";
    Protocols = 4; Transports = TCP; SecType = sys; Squash = {squash}; Access_Type = None;
    CLIENT {{ Clients = {", ".join(clients)}; Access_Type = RW; }}
    FSAL {{ Name = VFS; }}
}}"""
        for number, (name, (folder, squash)) in enumerate(exports.items(), 1)
    ]
    return f"""
NFS_CORE_PARAM {{
    NFS_Protocols = 4; Bind_addr = {network.HOST}; NFS_Port = {_NFS_PORT};
    Enable_NLM = false; Enable_RQUOTA = false; Enable_UDP = false;
}}
NFSV4 {{ Minor_Versions = 1, 2; Graceless = true; Lease_Lifetime = 5; RecoveryRoot = "{state}"; }}
NFS_KRB5 {{ Active_krb5 = false; }}
LOG {{ Default_Log_Level = EVENT; }}
{"".join(blocks)}
"""


def _await_listening(process: subprocess.Popen[bytes], log: Path) -> None:
    ending = time.monotonic() + _START_SECONDS
    while True:
        try:
            socket.create_connection((network.HOST, _NFS_PORT), _START_SECONDS).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > ending:
                said = log.read_text(encoding="utf-8", errors="replace")[-2000:] if log.exists() else ""
                raise LabError(f"nfs-ganesha does not listen: {said}") from None
            time.sleep(_POLL_SECONDS)
        else:
            return

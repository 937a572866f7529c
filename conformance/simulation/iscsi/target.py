"""One user-space iSCSI target daemon (tgtd), with its own control socket and TCP port.

Source for its ways: tgtadm(8), and tries of version 1.0.85. It ignores SIGTERM; a TCP port that is taken is only logged; a LUN
takes another file or size while it is off line only; its identity is derived from target and LUN number unless it is set.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from blockdrivers.host import programs

PROGRAMS = ("tgtd", "tgtadm", "setpriv")

_START_SECONDS = 10.0
_ADMIN_SECONDS = 20.0
_STOP_SECONDS = 5.0
_PORT_TRIES = 20
_POLL_SECONDS = 0.01
_LUN_ACTIVE_SECONDS = 10.0


Spawn = Callable[[Sequence[str], Mapping[str, str]], subprocess.Popen[bytes]]
"""Starts a process from its command and environment."""


class TargetError(Exception):
    """The target daemon did not start, or refused a command."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A logical unit: what is behind a LUN number, and what its SCSI identity says."""

    path: Path
    wwn: str
    """32 hexadecimal digits; the upper half must be 6000000000000000, since tgt lets only the lower one be chosen."""
    vendor: str
    product: str


class Target:
    """A running daemon with one iSCSI target per name; every target has the same LUNs.

    Args:
        names: IQNs of the targets, one per portal of the array.
        spawn: starts the process; must run in a thread that outlives the daemon, since the daemon ends with that thread.
    """

    def __init__(self, names: Sequence[str], spawn: Spawn) -> None:
        self._targets = range(1, len(names) + 1)
        self._units: dict[int, Unit] = {}
        self._initiators: frozenset[str] = frozenset()
        self._chap: tuple[str, str] | None = None
        with ExitStack() as opened:
            folder = opened.enter_context(tempfile.TemporaryDirectory(prefix="blockdrivers-tgt-"))
            self._environment = dict(os.environ) | {"TGT_IPC_SOCKET": str(Path(folder) / "socket")}
            self._process, self.port = self._started(spawn, opened)
            for number, name in zip(self._targets, names, strict=True):
                self._admin("target", "new", "--tid", str(number), "--targetname", name)
            self._closing = opened.pop_all()

    @property
    def units(self) -> dict[int, Unit]:
        """LUN -> unit, as it is served now."""
        return dict(self._units)

    def stop(self) -> None:
        """End the daemon; sessions are cut."""
        self._closing.close()

    def admit(self, initiators: Iterable[str], chap: tuple[str, str] | None) -> None:
        """Let exactly these initiator names log in, with this CHAP user and secret where there is one."""
        wanted = frozenset(initiators)
        for name in sorted(self._initiators - wanted):
            self._everywhere("target", "unbind", "--initiator-name", name)
        if chap != self._chap:
            self._set_chap(chap)
        for name in sorted(wanted - self._initiators):
            self._everywhere("target", "bind", "--initiator-name", name)
        self._initiators = wanted

    def _set_chap(self, chap: tuple[str, str] | None) -> None:
        # Removing the account also unbinds it from every target.
        if self._chap is not None:
            self._admin("account", "delete", "--user", self._chap[0])
        if chap is not None:
            self._admin("account", "new", "--user", chap[0], "--password", chap[1])
            self._everywhere("account", "bind", "--user", chap[0])
        self._chap = chap

    def show(self, lun: int, unit: Unit) -> None:
        """Put a unit behind a LUN number, in place of what is there."""
        if self._units.get(lun) == unit:
            return
        if lun in self._units:
            self.hide(lun)
        identity = (
            f"vendor_id={unit.vendor},product_id={unit.product},scsi_sn={unit.wwn},scsi_id={unit.wwn[16:]},thin_provisioning=1"
        )
        new = ("--lun", str(lun), "--bstype", "rdwr", "--backing-store", str(unit.path))
        self._everywhere("logicalunit", "new", *new)
        self._everywhere("logicalunit", "update", "--lun", str(lun), "--params", identity)
        self._units[lun] = unit

    def hide(self, lun: int) -> None:
        """Take a LUN away; commands under way end first."""
        ending = time.monotonic() + _LUN_ACTIVE_SECONDS
        for number in self._targets:
            while True:
                try:
                    self._admin("logicalunit", "delete", "--tid", str(number), "--lun", str(lun))
                    break
                except TargetError as refused:
                    if "active" not in str(refused) or time.monotonic() > ending:
                        raise
                    time.sleep(_POLL_SECONDS)
        del self._units[lun]

    def reopen(self, wwn: str, path: Path) -> None:
        """Open the file behind a WWN again: it has another size, or is another file."""
        for lun, unit in self._units.items():
            if unit.wwn == wwn:
                self._everywhere("logicalunit", "update", "--lun", str(lun), "--params", "online=0")
                self._everywhere("logicalunit", "update", "--lun", str(lun), "--params", f"path={path},online=1")
                self._units[lun] = replace(unit, path=path)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let nothing be read or written for a moment; requests that come meanwhile are served afterwards."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            self._await(self._is_stopped, "stop")
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    # The process

    def _started(self, spawn: Spawn, opened: ExitStack) -> tuple[subprocess.Popen[bytes], int]:
        for _ in range(_PORT_TRIES):
            port = _free_port()
            command = [*programs.TIED, "tgtd", "-f", "-t", "1", "--iscsi", f"portal=127.0.0.1:{port}"]
            process = spawn(command, self._environment)
            opened.callback(_end, process)
            self._await(partial(self._answers, process), "answer")
            if _listens(process.pid, port):
                return process, port
            _end(process)
        raise TargetError(f"tgtd found no free TCP port in {_PORT_TRIES} tries.")

    def _answers(self, process: subprocess.Popen[bytes]) -> bool:
        if (status := process.poll()) is not None:
            raise TargetError(f"tgtd ended at its start with status {status}.")
        try:
            self._admin("target", "show")
        except TargetError:
            return False
        return True

    def _is_stopped(self) -> bool:
        """Tell whether every thread has stopped: then no write is half done."""
        tasks = Path(f"/proc/{self._process.pid}/task").iterdir()
        return all((task / "stat").read_text().rpartition(")")[2].split()[0] in "tT" for task in tasks)

    @staticmethod
    def _await(condition: Callable[[], bool], what: str) -> None:
        ending = time.monotonic() + _START_SECONDS
        while not condition():
            if time.monotonic() > ending:
                raise TargetError(f"tgtd did not {what} within {_START_SECONDS} s.")
            time.sleep(_POLL_SECONDS)

    def _everywhere(self, mode: str, operation: str, *arguments: str) -> None:
        for number in self._targets:
            self._admin(mode, operation, "--tid", str(number), *arguments)

    def _admin(self, mode: str, operation: str, *arguments: str) -> None:
        command = ["tgtadm", "--lld", "iscsi", "--mode", mode, "--op", operation, *arguments]
        ended = subprocess.run(
            command, env=self._environment, capture_output=True, text=True, timeout=_ADMIN_SECONDS, check=False
        )
        if ended.returncode:
            # The arguments may hold a CHAP secret: they are not repeated.
            raise TargetError(f"tgtadm could not {operation} the {mode}: {ended.stderr.strip()}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a daemon the only way that it heeds."""
    process.kill()
    process.wait(_STOP_SECONDS)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _listens(pid: int, port: int) -> bool:
    """Tell whether that very process listens at the port."""
    inodes = {
        fields[9]
        for fields in (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
        if fields[1] == f"0100007F:{port:04X}" and fields[3] == "0A"
    }
    return any(_link(entry) in {f"socket:[{inode}]" for inode in inodes} for entry in Path(f"/proc/{pid}/fd").iterdir())


def _link(entry: Path) -> str:
    try:
        return str(entry.readlink())
    except OSError:
        return ""

"""A LUN without root and without a kernel initiator: QEMU's iSCSI driver in a process of its own, reached over NBD.

For conformance checks, image copies and rescue work. One path, no multipath; the identity of the LUN is not proven here.
Needs ``qemu-storage-daemon`` and QEMU's iSCSI driver (Debian: qemu-system-common, qemu-block-extra).
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from blockdrivers.deadline import remaining
from blockdrivers.errors import AttachError, ConfigurationError
from blockdrivers.host.nbd import NbdClient
from blockdrivers.model import Chap, IscsiTarget

PROGRAM = "qemu-storage-daemon"
_TIED = ("setpriv", "--pdeathsig", "KILL")
"""The process ends with the thread that started it, however that ends."""
_START_SECONDS = 30.0
_STOP_SECONDS = 10.0
_POLL_SECONDS = 0.01
_EXPORT = "lun"
_REASON = 400


def missing() -> str | None:
    """Return what this machine lacks, as a sentence; None where it has everything."""
    if shutil.which(PROGRAM) is None:
        return f"{PROGRAM} cannot be found; install Debian's qemu-system-common and qemu-block-extra."
    return None


@contextmanager
def open_lun(target: IscsiTarget, lun: int, initiator: str, chap: Chap | None = None) -> Iterator[NbdClient]:
    """Log in to a target and yield one LUN for reading and writing; flush and log out at the end.

    Until then the thread that entered has to live: the process ends with it.

    Args:
        target: portal and IQN, as `Export.targets` has them.
        lun: the LUN id of the export.
        initiator: the name (IQN) that the volume was exported to.
        chap: the credentials of the export.

    Raises:
        AttachError: the target does not answer, does not let this initiator in, or does not show that LUN.
        ConfigurationError: a program is missing on this machine.
    """
    if reason := missing():
        raise ConfigurationError(reason)
    with tempfile.TemporaryDirectory(prefix="blockdrivers-lun-") as name:
        folder = Path(name)
        process = _started(folder, target, lun, initiator, chap)
        try:
            with NbdClient(folder / "nbd", _EXPORT) as client:
                yield client
                client.flush()
        finally:
            _end(process)


def _started(folder: Path, target: IscsiTarget, lun: int, initiator: str, chap: Chap | None) -> subprocess.Popen[bytes]:
    ready, said = folder / "ready", folder / "said"
    command = [*_TIED, PROGRAM, *_arguments(folder, target, lun, initiator, chap), "--pidfile", str(ready)]
    with said.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    ending = remaining(_START_SECONDS)
    try:
        # The process file is written once every argument has been carried out.
        while not ready.exists():
            try:
                process.wait(min(_POLL_SECONDS, ending))
            except subprocess.TimeoutExpired:
                ending -= _POLL_SECONDS
            else:
                raise _refused(target, lun, said.read_text(errors="replace"))
            if ending <= 0:
                raise _refused(target, lun, "it did not answer in time")
    except BaseException:
        _end(process)
        raise
    return process


def _arguments(folder: Path, target: IscsiTarget, lun: int, initiator: str, chap: Chap | None) -> Sequence[str]:
    secret, options = lun_options(folder, target, lun, initiator, chap)
    return [
        *secret,
        *("--blockdev", f"node-name={_EXPORT},{options}"),
        *("--nbd-server", f"addr.type=unix,addr.path={_escaped(str(folder / 'nbd'))}"),
        *("--export", f"type=nbd,id=export,node-name={_EXPORT},name={_EXPORT},writable=on"),
    ]


def lun_options(folder: Path, target: IscsiTarget, lun: int, initiator: str, chap: Chap | None) -> tuple[Sequence[str], str]:
    """Return a LUN as QEMU's programs take it: arguments that go before, and the options of the disk.

    Args:
        folder: a private one; a CHAP secret is put there, so that no command line shows it.
        target, lun, initiator, chap: see `open_lun`.
    """
    where = {
        "driver": "iscsi",
        "transport": "tcp",
        "portal": target.portal,
        "target": target.iqn,
        "lun": str(lun),
        "initiator-name": initiator,
    }
    before: Sequence[str] = ()
    if chap is not None:
        secret = folder / "secret"
        secret.touch(mode=0o600)
        secret.write_text(chap.secret, encoding="utf-8")
        before = ("--object", f"secret,id=chap,file={_escaped(str(secret))}")
        where |= {"user": chap.username, "password-secret": "chap"}
    return before, ",".join(f"{key}={_escaped(value)}" for key, value in where.items())


def _escaped(value: str) -> str:
    """Return a value that ends where it ends: QEMU splits its options at commas."""
    return value.replace(",", ",,")


def _refused(target: IscsiTarget, lun: int, said: str) -> AttachError:
    reason = " ".join(said.split())[-_REASON:]
    return AttachError(
        f"LUN {lun} of {target.iqn} at {target.portal} cannot be opened ({reason}); check that the volume is exported to this "
        "initiator name, the CHAP credentials and the network."
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()

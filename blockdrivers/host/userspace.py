"""A LUN without root and without a kernel initiator: QEMU's iSCSI driver in a process of its own, reached over NBD.

For conformance checks, image copies and rescue work. One path, no multipath; the identity of the LUN is not proven here.
Needs ``qemu-storage-daemon`` and QEMU's iSCSI driver (Debian: qemu-system-common, qemu-block-extra).
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from blockdrivers.deadline import remaining
from blockdrivers.errors import AttachError, ConfigurationError
from blockdrivers.host import programs
from blockdrivers.host.nbd import NbdClient
from blockdrivers.host.programs import qemu_value
from blockdrivers.model import Chap, IscsiTarget

PROGRAM = "qemu-storage-daemon"
_START_SECONDS = 30.0
_STOP_SECONDS = 10.0
_POLL_SECONDS = 0.01
_NODE = "lun"
_FUSE = Path("/dev/fuse")


@cache
def missing() -> str | None:
    """Return what this machine lacks, as a sentence; None where it has everything."""
    if reason := programs.lacking(PROGRAM, "setpriv"):
        return reason
    # The driver is a module of its own; without it the daemon does not get as far as missing the other options.
    probe = [PROGRAM, "--blockdev", "driver=iscsi,node-name=probe"]
    said = subprocess.run(probe, capture_output=True, text=True, timeout=_START_SECONDS, check=False).stderr
    if "Unknown driver" in said:
        return "QEMU has no iSCSI driver here; install Debian's qemu-block-extra."
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
    with _folder() as folder:
        server = ["--nbd-server", f"addr.type=unix,addr.path={qemu_value(folder / 'nbd')}"]
        export = ["--export", f"type=nbd,id=export,node-name={_NODE},name={_NODE},writable=on"]
        disk = lun_options(folder, target, lun, initiator, chap)
        with (
            _daemon(folder, disk, [*server, *export], f"LUN {lun} of {target.iqn}"),
            NbdClient(folder / "nbd", _NODE) as client,
        ):
            yield client
            client.flush()


@contextmanager
def lun_as_file(target: IscsiTarget, lun: int, initiator: str, chap: Chap | None = None) -> Iterator[Path]:
    """Log in to a target and yield one LUN as a file of its size, for programs that work on files; log out at the end.

    Needs FUSE (``/dev/fuse``) and root or fusermount3. What was written is on the array once the file has been synced or the
    block has ended. Arguments and errors as in `open_lun`.
    """
    if not os.access(_FUSE, os.R_OK | os.W_OK):
        raise ConfigurationError(f"{_FUSE} cannot be used here; load the fuse module and check its permissions, or use open_lun.")
    with _folder() as folder:
        file = folder / "lun"
        file.touch(mode=0o600)
        export = ["--export", f"type=fuse,id=export,node-name={_NODE},mountpoint={qemu_value(file)},writable=on"]
        try:
            with _daemon(folder, lun_options(folder, target, lun, initiator, chap), export, f"LUN {lun} of {target.iqn}"):
                yield file
        finally:
            if os.path.ismount(file):
                _run("umount", "--lazy", str(file))


@contextmanager
def lun_as_device(target: IscsiTarget, lun: int, initiator: str, chap: Chap | None = None) -> Iterator[Path]:
    """Log in to a target and yield one LUN as a block device (``/dev/loop...``), for what takes nothing else.

    Needs root, FUSE and loop devices. Arguments and errors as in `open_lun`.
    """
    with lun_as_file(target, lun, initiator, chap) as file:
        device = Path(_run("losetup", "--find", "--show", str(file)).strip())
        try:
            yield device
        finally:
            with device.open("rb+") as opened:
                os.fsync(opened)
            _run("losetup", "--detach", str(device))


@contextmanager
def _folder() -> Iterator[Path]:
    if reason := missing():
        raise ConfigurationError(reason)
    with tempfile.TemporaryDirectory(prefix="blockdrivers-lun-") as name:
        yield Path(name)


@contextmanager
def _daemon(folder: Path, lun: tuple[Sequence[str], str], exports: Sequence[str], what: str) -> Iterator[None]:
    """Serve a LUN for the length of a block."""
    ready, said = folder / "ready", folder / "said"
    secret, options = lun
    command = [*programs.TIED, PROGRAM, *secret, "--blockdev", f"node-name={_NODE},{options}", *exports, "--pidfile", str(ready)]
    with said.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        _await_ready(process, ready, said, what)
        yield
    finally:
        _end(process)


def _await_ready(process: subprocess.Popen[bytes], ready: Path, said: Path, what: str) -> None:
    """Return once the daemon has written its process file: by then every argument has been carried out."""
    ending = remaining(_START_SECONDS)
    while not ready.exists():
        try:
            process.wait(min(_POLL_SECONDS, ending))
        except subprocess.TimeoutExpired:
            ending -= _POLL_SECONDS
        else:
            raise _refused(what, said.read_text(errors="replace"))
        if ending <= 0:
            raise _refused(what, "it did not answer in time")


def _run(*command: str) -> str:
    ended = subprocess.run(command, capture_output=True, text=True, timeout=_STOP_SECONDS, check=False)
    if ended.returncode:
        raise AttachError(f"{command[0]} failed: {programs.last_words(ended.stderr)}")
    return ended.stdout


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
        before = ("--object", f"secret,id=chap,file={qemu_value(secret)}")
        where |= {"user": chap.username, "password-secret": "chap"}
    return before, ",".join(f"{key}={qemu_value(value)}" for key, value in where.items())


def _refused(what: str, said: str) -> AttachError:
    return AttachError(
        f"{what} cannot be opened ({programs.last_words(said)}); check that the volume is exported to this initiator name, the CHAP credentials, "
        "the portal and the network."
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()

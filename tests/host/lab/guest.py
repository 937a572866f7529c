"""A virtual machine that is a host of storage arrays.

It runs under QEMU's instruction emulator, since a machine in a cloud cannot be counted on to virtualise. Its network card is in
the network of `tests.host.lab.network`; four more make two closed Ethernet segments for FCoE. Its disk begins anew at every boot.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import shlex
import subprocess
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from blockdrivers.host.programs import qemu_value
from tests.host.lab import network
from tests.host.lab.image import Image
from tests.host.lab.processes import LabError, end, first_line, spawn

READY = "LAB READY"
FC_SEGMENTS = (("52:54:00:fc:00:01", "52:54:00:fc:00:02"), ("52:54:00:fc:00:03", "52:54:00:fc:00:04"))
"""MAC addresses of eth1 and eth2, and of eth3 and eth4: the first of each is the initiator's, the second the target's."""

_BOOT_SECONDS = 180.0
_CONNECT_SECONDS = 60.0
_GRACE_SECONDS = 30.0
_CONNECTION_LOST = 255
_LAST = 4000
_SETTING = "export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 PYTHONUNBUFFERED=1"


class GuestTimeout(LabError):
    """A command in the guest did not end in its time."""


@dataclass(frozen=True)
class Started:
    """A program in the background of the guest."""

    guest: Guest
    channel: subprocess.Popen[bytes]
    pid: int
    """Also the number of its process group."""
    log: str
    """File in the guest that holds what it prints."""

    def output(self) -> str:
        """Return what it has printed so far."""
        return self.guest.run(["cat", self.log]).stdout

    def wait(self, timeout: float) -> int:
        """Wait for its end; return its status."""
        return self.channel.wait(timeout)

    def stop(self, signal: str = "KILL") -> None:
        """End it and what it has started; a program that has ended is let be."""
        self.guest.run(f"kill -s {signal} -- -{self.pid}", check=False)
        self.wait(_GRACE_SECONDS)


class Guest:
    """A machine; a context manager that boots it and cuts its power in the end.

    Args:
        image: what it boots from.
        share: folder of this machine that the guest sees as ``/share``.
        prepare: called with the guest after every boot.
        memory_mib: its memory.
    """

    def __init__(
        self, image: Image, share: Path, *, prepare: Callable[[Guest], None] | None = None, memory_mib: int = 1024
    ) -> None:
        self._image = image
        self._share = share
        self._prepare = prepare
        self._memory_mib = memory_mib
        self._folder = tempfile.TemporaryDirectory(prefix="blockdrivers-guest-")
        self._socket = Path(self._folder.name) / "ssh"
        self._machine: subprocess.Popen[bytes] | None = None
        self._connection: subprocess.Popen[bytes] | None = None
        self._serial: list[str] = []
        self._number = itertools.count(1)
        self.boots = 0

    def __enter__(self) -> Self:
        try:
            self.boot()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def serial_log(self) -> str:
        """What the kernel and the emulator have said since the last boot."""
        return "".join(self._serial)

    # Power

    def boot(self) -> None:
        """Switch the machine on and wait until it can be used."""
        if self._machine is not None:
            raise LabError("The guest is running already.")
        self._serial = []
        self.boots += 1
        heard = threading.Event()
        self._machine = spawn(self._emulator(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        threading.Thread(target=self._listen, args=(self._machine, self._serial, heard), name="serial", daemon=True).start()
        if not heard.wait(_BOOT_SECONDS) or READY not in self.serial_log:
            raise LabError(f"The guest did not become ready in {_BOOT_SECONDS} s, or ended:\n{self.serial_log[-_LAST:]}")
        self._connect()
        if self._prepare is not None:
            self._prepare(self)

    def kill(self) -> None:
        """Cut the power: nothing in the guest ends in order, and its disk is lost."""
        machine, connection = self._machine, self._connection
        self._machine = self._connection = None
        for process in (machine, connection):
            if process is not None:
                end(process)
        self._socket.unlink(missing_ok=True)

    def reboot(self) -> None:
        """Cut the power and boot again."""
        self.kill()
        self.boot()

    def close(self) -> None:
        """Cut the power and forget everything."""
        self.kill()
        self._folder.cleanup()

    # Commands

    def run(
        self, command: str | list[str], *, timeout: float = 60, check: bool = True, input: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as root and wait for its end.

        Args:
            command: a line of bash, or a program and its arguments.
            timeout: when the command and what it has started are ended, and `GuestTimeout` is raised.
            check: raise `subprocess.CalledProcessError`, with the ends of both outputs as its notes, unless the status is 0.
            input: for its standard input.
        """
        ended = self._exchange(command, timeout, None if input is None else input.encode())
        said = subprocess.CompletedProcess(command, ended.returncode, _text(ended.stdout), _text(ended.stderr))
        if check:
            _check(said)
        return said

    def start(self, command: str) -> Started:
        """Start a line of bash in the background; it ends by `Started.stop`, or with the machine."""
        log = f"/run/started-{next(self._number)}.log"
        channel = spawn(
            self._ssh(f"echo $$\nexec >{log} 2>&1", command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        return Started(self, channel, int(first_line(channel, _CONNECT_SECONDS)), log)

    def put(self, local: Path, remote: str, *, timeout: float = 120) -> None:
        """Copy a file to, or the contents of a folder into, a path of the guest."""
        where, what = (local, ".") if local.is_dir() else (local.parent, local.name)
        packed = subprocess.run(
            ["tar", "-C", str(where), "--owner=0", "--group=0", "-cf", "-", what],
            stdout=subprocess.PIPE,
            timeout=timeout,
            check=True,
        ).stdout
        target = shlex.quote(remote)
        if local.is_dir():
            command = f"mkdir -p {target} && tar -C {target} -xf -"
        else:
            command = f'mkdir -p "$(dirname {target})" && tar -xOf - >{target} && chmod {local.stat().st_mode & 0o777:o} {target}'
        _check(self._exchange(command, timeout, packed))

    def get(self, remote: str, local: Path, *, timeout: float = 120) -> None:
        """Copy a file of the guest to, or the contents of a folder of the guest into, a path of this machine."""
        target = shlex.quote(remote)
        is_folder = self.run(["test", "-d", remote], check=False).returncode == 0
        copied = self._exchange(f"tar -C {target} -cf - ." if is_folder else f"cat {target}", timeout)
        _check(copied)
        if is_folder:
            local.mkdir(parents=True, exist_ok=True)
            unpack = ["tar", "-C", str(local), "--no-same-owner", "-xf", "-"]
            subprocess.run(unpack, input=copied.stdout, timeout=timeout, check=True)
        else:
            local.write_bytes(copied.stdout)

    def write(self, remote: str, text: str, *, mode: int = 0o644) -> None:
        """Make a file in the guest."""
        target = shlex.quote(remote)
        self.run(f'mkdir -p "$(dirname {target})" && cat >{target} && chmod {mode:o} {target}', input=text)

    def forward(self, port: int) -> None:
        """Make what listens at this port of this machine's loopback reachable at the same one in the guest."""
        command = [*self._client(), "-O", "forward", "-R", f"127.0.0.1:{port}:127.0.0.1:{port}", "guest"]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=_CONNECT_SECONDS, check=False)
        if ended.returncode:
            raise LabError(f"Port {port} could not be forwarded: {ended.stderr.strip()}")

    # How it is done

    def _emulator(self) -> list[str]:
        image, parameters = self._image, f"console=ttyS0 quiet panic=-1 mitigations=off nokaslr net.ifnames=0 {_clock()}"
        command = ["qemu-system-x86_64", "-machine", "q35", "-accel", "tcg,thread=multi"]
        command += ["-cpu", "max,-la57,-smap,-smep", "-smp", "1"]
        command += ["-m", str(self._memory_mib), "-nodefaults", "-display", "none", "-vga", "none", "-no-reboot"]
        command += ["-chardev", "stdio,id=serial,signal=off", "-serial", "chardev:serial"]
        command += ["-kernel", str(image.kernel), "-initrd", str(image.initrd)]
        parameters += " random.trust_cpu=on nowatchdog audit=0 selinux=0 apparmor=0 raid=noautodetect"
        # The emulator keeps its translation of code at an address: at another one in every process, starting one takes five times as long.
        parameters += " norandmaps init_on_alloc=0"
        command += ["-append", parameters]
        command += ["-drive", f"file={qemu_value(image.disk)},if=none,id=root,format=raw,snapshot=on,cache=unsafe"]
        command += ["-device", "virtio-blk-pci,drive=root", "-device", "virtio-rng-pci"]
        command += ["-virtfs", f"local,path={qemu_value(self._share)},mount_tag=share,security_model=none,id=share"]
        command += ["-netdev", f"tap,id=lan,ifname={network.TAP},script=no,downscript=no"]
        command += ["-device", f"virtio-net-pci,netdev=lan,romfile=,mac={network.GUEST_MAC}"]
        for segment, pair in enumerate(FC_SEGMENTS):
            for mac in pair:
                name = f"fc{mac[-2:]}"
                # A plain PCI card: with a virtio one in between, udev's by-path links are not what os-brick looks for.
                command += ["-netdev", f"hubport,id={name},hubid={segment}"]
                command += ["-device", f"e1000e,netdev={name},romfile=,mac={mac}"]
        return command

    @staticmethod
    def _listen(machine: subprocess.Popen[bytes], log: list[str], heard: threading.Event) -> None:
        assert machine.stdout is not None
        # A pipe that `end` closes underneath is the end too.
        with contextlib.suppress(ValueError, OSError):
            for line in machine.stdout:
                log.append(_text(line))
                if READY in log[-1]:
                    heard.set()
        heard.set()

    def _connect(self) -> None:
        """Open the one connection that every command goes through, as long as its standard input is open."""
        options = ["-M", "-i", str(self._image.key), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
        options += ["-o", "ConnectTimeout=30", "-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=8"]
        command = ["ssh", "-q", "-F", "none", "-S", str(self._socket), *options, f"root@{network.GUEST}", "echo up; cat"]
        self._connection = spawn(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        first_line(self._connection, _CONNECT_SECONDS)

    def _client(self) -> list[str]:
        # Without the connection there is to be no second one: the machine may be another by then.
        return ["ssh", "-q", "-F", "none", "-S", str(self._socket), "-o", "ProxyCommand=false"]

    def _ssh(self, first: str, line: str) -> list[str]:
        """Return the command that runs a line of bash as a process group, whose number is known to the shell lines `first`."""
        # Emulated, a program takes a tenth of a second to start: exports and redirections are the login shell's.
        return [*self._client(), "root@guest", f"{_SETTING}\n{first}\nexec /bin/busybox setsid bash -c {shlex.quote(line)}"]

    def _exchange(
        self, command: str | list[str], timeout: float, data: bytes | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        line = command if isinstance(command, str) else shlex.join(command)
        group = f"/run/started-{next(self._number)}.pid"
        feed: dict[str, Any] = {"stdin": subprocess.DEVNULL} if data is None else {"input": data}
        try:
            ended = subprocess.run(
                self._ssh(f"echo $$ >{group}", line), capture_output=True, timeout=timeout, check=False, **feed
            )
        except subprocess.TimeoutExpired as late:
            said = _text((late.stdout or b"") + (late.stderr or b""))
            self._end_group(group)
            raise GuestTimeout(f"{command!r} did not end within {timeout} s; it said:\n{said}") from None
        if ended.returncode == _CONNECTION_LOST and (self._connection is None or self._connection.poll() is not None):
            raise LabError(f"The guest is gone; the end of its serial log is:\n{self.serial_log[-_LAST:]}")
        return ended

    def _end_group(self, file: str) -> None:
        """End a command and what it has started; `file` holds the number of its process group."""
        command = [*self._client(), "root@guest", f"kill -KILL -$(cat {file})"]
        try:
            subprocess.run(command, capture_output=True, timeout=_GRACE_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            raise GuestTimeout(f"The guest does not answer; its serial log ends in:\n{self.serial_log[-_LAST:]}") from None


def _check(ended: subprocess.CompletedProcess[bytes] | subprocess.CompletedProcess[str]) -> None:
    try:
        ended.check_returncode()
    except subprocess.CalledProcessError as failed:
        for said in (ended.stdout, ended.stderr):
            failed.add_note((said if isinstance(said, str) else _text(said))[-_LAST:])
        raise


def _text(said: bytes) -> str:
    return said.decode("utf-8", "replace")


def _clock() -> str:
    """Return kernel parameters that tell the guest how fast its clock runs: a busy machine makes it measure wrongly."""
    found = re.search(r"^bogomips\s*:\s*([\d.]+)", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    assert found is not None, "/proc/cpuinfo tells no BogoMIPS, from which the rate of the time stamp counter is known"
    return f"tsc=reliable tsc_early_khz={int(float(found[1]) * 500)}"

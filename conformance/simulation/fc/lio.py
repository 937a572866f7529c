"""An FC target that is told what to show: a service for the machine whose kernel is the target (LIO, tcm_fc over FCoE VN2VN).

Run as root: ``python3 lio.py --listen 192.0.2.2:7000 --files /share --fabric eth2:eth1 --fabric eth4:eth3``. It needs nothing but
Python, so that the file can be copied to the machine alone. Each fabric is a target and an initiator NIC that reach each other; the
WWPN of a NIC's port is 2000 and its MAC address.

``GET /ports``                                     WWPN of each target port -> whether it is up, and which initiators are logged in
``PUT /ports {"port": WWPN, "up": false}``         cut or heal one
``PUT /luns {"ports": [WWPN], "luns": [...]}``     let these ports show exactly these LUNs, and answer when they do; see `Lun`
``PUT /frozen {"wwns": [WWN]}``                    hold reads and writes of exactly these; what a connection holds goes on when it ends

Three things stand between a file and its LUN. A loop device, since LIO keeps the size of a plain file for ever. A device-mapper
device over it, which can be held for a moment and given another file while initiators have it open. And a backstore with the SCSI
identity.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

_CONFIG = Path("/sys/kernel/config/target")
_BACKSTORES = _CONFIG / "core" / "iblock_0"
_FCOE = Path("/sys/module/libfcoe/parameters")
_MODULES = ("e1000e", "fcoe", "tcm_fc", "target_core_iblock", "loop", "dm-mod")
_MTU = "2500"
_NIC_SECONDS = 10.0
_LOGIN_SECONDS = 60.0
_LOOKS = 5
_LOOK_SECONDS = 10.0
_COMMAND_SECONDS = 60.0
_POLL_SECONDS = 0.05
_SECTOR = 512
_COMPANY_DIGITS = 7
"""Of a NAA type 6 identifier: the type and the company; LIO takes the other 25 digits from the serial number."""


class LioError(Exception):
    """The kernel refused something, or did not do it in time."""


@dataclass(frozen=True, slots=True)
class Lun:
    """One LUN as one initiator is to see it."""

    initiator: str
    """WWPN, 16 hexadecimal digits."""
    lun: int
    wwn: str
    """NAA type 6, 32 hexadecimal digits; LUNs with the same one have the same bytes."""
    file: str
    """Below the folder of files."""
    inode: int
    """Of the file; another number says that another file has taken the name."""
    size: int
    vendor: str
    product: str


class Port:
    """One FC target port; what it shows is read from the kernel every time.

    Args:
        nic: of the port.
        neighbours: WWPNs of the initiators that its fabric leads to.
    """

    def __init__(self, nic: str, neighbours: Sequence[str]) -> None:
        self.wwpn = _wwpn(nic)
        self._nic = nic
        self._neighbours = neighbours
        self._group = _CONFIG / "fc" / _spelled(self.wwpn) / "tpgt_1"

    def open(self, initiators: Iterable[str]) -> None:
        """Bring the port up; these initiators may log in."""
        self._group.mkdir(parents=True, exist_ok=True)
        for initiator in initiators:
            self._acl(initiator).mkdir(exist_ok=True)
        self.set_up(up=True)

    def set_up(self, *, up: bool) -> None:
        """Cut or heal the port; return when its initiators have missed it, or found it again."""
        if up == self.is_up:
            return
        hosts = [host for host in map(_fc_host, self._neighbours) if host is not None and _read(host / "port_state") == "Online"]
        if up:
            self._enable()
            for host in hosts:
                self._let_in(host)
            return
        # tcm_fc never frees a command that is aborted, and a session with such a one never ends: none may be under way.
        with _quiet(hosts):
            (_FCOE / "disable").write_text(self._nic)
            for host in hosts:
                # Nothing else tells an initiator of a port that goes.
                (host / "issue_lip").write_text("1")
                _await(partial(_misses, host, self.wwpn), f"{self.wwpn} is not missed", _LOGIN_SECONDS)

    def _enable(self) -> None:
        if _fc_host(self.wwpn) is None:
            _bring_up(self._nic)
        else:
            (_FCOE / "enable").write_text(self._nic)
        _await(lambda: self.is_up, f"{self.wwpn} has not come up", _LOGIN_SECONDS)

    def _let_in(self, host: Path) -> None:
        """Let an initiator look until it has found the port: it may take one that comes back for the dead one, for ever."""
        for _ in range(_LOOKS):
            with _quiet([host]):
                (host / "issue_lip").write_text("1")
                _await(partial(_misses, host, self.wwpn), f"{self.wwpn} is not missed", _LOGIN_SECONDS)
            if _comes_true(lambda: not _misses(host, self.wwpn), _LOOK_SECONDS):
                return
        raise LioError(f"{host.name} has not logged in to {self.wwpn} in {_LOOKS} tries of {_LOOK_SECONDS} s")

    @property
    def is_up(self) -> bool:
        """Whether it is not cut, and has its id on the fabric."""
        host = _fc_host(self.wwpn)
        return host is not None and _read(host / "port_state") == "Online" and int(_read(host / "port_id"), 16) != 0

    def initiators(self) -> list[str]:
        """Return who is logged in."""
        host = _fc_host(self.wwpn)
        return [] if host is None else _logged_in(host)

    def shown(self) -> dict[tuple[str, int], str]:
        """Return (initiator, LUN) -> WWN."""
        units = self._units()
        return {
            (acl.name.replace(":", ""), int(mapped.name[4:])): units[(mapped / "unit").readlink().name]
            for acl in (self._group / "acls").iterdir()
            for mapped in acl.glob("lun_*")
        }

    def show(self, initiator: str, lun: int, wwn: str) -> None:
        """Put an open backstore behind a LUN number that is free."""
        acl = self._acl(initiator)
        acl.mkdir(exist_ok=True)
        (acl / f"lun_{lun}").mkdir()
        (acl / f"lun_{lun}" / "unit").symlink_to(self._unit(wwn))

    def hide(self, initiator: str, lun: int) -> None:
        """Take a LUN away; commands under way end first."""
        mapped = self._acl(initiator) / f"lun_{lun}"
        (mapped / "unit").unlink()
        mapped.rmdir()

    def release(self, kept: Collection[str]) -> None:
        """Let go of every backstore but these."""
        for name, wwn in self._units().items():
            if wwn not in kept:
                (self._group / "lun" / name / wwn).unlink()
                (self._group / "lun" / name).rmdir()

    def _acl(self, initiator: str) -> Path:
        return self._group / "acls" / _spelled(initiator)

    def _units(self) -> dict[str, str]:
        units = (self._group / "lun").glob("lun_*")
        return {unit.name: next(item.name for item in unit.iterdir() if item.is_symlink()) for unit in units}

    def _unit(self, wwn: str) -> Path:
        """Return the port's own LUN for a backstore, which initiators see under numbers of theirs."""
        units = self._units()
        name = next((name for name, of in units.items() if of == wwn), None)
        if name is None:
            name = next(free for number in range(len(units) + 1) if (free := f"lun_{number}") not in units)
            (self._group / "lun" / name).mkdir()
            (self._group / "lun" / name / wwn).symlink_to(_BACKSTORES / wwn)
        return self._group / "lun" / name


class Stores:
    """The open files, one backstore per WWN.

    Args:
        files: the folder that they are in.
    """

    def __init__(self, files: Path) -> None:
        self._files = files
        self._open: dict[str, tuple[Lun, str]] = {}
        self._frozen: set[str] = set()

    def clear(self) -> None:
        """Close what an earlier run has left open."""
        for store in _BACKSTORES.glob("*/wwn"):
            store.parent.rmdir()
        for line in _dmsetup("ls").splitlines():
            if line.startswith("fc-"):
                _dmsetup("remove", line.split()[0], "--retry")
        for line in _run("losetup", "--list", "--noheadings", "--output", "NAME,BACK-FILE").splitlines():
            device, _, file = line.partition(" ")
            if file.strip().startswith(f"{self._files}/"):
                _run("losetup", "--detach", device)

    def open(self, lun: Lun) -> None:
        """Open a file, or open it again where it has another size or is another one."""
        device = _device(lun.wwn)
        if lun.wwn not in self._open:
            loop = self._loop(lun)
            _dmsetup("create", device, "--table", _table(lun, loop))
            _make_backstore(lun)
            self._open[lun.wwn] = (lun, loop)
            return
        before, old = self._open[lun.wwn]
        if (before.file, before.inode, before.size) != (lun.file, lun.inode, lun.size):
            loop = self._loop(lun)
            _dmsetup("reload", device, "--table", _table(lun, loop))
            self._open[lun.wwn] = (lun, loop)
            if lun.wwn not in self._frozen:
                _dmsetup("resume", device)
            # Where the device is held the kernel keeps the old loop until the device goes on.
            _run("losetup", "--detach", old)

    def close(self, kept: Collection[str]) -> None:
        """Close every file but these; no port may show it."""
        for wwn in [wwn for wwn in self._open if wwn not in kept]:
            self.thaw([wwn])
            (_BACKSTORES / wwn).rmdir()
            _dmsetup("remove", _device(wwn), "--retry")
            _run("losetup", "--detach", self._open.pop(wwn)[1])

    def freeze(self, wwns: Iterable[str]) -> list[str]:
        """Hold reads and writes of those that are open, once what is under way has reached the files; return which are held."""
        held = [wwn for wwn in wwns if wwn in self._open and wwn not in self._frozen]
        for wwn in held:
            _dmsetup("suspend", _device(wwn), "--nolockfs")
            self._frozen.add(wwn)
        return held

    def thaw(self, wwns: Iterable[str]) -> None:
        """Let what is held go on."""
        for wwn in wwns:
            if wwn in self._frozen:
                _dmsetup("resume", _device(wwn))
                self._frozen.remove(wwn)

    def _loop(self, lun: Lun) -> str:
        path = self._files / lun.file
        # Looking at a shared file's size is what makes the kernel ask for it; a loop device takes it as it is known.
        size = path.stat().st_size
        if size != lun.size:
            raise LioError(f"{path} has {size} bytes here, not {lun.size}; mount the share with cache=none")
        return _run("losetup", "--find", "--show", str(path)).strip()


class Lio:
    """The targets of this machine.

    Args:
        files: the folder with the bytes.
        fabrics: (NIC of a target port, NIC of an initiator) that reach each other.
    """

    def __init__(self, files: Path, fabrics: Sequence[tuple[str, str]]) -> None:
        self._guard = threading.Lock()
        self._stores = Stores(files)
        _run("modprobe", "--all", *_MODULES)
        for nic in (nic for fabric in fabrics for nic in fabric):
            _await(Path("/sys/class/net", nic).exists, f"no NIC {nic}", _NIC_SECONDS)
        self._initiators = {initiator: _wwpn(initiator) for _, initiator in fabrics}
        targets = dict.fromkeys(target for target, _ in fabrics)
        opened = [Port(nic, [self._initiators[near] for target, near in fabrics if target == nic]) for nic in targets]
        self._ports = {port.wwpn: port for port in opened}
        _BACKSTORES.mkdir(parents=True, exist_ok=True)

    def open(self) -> None:
        """Bring every fabric up, with no LUNs."""
        for port in self._ports.values():
            # An initiator asks only once, at its login, whether a port is a target: the port is one before the initiator is there.
            port.open(self._initiators.values())
        self._converge(list(self._ports.values()), [])
        self._stores.clear()
        for nic, wwpn in self._initiators.items():
            if _fc_host(wwpn) is None:
                _bring_up(nic)
        for port in self._ports.values():
            _await(port.initiators, f"no initiator has logged in to {port.wwpn}", _LOGIN_SECONDS)

    def ports(self, _: Any) -> Any:
        """Return the target ports."""
        with self._guard:
            return {wwpn: {"up": port.is_up, "initiators": port.initiators()} for wwpn, port in self._ports.items()}

    def set_port(self, body: Any) -> Any:
        """Cut or heal one port."""
        with self._guard:
            (port,) = self._named([str(body["port"])])
            port.set_up(up=bool(body["up"]))
        return {}

    def set_luns(self, body: Any) -> Any:
        """Let some ports show exactly these LUNs."""
        with self._guard:
            self._converge(self._named(body["ports"]), [Lun(**lun) for lun in body["luns"]])
        return {}

    def freeze(self, wwns: Sequence[str]) -> list[str]:
        """Hold reads and writes; return what is held by this call."""
        with self._guard:
            return self._stores.freeze(wwns)

    def thaw(self, wwns: Sequence[str]) -> None:
        """Let reads and writes go on."""
        with self._guard:
            self._stores.thaw(wwns)

    def _converge(self, ports: Sequence[Port], luns: Sequence[Lun]) -> None:
        wanted = {(lun.initiator, lun.lun): lun for lun in luns}
        wwns = {lun.wwn for lun in luns}
        for port in ports:
            for (initiator, number), wwn in port.shown().items():
                lun = wanted.get((initiator, number))
                if lun is None or lun.wwn != wwn:
                    port.hide(initiator, number)
            port.release(wwns)
        others = [port for port in self._ports.values() if port not in ports]
        self._stores.close(wwns | {wwn for port in others for wwn in port.shown().values()})
        for lun in luns:
            self._stores.open(lun)
        for port in ports:
            shown = port.shown()
            for (initiator, number), lun in wanted.items():
                if (initiator, number) not in shown:
                    port.show(initiator, number, lun.wwn)

    def _named(self, wwpns: Iterable[str]) -> list[Port]:
        for wwpn in wwpns:
            if wwpn not in self._ports:
                raise ValueError(f"there is no FC port {wwpn!r}; there is {', '.join(self._ports)}")
        return [self._ports[wwpn] for wwpn in wwpns]


class Handler(BaseHTTPRequestHandler):
    """One client's connection; what it holds goes on at its end, whichever way it ends."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    lio: Lio

    def setup(self) -> None:
        """Hold nothing."""
        super().setup()
        self._held: list[str] = []

    def finish(self) -> None:
        """Let go of what is held."""
        self.lio.thaw(self._held)
        super().finish()

    def log_message(self, format: str, *args: Any) -> None:
        """Nobody reads it."""

    def do_GET(self) -> None:
        """Answer a question."""
        self._answer({"/ports": self.lio.ports})

    def do_PUT(self) -> None:
        """Carry a request out."""
        self._answer({"/ports": self.lio.set_port, "/luns": self.lio.set_luns, "/frozen": self._set_frozen})

    def _set_frozen(self, body: Any) -> Any:
        wwns = [str(wwn) for wwn in body["wwns"]]
        self.lio.thaw([wwn for wwn in self._held if wwn not in wwns])
        self._held = [wwn for wwn in self._held if wwn in wwns] + self.lio.freeze(wwns)
        return {}

    def _answer(self, routes: Mapping[str, Callable[[Any], Any]]) -> None:
        text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, content = 200, {}
        try:
            content = routes[self.path](json.loads(text or "{}"))
        except (ValueError, KeyError, TypeError) as error:
            status, content = 400, {"error": f"{type(error).__name__}: {error}"}
        except (OSError, LioError, subprocess.SubprocessError) as error:
            status, content = 500, {"error": f"{type(error).__name__}: {error}"}
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()


def main(arguments: Sequence[str]) -> None:
    """Bring the fabrics up, say that the service is ready, and serve until the process is ended."""
    parser = argparse.ArgumentParser(description="An FC target that is told over HTTP what to show.")
    parser.add_argument("--listen", required=True, metavar="IP:PORT")
    parser.add_argument("--files", required=True, type=Path, help="folder that the files of LUNs are below")
    parser.add_argument("--fabric", required=True, action="append", metavar="TARGET:INITIATOR", help="NICs; may be repeated")
    given = parser.parse_args(arguments)
    lio = Lio(given.files, [(target, initiator) for target, _, initiator in (item.partition(":") for item in given.fabric)])
    lio.open()
    host, _, port = given.listen.rpartition(":")
    server = ThreadingHTTPServer((host, int(port)), type("Handler", (Handler,), {"lio": lio}))
    server.daemon_threads = True
    print(json.dumps(lio.ports(None)), flush=True)  # noqa: T201 - what the one who started it waits for
    server.serve_forever()


def _bring_up(nic: str) -> None:
    _run("ip", "link", "set", nic, "mtu", _MTU, "up")
    (_FCOE / "create_vn2vn").write_text(nic)


def _make_backstore(lun: Lun) -> None:
    store = _BACKSTORES / lun.wwn
    store.mkdir()
    (store / "control").write_text(f"udev_path={_node(_device(lun.wwn))}")
    (store / "enable").write_text("1")
    identity = {
        "vendor_id": lun.vendor,
        "product_id": lun.product,
        "company_id": f"0x{lun.wwn[1:_COMPANY_DIGITS]}",
        "vpd_unit_serial": lun.wwn[_COMPANY_DIGITS:],
    }
    for name, value in identity.items():
        (store / "wwn" / name).write_text(value)


def _device(wwn: str) -> str:
    return f"fc-{wwn}"


def _node(device: str) -> str:
    names = Path("/sys/block").glob("dm-*/dm/name")
    return next(f"/dev/{name.parts[-3]}" for name in names if _read(name) == device)


def _table(lun: Lun, loop: str) -> str:
    return f"0 {lun.size // _SECTOR} linear {loop} 0"


def _wwpn(nic: str) -> str:
    return "2000" + _read(Path("/sys/class/net", nic, "address")).replace(":", "")


def _spelled(wwpn: str) -> str:
    """Return a WWPN as LIO spells it."""
    return ":".join(wwpn[at : at + 2] for at in range(0, len(wwpn), 2))


def _fc_host(wwpn: str) -> Path | None:
    hosts = Path("/sys/class/fc_host").glob("host*")
    return next((host for host in hosts if _read(host / "port_name") == f"0x{wwpn}"), None)


def _logged_in(host: Path) -> list[str]:
    """Return the WWPNs of the ports that a port is logged in with."""
    ports = host.glob("device/rport-*/fc_remote_ports/rport-*")
    return [_read(port / "port_name").removeprefix("0x") for port in ports if _read(port / "port_state") == "Online"]


def _misses(host: Path, wwpn: str) -> bool:
    return wwpn not in _logged_in(host)


def _is_idle(disk: Path) -> bool:
    return _read(disk / "device_busy") == "0"


@contextlib.contextmanager
def _quiet(hosts: Sequence[Path]) -> Iterator[None]:
    """Let these initiators send no command for a moment, once what is under way has ended; what is tried meanwhile fails."""
    found = (disk for host in hosts for disk in host.glob("device/rport-*/target*/*:*:*:*"))
    disks = [disk for disk in found if _read(disk / "state") == "running"]
    for disk in disks:
        (disk / "state").write_text("offline\n")
    try:
        for disk in disks:
            _await(partial(_is_idle, disk), f"{disk.name} is busy", _LOGIN_SECONDS)
        yield
    finally:
        for disk in disks:
            # One that is blocked with its port by now, or gone, needs no more.
            with contextlib.suppress(OSError):
                if _read(disk / "state") == "offline":
                    (disk / "state").write_text("running\n")


def _read(path: Path) -> str:
    return path.read_text().strip()


def _dmsetup(*arguments: str) -> str:
    # Nothing is to be found by a label that an initiator has written, and waiting for udev takes longer than all else.
    return _run("dmsetup", "--noudevrules", "--noudevsync", *arguments)


def _run(*command: str) -> str:
    ended = subprocess.run(command, capture_output=True, text=True, timeout=_COMMAND_SECONDS, check=False)
    if ended.returncode:
        raise LioError(f"{' '.join(command)}: {ended.stderr.strip()}")
    return ended.stdout


def _await(condition: Callable[[], object], failure: str, seconds: float) -> None:
    if not _comes_true(condition, seconds):
        raise LioError(f"{failure} within {seconds} s")


def _comes_true(condition: Callable[[], object], seconds: float) -> bool:
    ending = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > ending:
            return False
        time.sleep(_POLL_SECONDS)
    return True


if __name__ == "__main__":
    main(sys.argv[1:])

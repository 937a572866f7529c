"""A data plane of files, targets and portals: what hosts of a simulated array read and write."""

from __future__ import annotations

import contextlib
import logging
import secrets
import shutil
import subprocess
import tempfile
import threading
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from blockdrivers.host import programs
from conformance.simulation.dataplane import Access, Identity
from conformance.simulation.iscsi import target
from conformance.simulation.iscsi.files import Files
from conformance.simulation.iscsi.portal import Portal
from conformance.simulation.iscsi.target import Target, Unit

_log = logging.getLogger(__name__)

_PORT = 3260
_ADDRESS_TRIES = 50
_SPARE = Path("/dev/shm")  # noqa: S108 - for sparse files beyond the 16 TiB that ext4 can hold


def missing() -> str | None:
    """Return what this machine lacks for a data plane, as a sentence; None where it has everything."""
    return programs.lacking(*target.PROGRAMS)


class IscsiPlane:
    """The bytes of one array and who may reach them over iSCSI; close it after use.

    Args:
        portals: IP addresses to listen at, one per controller; by default two of the loopback network that no other array has.
        folder: where a folder with the files is made; that for temporary files by default.
    """

    def __init__(self, portals: Sequence[str] | None = None, folder: Path | None = None) -> None:
        if reason := missing():
            raise target.TargetError(reason)
        self._folder = tempfile.TemporaryDirectory(prefix="blockdrivers-luns-", dir=folder)
        self._spare = _SPARE / Path(self._folder.name).name
        self._files = Files(Path(self._folder.name), self._spare)
        self._guard = threading.RLock()
        self._targets: dict[str, Target] = {}
        self._hosts: dict[tuple[str | None, str], str] = {}
        self._identity = Identity("", "", {})
        self._accesses: tuple[Access, ...] = ()
        # The kernel ends a target when the thread that started it ends: this one lives as long as the plane.
        self._spawner = ThreadPoolExecutor(1, thread_name_prefix="tgtd")
        self.portals = [self._portal(ip) for ip in portals] if portals else self._free_portals()
        self._cut: set[str] = set()
        self._down: frozenset[str] = frozenset()

    @property
    def files(self) -> Files:
        """The bytes."""
        return self._files

    @property
    def addresses(self) -> list[str]:
        """IP addresses of the portals."""
        return [portal.address[0] for portal in self.portals]

    def close(self) -> None:
        """End every target and portal and forget every byte."""
        for portal in self.portals:
            portal.close()
        with self._guard:
            for running in self._targets.values():
                running.stop()
            self._targets.clear()
            self._hosts.clear()
        self._spawner.shutdown()
        self._folder.cleanup()
        shutil.rmtree(self._spare, ignore_errors=True)

    # Bytes: see DataPlane

    def create(self, wwn: str, size: int) -> None:
        """Begin an empty volume."""
        self._files.create(wwn, size)

    def delete(self, wwn: str) -> None:
        """Forget the bytes of a volume or snapshot; whoever still sees it loses it."""
        with self._guard:
            for running in self._targets.values():
                for lun, unit in running.units.items():
                    if unit.wwn == wwn:
                        running.hide(lun)
            self._files.delete(wwn)

    def resize(self, wwn: str, size: int) -> None:
        """Grow on line."""
        with self._guard:
            self._files.resize(wwn, size)
            self._reopen(wwn)

    def copy(self, source: str, target: str) -> None:
        """Let the target's first bytes be the source's."""
        with self._guard:
            with self._frozen(source, target):
                self._files.copy(source, target)
            self._reopen(target)

    def snapshot(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Keep the bytes of several volumes at one moment."""
        with self._guard:
            with self._frozen(*(volume for volume, _ in pairs)):
                for volume, snapshot in pairs:
                    self._files.copy(volume, snapshot, self._files.size(volume))
            # A snapshot may have been shown to a host before it had a moment.
            if {snapshot for _, snapshot in pairs} & {access.wwn for access in self._accesses}:
                self.serve(self._accesses)

    def exchange(self, first: str, second: str) -> None:
        """Exchange the bytes of two volumes."""
        with self._guard:
            with self._frozen(first, second):
                self._files.exchange(first, second)
            self._reopen(first)
            self._reopen(second)

    # Access

    def identify(self, identity: Identity) -> None:
        """Say what hosts see of the array; what was served under another identity is served no more."""
        with self._guard:
            if identity != self._identity:
                self._forget(list(self._targets))
            self._identity = identity

    def serve(self, accesses: Sequence[Access]) -> None:
        """Let exactly these accesses be possible."""
        wanted: dict[str, list[Access]] = defaultdict(list)
        for access in accesses:
            if _iscsi(access) and self._files.holds(access.wwn) and _is_servable(access.chap):
                wanted[access.host].append(access)
        with self._guard:
            for host, running in self._targets.items():
                shown = {access.lun: access.wwn for access in wanted.get(host, ())}
                for lun, unit in running.units.items():
                    if shown.get(lun) != unit.wwn:
                        running.hide(lun)
            for host, of_host in wanted.items():
                self._serve_host(host, of_host)
            self._accesses = tuple(accesses)
            self._forget([host for host in self._targets if host not in wanted and not self._is_connected(host)])

    def _serve_host(self, host: str, accesses: Sequence[Access]) -> None:
        initiators, chap = set(_iscsi(accesses[0])), accesses[0].chap
        if host not in self._targets:
            # Arrays differ in whether each host or each portal has a target of its own, or all share one.
            names = list(dict.fromkeys(accesses[0].target or self._identity.targets[address] for address in self.addresses))
            self._targets[host] = self._spawner.submit(Target, names, _spawn).result()
        running = self._targets[host]
        running.admit(initiators, chap)
        ways = {(accesses[0].portal, name) for name in initiators}
        gone = [way for way, of in self._hosts.items() if of == host and way not in ways]
        for way in gone:
            del self._hosts[way]
        self._break(gone)
        self._hosts.update(dict.fromkeys(ways, host))
        for access in accesses:
            unit = Unit(self._files.path(access.wwn), access.wwn, self._identity.vendor, self._identity.product)
            running.show(access.lun, unit)

    def _forget(self, hosts: Sequence[str]) -> None:
        for host in hosts:
            self._targets.pop(host).stop()
            for way in [way for way, of in self._hosts.items() if of == host]:
                del self._hosts[way]

    def _is_connected(self, host: str) -> bool:
        ways = [way for way, of in self._hosts.items() if of == host]
        return any(portal.serves(name) for at, name in ways for portal in self._leading(at))

    def _break(self, ways: Sequence[tuple[str | None, str]]) -> None:
        for at, name in ways:
            for portal in self._leading(at):
                portal.break_connections([name])

    def _leading(self, at: str | None) -> Sequence[Portal]:
        return [portal for portal in self.portals if at in {None, portal.address[0]}]

    def _reopen(self, wwn: str) -> None:
        for running in self._targets.values():
            running.reopen(wwn, self._files.path(wwn))

    @contextlib.contextmanager
    def _frozen(self, *wwns: str) -> Iterator[None]:
        """Hold the hosts' requests to these volumes for a moment, so that a copy is of one moment."""
        with contextlib.ExitStack() as stack:
            for running in self._targets.values():
                if any(unit.wwn in wwns for unit in running.units.values()):
                    stack.enter_context(running.frozen())
            yield

    # Portals

    def paths(self) -> Mapping[str, bool]:
        """Return whether each portal, as ``IP:port``, accepts connections."""
        return {portal.name: portal.is_up for portal in self.portals}

    def set_path(self, portal: str, *, up: bool) -> None:
        """Cut or heal one portal; raise `ValueError` for one that is not there."""
        if portal not in self.paths():
            raise ValueError(f"there is no portal {portal!r}; there is {', '.join(self.paths())}")
        (self._cut.discard if up else self._cut.add)(portal)
        self._follow()

    def heal(self) -> None:
        """Heal every portal that was cut by `set_path`."""
        self._cut.clear()
        self._follow()

    def set_down(self, controllers: Collection[str]) -> None:
        """Cut the portals of exactly these controllers; the first is ``A``'s, the second ``B``'s, and so on in turn."""
        self._down = frozenset(controllers)
        self._follow()

    def _follow(self) -> None:
        for number, portal in enumerate(self.portals):
            if portal.name in self._cut or "AB"[number % 2] in self._down:
                portal.cut()
            else:
                portal.heal()

    def _portal(self, ip: str) -> Portal:
        return Portal((ip, _PORT), partial(self._route, ip), self._shown)

    def _free_portals(self) -> list[Portal]:
        for _ in range(_ADDRESS_TRIES):
            network = f"127.{secrets.randbelow(254) + 1}.{secrets.randbelow(255)}"
            opened: list[Portal] = []
            try:
                for last in (11, 12):
                    opened.append(self._portal(f"{network}.{last}"))  # noqa: PERF401 - what was opened is closed on failure
            except OSError:
                for portal in opened:
                    portal.close()
            else:
                return opened
        raise target.TargetError(f"no two free portal addresses were found in {_ADDRESS_TRIES} tries")

    def _route(self, ip: str, initiator: str) -> int | None:
        with self._guard:
            host = self._hosts.get((ip, initiator)) or self._hosts.get((None, initiator))
            return None if host is None else self._targets[host].port

    def _shown(self, initiator: str) -> Sequence[tuple[str, str]]:
        own = {access.portal: access.target for access in self._accesses if access.target and initiator in access.initiators}
        return [(own.get(portal.address[0]) or self._identity.targets[portal.address[0]], portal.name) for portal in self.portals]


def _spawn(command: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _is_servable(chap: tuple[str, str] | None) -> bool:
    """Tell whether tgt can take CHAP credentials: a comma ends a value there."""
    if chap is None or "," not in "".join(chap):
        return True
    _log.warning("tgt takes no comma in CHAP credentials: user %r is let in nowhere", chap[0])
    return False


def _iscsi(access: Access) -> list[str]:
    return [name for name in access.initiators if name.startswith(("iqn.", "eui.", "naa."))]

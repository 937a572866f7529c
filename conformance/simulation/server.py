"""A simulated array as a whole: two controllers, a control API, and the line that tells clients how to reach it."""

from __future__ import annotations

import ctypes
import json
import shutil
import signal
import ssl
import tempfile
import threading
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

import paramiko

from conformance.simulation import ca
from conformance.simulation.control import ControlApi
from conformance.simulation.counters import Counters
from conformance.simulation.dataplane import ServedPlane
from conformance.simulation.family import Door, Family, SshDoor, doors_of
from conformance.simulation.faults import FaultPlan
from conformance.simulation.fc.plane import FcPlane
from conformance.simulation.http import HttpController
from conformance.simulation.iscsi import plane as iscsi
from conformance.simulation.nfs.ganesha import NfsServer
from conformance.simulation.ssh import Account, SshController

_PR_SET_PDEATHSIG = 1


class SimulatedArray:
    """One array on real sockets; start and stop it, or use it as a context manager.

    Args:
        family: the array behind the sockets.
        host: where both controllers listen.
        port: of the first controller; 0 takes a free one. The second always takes a free one.
        tls: False serves plain HTTP.
        latency_ms: what every management request takes longer.
        plane: keeps the family's bytes and serves them; it is closed with the array.
        nfs: serves the family's files; so, too.
    """

    def __init__(
        self,
        family: Family,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: bool = True,
        latency_ms: float = 0.0,
        plane: ServedPlane | None = None,
        nfs: NfsServer | None = None,
    ) -> None:
        self.family = family
        self.plane = plane
        self._nfs = nfs
        self.faults = FaultPlan()
        self.counters = Counters()
        self.latency_seconds = latency_ms / 1000
        self._host = host
        self._folder = Path(tempfile.mkdtemp(prefix="blockdrivers-array-"))
        self._certificates = ca.issue(self._folder, host) if tls else None
        self._doors = [
            [self._controller(door, name, port if (number, name) == (0, "A") else 0) for name in "AB"]
            for number, door in enumerate(doors_of(family))
        ]
        self._control = ControlApi(self)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    @property
    def ready(self) -> Mapping[str, Any]:
        """What clients are told: see the design, section Simulators."""
        return {
            "model": self.family.model,
            **self._managements(),
            **self.family.ready(),
            "data_plane": {
                "iscsi": self.plane is not None,
                "fc": isinstance(self.plane, FcPlane),
                "nfs": self._nfs is not None,
                "missing": None if self.plane else iscsi.missing(),
            },
            "control": self._control.url,
        }

    def start(self) -> None:
        """Begin to serve."""
        for controller in self._controllers():
            controller.start()
        self._control.start()

    def stop(self) -> None:
        """Stop serving, close every socket and remove the certificates."""
        self.faults.clear()
        for controller in self._controllers():
            controller.stop()
        self._control.stop()
        if self.plane is not None:
            self.plane.close()
        if self._nfs is not None:
            self._nfs.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def sync_faults(self) -> None:
        """Let a full pool begin or end, and cut what a refusing array or a lost controller does not keep."""
        self.family.set_full(self.faults.is_full())
        down = [name for name in "AB" if self.faults.is_down(name)]
        if self.plane is not None:
            self.plane.set_down(down)
        for controller in self._controllers():
            if self.faults.is_refusing() or controller.name in down:
                controller.cut_all()

    def reset(self) -> None:
        """Become a new array without faults, with counters at zero."""
        self.faults.clear()
        self.family.reset()
        self.sync_faults()
        if self.plane is not None:
            self.plane.heal()
        self.counters.clear()

    def _expire_sessions(self) -> None:
        """End every management session; one over SSH is its connection."""
        self.family.expire_sessions()
        # All at one moment: what a client begins anew at one controller because the other has cut it off is no old session.
        over = [(each, each.opened()) for each in self._controllers() if isinstance(each, SshController)]
        for controller, connections in over:
            controller.cut(connections)

    def _controllers(self) -> Iterator[HttpController | SshController]:
        for door in self._doors:
            yield from door

    def _controller(self, door: Door, name: str, port: int) -> HttpController | SshController:
        shared: dict[str, Any] = {
            "name": name,
            "host": self._host,
            "port": port,
            "faults": self.faults,
            "counters": self.counters,
            "latency": lambda: self.latency_seconds,
            "on_failover": self.sync_faults,
            "expire": self._expire_sessions,
        }
        if isinstance(door, SshDoor):
            return SshController(door, **shared, account=self._account)
        return HttpController(door, **shared, tls=self._context)

    @cached_property
    def _account(self) -> Account:
        key = paramiko.ECDSAKey.generate()
        key.write_private_key_file(str(self._key_file))
        return Account(self.family.username, self.family.password, key)

    @property
    def _key_file(self) -> Path:
        return self._folder / "id_ecdsa"

    @cached_property
    def _context(self) -> ssl.SSLContext | None:
        if self._certificates is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self._certificates.certificate, self._certificates.key)
        return context

    def _managements(self) -> Mapping[str, Any]:
        """Return the way to each controller: of the first door as ``management``, of a second one as ``ssh`` or ``rest``."""
        found: dict[str, Any] = {}
        for number, (first, second) in enumerate(self._doors):
            further = "ssh" if isinstance(first, SshController) else "rest"
            key = further if number else "management"
            found |= {key: self._management(first), f"{key}2": self._management(second)}
        return found

    def _management(self, controller: HttpController | SshController) -> Mapping[str, Any]:
        ways = {"username": self.family.username, "password": self.family.password}
        where = {"host": self._host, "port": controller.port}
        if isinstance(controller, SshController):
            url = f"ssh://{self._host}:{controller.port}"
            trust = {"ca_file": None, "host_key": controller.shown_key, "private_key_file": str(self._key_file)}
            return {"protocol": "ssh", **where, "url": url, **ways, **trust}
        scheme = "http" if self._certificates is None else "https"
        url = f"{scheme}://{self._host}:{controller.port}{controller.path}"
        ca_file = str(self._certificates.ca_file) if self._certificates else None
        return {"protocol": scheme, **where, "url": url, **ways, "ca_file": ca_file, "host_key": None}


def run_forever(array: SimulatedArray, out: TextIO, *, die_with_parent: bool = False) -> None:
    """Serve until SIGTERM or SIGINT; print the ready line when clients can connect.

    With `die_with_parent` the kernel ends this process when its parent dies, however that happens.
    """
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    if die_with_parent:
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    with array:
        print(json.dumps(array.ready), file=out, flush=True)
        ended.wait()

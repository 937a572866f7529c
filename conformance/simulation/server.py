"""A simulated array as a whole: two controllers, a control API, and the line that tells clients how to reach it."""

from __future__ import annotations

import ctypes
import json
import shutil
import signal
import ssl
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from conformance.simulation import ca
from conformance.simulation.control import ControlApi
from conformance.simulation.counters import Counters
from conformance.simulation.dataplane import ServedPlane
from conformance.simulation.family import Family
from conformance.simulation.faults import FaultPlan
from conformance.simulation.fc.plane import FcPlane
from conformance.simulation.http import Controller
from conformance.simulation.iscsi import plane as iscsi

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
    ) -> None:
        self.family = family
        self.plane = plane
        self.faults = FaultPlan()
        self.counters = Counters()
        self.latency_seconds = latency_ms / 1000
        self._host = host
        self._folder = Path(tempfile.mkdtemp(prefix="blockdrivers-array-"))
        self._certificates = ca.issue(self._folder, host) if tls else None
        context = self._context()
        self._controllers = [
            Controller(
                family,
                name=name,
                host=host,
                port=wanted,
                faults=self.faults,
                counters=self.counters,
                latency=lambda: self.latency_seconds,
                tls=context,
                on_failover=self.sync_faults,
            )
            for name, wanted in (("A", port), ("B", 0))
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
        first, second = (self._management(controller) for controller in self._controllers)
        return {
            "model": self.family.model,
            "management": first,
            "management2": second,
            **self.family.ready(),
            "data_plane": {
                "iscsi": self.plane is not None,
                "fc": isinstance(self.plane, FcPlane),
                "missing": None if self.plane else iscsi.missing(),
            },
            "control": self._control.url,
        }

    def start(self) -> None:
        """Begin to serve."""
        for controller in self._controllers:
            controller.start()
        self._control.start()

    def stop(self) -> None:
        """Stop serving, close every socket and remove the certificates."""
        self.faults.clear()
        for controller in self._controllers:
            controller.stop()
        self._control.stop()
        if self.plane is not None:
            self.plane.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def sync_faults(self) -> None:
        """Let a full pool begin or end, and cut what a refusing array or a lost controller does not keep."""
        self.family.set_full(self.faults.is_full())
        if self.plane is not None:
            self.plane.set_down([controller.name for controller in self._controllers if self.faults.is_down(controller.name)])
        if self.faults.is_refusing():
            for controller in self._controllers:
                controller.cut_all()

    def reset(self) -> None:
        """Become a new array without faults, with counters at zero."""
        self.faults.clear()
        self.family.reset()
        self.sync_faults()
        if self.plane is not None:
            self.plane.heal()
        self.counters.clear()

    def _context(self) -> ssl.SSLContext | None:
        if self._certificates is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self._certificates.certificate, self._certificates.key)
        return context

    def _management(self, controller: Controller) -> Mapping[str, Any]:
        scheme = "http" if self._certificates is None else "https"
        return {
            "protocol": scheme,
            "host": self._host,
            "port": controller.port,
            "url": f"{scheme}://{self._host}:{controller.port}{self.family.management_path}",
            "username": self.family.username,
            "password": self.family.password,
            "ca_file": str(self._certificates.ca_file) if self._certificates else None,
            "host_key": None,
        }


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

"""The same work through Cinder on the same simulated array, with the cinder package's own driver for it and with ours.

Needs the environment that BLOCKDRIVERS_CINDER_SERVICE names (``make bench-cinder`` builds it).
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.simulated import Simulated, simulated
from tests.cinder.lab.api import Api
from tests.cinder.lab.cloud import connector
from tests.cinder.lab.configuration import Configuration
from tests.cinder.lab.services import Services

MODEL = "OceanStor 5500 V5"
VOLUMES = 50
AT_ONCE = 10
LATENCY_MS = 20
ENVIRONMENT = "BLOCKDRIVERS_CINDER_SERVICE"
THEIRS, OURS = "vendor", "ours"
TARGET = 2.0
"""How many times fewer requests, and how many times less time, ours may at least be expected to take in all."""
XML = """<?xml version="1.0"?>
<config><Storage><Product>V3</Product><Protocol>iSCSI</Protocol><RestURL>{url}</RestURL>
<UserName>{username}</UserName><UserPassword>{password}</UserPassword></Storage>
<LUN><LUNType>Thin</LUNType><StoragePool>pool_a</StoragePool></LUN>
<iSCSI><DefaultTargetIP>{portal}</DefaultTargetIP></iSCSI></config>"""


@dataclass
class Work:
    """One back end's volumes through all phases."""

    api: Api
    backend: str
    volumes: tuple[str, ...] = ()
    attachments: tuple[str, ...] = ()
    snapshots: tuple[str, ...] = ()

    def create(self) -> None:
        """Make the volumes."""
        body = {"volume": {"size": 1, "volume_type": self.backend}}
        self.volumes = self._each(lambda _: self.api.post("/volumes", body)["volume"]["id"], range(VOLUMES))
        self._settle("volume", self.volumes)

    def attach(self) -> None:
        """Connect them all to one host."""
        self.attachments = self._each(self._attach, self.volumes)

    def snapshot(self) -> None:
        """Take a snapshot of each, in use."""
        body = {"force": True}
        self.snapshots = self._each(
            lambda volume: self.api.post("/snapshots", {"snapshot": {"volume_id": volume, **body}})["snapshot"]["id"],
            self.volumes,
        )
        self._settle("snapshot", self.snapshots)

    def drop_snapshots(self) -> None:
        """Delete the snapshots."""
        self._each(lambda snapshot: self.api.remove("snapshot", snapshot), self.snapshots)

    def detach(self) -> None:
        """Take the volumes away from the host."""
        self._each(lambda attachment: self.api.delete(f"/attachments/{attachment}", micro="3.27"), self.attachments)
        self._settle("volume", self.volumes)

    def delete(self) -> None:
        """Delete the volumes."""
        self._each(lambda volume: self.api.remove("volume", volume), self.volumes)

    def phases(self) -> Sequence[tuple[str, Callable[[], None]]]:
        """Return the phases in order."""
        return (
            ("create", self.create),
            ("attach", self.attach),
            ("snapshot", self.snapshot),
            ("delete snapshots", self.drop_snapshots),
            ("detach", self.detach),
            ("delete", self.delete),
        )

    def _attach(self, volume: str) -> str:
        body = {"attachment": {"volume_uuid": volume, "connector": connector("bench")}}
        made = self.api.post("/attachments", body, micro="3.54")["attachment"]["id"]
        self.api.post(f"/attachments/{made}/action", {"os-complete": {}}, micro="3.44")
        return str(made)

    def _settle(self, kind: str, identifiers: Sequence[str]) -> None:
        for identifier in identifiers:
            self.api.wait(kind, identifier, seconds=300)

    @staticmethod
    def _each(step: Callable[[Any], Any], items: Any) -> tuple[Any, ...]:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return tuple(pool.map(step, items))


def main() -> bool:
    """Print the table; return whether the target holds."""
    if ENVIRONMENT not in os.environ:
        print(f"\n## Cinder: not run; `make bench-cinder` builds what {ENVIRONMENT} names")
        return True
    python = Path(os.environ[ENVIRONMENT]) / "bin" / "python"
    print(f"\n## {VOLUMES} volumes through Cinder, {AT_ONCE} at once, {LATENCY_MS} ms per request, {MODEL}\n")
    print(
        "| phase | requests, cinder's driver | requests, ours | s, cinder's driver | s, ours | ratio |\n|---|--:|--:|--:|--:|--:|"
    )
    with tempfile.TemporaryDirectory() as name, simulated(MODEL) as array:
        folder = Path(name)
        (folder / "services").mkdir()
        told = Configuration(python=python, folder=folder / "services", backends=_backends(array, folder), quiet=True)
        with Services(told) as services:
            api = Api(services.root)
            for backend in (THEIRS, OURS):
                specs = {"name": backend, "extra_specs": {"volume_backend_name": backend}}
                api.post("/types", {"volume_type": specs})
            array.latency(LATENCY_MS)
            # One after the other: neither takes the services' time from the other.
            theirs, ours = (_run(array, Work(api, backend)) for backend in (THEIRS, OURS))
    sums = [[sum(column) for column in zip(*measured.values(), strict=True)] for measured in (theirs, ours)]
    for phase in theirs:
        _row(phase, theirs[phase], ours[phase])
    _row("sum", sums[0], sums[1])
    print(f"| per volume | {sums[0][0] / VOLUMES:.1f} | {sums[1][0] / VOLUMES:.1f} | | | |")
    return all(theirs / ours >= TARGET for theirs, ours in zip(*sums, strict=True))


def _row(title: str, theirs: Sequence[float], ours: Sequence[float]) -> None:
    ratio = theirs[1] / ours[1]
    print(f"| {title} | {theirs[0]:.0f} | {ours[0]:.0f} | {theirs[1]:.1f} | {ours[1]:.1f} | {ratio:.1f} |")


def _run(array: Simulated, work: Work) -> dict[str, tuple[float, float]]:
    measured = {}
    for phase, step in work.phases():
        array.clear()
        started = time.monotonic()
        step()
        measured[phase] = (float(array.requests_sent()), time.monotonic() - started)
    return measured


def _backends(array: Simulated, folder: Path) -> dict[str, dict[str, object]]:
    management = array.ready["management"]
    xml = folder / "vendor.xml"
    xml.write_text(XML.format(portal=array.ready["iscsi"][0]["portal"].partition(":")[0], **management))
    return {
        THEIRS: {
            "volume_driver": "cinder.volume.drivers.huawei.huawei_driver.HuaweiISCSIDriver",
            "cinder_huawei_conf_file": xml,
        },
        OURS: {
            "volume_driver": "blockdrivers.integrations.cinder.driver.ISCSIDriver",
            "blockdrivers_config": array.config,
            "blockdrivers_pools": "pool_a",
        },
    }

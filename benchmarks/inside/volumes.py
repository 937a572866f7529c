"""One caller's volumes on a simulated array, through cinderlib or this library; run by the interpreter that has the one or the other.

Usage: volumes.py CLIENT WHAT. CLIENT is ``cinderlib`` or ``blockdrivers``; WHAT, a JSON object, is what the client is told of the array.
Prints one JSON object: what the client costs, and the seconds and requests of each phase.
"""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.request
from importlib import metadata
from pathlib import Path

for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
    os.environ.pop(name, None)

IQN = "iqn.1994-05.org.example:bench"


class Cinderlib:
    """The vendor's driver of the cinder package, called by cinderlib."""

    def __init__(self, told: dict) -> None:
        import cinderlib

        self._backend = cinderlib.Backend(volume_backend_name="bench", **told["cinderlib"])
        self._pool = f"#{told['pool']}"
        self._volumes, self._snapshots, self._connections = {}, {}, {}

    def create(self, number: int) -> None:
        self._volumes[number] = self._backend.create_volume(1, name=f"v{number}", pool_name=self._pool[1:])

    def attach(self, number: int) -> None:
        connector = {"initiator": IQN, "host": "bench", "ip": "192.0.2.10", "multipath": True, "os_type": "linux"}
        self._connections[number] = self._volumes[number].connect(connector)

    def snapshot(self, number: int) -> None:
        self._snapshots[number] = self._volumes[number].create_snapshot(f"s{number}")

    def drop_snapshot(self, number: int) -> None:
        self._snapshots[number].delete()

    def detach(self, number: int) -> None:
        self._connections[number].disconnect()

    def delete(self, number: int) -> None:
        self._volumes[number].delete()


class Blockdrivers:
    """This library's own driver."""

    def __init__(self, told: dict) -> None:
        from blockdrivers import open_backend
        from blockdrivers.model import GiB, Host, Protocol

        self._backend, self._pool, self._size = open_backend(told["config"], told["backend"]), told["pool"], GiB
        self._to = (Host("bench", iqn=IQN), Protocol.ISCSI)
        self._backend.pools()

    def create(self, number: int) -> None:
        self._backend.create_volume(f"v{number}", self._size, self._pool)

    def attach(self, number: int) -> None:
        self._backend.export(f"v{number}", *self._to)

    def snapshot(self, number: int) -> None:
        self._backend.create_snapshot(f"s{number}", f"v{number}")

    def drop_snapshot(self, number: int) -> None:
        self._backend.delete_snapshot(f"s{number}")

    def detach(self, number: int) -> None:
        self._backend.unexport(f"v{number}", *self._to)

    def delete(self, number: int) -> None:
        self._backend.delete_volume(f"v{number}")


CLIENTS = {"cinderlib": Cinderlib, "blockdrivers": Blockdrivers}
MODULES = {"cinderlib": "cinderlib", "blockdrivers": "blockdrivers.config"}
"""What has to be imported before a backend can be opened; both load its driver then."""
PHASES = ("create", "attach", "snapshot", "drop_snapshot", "detach", "delete")


def imported(module: str) -> dict[str, float]:
    """Return what an import costs."""
    started = time.perf_counter()
    __import__(module)
    return {"import ms": (time.perf_counter() - started) * 1000, "MiB after import": resident(), "modules": len(sys.modules)}


def resident() -> float:
    """Return this process' resident memory in MiB."""
    with Path("/proc/self/status").open() as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024


def installed(distribution: str) -> dict[str, float]:
    """Return the packages that a distribution needs, with itself, and what they hold on disk."""
    from packaging.requirements import Requirement

    found, wanted = {}, [distribution]
    while wanted:
        name = wanted.pop().lower().replace("_", "-").replace(".", "-")
        if name in found:
            continue
        found[name] = metadata.distribution(name)
        needed = (Requirement(text) for text in found[name].requires or ())
        wanted += [one.name for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})]
    files = [file.locate() for one in found.values() for file in one.files or ()]
    return {"packages": len(found), "MiB installed": sum(path.stat().st_size for path in files if path.is_file()) / 1024**2}


def requests(control: str) -> int:
    """Return the requests counted so far."""
    with urllib.request.urlopen(f"{control}/counters", timeout=10) as answer:
        return json.load(answer)["requests"]


def main(client: str, told: dict) -> None:
    started = time.perf_counter()
    costs = imported(MODULES[client])
    used = CLIENTS[client](told)
    costs["ms to an open backend"] = (time.perf_counter() - started) * 1000
    phases = {}
    for phase in PHASES:
        before, started = requests(told["control"]), time.perf_counter()
        for number in range(told["volumes"]):
            getattr(used, phase)(number)
        phases[phase] = [requests(told["control"]) - before, time.perf_counter() - started]
    costs["MiB at the end"] = resident()
    print(json.dumps({"costs": costs | installed(client), "phases": phases}), flush=True)
    # Cinder's threads are not waited for.
    os._exit(0)


main(sys.argv[1], json.loads(sys.argv[2]))

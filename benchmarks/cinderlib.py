"""The library alone beside cinderlib, the retired library of this kind: what each costs, and the same volumes through each.

Needs the environment that BLOCKDRIVERS_CINDERLIB names (``make bench-cinderlib`` builds it).
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.cinder import XML
from benchmarks.simulated import Simulated, simulated
from conformance.simulation.opening import BACKEND

MODEL = "OceanStor 5500 V5"
VOLUMES = 20
LATENCY_MS = 20
RUNS = 3
ENVIRONMENT = "BLOCKDRIVERS_CINDERLIB"
TARGETS = {"import ms": 5.0, "MiB at the end": 2.0, "packages": 5.0, "requests": 2.0, "seconds": 2.0}
"""How many times less ours may at least be expected to take."""
_PROGRAM = Path(__file__).parent / "inside" / "volumes.py"
_DRIVER = "cinder.volume.drivers.huawei.huawei_driver.HuaweiISCSIDriver"


def main() -> bool:
    """Print both tables; return whether the targets hold."""
    if ENVIRONMENT not in os.environ:
        print(f"\n## cinderlib: not run; `make bench-cinderlib` builds what {ENVIRONMENT} names")
        return True
    theirs, ours = (_median([_run(client) for _ in range(RUNS)]) for client in ("cinderlib", "blockdrivers"))
    print(f"\n## Beside cinderlib: {VOLUMES} volumes one by one, {LATENCY_MS} ms per request, {MODEL}, medians of {RUNS}\n")
    print("| | cinderlib | ours | ratio |\n|---|--:|--:|--:|")
    ratios = {}
    for what, one in theirs.items():
        other = ours[what]
        ratios[what] = one / other if other else float("inf")
        print(f"| {what} | {one:.4g} | {other:.4g} | {ratios[what]:.1f} |")
    return all(ratios[what] >= least for what, least in TARGETS.items())


def _median(runs: list[Mapping[str, float]]) -> dict[str, float]:
    return {what: statistics.median(run[what] for run in runs) for what in runs[0]}


def _run(client: str) -> dict[str, float]:
    """Run the phases on a new array; return the costs, and seconds and requests in all and of each phase."""
    with tempfile.TemporaryDirectory() as folder, simulated(MODEL) as array:
        told = _told(array, Path(folder))
        array.latency(LATENCY_MS)
        theirs = Path(os.environ[ENVIRONMENT]) / "bin" / "python"
        python = str(theirs) if client == "cinderlib" else sys.executable
        command = [python, "-W", "ignore", str(_PROGRAM), client, json.dumps(told)]
        # Not in this folder, whose module of that name would be found first.
        ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=folder)
    if ended.returncode:
        raise RuntimeError(f"{client} ended with status {ended.returncode}: {ended.stderr[-2000:]}")
    found = json.loads(ended.stdout.splitlines()[-1])
    phases: dict[str, list[float]] = found["phases"]
    total = {"requests": sum(row[0] for row in phases.values()), "seconds": sum(row[1] for row in phases.values())}
    each = {f"requests, {phase.replace('_', ' ')}": row[0] for phase, row in phases.items()}
    return found["costs"] | total | each


def _told(array: Simulated, folder: Path) -> dict[str, Any]:
    management = array.ready["management"]
    file = folder / "huawei.xml"
    file.write_text(XML.format(portal=array.ready["iscsi"][0]["portal"].partition(":")[0], **management))
    return {
        "control": array.ready["control"],
        "pool": "pool_a",
        "volumes": VOLUMES,
        "config": str(array.config),
        "backend": BACKEND,
        "cinderlib": {"volume_driver": _DRIVER, "cinder_huawei_conf_file": str(file)},
    }

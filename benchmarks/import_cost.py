"""What ``import blockdrivers`` costs: time and resident memory, beside an interpreter that imports nothing."""

from __future__ import annotations

import statistics
import subprocess
import sys

RUNS = 15
MAX_MILLISECONDS = 150.0
MAX_MEBIBYTES = 45.0

_PROGRAM = """
import sys, time
started = time.perf_counter()
{statement}
elapsed = time.perf_counter() - started
with open("/proc/self/status") as status:
    resident = next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
print(elapsed * 1000, resident / 1024, len(sys.modules))
"""


def measure(statement: str) -> tuple[float, float, int]:
    """Return the median milliseconds and mebibytes, and the modules loaded, of one statement in a new interpreter."""
    rows = []
    for _ in range(RUNS + 1):
        run = subprocess.run(
            [sys.executable, "-c", _PROGRAM.format(statement=statement)], capture_output=True, text=True, check=True
        )
        rows.append([float(field) for field in run.stdout.split()])
    counted = rows[1:]
    return statistics.median(row[0] for row in counted), statistics.median(row[1] for row in counted), int(counted[-1][2])


def main() -> bool:
    """Print the table; return whether both limits hold."""
    print("\n## import blockdrivers\n\n| statement | ms | MiB resident | modules |\n|---|--:|--:|--:|")
    measured = {
        statement: measure(statement)
        for statement in (
            "pass",
            "import blockdrivers",
            "from blockdrivers import Backend",
            "from blockdrivers import open_backend",
        )
    }
    for statement, (milliseconds, mebibytes, modules) in measured.items():
        print(f"| `{statement}` | {milliseconds:.1f} | {mebibytes:.1f} | {modules} |")
    milliseconds, mebibytes, _ = measured["import blockdrivers"]
    print(f"\nlimits: {MAX_MILLISECONDS:g} ms, {MAX_MEBIBYTES:g} MiB")
    return milliseconds <= MAX_MILLISECONDS and mebibytes <= MAX_MEBIBYTES

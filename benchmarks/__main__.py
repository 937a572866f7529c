"""Run every benchmark and print its table: ``python -m benchmarks [NAME ...]``."""

from __future__ import annotations

import sys

from benchmarks import (
    cinder,
    cinderlib,
    hitachi,
    hpe,
    hpe_storm,
    images,
    import_cost,
    macrosan,
    netapp,
    parallel,
    round_trips,
    svc,
    toyou,
)

BENCHMARKS = {
    "import": import_cost.main,
    "round-trips": round_trips.main,
    "round-trips-hpe": hpe.main,
    "round-trips-netapp": netapp.main,
    "round-trips-toyou": toyou.main,
    "round-trips-svc": svc.main,
    "round-trips-hitachi": hitachi.main,
    "round-trips-macrosan": macrosan.main,
    "parallel": parallel.main,
    "parallel-hpe": hpe_storm.main,
    "images": images.main,
    "cinder": cinder.main,
    "cinderlib": cinderlib.main,
}


def main(names: list[str]) -> int:
    """Run the named benchmarks, or all; return 1 when one misses its target."""
    missed = [name for name in names or BENCHMARKS if not BENCHMARKS[name]()]
    if missed:
        print(f"\ntargets missed: {', '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

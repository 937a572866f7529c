"""The guest's FC: an initiator and a target port on each of two fabrics, and the service that is told what the targets show."""

from __future__ import annotations

from pathlib import Path

from conformance.simulation.fc import lio
from tests.host.lab import network
from tests.host.lab.guest import FC_SEGMENTS, Guest, Started
from tests.host.lab.processes import LabError

SERVICE = f"{network.GUEST}:7000"
INITIATORS, PORTS = (tuple("2000" + pair[place].replace(":", "") for pair in FC_SEGMENTS) for place in (0, 1))
"""WWPNs; each target port reaches the initiator of the same place."""

_SECONDS = 120.0


def serve(guest: Guest) -> Started:
    """Start the FC target service and wait until its fabrics are up."""
    guest.put(Path(lio.__file__), "/opt/lab/lio.py")
    started = guest.start(f"python3 /opt/lab/lio.py --listen {SERVICE} --files /share --fabric eth2:eth1 --fabric eth4:eth3")
    ended = guest.run(
        f"timeout {_SECONDS:.0f} bash -c 'until grep -q . {started.log}; do sleep 0.1; done'", timeout=_SECONDS + 30, check=False
    )
    if ended.returncode or "initiators" not in started.output():
        raise LabError(f"The FC target service did not start: {started.output()}")
    return started

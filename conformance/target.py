"""What a conformance run is pointed at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from blockdrivers.model import Host, Protocol


@dataclass(frozen=True, slots=True)
class Target:
    """A backend under test, described so that another process can open it too.

    Attributes:
        config: a backend configuration file (`blockdrivers.config`), readable by child processes.
        backend: its name in that file.
        protocol: how volumes are exported in this run.
        pool: name of the pool that the checks use.
        other_pool: a second pool for moves; None where there is none.
        hosts: at least two hosts that the array accepts (for FC, whose WWPNs it sees).
        control: base URL of a simulator's control API; None for a real array, whose fault checks are then not run.
        model: for the certificate.
        attach: this machine is the first host, and volumes may be attached to it as root.
    """

    config: Path
    backend: str
    protocol: Protocol
    pool: str
    other_pool: str | None
    hosts: tuple[Host, ...]
    control: str | None
    model: str
    attach: bool = False

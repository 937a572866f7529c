"""The seam between an array's state and its bytes: every event that concerns bytes or who may reach them passes here.

Objects are named by WWN, which no array gives twice; array ids are.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Access:
    """One host's way to one volume or snapshot."""

    host: str
    wwn: str
    lun: int
    initiators: tuple[str, ...]
    """IQNs and WWPNs."""
    chap: tuple[str, str] | None = field(default=None, repr=False)
    """User name and secret that the host's iSCSI initiator must show."""
    portal: str | None = None
    """IP address of the only iSCSI portal that leads there, on arrays whose ports have hosts of their own; every one where None."""
    target: str | None = None
    """IQN of the target, where it is the host's own and not the portal's."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What hosts see of an array."""

    vendor: str
    """SCSI vendor identification, at most 8 characters."""
    product: str
    """SCSI product identification, at most 16 characters."""
    targets: Mapping[str, str]
    """IP address of a portal -> IQN of the target there."""


class DataPlane(Protocol):
    """Keeps the bytes of an array and serves them to hosts."""

    def identify(self, identity: Identity) -> None:
        """Say what hosts see of the array from now on."""
        ...

    def create(self, wwn: str, size: int) -> None:
        """Begin an empty volume of that many bytes."""
        ...

    def delete(self, wwn: str) -> None:
        """Forget the bytes of a volume or snapshot."""
        ...

    def resize(self, wwn: str, size: int) -> None:
        """Grow; what is new reads as zeros."""
        ...

    def copy(self, source: str, target: str) -> None:
        """Let the target's first bytes be the source's, as they are now."""
        ...

    def snapshot(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Keep the bytes of several volumes at one moment: (volume, snapshot)."""
        ...

    def exchange(self, first: str, second: str) -> None:
        """Exchange the bytes of two volumes; who reaches which stays."""
        ...

    def serve(self, accesses: Sequence[Access]) -> None:
        """Let exactly these accesses be possible from now on."""
        ...


class ServedPlane(DataPlane, Protocol):
    """A data plane whose paths can be cut."""

    def paths(self) -> Mapping[str, bool]:
        """Return whether each path, by the name of the array's port, is up."""
        ...

    def set_path(self, portal: str, *, up: bool) -> None:
        """Cut or heal one; raise `ValueError` for one that is not there."""
        ...

    def heal(self) -> None:
        """Heal every one that was cut by `set_path`."""
        ...

    def set_down(self, controllers: Collection[str]) -> None:
        """Cut the paths of exactly these controllers."""
        ...

    def close(self) -> None:
        """Serve no more and forget every byte."""
        ...


class NoDataPlane:
    """Bytes are not kept and nothing is served."""

    def identify(self, identity: Identity) -> None:
        """Show nothing."""

    def create(self, wwn: str, size: int) -> None:
        """Keep nothing."""

    def delete(self, wwn: str) -> None:
        """Keep nothing."""

    def resize(self, wwn: str, size: int) -> None:
        """Keep nothing."""

    def copy(self, source: str, target: str) -> None:
        """Keep nothing."""

    def snapshot(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Keep nothing."""

    def exchange(self, first: str, second: str) -> None:
        """Keep nothing."""

    def serve(self, accesses: Sequence[Access]) -> None:
        """Serve nothing."""

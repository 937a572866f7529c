"""Whom an NFS server lets in to an export, as the family of an array tells it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Access(StrEnum):
    """What a client may do; the server's own words for it."""

    NOTHING = "None"
    READ = "RO"
    WRITE = "RW"


class Squash(StrEnum):
    """Whose requests count as the anonymous user's; the server's own words for it."""

    NOBODY = "No_Root_Squash"
    ROOT = "Root_Squash"
    EVERYBODY = "All_Squash"


@dataclass(frozen=True, slots=True)
class Admission:
    """One line of an export's list; a client is treated by the first line that names it, and not let in where none does."""

    networks: tuple[str, ...]
    """IPv4 addresses and networks: ``192.0.2.1``, ``192.0.2.0/24``, ``0.0.0.0/0``. A line without any is for nobody."""
    access: Access = Access.WRITE
    squash: Squash = Squash.NOBODY
    anonymous: int = 65534
    """User and group id of the anonymous user."""


EVERYBODY = (Admission(("0.0.0.0/0",)),)
"""The list that lets in who comes."""

Admit = Callable[[Mapping[str, Sequence[Admission]]], None]
"""Lets exactly these clients in, by the exports' names, and returns when that is so."""

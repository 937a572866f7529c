"""FlexVols as pools. Source: protocol sheet, section 3.1."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from blockdrivers.errors import BlockDriversError, InvalidRequest, NotFound, OutOfSpace, StaleReference
from blockdrivers.model import Pool
from vendors.netapp import codes, objects
from vendors.netapp.client import OntapClient, Record
from vendors.netapp.options import OntapOptions

_FLEXVOLS: Final = {"type": "rw", "style": "flex*", "is_svm_root": "false", "state": "online"}


class Pools:
    """The FlexVols of one SVM that are pools."""

    def __init__(self, client: OntapClient, options: OntapOptions) -> None:
        self._client = client
        self._wanted = options.pools
        self._guard = threading.Lock()
        self._known: Mapping[str, str] = {}
        self._kinds: Mapping[str, str] | None = None

    @property
    def several(self) -> bool:
        """Whether there is more than one; asked once."""
        return len(self.ids()) > 1

    def ids(self) -> Mapping[str, str]:
        """Return name -> uuid of every pool; asked once, and again when one was not found."""
        return self._known or self._seen(self.records("name,uuid"))

    def known(self, name: str) -> str:
        """Return the name of a pool that is there; `InvalidRequest` for any other text."""
        if name not in self.ids() and name not in self._seen(self.records("name,uuid")):
            there = ", ".join(sorted(self._known)) or "none"
            raise InvalidRequest(f"The SVM {self._client.svm!r} has no pool {name!r}; it has {there}.")
        return name

    def records(self, fields: str) -> list[Record]:
        """Return the FlexVols that are pools."""
        found = self._client.own("storage/volumes", **_FLEXVOLS, fields=fields)
        return [record for record in found if self._wanted is None or objects.text(record, "name") in self._wanted]

    def read(self, promised: Mapping[str, int]) -> Sequence[Pool]:
        """Return every pool as it is now.

        Args:
            promised: name -> bytes that its volumes have been promised.
        """
        found = self.records(objects.FLEXVOL_FIELDS)
        self._seen(found)
        kinds = self._aggregate_kinds()
        return [objects.pool(record, promised.get(objects.text(record, "name"), 0), kinds) for record in found]

    def promised_to_luns(self) -> Mapping[str, int]:
        """Return FlexVol -> bytes promised to its LUNs, but for snapshots, which share their volume's."""
        sums: Counter[str] = Counter()
        for record in self._client.own("storage/luns", fields="name,comment,location,space.size"):
            if not objects.is_snapshot(record):
                sums[objects.pool_of(record)] += objects.number(record, "space.size")
        return sums

    @contextmanager
    def explaining(self, pool: str, needed: int) -> Iterator[None]:
        """Tell a full FlexVol, and one that has gone, from other refusals."""
        try:
            yield
        except NotFound as gone:
            if gone.vendor_code not in codes.NO_FLEXVOL:
                raise
            self.forget()
            raise StaleReference(f"The pool {pool!r} has gone.") from gone
        except OutOfSpace as refused:
            raise self._full(pool, needed, refused) from refused

    def forget(self) -> None:
        """Ask for the pools again next time."""
        with self._guard:
            self._known = {}

    def _seen(self, found: Sequence[Record]) -> Mapping[str, str]:
        with self._guard:
            self._known = {objects.text(record, "name"): objects.text(record, "uuid") for record in found}
            return self._known

    def _aggregate_kinds(self) -> Mapping[str, str]:
        """Return aggregate -> what it is made of; asked once, and empty for an account of the SVM."""
        if self._kinds is None:
            found = self._client.permitted("storage/aggregates", fields="name,block_storage.storage_type")
            self._kinds = {
                objects.text(record, "name"): str(objects.value(record, "block_storage.storage_type", "unknown"))
                for record in found
            }
        return self._kinds

    def _full(self, pool: str, needed: int, refused: BlockDriversError) -> OutOfSpace:
        return refused.explained_as(
            OutOfSpace,
            f"Pool {pool!r} has no room for {needed} bytes more; free some or use another pool.",
        )

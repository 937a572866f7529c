"""One id, one LUN, whoever else makes one of that id at the same time, in whatever FlexVol.

The array keeps names apart within one FlexVol only. So who has made a LUN looks whether another has its name, and takes back its own
where one has. And who finds a LUN in place of the one that it was to make may be told of it only once nobody will take it back any more: it
keeps it, by a mark in its comment, and what is kept is not taken back, since the array is asked to remove only what has no such mark.

Why that is enough: of two LUNs of a name the younger one's maker sees the elder, so it cannot have been alone. What a caller was told of
was alone when its maker looked, or has been kept after it was seen alone, or as the eldest; either way no other maker can have been alone
while it is there, nor can another LUN have been kept. Members of a group are settled together: see `vendors.netapp.lungroups`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from blockdrivers.errors import AlreadyExists, Busy
from blockdrivers.naming import KEPT
from vendors.netapp import names, objects
from vendors.netapp.client import OntapClient, Record
from vendors.netapp.names import Base

LUNS = "storage/luns"
_FIELDS = "name,uuid,comment,create_time,location.logical_unit"


@dataclass(frozen=True, slots=True)
class Claims:
    """Settles which of several LUNs of a name stands."""

    client: OntapClient

    def alone(self, made: Record, pattern: str) -> None:
        """Make sure that what was made is the only LUN of its name, or take it back: `AlreadyExists`, or `Busy` where nothing is settled."""
        base, uuid = objects.base(made), objects.text(made, "uuid")
        if all(objects.text(record, "uuid") == uuid for record in self._found(pattern, base.name)):
            return
        if not self.take_back(made):
            raise Busy(f"Another call keeps LUN {base.name!r}, or has removed it.")
        self.keep(pattern, base)
        raise AlreadyExists(f"The array has another LUN {base.name!r}.")

    def take_back(self, made: Record) -> bool:
        """Remove a LUN unless it is kept; return whether this call did."""
        return self._change("DELETE", made, None, comment=f"!*{KEPT}") > 0

    def keep(self, pattern: str, wanted: Base) -> None:
        """See to it that the LUN that a name stands for is taken back by nobody; `Busy` where that cannot be told yet.

        A member of a group that is not what was `wanted` is not kept: its call may still have to take it back, and is not hindered by
        one that is refused.
        """
        self.keep_first(self._found(pattern, wanted.name), wanted)

    def keep_first(self, found: Sequence[Record], wanted: Base | None) -> None:
        """Do so among the LUNs of one name, read a moment before; with `wanted` None, no member of a group is kept."""
        found = sorted(found, key=objects.age)
        if not found:
            raise Busy("A LUN of the name was there a moment ago and is not now.")
        first, *others = found
        if objects.is_kept(first) or not objects.is_described(first):
            return
        if objects.moment(first) is not None and objects.base(first) != wanted:
            return
        name = objects.base(first).name
        if any(objects.text(first, "create_time") == objects.text(other, "create_time") for other in others):
            paths = " and ".join(objects.text(record, "name") for record in found)
            raise Busy(f"{paths} have one name and are of one moment; if that stays so, remove the one that is not used.")
        comment = objects.text(first, "comment")
        # Who completes it meanwhile has kept it, too.
        if not self._change("PATCH", first, {"comment": objects.kept(comment)}, comment=names.widened(comment)):
            raise Busy(f"The LUN {name!r} was there a moment ago and is not now.")

    def _found(self, pattern: str, name: str) -> Sequence[Record]:
        return [record for record in self.client.own(LUNS, name=pattern, fields=_FIELDS) if objects.base(record).name == name]

    def _change(self, method: str, record: Record, body: Record | None, **conditions: str) -> int:
        """Change a LUN if it still has its name and meets the conditions; return how many that were."""
        path = objects.text(record, "name")
        query = {"uuid": objects.text(record, "uuid")} | conditions
        return self.client.change_own(method, LUNS, body, **(query if names.holds_range(path) else query | {"name": path}))

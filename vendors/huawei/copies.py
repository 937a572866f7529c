"""Full copies and moves: LUN copies, clone pairs and LUN migrations. Source: protocol sheet, section 3.5.

Every step finds what a cut-off call left (by the target, or by the helper's name) and goes on from there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import suppress

from blockdrivers.deadline import note, wait_until
from blockdrivers.errors import NotFound, VendorError
from vendors.huawei import codes, objects
from vendors.huawei.client import Object, OceanStorClient
from vendors.huawei.generations import Generation
from vendors.huawei.objects import Running, Type

_COPY_ENDED = frozenset(str(code) for code in codes.COPY_ENDED)


class FullCopy(ABC):
    """One way to copy the bytes of a LUN or an active snapshot onto a LUN that exists."""

    feature: str
    """What its licence is called."""

    exact_size: bool
    """Whether the target must have the source's size while it is copied."""

    def __init__(self, client: OceanStorClient, speed: int) -> None:
        self._client = client
        self._speed = speed

    def run(self, source_id: str, target_id: str, name: str, *, resume: bool) -> None:
        """Copy all bytes and leave no copy object behind.

        Args:
            source_id: id of a LUN or an active snapshot.
            target_id: id of the target LUN.
            name: for the copy object.
            resume: an earlier call may have begun: go on with the copy onto this target, if there is one.
        """
        copy_id = self._find(target_id) if resume else None
        if copy_id is None:
            copy_id = self._make(source_id, target_id, name)
        note(f"the copy {copy_id} onto LUN {target_id} is under way")
        if not (resume and self._done(copy_id)):
            self._start(copy_id, resume=resume)
        wait_until(lambda: self._done(copy_id), what=f"the copy {copy_id} onto LUN {target_id}")
        self._remove(copy_id)

    def abandon(self, target_id: str) -> None:
        """Stop and remove the copy onto this target, if there is one."""
        copy_id = self._find(target_id)
        if copy_id is not None:
            self._stop(copy_id)
            self._remove(copy_id)

    def orphans(self) -> Iterator[tuple[str, str]]:
        """Yield id and target LUN id of every copy object on the array."""
        for item in self._client.listing(self._resource):
            yield objects.text(item, "ID"), self._target(item)

    def remove(self, copy_id: str) -> None:
        """Stop and remove a copy object; an absent one counts as removed."""
        self._stop(copy_id)
        self._remove(copy_id)

    def _find(self, target_id: str) -> str | None:
        return next((copy_id for copy_id, target in self.orphans() if target == target_id), None)

    _resource: str

    @abstractmethod
    def _target(self, item: Object) -> str: ...

    @abstractmethod
    def _make(self, source_id: str, target_id: str, name: str) -> str: ...

    @abstractmethod
    def _start(self, copy_id: str, *, resume: bool) -> None: ...

    @abstractmethod
    def _done(self, copy_id: str) -> bool | None: ...

    @abstractmethod
    def _stop(self, copy_id: str) -> None: ...

    @abstractmethod
    def _remove(self, copy_id: str) -> None: ...


class LunCopy(FullCopy):
    """V3, V5 and Dorado V3. The target may be larger than the source."""

    feature = "HyperCopy"
    exact_size = False
    _resource = "luncopy"

    def _target(self, item: Object) -> str:
        fields = str(item.get("TARGETLUN", "")).split(";")
        return fields[1] if len(fields) > 1 else ""

    def _make(self, source_id: str, target_id: str, name: str) -> str:
        made = self._client.post(
            "luncopy",
            {
                "TYPE": int(Type.LUN_COPY),
                "NAME": name,
                "DESCRIPTION": "",
                "COPYSPEED": str(self._speed),
                "LUNCOPYTYPE": "1",
                "SOURCELUN": _lun_copy_member(source_id),
                "TARGETLUN": _lun_copy_member(target_id),
            },
        )
        return objects.text(made, "ID")

    def _start(self, copy_id: str, *, resume: bool) -> None:
        try:
            self._client.put("luncopy/start", {"TYPE": str(int(Type.LUN_COPY)), "ID": copy_id})
        except VendorError as refused:
            # A copy that an earlier call has started cannot be started again.
            if not resume and refused.vendor_code not in _COPY_ENDED:
                raise

    def _done(self, copy_id: str) -> bool | None:
        item = self._client.read(f"luncopy/{copy_id}")
        if str(item.get("HEALTHSTATUS", "1")) != "1":
            raise VendorError(
                f"The LUN copy {copy_id} has failed; look for the array's alarms.", request=f"GET luncopy/{copy_id}"
            )
        return True if objects.running(item) == Running.COPY_COMPLETE else None

    def _stop(self, copy_id: str) -> None:
        # A copy that is not running refuses to be stopped; one that goes on running refuses its removal, and that is reported.
        with suppress(VendorError, NotFound):
            self._client.put("luncopy/stop", {"ID": copy_id})

    def _remove(self, copy_id: str) -> None:
        _gone_is_fine(self._client, f"luncopy/{copy_id}", None)


class ClonePair(FullCopy):
    """Dorado V6. The target must have exactly the source's size until the pair is gone."""

    feature = "HyperClone"
    exact_size = True

    # A batch query of clone pairs is assumed: the sheet shows only the query by id.
    _resource = "clonepair"

    def _target(self, item: Object) -> str:
        return str(item.get("targetID", ""))

    def _make(self, source_id: str, target_id: str, name: str) -> str:
        del name  # a clone pair has none of its own
        body = {"copyRate": str(self._speed), "sourceID": source_id, "targetID": target_id, "isNeedSynchronize": "0"}
        return objects.text(self._client.post("clonepair/relation", body), "ID")

    def _start(self, copy_id: str, *, resume: bool) -> None:
        try:
            self._client.put("clonepair/synchronize", {"ID": copy_id, "copyAction": 0})
        except VendorError as refused:
            if not resume and refused.vendor_code != str(codes.PAIR_SYNCHRONISED):
                raise

    def _done(self, copy_id: str) -> bool | None:
        item = self._client.read(f"clonepair/{copy_id}")
        if str(item.get("copyStatus", "0")) != "0":
            raise VendorError(f"The clone pair {copy_id} has failed; look for the array's alarms.")
        return True if str(item.get("syncStatus")) == "2" else None

    def _stop(self, copy_id: str) -> None:
        with suppress(VendorError, NotFound):
            self._client.put("clonepair/synchronize", {"ID": copy_id, "copyAction": 2})

    def _remove(self, copy_id: str) -> None:
        _gone_is_fine(self._client, f"clonepair/{copy_id}", {"ID": copy_id, "isDeleteDstLun": False})


class Migration:
    """Exchanges the bytes and pools of two LUNs on line; ids and WWNs stay where they are."""

    def __init__(self, client: OceanStorClient, speed: int) -> None:
        self._client = client
        self._speed = speed

    def run(self, source_id: str, target_id: str, *, resume: bool) -> None:
        """Move the source's bytes into the target's pool and leave no migration object behind.

        With `resume`, go on with the migration that an earlier call began.
        """
        if not (resume and self._find(source_id)):
            self._begin(source_id, target_id)
        note(f"the migration of LUN {source_id} is under way")
        wait_until(lambda: self._done(source_id), what=f"the migration of LUN {source_id}")
        self.remove(source_id)

    def remove(self, source_id: str) -> None:
        """Remove the migration object of a LUN, if there is one."""
        _gone_is_fine(self._client, f"LUN_MIGRATION/{source_id}", None)

    def ended(self) -> Iterator[str]:
        """Yield the source LUN id of every migration that has ended and was not removed."""
        for item in self._client.listing("LUN_MIGRATION"):
            if objects.running(item) in {Running.MIGRATED, Running.MIGRATION_FAULT}:
                yield objects.text(item, "PARENTID")

    def _begin(self, source_id: str, target_id: str) -> None:
        body = {
            "TYPE": str(int(Type.MIGRATION)),
            "PARENTID": source_id,
            "TARGETLUNID": target_id,
            "SPEED": self._speed,
            "WORKMODE": 0,
        }
        self._client.post("LUN_MIGRATION", body)

    def _find(self, source_id: str) -> Object | None:
        return next((item for item in self._client.listing("LUN_MIGRATION") if str(item.get("PARENTID")) == source_id), None)

    def _done(self, source_id: str) -> bool | None:
        item = self._find(source_id)
        if item is None or objects.running(item) == Running.MIGRATION_FAULT:
            raise VendorError(f"The migration of LUN {source_id} has failed; look for the array's alarms.")
        return True if objects.running(item) == Running.MIGRATED else None


def full_copy(generation: Generation, client: OceanStorClient, speed: int) -> FullCopy:
    """Return the generation's way to copy."""
    return (ClonePair if generation.clone_pairs else LunCopy)(client, speed)


def _lun_copy_member(lun_id: str) -> str:
    return f"INVALID;{lun_id};INVALID;INVALID;INVALID"


def _gone_is_fine(client: OceanStorClient, path: str, body: Object | None) -> None:
    try:
        client.delete(path, body)
    except NotFound:
        return

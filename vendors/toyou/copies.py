"""Full copies of a volume or snapshot onto a target volume. Source: protocol sheet, section 3.6.

The array shows a clone at its source only: which target, which snapshot, how far. The target is of type BACKUP until the clone is
complete, so nobody takes it for a volume. A source makes one clone at a time; `Backend` lets the next one wait.

Every step finds what a cut-off call left and goes on from there. Where the sheet is silent: ``clone_snap`` is taken as set by the
start of the copying; and a target that is made an ordinary volume by name and type leaves its relation.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass

from blockdrivers.deadline import note, wait_until
from blockdrivers.driver import VolumeSpec
from blockdrivers.errors import AlreadyExists, Busy, InUse, InvalidRequest, LimitReached, NotFound, OutOfSpace, VendorError
from blockdrivers.naming import Kind, kind_of
from vendors.toyou import codes, objects
from vendors.toyou.client import Acs5000Client, Object
from vendors.toyou.volumes import Volumes

_LONGEST_PAUSE = 5.0
_FIRST_LOOK = 0.3
"""Seconds after which something is known of how long a copy will take."""


@dataclass(frozen=True, slots=True)
class Copy:
    """What is copied onto what; all array-side names."""

    source: str
    target: str
    snapshot: str | None = None
    """Of the source; None copies the source as it is when the copying begins."""


class Copies:
    """Clone relations of the array."""

    def __init__(self, client: Acs5000Client, volumes: Volumes) -> None:
        self._client = client
        self._volumes = volumes

    def run(self, copy: Copy, spec: VolumeSpec, aside: str) -> None:
        """Make the target and copy all bytes onto it.

        Args:
            copy: what is copied.
            spec: of the target.
            aside: the name that a target gets which is given up.

        Raises `AlreadyExists` where the target is there and complete, or is made from something else.
        """
        try:
            self._volumes.create(spec, backup=True)
        except AlreadyExists:
            self._resume(copy, spec)
        else:
            self._begin(copy, aside)
        self._finish(copy, Pace())

    def discard(self, target: str, aside: str, source: str | None = None) -> None:
        """Delete an unfinished target. From its first step on it does not bear a name under which it could be taken for a volume.

        Raises `InUse` where the array keeps it, which has the name `aside` then.
        """
        # One that is absent bears the other name already.
        with suppress(NotFound):
            try:
                self._volumes.rename(target, aside, ordinary=True)
            except AlreadyExists:
                self._remove(aside)
                self._volumes.rename(target, aside, ordinary=True)
        if source is not None:
            shown = self._volumes.find(source).get(source)
            if shown is not None and objects.clone_of(shown) in {target, aside}:
                self._client.change("delete_clone", "--volume", source, "--snapshot")
        self._remove(aside)

    def _remove(self, aside: str) -> None:
        """Delete a target that was given up."""
        try:
            self._volumes.delete(aside)
        except VendorError as refused:
            raise refused.explained_as(
                InUse,
                f"The array keeps {aside!r}, a clone that was given up: somebody has exported it or taken snapshots of it; take these "
                "away by hand, then ask again.",
            ) from refused

    def _begin(self, copy: Copy, aside: str) -> None:
        """Tell the array of a copy onto a target that is new, and start it; what it will not do leaves nothing."""
        try:
            self._relate(copy)
        except (Busy, VendorError, NotFound, InvalidRequest):
            # Where another process has taken it for the same clone, it is that one's.
            with suppress(VendorError):
                self._volumes.delete(copy.target)
            raise
        try:
            self._start(copy)
        except (NotFound, VendorError, LimitReached, OutOfSpace):
            self.discard(copy.target, aside, copy.source)
            raise

    def _resume(self, copy: Copy, spec: VolumeSpec) -> None:
        """Go on with what an earlier call for the same target has begun."""
        source, target = self._both(copy)
        if target["type"] != objects.BACKUP:
            raise AlreadyExists(f"Volume {copy.target!r} exists.")
        found = self._volumes.seen(target)
        if (found.size, found.pool) != (spec.size, spec.pool):
            raise AlreadyExists(f"Volume {copy.target!r} exists, and is a clone that was not completed.")
        if objects.clone_of(source) != copy.target:
            self._relate(copy)
            self._start(copy)
            return
        copied = objects.clone_snapshot(source)
        if copied is None:
            self._start(copy)
        elif copied != copy.snapshot and (copy.snapshot is not None or kind_of(copied) is Kind.SNAPSHOT):
            raise AlreadyExists(
                f"Volume {copy.target!r} is being made from {copied!r}.", differences={"source": (copy.snapshot, copied)}
            )

    def _relate(self, copy: Copy) -> None:
        try:
            self._client.change("create_clone", "--volume", copy.source, "--clone", copy.target)
        except NotFound as refused:
            if refused.vendor_code != str(codes.NO_CLONE_TARGET):
                raise
            self._both(copy)
            raise AlreadyExists(
                f"Volume {copy.target!r} is being made from another volume than {copy.source!r}.",
                differences={"source": (copy.source, "another volume")},
            ) from refused
        except VendorError as refused:
            # No key is documented for a source that serves another clone.
            source, _ = self._both(copy)
            other = objects.clone_of(source)
            if other == copy.target:
                return
            if other is not None or objects.is_copied(source):
                raise Busy(
                    f"The array makes one clone of {copy.source!r} at a time, and makes {other!r} now; if nobody does, ask for that "
                    "clone again, or delete it."
                ) from refused
            raise

    def _start(self, copy: Copy) -> None:
        # An empty value is one that is left out, at the end of the line.
        snapshot = ("--snapshot",) if copy.snapshot is None else ("--snapshot", copy.snapshot)
        for again in (True, False):
            try:
                self._client.change("start_clone", "--volume", copy.source, *snapshot)
            except VendorError as refused:
                source, _ = self._both(copy)
                if objects.is_reverting(source):
                    raise Busy(f"Volume {copy.source!r} is being reverted; its clone begins afterwards.") from refused
                related = objects.clone_of(source) == copy.target
                if related and objects.clone_snapshot(source) is not None:
                    # Another process was quicker with the same clone.
                    return
                # No key tells why. A revert that was in the way may have ended since: nothing is to be seen of it, and nothing is in the way.
                if not (related and again):
                    raise
            else:
                return

    def _finish(self, copy: Copy, pace: Pace) -> None:
        note(f"the copy of {copy.source} onto {copy.target} is under way")

        def ended() -> Object | None:
            source, target = self._both(copy)
            pace.see(source)
            if target["type"] != objects.BACKUP:
                return target
            if objects.clone_of(source) != copy.target:
                raise Busy(f"The array has given up the copy of {copy.source!r} onto {copy.target!r}.")
            return None if objects.is_copied(source) else target

        what = f"the copy of {copy.source} onto {copy.target}"
        target = wait_until(ended, what=what, longest=_LONGEST_PAUSE, delay=_FIRST_LOOK, expected=pace.expected)
        if target["type"] == objects.BACKUP:
            self._complete(copy)

    def _complete(self, copy: Copy) -> None:
        snapshot = ("--snapshot",) if copy.snapshot is None else ("--snapshot", copy.snapshot)
        try:
            self._client.change("delete_clone", "--volume", copy.source, *snapshot)
        except VendorError:
            # Another process may have been quicker with the same clone.
            if self._both(copy)[1]["type"] == objects.BACKUP:
                raise

    def _both(self, copy: Copy) -> tuple[Object, Object]:
        """Return source and target as the array shows them."""
        found = self._volumes.find(copy.source, copy.target)
        if copy.source not in found:
            raise NotFound(f"The array has no volume {copy.source!r} to clone.")
        if copy.target not in found:
            raise Busy(f"Volume {copy.target!r} was there a moment ago and is not now.")
        return found[copy.source], found[copy.target]


class Pace:
    """Tells from an array's progress when it will have ended; what began before this was made is taken as begun now."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._expected: float | None = None

    def see(self, item: Object) -> None:
        """Take note of how far the array is."""
        done = objects.progress(item)
        if done:
            self._expected = (time.monotonic() - self._began) * (1.0 - done) / done

    def expected(self) -> float | None:
        """Return the seconds that are left; None where nothing can be told yet."""
        return self._expected

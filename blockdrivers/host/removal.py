"""How a LUN goes from this machine: written out, every device removed, and proven to be gone."""

from __future__ import annotations

import logging

from blockdrivers import deadline
from blockdrivers.errors import AttachError, BlockDriversError, InUse
from blockdrivers.host import events, multipath, scsi
from blockdrivers.host.events import Events
from blockdrivers.host.place import Found, Place
from blockdrivers.host.writing import write_out

_log = logging.getLogger(__name__)

_VANISH_SECONDS = 15.0
_FLUSH_SECONDS = 600.0
_FORCED_DISCONNECT_SECONDS = 30.0
_LET_GO_SECONDS = 10.0


def detach(place: Place, *, force: bool) -> None:
    """Write out what is in memory, remove every device of this LUN, and prove that none is left.

    Args:
        force: what cannot be written is lost; for a LUN whose paths are dead.

    Raises:
        InUse: it is mounted or held open; nothing was changed.
        AttachError: writing out failed (without `force`; nothing was removed), or something stays.
    """
    found = place.found()
    with events.listening() as heard:
        if force:
            multipath.stop_queueing(found.maps)
            # Whoever waited for a path is told by now, and may let go.
            heard.until(lambda: not place.users(found) or None, _LET_GO_SECONDS)
        if used := place.users(found):
            if force:
                multipath.queue_again(found.maps)
            raise InUse(f"{found} of LUN {place.number} is in use: {'; '.join(used)}. End that first; nothing was removed.")
        _flush(found, force=force)
        sever(found, discard=force)
        _disconnect(place, force=force)
        _prove_gone(place, heard)


def undo(place: Place) -> bool:
    """Take away what a failed `attach` has left; tell whether nothing that uses this LUN is left.

    A stale device in use at its place stays: what is not this LUN's is not to be written to it by a removal, and the sooner
    the array takes the LUN away from there, the better.
    """
    found = place.found()
    own = Found(
        tuple(disk for disk in found.disks if disk.wwn == place.wwn or place.holds(disk)),
        tuple(item for item in found.maps if item.wwn == place.wwn),
    )
    if place.users(own):
        return False
    with events.listening() as heard:
        sever(own, discard=True)
        if place.users(place.found()):
            return True
        _disconnect(place, force=True)
        try:
            _prove_gone(place, heard)
        except AttachError as trouble:
            _log.warning("%s", trouble)
            return False
    return True


def _flush(found: Found, *, force: bool) -> None:
    held = {name for item in found.maps for name in item.paths}
    tops = [item.device for item in found.maps] + [disk.device for disk in found.disks if disk.name not in held]
    for device in tops:
        write_out(device, force=force)
        # What is cached may be read no more.
        write_out(device, force=force, via=("blockdev", "--flushbufs"))


def sever(found: Found, *, discard: bool) -> None:
    """Remove devices, their maps first.

    Args:
        found: the devices, which nobody uses.
        discard: nothing of what they hold in memory is written on the way.
    """
    multipath.stop_queueing(found.maps)
    if discard:
        # Off line before its map goes: else what is in memory is written on the way.
        scsi.take_off_line(found.disks)
    for item in found.maps:
        multipath.remove(item)
    scsi.drop(found.disks)


def _disconnect(place: Place, *, force: bool) -> None:
    """Have os-brick end the sessions that no other LUN needs."""
    seconds = deadline.remaining(_FORCED_DISCONNECT_SECONDS if force else _FLUSH_SECONDS)
    try:
        with deadline.deadline(seconds, "ending the sessions"):
            place.call("disconnect", info={"type": "block", "path": "/dev/none"}, force=force)
    except BlockDriversError as trouble:
        if not force:
            raise
        _log.warning("%s", trouble)


def _prove_gone(place: Place, heard: Events) -> None:
    if heard.until(lambda: place.found().is_nothing or None, _VANISH_SECONDS) is None:
        raise AttachError(f"{place.found()} of LUN {place.number} cannot be removed; blockdrivers doctor --host tells more.")

"""This machine's side of an attachment, whatever the protocol."""

from __future__ import annotations

from typing import Protocol as Interface

from blockdrivers.errors import AttachError
from blockdrivers.host import multipath as maps
from blockdrivers.host.luns import Lun
from blockdrivers.host.rbd import RbdImage
from blockdrivers.host.shares import ShareFile
from blockdrivers.model import Attachment, Export, Protocol


class Attachable(Interface):
    """One export, as this machine's business."""

    def attach(self, volume_id: str) -> Attachment:
        """Connect, prove the identity, and return what is to be used; called again, return the same."""
        ...

    def refresh(self, volume_id: str) -> Attachment:
        """Take over the volume's present size, under I/O."""
        ...

    def detach(self, *, force: bool) -> None:
        """Flush, remove, and prove that nothing is left; raise `InUse` where somebody uses it."""
        ...

    def undo(self) -> bool:
        """Take away what a failed `attach` has left, unless somebody uses it; tell whether nothing is left."""
        ...


def attachable(export: Export, *, multipath: bool | None) -> Attachable:
    """Return what knows how to attach an export.

    Args:
        export: of whatever protocol.
        multipath: use every path to a LUN; None does where multipathd answers.
    """
    if export.protocol is Protocol.NFS:
        return ShareFile(export)
    if export.protocol is Protocol.RBD:
        return RbdImage(export)
    running = maps.is_running() if multipath in {None, True} else False
    if multipath and not running:
        raise AttachError("multipath was asked for, and multipathd does not answer; start it, or attach without.")
    return Lun(export, multipath=running)

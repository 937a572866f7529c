"""Volumes on this machine: the part of `Backend` that attaches."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from blockdrivers import checks, deadline
from blockdrivers.errors import BlockDriversError, NotFound
from blockdrivers.exports import Exports
from blockdrivers.model import Attachment, Export, Host, Protocol

if TYPE_CHECKING:
    from blockdrivers.host.machine import Attachable

_log = logging.getLogger("blockdrivers.backend")

_TIDY_SECONDS = 60.0
"""How long an attachment that failed may still take to leave nothing behind."""


class Attachments(Exports):
    """Attaches volumes to the machine that this runs on. Needs root, `blockdrivers[host]` and the protocol's own programs."""

    def attach(
        self,
        volume_id: str,
        protocol: Protocol,
        host: Host | None = None,
        *,
        multipath: bool | None = None,
        snapshot: bool = False,
        timeout: float | None = None,
    ) -> Attachment:
        """Export a volume to this machine, connect it, and return its device once it is proven to be that volume.

        A device is proven when every path of it, and the multipath map over them, answers over the wire with the identity that the
        array gives for the volume (VPD page 0x83). Stale devices at its place are removed first, without writing what they
        still hold. Asked again, the same device is returned; after a crash at any step, asking again completes it.

        Args:
            volume_id: the volume, or with `snapshot` the snapshot.
            protocol: how to reach it.
            host: this machine's name and initiators, with CHAP credentials where they are used; `host.facts.this_host` where None.
            multipath: use every path, through a multipath map; None does where multipathd answers.
            snapshot: attach the snapshot of that id instead (capability ``export_snapshots``).
            timeout: seconds for all of it. Undoing what failed may take up to a minute longer.

        Raises:
            AttachError: no device appears, or none proves to be the volume. Everything was undone.
            DeadlineExceeded: so, too.
            InUse: a stale device at the volume's place is in use; the message says by whom.
            ConfigurationError: this process is not root's, or a program is missing.
        """
        from blockdrivers.host import brick, facts  # noqa: PLC0415 - only who attaches pays for it
        from blockdrivers.host.turns import turn  # noqa: PLC0415

        with self._operation("attach", volume_id, timeout):
            brick.require_root()
            checks.supported(self._driver_capabilities().tells_wwn, "tell a LUN's identity, so that a device could be proven")
            host = host or facts.this_host().host
            with turn(self._attached_name(volume_id, snapshot=snapshot)):
                started = time.monotonic()
                export = self.export(volume_id, host, protocol, snapshot=snapshot)
                array_seconds = time.monotonic() - started
                deadline.note("it is exported to this machine, and no device of it was proven yet")
                made: Attachable | None = None
                try:
                    made = self._attachable(export, multipath)
                    attachment = made.attach(volume_id)
                except BaseException:
                    self._undo(volume_id, made, host, protocol, snapshot=snapshot)
                    raise
                return replace(attachment, seconds={"array": array_seconds, **attachment.seconds})

    def detach(
        self,
        volume_id: str,
        protocol: Protocol,
        host: Host | str | None = None,
        *,
        multipath: bool | None = None,
        snapshot: bool = False,
        force: bool = False,
        timeout: float | None = None,
    ) -> None:
        """Write out and remove a volume's devices from this machine, prove that none is left, and unexport it.

        A volume that is not attached, or gone, counts as detached; what a call that was cut off has left is removed.

        Args:
            volume_id: the volume, or with `snapshot` the snapshot.
            protocol: how it was reached.
            host: as it was given to `attach`; this machine's host name where None.
            multipath: as in `attach`; a map is removed in any case.
            snapshot: the id is a snapshot's.
            force: for a volume whose paths are dead: what cannot be written is lost. Never takes it away from whoever uses it.
            timeout: seconds.

        Raises:
            InUse: it is mounted, swapped to, held open or built on; the message says by whom. Nothing was changed.
            AttachError: what is in memory cannot be written (without `force`; nothing was changed), or a device stays. It is
                not unexported then.
        """
        from blockdrivers.host import brick  # noqa: PLC0415
        from blockdrivers.host.turns import turn  # noqa: PLC0415

        with self._operation("detach", volume_id, timeout):
            brick.require_root()
            name = _name_of(host)
            with turn(self._attached_name(volume_id, snapshot=snapshot)):
                for export in self._own_exports(volume_id, name, protocol, snapshot=snapshot):
                    self._attachable(export, multipath).detach(force=force)
                deadline.note("no device of it is left on this machine; the array may still export it")
                self.unexport(volume_id, name, protocol, snapshot=snapshot)

    def refresh_attachment(
        self,
        volume_id: str,
        protocol: Protocol,
        host: Host | str | None = None,
        *,
        multipath: bool | None = None,
        timeout: float | None = None,
    ) -> Attachment:
        """Let this machine take over the present size of an attached volume, under I/O; to be called after `extend_volume`.

        Every path and the map are told, and the size is returned once all have it.

        Raises `NotFound` where the volume is not exported to this machine, `AttachError` where it is not attached or a path
        does not follow.
        """
        from blockdrivers.host import brick  # noqa: PLC0415

        with self._operation("refresh_attachment", volume_id, timeout):
            brick.require_root()
            name = _name_of(host)
            exports = self._own_exports(volume_id, name, protocol, snapshot=False)
            if not exports:
                raise NotFound(f"Volume {volume_id!r} is not exported to {name} over {protocol.label}; attach it first.")
            return self._attachable(exports[0], multipath).refresh(volume_id)

    def _undo(self, volume_id: str, made: Attachable | None, host: Host, protocol: Protocol, *, snapshot: bool) -> None:
        """Leave nothing of an attachment that failed; what goes wrong meanwhile must not hide why it did."""
        with deadline.apart(_TIDY_SECONDS, f"undo attaching {volume_id}"):
            try:
                # Where somebody uses the volume already, it was attached before, and stays so.
                if made is None or made.undo():
                    self.unexport(volume_id, host, protocol, snapshot=snapshot)
            except BlockDriversError as trouble:
                _log.warning("undoing attach %s: %s", volume_id, trouble)

    def _own_exports(self, volume_id: str, host: str, protocol: Protocol, *, snapshot: bool) -> list[Export]:
        own = {host, self._host_name(host)}
        try:
            found = self.list_exports(volume_id, snapshot=snapshot)
        except NotFound:
            return []
        return [export for export in found if export.host in own and export.protocol is protocol]

    def _attached_name(self, volume_id: str, *, snapshot: bool) -> str:
        return self._snapshot_name(volume_id) if snapshot else self._volume_name(volume_id)

    @staticmethod
    def _attachable(export: Export, multipath: bool | None) -> Attachable:
        from blockdrivers.host import machine  # noqa: PLC0415

        return machine.attachable(export, multipath=multipath)


def _name_of(host: Host | str | None) -> str:
    """Return what a host is called; this machine's host name where none is given."""
    from blockdrivers.host import facts  # noqa: PLC0415

    return facts.name() if host is None else host if isinstance(host, str) else host.name

"""Ceph images on this machine: mapped by the kernel's rbd driver, through os-brick and Ceph's own ``rbd``.

Monitors and keys are those of this machine's ``/etc/ceph``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from blockdrivers.errors import AttachError, InUse
from blockdrivers.host import brick, events, scsi, users
from blockdrivers.host.parts import Parts
from blockdrivers.host.scsi import SYS, read
from blockdrivers.host.writing import write_out
from blockdrivers.model import Attachment, Export

_APPEAR_SECONDS = 15.0


class RbdImage:
    """One exported image, as this machine's business."""

    def __init__(self, export: Export) -> None:
        pool, _, image = (export.location or "").partition("/")
        if not pool or not image or "/" in image:
            raise AttachError(f"{export.location!r} is no Ceph image; pool/image is expected.")
        self._export, self._pool, self._image = export, pool, image

    def attach(self, volume_id: str) -> Attachment:
        """Map the image where it is not, and return the device that the kernel says is that image of that pool."""
        parts = Parts()
        with events.listening() as heard:
            with parts.host:
                if self._device() is None:
                    self._call("connect")
            with parts.identity:
                device = heard.until(self._device, _APPEAR_SECONDS)
        if device is None:
            raise AttachError(f"{self._export.location} was mapped, and yet no device of the kernel is that image.")
        return Attachment(volume_id, self._export.protocol, device, scsi.size(device), seconds=parts.seconds)

    def refresh(self, volume_id: str) -> Attachment:
        """Return the device with its present size, which the kernel follows by itself."""
        device = self._device()
        if device is None:
            raise AttachError(f"{self._export.location} is not mapped; attach the volume first.")
        return Attachment(volume_id, self._export.protocol, device, scsi.size(device))

    def detach(self, *, force: bool) -> None:
        """Write out what is in memory, unmap the image and prove that no device is left. Raises `InUse`, `AttachError`."""
        device = self._device()
        if device is None:
            return
        if used := users.of_device(device):
            raise InUse(f"{device} is in use: {'; '.join(used)}. End that first; nothing was changed.")
        write_out(device, force=force)
        with events.listening() as heard:
            self._call("disconnect", info={"type": "block", "path": device}, force=force)
            if heard.until(lambda: self._device() is None or None, _APPEAR_SECONDS) is None:
                raise AttachError(f"{device} cannot be unmapped from {self._export.location}.")

    def undo(self) -> bool:
        """Take away what a failed `attach` has left, unless somebody uses it; tell whether nothing is left."""
        try:
            self.detach(force=True)
        except (AttachError, InUse):
            return False
        return True

    def _device(self) -> str | None:
        """Return the device of this image, by what the kernel says of each."""
        for folder in sorted((SYS / "bus/rbd/devices").glob("*")):
            if (read(folder / "pool"), read(folder / "name"), read(folder / "current_snap")) == (self._pool, self._image, "-"):
                return str(Path("/dev") / f"rbd{folder.name}")
        return None

    def _call(self, do: str, **more: Any) -> None:
        brick.call(
            do,
            protocol="RBD",
            multipath=False,
            options={"do_local_attach": True},
            properties={"name": f"{self._pool}/{self._image}", "hosts": [], "ports": [], "auth_username": None},
            **more,
        )

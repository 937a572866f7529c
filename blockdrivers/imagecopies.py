"""Image files and volumes: the part of `Backend` that copies bytes by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from blockdrivers import checks, deadline
from blockdrivers.errors import BlockDriversError
from blockdrivers.exports import Exports
from blockdrivers.lookups import Lookups
from blockdrivers.model import Dependant, Export, GiB, Host, Protocol, Volume

if TYPE_CHECKING:
    from pathlib import Path

    from blockdrivers.host.images import WrittenImage

_TIDY_SECONDS = 10.0
"""How long a copy that failed may still take to leave nothing behind on the array."""


class ImageCopies(Lookups, Exports):
    """Writes images over volumes, and volumes into images."""

    def copy_image_to_volume(
        self,
        volume_id: str,
        image: Path,
        host: Host,
        *,
        format: str,
        sha256: str | None = None,
        progress: Callable[[float], None] | None = None,
        timeout: float | None = None,
    ) -> Volume:
        """Write an image file over a volume from its first byte on; a repeat writes all of it again.

        Args:
            volume_id: the volume, as large as the image's disk at least, and exported to nobody.
            image: a self-contained file; its content is not trusted.
            host: a name and IQN that are used for nothing but such copies; the volume is exported to it meanwhile.
            format: ``raw``, ``qcow2``, ``vmdk`` or ``vhd``: what the image is said to be; another one is refused.
            sha256: of the image file, in hexadecimal; checked before anything is written.
            progress: called with the part that is done, 0.0 to 1.0.
            timeout: seconds.

        Raises:
            InvalidRequest: the image is not what was said, refers to other files, or is larger than the volume.
            InUse: the volume is exported to another host.
            AttachError: the copy broke off; the volume's bytes cannot be relied on before a repeat.
        """
        from blockdrivers.host import imagefile, images  # noqa: PLC0415 - only who copies images pays for it

        with self._operation("copy_image_to_volume", volume_id, timeout, copying=True):
            found = imagefile.inspect(image, format)
            if sha256 is not None:
                images.check_sha256(image, sha256)
            volume = self._persist(lambda: self._read_volume(volume_id))
            checks.complete(volume)
            checks.image_fits(found.virtual_size, volume)
            with self._lent(volume, host) as export:
                images.write_image(found, export, host, progress)
            return volume

    def copy_volume_to_image(
        self,
        volume_id: str,
        image: Path,
        host: Host,
        *,
        format: str = "qcow2",
        max_size: int = 300 * GiB,
        digest: bool = False,
        progress: Callable[[float], None] | None = None,
        timeout: float | None = None,
    ) -> WrittenImage:
        """Make an image file of a volume; it is there whole or not at all, and replaces what is there.

        Args:
            volume_id: the volume, exported to nobody: else its bytes would change meanwhile.
            image: the file to make.
            host: a name and IQN that are used for nothing but such copies.
            format: ``raw``, ``qcow2``, ``vmdk`` or ``vhd``.
            max_size: bytes; a larger volume is refused, as the platform's rule has it.
            digest: also compute the file's SHA-256, which reads it once more.
            progress: called with the part that is done, 0.0 to 1.0.
            timeout: seconds.

        Returns:
            The file's sizes in bytes and, with `digest`, its SHA-256.
        """
        from blockdrivers.host import imagefile, images  # noqa: PLC0415

        with self._operation("copy_volume_to_image", volume_id, timeout, copying=True):
            wanted = imagefile.image_format(format)
            volume = self._persist(lambda: self._read_volume(volume_id))
            checks.complete(volume)
            checks.imageable(volume, max_size)
            with self._lent(volume, host) as export:
                return images.read_image(export, host, image, wanted, volume.size, digest=digest, progress=progress)

    @contextmanager
    def _lent(self, volume: Volume, host: Host) -> Iterator[Export]:
        """Export a volume to a host that copies it, and to nobody else, for the length of a block."""
        volume_id = str(volume.volume_id)
        if Dependant.EXPORT in volume.dependants:
            # Its own is left of a copy that was killed; the export below absorbs it.
            own = {host.name, self._host_name(host.name)}
            checks.lendable(volume, {export.host for export in self.list_exports(volume_id)} - own)
        try:
            yield self.export(volume_id, host, Protocol.ISCSI)
        except BaseException:
            # The copy has failed, perhaps because its time is up: what goes wrong from here on must not hide that.
            with deadline.apart(_TIDY_SECONDS, f"take {volume_id} away from {host.name}"), suppress(BlockDriversError):
                self.unexport(volume_id, host, Protocol.ISCSI)
            raise
        self.unexport(volume_id, host, Protocol.ISCSI)

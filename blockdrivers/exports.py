"""Which hosts may use which volumes: the part of `Backend` that exports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from blockdrivers import checks, naming
from blockdrivers.model import Export, Host, Protocol
from blockdrivers.operations import Operations, absent_is_done


class Exports(Operations):
    """Lets hosts use volumes and snapshots, and takes them away again."""

    def export(
        self, volume_id: str, host: Host, protocol: Protocol, *, snapshot: bool = False, timeout: float | None = None
    ) -> Export:
        """Let a host use a volume; asked again, return the same export.

        Args:
            volume_id: the volume, or with `snapshot` the snapshot.
            host: its name and its initiators for `protocol`; with `Host.chap`, those credentials are set for its iSCSI initiator.
            protocol: one that the array's capabilities declare.
            snapshot: export the snapshot of that id instead (capability ``export_snapshots``).
            timeout: seconds.

        Raises:
            NotFound: no such volume.
            InUse: an initiator belongs to another host object of the array; it is not taken away from there.
            LimitReached: the host has no LUN id left.
        """
        with self._operation("export", f"{volume_id} to {host.name}", timeout):
            capabilities = self._driver_capabilities()
            host = checks.host(host, protocol, capabilities)
            checks.supported(not snapshot or capabilities.export_snapshots, "export a snapshot")
            host_name = self._host_name(host.name)
            made = self._persist(
                lambda: self._driver.export(self._source(volume_id, snapshot=snapshot), host, host_name, protocol)
            )
            return replace(made, host=host.name, chap=host.chap or made.chap)

    def unexport(
        self, volume_id: str, host: Host | str, protocol: Protocol, *, snapshot: bool = False, timeout: float | None = None
    ) -> None:
        """Take a volume away from a host; where it was not exported to it, or is gone, nothing is to be done.

        The host object stays on the array for the host's next export (that keeps first and last attachments of a host from
        racing each other); `remove_host` and `sweep` remove it. Where hosts are no objects on the array (capability ``host_objects``),
        the `Host` with its initiators is needed, not its name alone.
        """
        with self._operation("unexport", f"{volume_id} from {host if isinstance(host, str) else host.name}", timeout):
            host_name = self._host_name(host if isinstance(host, str) else host.name)
            capabilities = self._driver_capabilities()
            checks.protocol(protocol, capabilities)
            named = None if capabilities.host_objects else checks.initiators_of(host, protocol, capabilities)

            def take_away() -> None:
                source = self._source(volume_id, snapshot=snapshot)
                with absent_is_done():
                    if named is None:
                        self._driver.unexport(source, host_name, protocol)
                    else:
                        self._driver.unexport_initiators(source, named, protocol)

            self._persist(take_away)

    def list_exports(self, volume_id: str, *, snapshot: bool = False, timeout: float | None = None) -> Sequence[Export]:
        """Return every export of a volume (or snapshot), to whatever host; hosts under the caller's names where they are ours."""
        with self._operation("list_exports", volume_id, timeout):
            checks.supported(self._driver_capabilities().list_exports, "tell what a volume is exported to")
            exports = self._persist(lambda: self._driver.list_exports(self._source(volume_id, snapshot=snapshot)))
            return [replace(export, host=naming.identifier_of(export.host) or export.host) for export in exports]

    def remove_host(self, host: Host | str, *, timeout: float | None = None) -> None:
        """Remove a host object that has no exports; an absent one counts as removed. Raises `InUse` while it has exports."""
        name = host if isinstance(host, str) else host.name
        with self._operation("remove_host", name, timeout):
            host_name = self._host_name(name)
            if not self._driver_capabilities().host_objects:
                return

            def remove() -> None:
                with absent_is_done():
                    self._driver.remove_host(host_name)

            self._persist(remove)

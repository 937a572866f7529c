"""Cinder's records of volumes, snapshots and attachments: what its services would keep, kept through its own objects."""

from __future__ import annotations

import uuid
from typing import Any

from cinder import context, exception, objects

from .opening import VOLUME_TYPE, open_records

_NAMESPACE = uuid.UUID("3c1f5e0a-6f5b-5b0e-9d39-2f6e0b1a7c44")
_GIB = 1024**3


class NotRecorded(Exception):
    """There is no record of that name."""


class Records:
    """Objects by the other side's names; the caller holds the object's lock."""

    def __init__(self, folder: str, extra_specs: dict[str, str]) -> None:
        self._api, self._models = open_records(folder)
        self.context = context.get_admin_context()
        self._type_id = self._volume_type(extra_specs)

    # Ids

    @staticmethod
    def id_of(name: str, plain: str) -> str:
        """Return the id that Cinder knows an object by: the caller's own where that is a UUID, else one derived from the name."""
        return plain or str(uuid.uuid5(_NAMESPACE, name))

    # Volumes

    def add_volume(self, volume_id: str, spec: dict[str, Any], host: str, **source: str) -> Any:
        """Write down a volume that is about to be made."""
        values = {
            "id": volume_id,
            "size": spec["size"] // _GIB,
            "display_name": spec["name"],
            "display_description": spec["description"],
            "host": host,
            "status": "creating",
            "attach_status": "detached",
            "volume_type_id": self._type_id,
            "project_id": "blockdrivers",
            "user_id": "blockdrivers",
            "metadata": {},
            "admin_metadata": {},
            "multiattach": spec.get("multiattach", False),
            **source,
        }
        self._api.volume_create(self.context, values)
        return self.volume(volume_id)

    def volume(self, volume_id: str) -> Any:
        """Return a volume, or raise `NotRecorded`."""
        try:
            return objects.Volume.get_by_id(self.context, volume_id)
        except exception.VolumeNotFound:
            raise NotRecorded(volume_id) from None

    def drop_volume(self, volume_id: str) -> None:
        """Forget a volume, so that its id can be used again; Cinder itself would keep the row, marked as deleted."""
        models = self._models
        for model in (models.VolumeMetadata, models.VolumeAdminMetadata, models.VolumeGlanceMetadata, models.VolumeAttachment):
            self._erase(model, volume_id=volume_id)
        self._erase(models.Volume, id=volume_id)

    # Snapshots

    def add_snapshot(self, snapshot_id: str, volume: Any, spec: dict[str, Any]) -> Any:
        """Write down a snapshot that is about to be taken."""
        self._api.snapshot_create(
            self.context,
            {
                "id": snapshot_id,
                "volume_id": volume.id,
                "volume_size": volume.size,
                "volume_type_id": self._type_id,
                "display_name": spec["name"],
                "display_description": spec["description"],
                "status": "creating",
                "progress": "0%",
                "project_id": "blockdrivers",
                "user_id": "blockdrivers",
                "metadata": {},
            },
        )
        return self.snapshot(snapshot_id)

    def snapshot(self, snapshot_id: str) -> Any:
        """Return a snapshot, or raise `NotRecorded`."""
        try:
            return objects.Snapshot.get_by_id(self.context, snapshot_id)
        except exception.SnapshotNotFound:
            raise NotRecorded(snapshot_id) from None

    def snapshots_of(self, volume_id: str) -> list[Any]:
        """Return a volume's snapshots, the oldest first."""
        found = objects.SnapshotList.get_all_for_volume(self.context, volume_id)
        return sorted(found, key=lambda snapshot: snapshot.created_at)

    def drop_snapshot(self, snapshot_id: str) -> None:
        """Forget a snapshot."""
        self._erase(self._models.SnapshotMetadata, snapshot_id=snapshot_id)
        self._erase(self._models.Snapshot, id=snapshot_id)

    # Attachments

    @staticmethod
    def attached_as(object_id: str, *, snapshot: bool) -> str:
        """Return the id that attachments are recorded under; a snapshot's must never be taken for those of a volume."""
        return str(uuid.uuid5(_NAMESPACE, f"snapshot {object_id}")) if snapshot else object_id

    def attach(self, attached: str, host: str) -> Any:
        """Write down that a host is about to be connected, or return the record of that."""
        for known in self.attachments(attached):
            if known.attached_host == host:
                return known
        made = objects.VolumeAttachment(
            self.context, volume_id=attached, attached_host=host, attach_status="attaching", attach_mode="rw"
        )
        made.create()
        return made

    def attachments(self, attached: str) -> list[Any]:
        """Return the hosts that are, or may be, connected."""
        return list(objects.VolumeAttachmentList.get_all_by_volume_id(self.context, attached))

    def detach(self, attachment: Any) -> None:
        """Forget an attachment."""
        self._erase(self._models.VolumeAttachment, id=attachment.id)

    # Rows

    def _row(self, model: Any, **where: str) -> bool:
        with self._api.main_context_manager.reader.using(context.get_admin_context()) as session:
            return session.query(model).filter_by(**where).first() is not None

    def _erase(self, model: Any, **where: str) -> None:
        with self._api.main_context_manager.writer.using(context.get_admin_context()) as session:
            session.query(model).filter_by(**where).delete()

    def _volume_type(self, extra_specs: dict[str, str]) -> str:
        """Return the id of the volume type with these extra specs, made where it is not there yet."""
        told = ";".join(f"{key}={value}" for key, value in sorted(extra_specs.items()))
        type_id = str(uuid.uuid5(_NAMESPACE, f"type {told}"))
        if not self._row(self._models.VolumeType, id=type_id):
            values = {"id": type_id, "name": f"{VOLUME_TYPE}-{type_id[:8]}", "extra_specs": dict(extra_specs), "is_public": True}
            try:
                self._api.volume_type_create(self.context, values)
            except Exception:
                # Another process may have made it meanwhile.
                if not self._row(self._models.VolumeType, id=type_id):
                    raise
        return type_id

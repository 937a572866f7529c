"""A vendor's Cinder driver as a test needs one: it reads Cinder's database, and misbehaves on request. Runs in the cinder environment.

Its array is a folder, one file for each LUN. What it is to do wrong stands in the file ``mood`` there.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from cinder import context, exception, objects
from cinder.volume import configuration, driver, qos_specs, volume_types
from oslo_config import cfg
from oslo_log import log

LOG = log.getLogger(__name__)
OPTIONS = [cfg.StrOpt("lab_folder"), cfg.StrOpt("lab_password", secret=True)]
cfg.CONF.register_opts(OPTIONS, group=configuration.SHARED_CONF_GROUP)


class HTTPNotFound(Exception):
    """What an array's client library raises."""


class LabDriver(driver.ISCSIDriver):
    """Keeps LUNs as files, and asks the database what vendors' drivers ask it."""

    VERSION = "1.2"

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.configuration.append_config_values(OPTIONS)

    def do_setup(self, context):
        self.array = Path(self.configuration.lab_folder)
        LOG.warning("logging in with %s", self.configuration.lab_password)

    def check_for_setup_error(self):
        if self.configuration.lab_password != "right-password":
            raise exception.VolumeBackendAPIException(data=f"refused: {self.configuration.lab_password}")

    def get_volume_stats(self, refresh=False):
        return {
            "volume_backend_name": "lab",
            "vendor_name": "Lab",
            "driver_version": self.VERSION,
            "storage_protocol": "iSCSI",
            "thin_provisioning_support": True,
            "multiattach": True,
            "total_capacity_gb": 100,
            "free_capacity_gb": "unknown",
        }

    def create_volume(self, volume):
        mood = self._mood()
        (self.array / volume.name).write_text(json.dumps(self._seen_in_the_database(volume)))
        if mood == "dies":
            (self.array / "mood").unlink()
            os._exit(7)
        if mood == "hangs":
            time.sleep(60)
        if mood == "fails":
            raise exception.VolumeBackendAPIException(data=f"no luck with {self.configuration.lab_password}")
        return {"provider_location": f"lun-{volume.name}", "metadata": {"colour": "blue"}}

    def _seen_in_the_database(self, volume):
        admin = context.get_admin_context()
        kind = volume_types.get_volume_type(admin, volume.volume_type_id)
        return {
            "of this host": [found.id for found in objects.VolumeList.get_all_by_host(admin, volume.host)],
            "by id": self.db.volume_get(admin, volume.id)["display_name"],
            "extra specs": kind["extra_specs"],
            "qos": volume_types.get_volume_type_qos_specs(kind["id"]),
            "all qos": len(qos_specs.get_all_specs(admin)),
        }

    def delete_volume(self, volume):
        (self.array / volume.name).unlink(missing_ok=True)

    def remove_export(self, context, volume):
        pass

    def create_export(self, context, volume, connector):
        pass

    def initialize_connection(self, volume, connector):
        if self._mood() == "races":
            raise exception.VolumeBackendAPIException(data="there is a host already")
        assert volume.provider_location == f"lun-{volume.name}"
        assert volume.metadata == {"colour": "blue"}
        found = objects.VolumeAttachmentList.get_all_by_volume_id(context.get_admin_context(), volume.id)
        lun = sorted(attachment.id for attachment in found).index(found[-1].id) if found else 0
        data = {"target_portal": "192.0.2.1:3260", "target_iqn": "iqn.2000-01.org.example:lab", "target_lun": lun}
        return {"driver_volume_type": "iscsi", "data": data}

    def terminate_connection(self, volume, connector, **kwargs):
        assert connector["initiator"]
        if self._mood() == "unlinks":
            raise exception.VolumeBackendAPIException(data="no luck")
        if self._mood() in {"races", "forgets"}:
            raise HTTPNotFound("there is no such host")

    def _mood(self):
        file = self.array / "mood"
        return file.read_text() if file.exists() else ""

"""Runs inside an environment with the cinder package: its API, scheduler, volume and backup services in one process.

With oslo.messaging's in-process transport no broker is needed. Arguments are those of any Cinder service (``--config-file``).
"""

from __future__ import annotations

from cinder import monkey_patch

monkey_patch.patch()

import shlex
import sys

import cinder.cmd.backup
import cinder.cmd.volume
import connector
import os_brick
from cinder import coordination, objects, rpc, service, utils, version
from cinder.common import config, constants
from oslo_config import cfg
from oslo_log import log as logging
from oslo_privsep import priv_context
from oslo_service import service as oslo_service

CONF = cfg.CONF


class Service(service.Service):
    """One of several services of a process: Cinder keeps the row that a heartbeat renews in the class, one for all."""

    def report_state(self):
        service.Service.service_id = self.origin_service_id
        super().report_state()


def _plain(capabilities):
    return dict(capabilities)


def main() -> None:
    objects.register_all()
    from cinder.scheduler import host_manager

    # What the scheduler answers is a plain dictionary once it has travelled; here it does not travel.
    host_manager.ReadOnlyDict.copy = _plain
    CONF(sys.argv[1:], project="cinder", version=version.version_string())
    config.set_middleware_defaults()
    logging.setup(CONF, "cinder")
    priv_context.init(root_helper=shlex.split(utils.get_root_helper()))
    os_brick.setup(CONF)
    connector.install()
    coordination.COORDINATOR.start()
    rpc.init(CONF)
    launcher = oslo_service.ServiceLauncher(CONF, restart_method="mutate")
    launcher.launch_service(Service.create(binary="cinder-scheduler"))
    for backend in CONF.enabled_backends:
        CONF.register_opt(cinder.cmd.volume.host_opt, group=backend)
        host = f"{CONF.host}@{backend}"
        launcher.launch_service(
            Service.create(host=host, service_name=backend, binary=constants.VOLUME_BINARY, coordination=True)
        )
    at_once = utils.semaphore_factory(CONF.backup_max_operations, 1)
    launcher.launch_service(
        Service.create(binary="cinder-backup", service_name="backup", coordination=True, process_number=1, semaphore=at_once)
    )
    # A launcher has room for ten.
    second = oslo_service.ServiceLauncher(CONF, restart_method="mutate")
    second.launch_service(service.WSGIService("osapi_volume"))
    launcher.wait()


main()

"""Runs inside an environment with the cinder package: a cinder.conf, as its volume service reads it.

The argument is its path. Prints one JSON object: the classes of the enabled back ends, every option as oslo reads it, and those that
nobody knows.
"""

from __future__ import annotations

import configparser
import json
import sys

# The volume service's command declares what a cinder.conf may say to it.
import cinder.cmd.volume  # noqa: F401
from cinder import objects

objects.register_all()
from cinder.volume import configuration, manager
from oslo_config import cfg
from oslo_utils import importutils


def main() -> None:
    path = sys.argv[1]
    cfg.CONF(["--config-file", path], project="cinder")
    classes = {}
    for section in cfg.CONF.enabled_backends:
        options = configuration.Configuration(manager.volume_backend_opts, config_group=section)
        kind = importutils.import_class(options.volume_driver)
        kind(configuration=options, host=f"lab@{section}")
        classes[section] = kind.__name__
    written = configparser.RawConfigParser(default_section="none")
    written.read(path)
    read, unknown = {}, []
    for section in written.sections():
        group = cfg.CONF if section == "DEFAULT" else cfg.CONF[section]
        for name in written[section]:
            try:
                read[f"{section}.{name}"] = getattr(group, name)
            except cfg.NoSuchOptError:
                unknown.append(f"{section}.{name}")
    print(json.dumps({"classes": classes, "read": read, "unknown": unknown}))


main()

"""From a cinder.conf and a class to a driver that is set up, without services, broker or database server."""

from __future__ import annotations

import configparser
import fcntl
import os
import re
import sqlite3
import sys
import tempfile
from typing import Any

from cinder import context, coordination, objects
from cinder.volume import configuration
from oslo_config import cfg
from oslo_log import log
from oslo_utils import importutils
from sqlalchemy import event

_SECRET = re.compile(r"pass|secret|token|api_key|credential", re.IGNORECASE)
_SHORTEST_SECRET = 4
_BUSY_MILLISECONDS = 60_000

VOLUME_TYPE = "blockdrivers"
"""The volume type of every volume; it carries the extra specs that the bridge is configured with."""


class SetupFailed(Exception):
    """The configuration names no section or class that can be used."""


def configure(settings: dict[str, Any]) -> str:
    """Load a configuration file, keep everything that Cinder writes within the records' folder, return the backend's section."""
    folder = settings["folder"]
    log.register_options(cfg.CONF)
    section = _section(settings["config"], settings["section"])
    # Of two files that set an option, the later one counts.
    overrides = _overrides(settings["overrides"], section, folder)
    cfg.CONF(["--config-file", settings["config"], "--config-file", overrides], project="cinder")
    os.unlink(overrides)  # noqa: PTH108
    cfg.CONF.import_opt("state_path", "cinder.common.config")
    cfg.CONF.import_opt("connection", "cinder.db.api", group="database")
    for group, name, value in (
        (None, "state_path", folder),
        ("database", "connection", f"sqlite:///{folder}/records.sqlite"),
        ("coordination", "backend_url", f"file://{folder}/locks"),
        ("oslo_concurrency", "lock_path", f"{folder}/locks"),
    ):
        cfg.CONF.set_override(name, value, group=group)
    os.makedirs(f"{folder}/locks", exist_ok=True)  # noqa: PTH103
    return section


def _overrides(overrides: dict[str, str], section: str, folder: str) -> str:
    """Write the options that are set from elsewhere to a file that only this user reads; return where."""
    descriptor, path = tempfile.mkstemp(dir=folder, suffix=".conf")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        # A dollar sign begins a reference there.
        lines = [f"{name} = {value.replace('$', '$$')}\n" for name, value in overrides.items()]
        file.write(f"[{section}]\n{''.join(lines)}")
    return path


def _sections(path: str) -> dict[str, dict[str, str]]:
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
    parser.read(path)
    return {name: dict(parser.items(name)) for name in parser.sections()}


def _section(path: str, wanted: str | None) -> str:
    if wanted:
        if wanted not in _sections(path):
            raise SetupFailed(f"{path} has no section {wanted!r}; it has {', '.join(_sections(path)) or 'none'}.")
        return wanted
    found = [name for name, options in _sections(path).items() if "volume_driver" in options or "volume_backend_name" in options]
    if len(found) != 1:
        raise SetupFailed(f"{path} has {len(found)} sections of backends ({', '.join(found) or 'none'}); name one.")
    return found[0]


def secrets(settings: dict[str, Any]) -> list[str]:
    """Return what no log and no error may show."""
    written = list(_sections(settings["config"]).values())
    found = [value for options in [*written, settings["overrides"]] for name, value in options.items() if _SECRET.search(name)]
    return [value for value in found if value and len(value) >= _SHORTEST_SECRET]


def open_records(folder: str) -> Any:
    """Make Cinder's tables where they are not there yet; return Cinder's own database interface and its models.

    The tables are Cinder's own, so that a driver's query finds what it would find in a deployment.
    """
    from cinder.db import api, models  # noqa: PLC0415 - not before the configuration has been read

    with open(f"{folder}/records.turn", "w") as turn:  # noqa: PTH123
        fcntl.flock(turn, fcntl.LOCK_EX)
        with sqlite3.connect(f"{folder}/records.sqlite") as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS turn (taken INTEGER)")
        connection.close()
        engine = api.get_engine()
        event.listen(engine, "connect", lambda dbapi, _: dbapi.execute(f"PRAGMA busy_timeout = {_BUSY_MILLISECONDS}"))
        models.BASE.metadata.create_all(engine)
    # SQLite refuses at once when a transaction that has read wants to write and another one has; so each begins as a writer.
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("UPDATE turn SET taken = 1"))
    return api, models


def open_driver(settings: dict[str, Any], section: str) -> Any:
    """Return an instance of the class, set up as Cinder's volume service does it."""
    admin = context.get_admin_context()
    # What the volume service declares of every backend; some drivers read it.
    from cinder.volume import manager  # noqa: PLC0415 - a long import, and not before the configuration has been read

    options = configuration.Configuration(manager.volume_backend_opts, config_group=section)
    try:
        kind = importutils.import_class(settings["driver"])
    except ImportError as error:
        raise SetupFailed(f"The class {settings['driver']!r} cannot be imported: {error}") from error
    from cinder import db  # noqa: PLC0415

    driver = kind(configuration=options, db=db, host=f"blockdrivers@{section}", cluster_name=None, is_vol_db_empty=False)
    _show_this_machine(settings["node"])
    driver.do_setup(admin)
    driver.check_for_setup_error()
    driver.init_capabilities()
    driver.set_throttle()
    driver.set_initialized()
    return driver


def _show_this_machine(node: dict[str, Any] | None) -> None:
    """Let drivers see the machine that the configuration describes, or let os-brick look without sudo where that is not needed."""
    from cinder.volume import volume_utils  # noqa: PLC0415 - not before the configuration has been read

    if node is not None:
        known = {"initiator": node["iqn"], "wwpns": list(node["wwpns"])}
        seen = {key: value for key, value in known.items() if value}
        seen |= {"host": node["host"], "ip": node["address"], "multipath": False, "os_type": "linux", "platform": "x86_64"}
        volume_utils.brick_get_connector_properties = lambda *_, **__: dict(seen)
    elif os.geteuid() == 0:
        from os_brick import privileged  # noqa: F401, PLC0415 - it declares the option

        helper = os.path.join(os.path.dirname(sys.executable), "privsep-helper")  # noqa: PTH118, PTH120
        cfg.CONF.set_default("helper_command", helper, group="privsep_osbrick")


def start() -> None:
    """Register Cinder's objects and start its locks, which lie in files and so hold between processes of this machine."""
    objects.register_all()
    coordination.COORDINATOR.start()

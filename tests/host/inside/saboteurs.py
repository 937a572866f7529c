"""Machines with one deliberate defect each, and the check of attached volumes that has to catch it.

`open_sabotaged` opens a backend like `blockdrivers.config.open_backend`, with the defect that the environment variable names in
the process that it is called in.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from blockdrivers import attachments
from blockdrivers.backend import Backend
from blockdrivers.config import load, open_driver
from blockdrivers.errors import AttachError
from blockdrivers.host import luns, multipath, removal, scsi, users

VARIABLE = "BLOCKDRIVERS_ATTACH_SABOTEUR"
SABOTEURS: dict[str, Callable[[], type[Backend]]] = {}
"""By the check that has to catch it: what puts the defect in place and returns the backend to use."""


def saboteur(check: str) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    def register(spoil: Callable[[], Any]) -> Callable[[], Any]:
        SABOTEURS[check] = lambda: spoil() or Backend
        return spoil

    return register


def open_sabotaged(path: Path, name: str) -> Backend:
    config = load(path).backend(name)
    backend = SABOTEURS[os.environ[VARIABLE]]()
    return backend(open_driver(config), config.name, timeouts=config.timeouts)


@saboteur("attach.bytes")
def another_identity_is_told():
    class Telling(Backend):
        def attach(self, *arguments, **keywords):
            made = super().attach(*arguments, **keywords)
            return replace(made, wwn=made.wwn[::-1])

    return Telling


@saboteur("attach.again")
def a_path_is_returned_the_second_time():
    class Twice(Backend):
        attached = False

        def attach(self, *arguments, **keywords):
            made = super().attach(*arguments, **keywords)
            again, self.attached = self.attached, True
            return replace(made, path=made.paths[0].device) if again else made

    return Twice


@saboteur("attach.reused_lun")
def a_stale_device_in_use_is_taken_away_from_who_uses_it():
    users.of_devices = lambda *_, **__: []


@saboteur("attach.in_use")
def nobody_is_ever_found_to_use_a_device():
    users.of_devices = lambda *_, **__: []


@saboteur("attach.file_system")
def a_disk_is_made_new_when_it_is_attached():
    class Clearing(Backend):
        def attach(self, *arguments, **keywords):
            made = super().attach(*arguments, **keywords)
            with Path(made.path).open("r+b", buffering=0) as disk:
                disk.write(bytes(4096))
            return made

    return Clearing


@saboteur("attach.extended")
def the_paths_are_not_told_to_look_again():
    scsi.rescan = lambda _: None


@saboteur("attach.neighbours")
def every_disk_is_removed():
    severed = removal.sever

    def sever(found, *, discard):
        severed(removal.Found(tuple(scsi.disks()), tuple(multipath.maps())), discard=discard)

    removal.sever = sever


@saboteur("attach.never_appears")
def a_failed_attach_is_not_undone():
    attachments.Attachments._undo = lambda *_, **__: None


@saboteur("attach.crash")
def what_a_crash_left_is_in_the_way():
    dropped = luns.Lun._drop_stale

    def drop_stale(lun, heard):
        dropped(lun, heard)
        if lun._place.disks():
            raise AttachError("There are devices at this place.")

    luns.Lun._drop_stale = drop_stale


@saboteur("attach.path_lost")
def one_path_is_returned_as_if_it_were_the_map():
    class OnePath(Backend):
        def attach(self, *arguments, **keywords):
            made = super().attach(*arguments, **keywords)
            return replace(made, path=made.paths[0].device)

    return OnePath


@saboteur("attach.failover")
def only_the_paths_to_the_controller_in_use_are_kept():
    class Narrow(Backend):
        def attach(self, *arguments, **keywords):
            made = super().attach(*arguments, **keywords)
            first, *others = sorted(scsi.disks(), key=lambda disk: disk.portal or "")
            for disk in others:
                multipath.forget_path(disk.name)
            return replace(made, paths=tuple(path for path in made.paths if path.device == first.device))

    return Narrow


@saboteur("attach.dead")
def force_does_nothing():
    detached = removal.detach
    removal.detach = lambda place, **_: detached(place, force=False)
